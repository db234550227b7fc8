package top

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/internal/phrase"
)

// String is the screen: height lines of at most width cells, with colours if it has them.
func (s *Screen) String() string {
	if s.width <= 0 || s.height <= 0 {
		return ""
	}
	a := s.areas()
	var lines [][]part
	if a.header == 1 {
		lines = append(lines, s.header())
	}
	switch {
	case s.mode == reading:
		lines = append(lines, s.text(s.height-a.header-a.footer)...)
	case len(s.figures) == 0:
		lines = append(lines, s.nothing(s.height-a.header-a.footer)...)
	default:
		lines = append(lines, s.table(a)...)
		if a.info == 1 {
			lines = append(lines, s.info())
		}
		log := s.logs.rows(s.width, a.logs, s.zoomed)
		if len(log) > 0 && len(s.logs.found()) == 0 {
			log[0] = s.silent()
		}
		lines = append(lines, log...)
	}
	if a.footer == 1 {
		lines = append(lines, s.footer(a))
	}
	painted := make([]string, s.height)
	for i := range painted {
		if i < len(lines) {
			painted[i] = s.paint(lines[i])
		}
	}
	return strings.Join(painted, "\n")
}

// paint is a line in the width of the screen.
func (s *Screen) paint(line []part) string {
	colours := terminal.Screen{Colour: s.Colour}
	var b strings.Builder
	left := s.width
	for _, p := range line {
		if p.text == "" || left <= 0 {
			continue
		}
		if n := terminal.Cells(p.text); n > left {
			p.text, left = terminal.Fit(p.text, left), 0
		} else {
			left -= n
		}
		b.WriteString(colours.Paint(p.text, p.tone))
	}
	return b.String()
}

// columns returns the columns of the table, and how far they are apart.
func (s *Screen) columns() (columns []column, gap int) {
	gap = 1
	if s.width >= 110 {
		gap = 2
	}
	name := 0
	for i := range s.figures {
		name = max(name, terminal.Cells(s.figures[i].Name))
	}
	return fitting(s.width, gap, name), gap
}

// table is the heading and the rows.
func (s *Screen) table(a areas) (lines [][]part) {
	columns, gap := s.columns()
	if a.heading == 1 {
		lines = append(lines, heading(columns, gap, s.by))
	}
	for i := range a.rows {
		n := s.offset + i
		if n >= len(s.shown) {
			lines = append(lines, nil)
			continue
		}
		f := &s.shown[n]
		selected := f.Name == s.selected
		line := row(f, columns, gap, selected)
		used := 0
		for i := range line {
			used += terminal.Cells(line[i].text)
			if s.lost != "" {
				line[i].tone = terminal.Faint
			}
			if selected {
				line[i].tone = reversed(line[i].tone)
			}
		}
		if selected {
			line = append(line, part{strings.Repeat(" ", max(s.width-used, 0)), reversed(terminal.Normal)})
		}
		lines = append(lines, line)
	}
	if len(s.shown) == 0 && a.rows > 0 {
		lines[len(lines)-a.rows] = []part{{" no name contains " + s.filter, terminal.Faint}}
	}
	return lines
}

func reversed(tone terminal.Tone) terminal.Tone {
	if tone == terminal.Bad || tone == terminal.Warn {
		return tone + ";7"
	}
	return "7"
}

// header says which stack that is, and sums it up.
func (s *Screen) header() []part {
	if s.lost != "" {
		return []part{{" " + s.lost + "; trying again", terminal.Bad}}
	}
	if !s.known {
		return []part{{" watchdogd top", terminal.Bold}}
	}
	routes, services, wrong, removed := 0, 0, 0, 0
	for i := range s.figures {
		f := &s.figures[i]
		switch {
		case f.Removed:
			removed++
		case f.called():
			routes++
		default:
			services++
		}
		if f.wrong() {
			wrong++
		}
	}
	line := []part{{text: " "}, {terminal.Line(s.who.Name), terminal.Bold}}
	add := func(text string, tone terminal.Tone) { line = append(line, part{text: "  "}, part{text, tone}) }
	if wrong > 0 {
		add(fmt.Sprintf("%d not ready", wrong), terminal.Bad)
	}
	add(rate(s.all.Rate)+" calls/s", terminal.Normal)
	if s.all.ErrorRate >= 0.05 {
		add(rate(s.all.ErrorRate)+" errors/s", terminal.Bad)
	}
	add("CPU "+percent(s.all.CPU), terminal.Normal)
	add("RSS "+size(s.all.RSS), terminal.Normal)
	if s.filter != "" {
		add(fmt.Sprintf("%d of %d: %s", len(s.shown), len(s.figures), s.filter), terminal.Warn)
	}
	if s.by != InFile {
		add("by "+s.by.String(), terminal.Faint)
	}
	text := phrase.Count(routes, "route")
	switch {
	case services > 0 && routes == 0:
		text = phrase.Count(services, "service")
	case services > 0:
		text += ", " + phrase.Count(services, "service")
	}
	if removed > 0 {
		text += fmt.Sprintf(", %d removed", removed)
	}
	add(text, terminal.Faint)
	if s.At != "" {
		add(terminal.Line(s.At), terminal.Faint)
	}
	add(fmt.Sprintf("pid %d", s.who.PID), terminal.Faint)
	return line
}

