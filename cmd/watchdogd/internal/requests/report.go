package requests

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Tone is how a part of a report is meant, and so its colour.
type Tone int

// The tones.
const (
	Plain Tone = iota
	Good
	Bad
	Faint
)

// Paint shows text, which others may have written, in the colour of a tone.
type Paint func(text string, tone Tone) string

// of an answer, what a report shows
const (
	shownLines = 20
	shownWidth = 200
)

// Report writes one result, and of one that differs what was received.
func (r Result) Report(w io.Writer, paint Paint) {
	ask := paint(r.Method+" "+r.Target, Plain)
	took := r.Took.Round(time.Millisecond)
	if len(r.Differs) == 0 {
		fmt.Fprintf(w, "  %s    %s  %s\n", paint("ok", Good), ask, paint(fmt.Sprintf("%d, %s", r.Got.Status, took), Faint))
		return
	}
	fmt.Fprintf(w, "  %s  %s  %s\n", paint("DIFFERS", Bad), ask, paint(took.String(), Faint))
	for _, d := range r.Differs {
		fmt.Fprintf(w, "    %s\n", paint(d.String(), Bad))
	}
	for _, line := range r.Got.shown() {
		fmt.Fprintf(w, "    %s\n", paint("| "+line, Faint))
	}
}

// shown is an answer in lines, of which the body's are cut to a screen.
func (a Answer) shown() (lines []string) {
	if a.Status == 0 {
		return nil
	}
	lines = append(lines, fmt.Sprintf("%s %d", a.Proto, a.Status))
	var names []string
	for name := range a.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range a.Header[name] {
			lines = append(lines, cut(name+": "+value))
		}
	}
	if a.Body == "" {
		return lines
	}
	lines = append(lines, "")
	body := strings.SplitN(strings.TrimSuffix(a.Body, "\n"), "\n", shownLines+1)
	for i, line := range body {
		if i == shownLines {
			lines = append(lines, fmt.Sprintf("... and more, %d bytes in all", len(a.Body)))
			break
		}
		lines = append(lines, cut(line))
	}
	var problem struct{ Detail string }
	if len(body) == 1 && len(body[0]) > shownWidth && json.Unmarshal([]byte(a.Body), &problem) == nil && problem.Detail != "" {
		lines = append(lines, "detail: "+problem.Detail) // of a problem+json: why
	}
	return lines
}

// cut is a line without what goes beyond a width.
func cut(line string) string {
	if len(line) <= shownWidth {
		return line
	}
	at := shownWidth
	for at > 0 && !utf8.RuneStart(line[at]) {
		at--
	}
	return line[:at] + "..."
}

// Row is a Result as JSON shows it.
type Row struct {
	File    string   `json:"file"`
	Line    int      `json:"line"`
	Method  string   `json:"method"`
	Path    string   `json:"path"`
	Want    int      `json:"want_status"`
	Status  int      `json:"status"` // 0 without an answer
	Seconds float64  `json:"seconds"`
	OK      bool     `json:"ok"`
	Differs []string `json:"differs"`
}

// Row is r as JSON shows it.
func (r Result) Row(f *File) Row {
	differs := []string{}
	for _, d := range r.Differs {
		differs = append(differs, d.String())
	}
	return Row{File: f.Name, Line: r.Line, Method: r.Method, Path: r.Target, Want: r.Status, Status: r.Got.Status,
		Seconds: r.Took.Seconds(), OK: len(differs) == 0, Differs: differs}
}
