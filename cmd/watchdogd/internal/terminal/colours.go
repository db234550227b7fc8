package terminal

import (
	"io"
	"os"
)

// Colours returns what is behind a writer that Writer made of a terminal, and whether it may be
// sent colours: not where NO_COLOR is set (no-color.org) or TERM is dumb. Whoever writes to
// it escapes by Escape what others wrote.
func Colours(w io.Writer) (io.Writer, bool) {
	v, ok := w.(*escaper)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return w, false
	}
	return v.w, true
}

// Escape returns text as a terminal is shown it.
func Escape(text string) string {
	var out shown
	v := &escaper{w: &out}
	_, _ = v.Write([]byte(text)) // memory takes all
	_ = v.Flush()
	return string(out)
}

// shown keeps what is written.
type shown []byte

func (s *shown) Write(p []byte) (int, error) {
	*s = append(*s, p...)
	return len(p), nil
}