// info is the line between the table and the log: how the selected row stands.
func (s *Screen) info() []part {
	f := s.current()
	if f == nil {
		return []part{{strings.Repeat("─", s.width), terminal.Faint}}
	}
	line := []part{{"─ ", terminal.Faint}, {terminal.Line(f.Name), terminal.Bold}, {text: " "}, {terminal.Line(string(f.State)), stateTone(f.State)}}
	add := func(text string, tone terminal.Tone) { line = append(line, part{"  " + text, tone}) }
	if f.NextStart != nil {
		add("next start in "+max(f.NextStart.Sub(s.now), 0).Round(100*time.Millisecond).String(), terminal.Normal)
	}
	if why := reason(f); why != "" {
		add(why, terminal.Normal)
	}
	if f.Restarts > 0 {
		add(phrase.Count(f.Restarts, "restart"), terminal.Faint)
	}
	if f.called() {
		add(fmt.Sprintf("%d in flight, %d in all", f.Inflight, f.Total), terminal.Faint)
	}
	if s.logs.search != "" {
		add(fmt.Sprintf("%d of %s: %s", len(s.logs.found()), phrase.Count(len(s.logs.lines), "line"), s.logs.search), terminal.Warn)
	}
	if s.logs.behind > 0 {
		add(fmt.Sprintf("%s below", phrase.Count(s.logs.behind, "row")), terminal.Warn)
	}
	used := 0
	for _, p := range line {
		used += terminal.Cells(p.text)
	}
	if rest := s.width - used - 1; rest > 0 {
		line = append(line, part{" " + strings.Repeat("─", rest), terminal.Faint})
	}
	return line
}

// reason is why a row is in its state, in one line.
func reason(f *Figures) string {
	if f.Reason != "" {
		return terminal.Line(f.Reason)
	}
	if f.wrong() {
		return terminal.Line(f.LastExit)
	}
	return ""
}

// text is what is read, from the row that it was scrolled to.
func (s *Screen) text(height int) [][]part {
	var rows []string
	for _, line := range s.answer {
		if s.helping {
			rows = append(rows, hanging(line, max(s.width-2, 1))...)
		} else {
			rows = append(rows, terminal.Rows(line, max(s.width-2, 1))...)
		}
	}
	s.scrolls = max(min(s.scrolls, len(rows)-height), 0)
	lines := make([][]part, height)
	for i := range lines {
		if n := s.scrolls + i; n < len(rows) {
			lines[i] = []part{{text: " " + rows[n]}}
		}
	}
	return lines
}

// described is a line of Help: a key or a column, and behind two spaces what it does.
var described = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^  \S+( \S+)*  +`) })

// hanging lays a line of Help out in rows. The second row of a description begins below the first
// or, where that leaves too little room, all of it on a row of its own.
func hanging(line string, room int) (rows []string) {
	head := described().FindString(line)
	text := line[len(head):]
	if head == "" || len(line) <= room {
		return terminal.Rows(line, room)
	}
	indent := len(head)
	if indent > room/2 {
		indent = min(6, room/2)
		rows = append(rows, terminal.Rows(strings.TrimRight(head, " "), room)...)
		head = strings.Repeat(" ", indent)
	}
	for _, row := range terminal.Rows(text, room-indent) {
		rows = append(rows, head+row)
		head = strings.Repeat(" ", indent)
	}
	return rows
}

// silent is shown where the log of the selected row has no lines.
func (s *Screen) silent() []part {
	text := "nothing was printed yet"
	switch {
	case s.logs.search != "":
		text = "no line contains " + s.logs.search
	case s.Following().Requests:
		text = "nothing was printed and no request came yet"
	}
	return []part{{" " + text, terminal.Faint}}
}

// nothing is shown where there are no rows.
func (s *Screen) nothing(height int) [][]part {
	lines := make([][]part, height)
	text := "waiting for the running watchdogd ..."
	if s.known {
		text = "this stack has no routes and no services"
	}
	if height > 0 {
		lines[0] = []part{{" " + text, terminal.Faint}}
	}
	return lines
}

// footer is a question, a text that is typed, a message, or the keys.
func (s *Screen) footer(a areas) []part {
	prompt := func(text string) []part {
		return []part{{" " + text, terminal.Bold}, {text: s.input}, {"_", terminal.Faint}}
	}
	switch s.mode {
	case filtering:
		return prompt("names with: ")
	case searching:
		return prompt("lines with: ")
	case scaling:
		return prompt("instances: ")
	case confirming:
		return []part{{" " + s.asking.String() + "? y/n", terminal.Warn}}
	case reading:
		return []part{{" up/down scroll  any other key: back", terminal.Faint}}
	}
	switch {
	case s.lost != "" && a.header == 0:
		return []part{{" " + s.lost, terminal.Bad}}
	case s.message.text != "" && s.now.Before(s.until):
		return []part{{" " + s.message.text, s.message.tone}}
	}
	return []part{{hints(s.width), terminal.Faint}}
}

// hints names as many keys as there is room for, the most useful ones first.
func hints(width int) string {
	text := " ?:help q:quit"
	for _, hint := range []string{"/:filter", "enter:log", "f:find", "w:why", "r:restart", "s:start", "x:stop", "+-:scale", "o:sort", "e:requests"} {
		if len(text)+1+len(hint) > width {
			break
		}
		text += " " + hint
	}
	return text
}
