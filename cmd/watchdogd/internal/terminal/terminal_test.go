package terminal

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

func TestATerminalIsShownWhatItWouldObey(t *testing.T) {
	for text, want := range map[string]string{
		"plain ä 世界\tx\n":                    "plain ä 世界\tx\n",
		"\x1b[31mred\x1b[0m\n":               `\x1b[31mred\x1b[0m` + "\n",
		"\x1b]0;title\x07":                   `\x1b]0;title\x07`,
		"one\rtwo\r\nthree\r":                `one\x0dtwo` + "\r\n" + `three\x0d`,
		"\u009b31m, \x9b31m, \x7f, \x00":     `\u009b31m, \x9b31m, \x7f, \x00`,
		"a\u202eb\u2066c\u2028":              `a\u202eb\u2066c\u2028`,
		"cut \xe4\xb8":                       `cut \xe4\xb8`,
		"\ufffd is a character":              "\ufffd is a character",
		"\xf0\x9f\x98\x80 and \xf0\x9f\x1b[": "\U0001f600 and " + `\xf0\x9f\x1b[`,
	} {
		for name, write := range map[string]func(v *escaper) error{
			"whole": func(v *escaper) error { _, err := v.Write([]byte(text)); return err },
			"byte by byte": func(v *escaper) error {
				for i := range len(text) {
					if n, err := v.Write([]byte{text[i]}); n != 1 || err != nil {
						return err
					}
				}
				return nil
			},
		} {
			var out bytes.Buffer
			v := &escaper{w: &out}
			if err := write(v); err != nil {
				t.Error(err)
			}
			if err := v.Flush(); err != nil || out.String() != want {
				t.Errorf("%q, written %s: got %q, %v, want %q", text, name, out.String(), err, want)
			}
		}
	}
	v := &escaper{w: iotest.TruncateWriter(new(bytes.Buffer), 0)}
	if n, err := v.Write([]byte("x")); n != 1 || err != nil {
		t.Errorf("got %d, %v, want 1 byte", n, err)
	}
}

// Nothing that acts on a terminal gets through, however it is cut into writes.
func FuzzEscaper(f *testing.F) {
	f.Add("\x1b[31m\xc2\x9b\r\n\u202e", 3)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		var whole, parts bytes.Buffer
		v := &escaper{w: &whole}
		_, _ = v.Write([]byte(text)) // a bytes.Buffer takes all
		_ = v.Flush()
		v = &escaper{w: &parts}
		cut = max(0, min(cut, len(text)))
		_, _ = v.Write([]byte(text[:cut]))
		_, _ = v.Write([]byte(text[cut:]))
		_ = v.Flush()
		if whole.String() != parts.String() {
			t.Errorf("got %q in two writes, %q in one", parts.String(), whole.String())
		}
		shown := strings.ReplaceAll(whole.String(), "\r\n", "\n")
		if !utf8.ValidString(shown) {
			t.Errorf("got %q, which is not UTF-8", shown)
		}
		for _, r := range shown {
			if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
				t.Errorf("got %q with %U", shown, r)
			}
		}
	})
}

// The standard output of a daemon is often /dev/null, under another name.
func TestTheNullDeviceIsNotATerminal(t *testing.T) {
	fd, err := unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	null := os.NewFile(uintptr(fd), "/dev/stdout")
	defer null.Close()
	if Is(null) {
		t.Error("got a terminal, want none")
	}
}
