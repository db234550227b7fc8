package top

import (
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// logs are the last lines of one row, and which of them are shown.
type logs struct {
	lines  []logLine // the oldest first
	search string    // only lines that contain it are shown; empty shows all
	behind int       // rows below the ones shown
}

// logLine is a line as it may be shown.
type logLine struct {
	at     time.Time
	text   string
	lower  string
	stream string
}

const (
	mostLines = child.MostLines
	mostText  = 4 << 10 // bytes of a line
)

// add appends lines, of which the oldest are dropped.
func (l *logs) add(lines []child.Line) {
	for _, line := range lines {
		text := terminal.Line(line.Text)
		l.lines = append(l.lines, logLine{line.Time, text, strings.ToLower(text), line.Stream})
	}
	if over := len(l.lines) - mostLines; over > 0 {
		l.lines = append([]logLine(nil), l.lines[over:]...)
	}
}

// short is a text of which no more is kept than is shown.
func short(text string) string {
	if len(text) <= mostText {
		return text
	}
	return strings.ToValidUTF8(text[:mostText], "") + "…"
}

// found returns the lines that are searched for.
func (l *logs) found() []logLine {
	if l.search == "" {
		return l.lines
	}
	var some []logLine
	for _, line := range l.lines {
		if strings.Contains(line.lower, strings.ToLower(l.search)) {
			some = append(some, line)
		}
	}
	return some
}

// scroll moves what is shown by n rows towards the older lines.
func (l *logs) scroll(n int) { l.behind = max(l.behind+n, 0) }

// rows returns height rows of lines in a width, the latest last. A long line is cut, or goes
// on in the next rows if it is to be wrapped.
func (l *logs) rows(width, height int, wrapped bool) [][]part {
	lines := l.found()
	var all [][]part
	for i := len(lines) - 1; i >= 0 && len(all) < l.behind+height; i-- {
		rows := l.layOut(lines[i], width, wrapped)
		for n := len(rows) - 1; n >= 0; n-- {
			all = append(all, rows[n])
		}
	}
	l.behind = min(l.behind, max(len(all)-height, 0))
	all = all[l.behind:min(l.behind+height, len(all))]
	shown := make([][]part, height)
	for i, line := range all {
		shown[len(all)-1-i] = line
	}
	return shown
}

// stampOver is the width of the rows above which a line has its time.
const stampOver = 50

func (l *logs) layOut(line logLine, width int, wrapped bool) (rows [][]part) {
	stamp := ""
	if width > stampOver {
		stamp = line.at.Local().Format(time.TimeOnly) + " "
	}
	tone := terminal.Normal
	switch line.stream {
	case "event", "request":
		tone = terminal.Faint
	case "lost":
		tone = terminal.Warn
	}
	room := max(width-len(stamp), 1)
	texts := []string{strings.TrimRight(terminal.Fit(line.text, room), " ")}
	if wrapped {
		texts = terminal.Rows(line.text, room)
	}
	for i, text := range texts {
		row := []part{{stamp, terminal.Faint}}
		if i > 0 {
			row[0].text = strings.Repeat(" ", len(stamp))
		}
		rows = append(rows, append(row, l.marked(text, tone)...))
	}
	return rows
}

// marked splits a text so that what is searched for stands out.
func (l *logs) marked(text string, tone terminal.Tone) []part {
	if l.search == "" {
		return []part{{text, tone}}
	}
	lower, search := strings.ToLower(text), strings.ToLower(l.search)
	if len(lower) != len(text) { // a letter whose other case is longer
		return []part{{text, tone}}
	}
	var parts []part
	for {
		i := strings.Index(lower, search)
		if i < 0 {
			return append(parts, part{text, tone})
		}
		parts = append(parts, part{text[:i], tone}, part{text[i : i+len(search)], foundTone})
		text, lower = text[i+len(search):], lower[i+len(search):]
	}
}

// foundTone is the tone of what is searched for.
const foundTone terminal.Tone = "1;33"
