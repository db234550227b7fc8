package terminal

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func screen(width int, colour bool) Screen {
	return Screen{Width: func() int { return width }, Colour: colour}
}

func TestLinesStandInColumns(t *testing.T) {
	for what, c := range map[string]struct {
		width  int
		colour bool
		names  string // that are known
		name   string // of the line
		text   string
		want   string
	}{
		"a pipe":                  {0, false, "watchdogd", "api", strings.Repeat("x", 100), "api       | " + strings.Repeat("x", 100) + "\n"},
		"a long line":             {30, false, "", "api", "0123456789012345678901234567", "api | 012345678901234567890123\n    | 4567\n"},
		"a line of words":         {30, false, "", "api", "one two three four five six seven", "api | one two three four five\n    | six seven\n"},
		"20 columns":              {20, false, "watchdogd", "api", "0123456789abcdef", "api   | 0123456789ab\n      | cdef\n"},
		"20 columns, a long name": {20, false, "", "watchdogd", "x", "watc… | x\n"},
		"two columns":             {2, false, "", "api", "xy", "api | x\n    | y\n"},
		"wide characters":         {20, false, "watch", "api", "世界世界世界世界", "api   | 世界世界世界\n      | 世界\n"},
		"an empty line":           {20, false, "", "api", "", "api |\n"},
		"a tab":                   {0, false, "", "api", "a\tb", "api | a       b\n"},
		"a progress bar":          {0, false, "", "api", "10%\r50%\r100%\r", "api | 100%\n"},
		"what moves the cursor":   {0, false, "", "api", "\x1b[2J\x1b[H\x1b[?25lok\x1b[31m!\x1b[0m", "api | ok!\n"},
		"a title and a link":      {0, false, "", "api", "\x1b]0;title\aok\x1b]8;;http://a\x1b\\b", "api | okb\n"},
		"what no terminal knows":  {0, false, "", "api", "a\x1b(Bb\x07\x9b\u202e\x1b[", `api | a\x1b(Bb\x07\x9b\u202e\x1b[` + "\n"},
		"a name that acts":        {0, false, "", "a\x1b[2Jb\nc", "x", "ab c | x\n"},
		"a colour":                {30, true, "", "api", "\x1b[31mred", "\x1b[36mapi\x1b[0m\x1b[2m |\x1b[0m \x1b[31mred\x1b[0m\n"},
		"a colour that goes on":   {14, true, "", "api", "\x1b[38;5;8mredandmore", "\x1b[36mapi\x1b[0m\x1b[2m |\x1b[0m \x1b[38;5;8mredandmo\x1b[0m\n\x1b[36m   \x1b[0m\x1b[2m |\x1b[0m \x1b[38;5;8mre\x1b[0m\n"},
		"concealed text":          {0, true, "", "api", "\x1b[8mhidden", "\x1b[36mapi\x1b[0m\x1b[2m |\x1b[0m hidden\n"},
	} {
		var out bytes.Buffer
		columns := NewColumns(&out, screen(c.width, c.colour), strings.Fields(c.names)...)
		if err := columns.Print(c.name, c.text, Normal); err != nil || out.String() != c.want {
			t.Errorf("%s: got %v and\n%q\nwant\n%q", what, err, out.String(), c.want)
		}
	}
}

// Whatever is printed, no row is wider than the screen, and nothing but colours acts on it.
func FuzzColumns(f *testing.F) {
	f.Add("api", "\x1b[31m世界\t\x1b[0m\x1b]0;t\a", 20, true)
	f.Add("a\xffb", "\x1b[8m\r\x9b2J\u202e\u0301", 5, false)
	f.Fuzz(func(t *testing.T, name, text string, width int, colour bool) {
		width = min(max(width, 9), 200)
		var out bytes.Buffer
		if err := NewColumns(&out, screen(width, colour), "watchdogd").Print(name, text, Normal); err != nil {
			t.Fatal(err)
		}
		if !utf8.ValidString(out.String()) {
			t.Errorf("got %q, want UTF-8", out.String())
		}
		for row := range strings.Lines(out.String()) {
			row = strings.TrimSuffix(row, "\n")
			var shown strings.Builder
			for row != "" {
				if n, isColour := sequence(row); row[0] == esc && n > 0 {
					if !isColour || !colour {
						t.Errorf("got the sequence %q, want only colours", row[:n])
					}
					row = row[n:]
					continue
				}
				r, size := utf8.DecodeRuneInString(row)
				if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
					t.Errorf("got %q with %U", out.String(), r)
				}
				shown.WriteRune(r)
				row = row[size:]
			}
			if got := Cells(shown.String()); got > width {
				t.Errorf("got a row of %d cells, want at most %d: %q", got, width, shown.String())
			}
		}
	})
}

func TestTablesFitTheScreen(t *testing.T) {
	rows := [][]string{{"NAME", "STATE", "URL"}, {"api", "ready", "http://localhost:8080/api"}, {"db\x1b[2J", "starting", "-"}}
	for width, want := range map[int]string{
		0:  "NAME  STATE     URL\napi   ready     http://localhost:8080/api\ndb    starting  -\n",
		41: "NAME  STATE     URL\napi   ready     http://localhost:8080/api\ndb    starting  -\n",
		20: "api\n  ready\n  http://localhost:8\n  080/api\ndb\n  starting\n",
	} {
		var out bytes.Buffer
		if err := Table(&out, screen(width, false), rows, nil); err != nil || out.String() != want {
			t.Errorf("%d columns: got %v and\n%s\nwant\n%s", width, err, out.String(), want)
		}
	}
}

func TestNoColorAndADumbTerminalAreHonoured(t *testing.T) {
	on := Screen{Width: func() int { return 80 }, Colour: true}
	if got := on.Paint("x", Bad); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("got %q, want it red", got)
	}
	for _, env := range [][2]string{{"NO_COLOR", "1"}, {"TERM", "dumb"}} {
		t.Run(env[0], func(t *testing.T) {
			t.Setenv("NO_COLOR", "")
			t.Setenv("TERM", "xterm")
			if !coloured() {
				t.Error("without it: got no colour, want colour")
			}
			t.Setenv(env[0], env[1])
			if coloured() {
				t.Error("got colour, want none")
			}
		})
	}
}
