// Package terminal writes for people: what a terminal must not obey is escaped.
package terminal

import (
	"fmt"
	"io"
	"os"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Is reports whether f is a terminal, and not another character device such as
// /dev/null: only a terminal has a window size.
func Is(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// Writer is w, or where w is a terminal a writer to it on which no text can act. What
// commands print was written by others: by the programs that watchdogd runs, their
// clients, or whoever wrote the file. A file or a pipe gets it as it is.
func Writer(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok && Is(f) {
		return &escaper{w: w}
	}
	return w
}

// Of returns the terminal behind a writer that Writer returned, nil if it is none. What is
// written to it must hold nothing that a terminal obeys.
func Of(w io.Writer) *os.File {
	if v, ok := w.(*escaper); ok {
		f, _ := v.w.(*os.File)
		return f
	}
	return nil
}

// escaper is a writer that shows what a terminal would obey, or what would change the
// order of the text on it, as \x1b or \u202e. Line feeds and tabs stay what they are, and
// a carriage return in front of a line feed.
type escaper struct {
	w    io.Writer
	rest []byte // the beginning of a character, or a carriage return
	out  []byte
}

// Write writes all of p but the beginning of a character at its end.
func (v *escaper) Write(p []byte) (int, error) {
	text := p
	if len(v.rest) > 0 {
		text = append(v.rest, p...)
	}
	v.out = v.out[:0]
	for len(text) > 0 {
		if !utf8.FullRune(text) || len(text) == 1 && text[0] == '\r' {
			break
		}
		if text[0] == '\r' && text[1] == '\n' {
			v.out, text = append(v.out, "\r\n"...), text[2:]
			continue
		}
		r, size := utf8.DecodeRune(text)
		v.out = appendEscaped(v.out, r, text[:size])
		text = text[size:]
	}
	v.rest = append([]byte(nil), text...)
	if _, err := v.w.Write(v.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush writes what Write held back.
func (v *escaper) Flush() error {
	v.out = v.out[:0]
	for _, c := range v.rest {
		v.out = appendEscaped(v.out, utf8.RuneError, []byte{c})
	}
	v.rest = nil
	if len(v.out) == 0 {
		return nil // a terminal that takes no output would hold up even that
	}
	_, err := v.w.Write(v.out)
	return err
}

// appendEscaped appends one character, or one byte that is not part of one.
func appendEscaped(out []byte, r rune, raw []byte) []byte {
	switch {
	case r == utf8.RuneError && len(raw) == 1, r < ' ' && r != '\n' && r != '\t', r == 0x7f:
		return fmt.Appendf(out, `\x%02x`, raw[0])
	case r >= 0x80 && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'):
		return fmt.Appendf(out, `\u%04x`, r)
	}
	return append(out, raw...)
}

// Flush ends a writer that Writer returned.
func Flush(w io.Writer) {
	if v, ok := w.(*escaper); ok {
		_ = v.Flush() // a terminal that is gone shows nothing
	}
}
