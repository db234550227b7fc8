package terminal

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// piece is what one step through a text takes: a character, or what stands for one that a
// terminal would obey, or a colour, which has no cells.
type piece struct {
	text   string
	cells  int
	colour bool
}

// tabStop is how far apart a terminal's tab stops are.
const tabStop = 8

// pieces splits a line that a program printed into what may be shown of it. Colours stay if
// coloured says so. What would move the cursor, erase or set a title has no effect within a
// line and is left out, as is what a carriage return has the terminal write over; every other
// character that a terminal would obey is shown as \x1b or \u202e.
func pieces(line string, coloured bool) (all []piece) {
	line = strings.TrimRight(line, "\r\n")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	column := 0
	for len(line) > 0 {
		if line[0] == esc {
			if n, isColour := sequence(line); n > 0 {
				if isColour && coloured {
					all = append(all, piece{text: line[:n], colour: true})
				}
				line = line[n:]
				continue
			}
		}
		r, size := utf8.DecodeRuneInString(line)
		p := piece{text: line[:size], cells: cells(r)}
		switch r {
		case '\t':
			p.cells = tabStop - column%tabStop
			p.text = strings.Repeat(" ", p.cells)
		case '\n':
			p.text, p.cells = " ", 1
		default:
			if shown := string(appendEscaped(nil, r, []byte(line[:size]))); shown != p.text {
				p.text, p.cells = shown, len(shown)
			}
		}
		column += p.cells
		all = append(all, p)
		line = line[size:]
	}
	return all
}

const (
	esc = '\x1b'
	bel = '\a'
)

// longestSequence bounds what is taken for a control sequence.
const longestSequence = 1 << 10

// sequence returns the length of the control sequence that s begins with, 0 if it begins
// with none that is complete, and whether it does no more than set a colour.
func sequence(s string) (n int, colour bool) {
	if len(s) < 2 {
		return 0, false
	}
	switch s[1] {
	case '[': // CSI: parameters, intermediates, one final byte (ECMA-48, 5.4)
		end := 2
		for end < len(s) && end < longestSequence && s[end] >= ' ' && s[end] < '@' {
			end++
		}
		if end == len(s) || s[end] < '@' || s[end] > '~' {
			return 0, false
		}
		return end + 1, s[end] == 'm' && setsColour(s[2:end])
	case ']': // OSC: a text up to BEL or ST
		for end := 2; end < len(s) && end < longestSequence; end++ {
			switch {
			case s[end] == bel:
				return end + 1, false
			case s[end] == esc && end+1 < len(s) && s[end+1] == '\\':
				return end + 2, false
			}
		}
	}
	return 0, false
}

// setsColour reports whether the parameters of an SGR sequence leave the text readable: not
// those that conceal it or have it blink.
func setsColour(parameters string) bool {
	if strings.Trim(parameters, "0123456789;:") != "" {
		return false
	}
	list := strings.FieldsFunc(parameters, func(r rune) bool { return r == ';' })
	for i := 0; i < len(list); i++ {
		switch strings.TrimLeft(list[i], "0") {
		case "38", "48", "58": // a colour by number, or by its parts
			if i+1 < len(list) && list[i+1] == "5" {
				i += 2
			} else if i+1 < len(list) && list[i+1] == "2" {
				i += 4
			}
		case "5", "6", "8":
			return false
		}
	}
	return true
}

// cells is how many cells of a terminal a character takes.
func cells(r rune) int {
	switch {
	case r < 0x7f:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	if kind := width.LookupRune(r).Kind(); kind == width.EastAsianWide || kind == width.EastAsianFullwidth {
		return 2
	}
	return 1
}

// Cells returns how many cells a text takes that holds nothing a terminal would obey.
func Cells(s string) (n int) {
	for _, r := range s {
		n += cells(r)
	}
	return n
}

// Fit pads s with spaces, or cuts it with an ellipsis, so that it takes n cells.
func Fit(s string, n int) string {
	if n <= 0 {
		return ""
	}
	if have := Cells(s); have <= n {
		return s + strings.Repeat(" ", n-have)
	}
	var b strings.Builder
	left := n - 1
	for _, r := range s {
		if left -= cells(r); left < 0 {
			left += cells(r)
			break
		}
		b.WriteRune(r)
	}
	return b.String() + "…" + strings.Repeat(" ", left)
}
