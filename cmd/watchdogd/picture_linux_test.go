package main

import (
	"bytes"
	"fmt"
	"html"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hinshun/vt10x"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// docs/terminal.svg is what a terminal shows of examples/00-start: this test serves it, sends
// some requests, one of which ends the program, and draws the screen. Only what differs from
// one run to the next (pids, ports, durations) is replaced. With -update ("make docs") it
// writes the picture.
func TestThePictureInTheREADMEIsWhatATerminalShows(t *testing.T) {
	need(t, "python3")
	const columns, rows = 92, 40
	picture := draw(columns, rows, screenOfTheStart(t, columns, rows))
	if *updateFlag {
		if strings.Contains(picture, ">starting<") {
			t.Fatal("the table came before api was ready: try again when the machine is less busy")
		}
		generated(t, "docs/terminal.svg", picture)
		return
	}
	if got, want := unordered(document(t, "docs/terminal.svg")), unordered(picture); got != want {
		t.Errorf("docs/terminal.svg: got\n%s\nwant\n%s\nRun \"make docs\" to write it.", got, want)
	}
}

// unordered is a picture without what depends on how busy the machine is: the order of its
// lines, durations, whether the table came before all was ready, and whether a task was seen
// to be ready before it ended.
func unordered(picture string) string {
	picture = regexp.MustCompile(` [xy]="[\d.]+"`).ReplaceAllString(someTime.ReplaceAllString(picture, "T"), "")
	picture = strings.ReplaceAll(picture, `<tspan fill="#8b949e">starting</tspan>`, `<tspan fill="#7ee787">ready</tspan>`)
	lines := slices.DeleteFunc(strings.Split(picture, "\n"), func(line string) bool { return strings.Contains(line, "ready (pid ") })
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// screenOfTheStart returns what is sent to the terminal.
func screenOfTheStart(t *testing.T, columns, rows int) []byte {
	t.Helper()
	address := freeAddress(t)
	dir, err := filepath.Abs("../../examples/00-start")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(address, ":")
	s := onScreen(t, columns, rows, dir, []string{"XDG_RUNTIME_DIR=" + shortDir(t), "PORT=" + port, "TERM=xterm-256color"}, "run")
	s.await("api       | ready on port")
	d := &daemonUnderTest{t: t, base: "http://" + address}
	for _, r := range []struct {
		method, path string
		status       int
	}{{"GET", "/", 200}, {"POST", "/shout", 200}, {"GET", "/api/prices", 200}, {"GET", "/api/crash", 502}} {
		if status, _, _ := d.request(r.method, r.path, nil, "hello"); status != r.status {
			t.Fatalf("%s %s: got %d, want %d", r.method, r.path, status, r.status)
		}
		s.await(fmt.Sprintf("%s %s %d", r.method, r.path, r.status))
	}
	s.await("next start is in")
	if status, _ := d.get("/api/prices"); status != 200 {
		t.Fatalf("after the crash: got %d, want 200", status)
	}
	testkit.Eventually(t, "the second line of a request for /api/prices", func() bool {
		return strings.Count(s.shown(), "GET /api/prices 200") == 2
	})
	s.mu.Lock()
	sent := slices.Clone(s.sent)
	s.mu.Unlock()
	s.press("\x03")
	if status := s.wait(); status != 0 {
		t.Errorf("got status %d, want 0", status)
	}
	return sent
}

// The palette, as of a terminal on a dark ground.
var palette = map[vt10x.Color]string{
	1: "#ff7b72", 2: "#7ee787", 3: "#e3b341", 4: "#79c0ff", 5: "#d2a8ff", 6: "#76e3ea", 7: "#c9d1d9",
	9: "#ffa198", 10: "#aff5b4", 11: "#f2cc60", 12: "#a5d6ff", 13: "#e2c5ff", 14: "#b3f0ff", 15: "#ffffff",
}

// faint is how the drawing terminal knows text that is faint, which it has no attribute for:
// watchdogd underlines nothing.
const faint, bold = 1 << 1, 1 << 2

var (
	someTime = regexp.MustCompile(`\b[\d.]+(?:µs|ms|s)\b`)
	somePID  = regexp.MustCompile(`pid \d+`)
	somePort = regexp.MustCompile(`port \d+`)
	someURL  = regexp.MustCompile(`localhost:\d+`)
)

// draw returns a picture of what a terminal shows of what is sent to it.
func draw(columns, rows int, sent []byte) string {
	vt := vt10x.New(vt10x.WithSize(columns, rows))
	_, _ = vt.Write(bytes.ReplaceAll(sent, []byte("\x1b[2m"), []byte("\x1b[4m"))) // memory takes all
	const width, height, left, top = 8.4, 20, 18, 52
	var body strings.Builder
	same := steady()
	last := 0
	for y := range rows {
		var line strings.Builder
		for x := 0; x < columns; {
			first := vt.Cell(x, y)
			var run strings.Builder
			from := x
			for ; x < columns; x++ {
				c := vt.Cell(x, y)
				if c.FG != first.FG || c.Mode&(faint|bold) != first.Mode&(faint|bold) {
					break
				}
				run.WriteRune(max(c.Char, ' '))
			}
			text := strings.TrimRight(run.String(), " ")
			if text == "" {
				continue
			}
			indent := len(text) - len(strings.TrimLeft(text, " "))
			style := ""
			if fill := palette[first.FG]; fill != "" {
				style += fmt.Sprintf(` fill="%s"`, fill)
			} else if first.Mode&faint != 0 {
				style += ` fill="#8b949e"`
			}
			if first.Mode&bold != 0 {
				style += ` font-weight="bold"`
			}
			fmt.Fprintf(&line, `<tspan x="%.1f"%s>%s</tspan>`, left+width*float64(from+indent), style, html.EscapeString(same(text[indent:])))
		}
		if line.Len() > 0 {
			last = y + 2
			fmt.Fprintf(&body, "<text y=\"%d\">%s</text>\n", top+height*(y+1), line.String())
		}
	}
	w, h := int(2*left+width*float64(columns)), top+height*last
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title">
<title id="title">A terminal in which watchdogd serves four programs: a table of what runs, then their logs and requests in colour. One crashes and is started again; the next request waits for it.</title>
<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>
<circle cx="20" cy="18" r="5" fill="#ff5f57"/><circle cx="38" cy="18" r="5" fill="#febc2e"/><circle cx="56" cy="18" r="5" fill="#28c840"/>
<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14" fill="#c9d1d9" xml:space="preserve">
<text y="%d"><tspan x="%d" fill="#7ee787">$</tspan><tspan x="%.1f" font-weight="bold">watchdogd run</tspan></text>
%s</g>
</svg>
`, w, h, w, h, top, left, left+2*width, body.String())
}

// steady returns a function that replaces what differs from one run to the next, in the order
// in which it appears.
func steady() func(string) string {
	seen := map[string]string{}
	took := []string{"0.4ms", "1.8ms", "1.1ms", "2.3ms", "129ms", "241ms"}
	numbered := func(first int) func(string) string {
		next := first
		return func(s string) string {
			if seen[s] == "" {
				word, _, _ := strings.Cut(s, " ")
				seen[s] = fmt.Sprintf("%s %d", word, next)
				next += 7
			}
			return seen[s]
		}
	}
	pids, ports := numbered(48213), numbered(25050)
	return func(text string) string {
		text = somePID.ReplaceAllStringFunc(text, pids)
		text = somePort.ReplaceAllStringFunc(text, ports)
		text = someURL.ReplaceAllString(text, "localhost:8080")
		return someTime.ReplaceAllStringFunc(text, func(s string) string {
			if _, err := time.ParseDuration(s); err != nil || len(took) == 0 {
				return s
			}
			first := took[0]
			took = took[1:]
			return first
		})
	}
}
