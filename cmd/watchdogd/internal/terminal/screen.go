package terminal

import (
	"os"

	"golang.org/x/sys/unix"
)

// Screen is what lines are laid out for.
type Screen struct {
	Width  func() int // in cells; 0 where there is no limit
	Colour bool
}

// Plain is the Screen of a file or a pipe: without a width and without colours.
var Plain = Screen{Width: func() int { return 0 }}

// ScreenOf returns the Screen of f, whose width is asked for anew each time. It has colours
// unless $NO_COLOR is set or $TERM is dumb. What is not a terminal is Plain.
func ScreenOf(f *os.File) Screen {
	if !Is(f) {
		return Plain
	}
	fd := int(f.Fd())
	return Screen{
		Width: func() int {
			size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
			if err != nil {
				return 0
			}
			return int(size.Col)
		},
		Colour: coloured(),
	}
}

// coloured reports whether the user wants colours (no-color.org).
func coloured() bool { return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" }

// Tone is how a text is meant, and so its colour.
type Tone string

// The tones.
const (
	Normal Tone = ""
	Faint  Tone = "2"
	Bold   Tone = "1"
	Good   Tone = "32" // green
	Warn   Tone = "33" // yellow
	Bad    Tone = "31" // red
)

// Paint gives text, which holds nothing that a terminal would obey, the colour of tone.
func (s Screen) Paint(text string, tone Tone) string {
	if !s.Colour || tone == Normal || text == "" {
		return text
	}
	return "\x1b[" + string(tone) + "m" + text + "\x1b[0m"
}
