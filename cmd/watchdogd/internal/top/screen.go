// Package top is the live view of the running stack in a terminal: a table of the routes and
// services with what they do and what they cost, and beneath it the log of the selected one.
//
// A Screen is what is shown and nothing else: it is told what was observed and which keys
// were pressed, and returns lines and what has to be done. Run connects one with a terminal
// and with the admin API.
package top

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/history"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/supervisor"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// Screen is what top shows, of a size. The zero Screen shows that nothing was observed yet.
type Screen struct {
	Colour bool
	At     string // where the admin API is, if that was asked for by its address

	width, height int
	now           time.Time

	who     admin.Info
	begun   float64 // when that watchdogd was started
	step    int     // seconds of a step of the trends
	all     Figures // all rows together
	past    map[string]*past
	figures []Figures // in the order of the file
	shown   []Figures // filtered and sorted
	lost    string    // why nothing is observed; empty while it is
	known   bool      // something was observed

	selected string
	offset   int // of the first row that is on the screen
	by       Order
	filter   string
	logs     logs
	requests bool // the log has a line for each request
	zoomed   bool // the log has the whole screen

	mode    mode
	input   string
	asking  Ask // what is done if the question is answered by y
	answer  []string
	helping bool // the answer is Help
	scrolls int  // rows of the answer above the first that is shown
	message part
	until   time.Time // when the message is over
}

// mode is what the keys mean.
type mode int

const (
	browsing mode = iota
	filtering
	searching
	scaling
	confirming
	reading // help, or why
)

// Begin shows what the first event says, and what the history knows of before.
func (s *Screen) Begin(now time.Time, who admin.Info, full history.Full, before history.History) {
	if s.known && full.Begun != s.begun {
		s.say("watchdogd was started again", terminal.Good)
	}
	s.who, s.begun, s.lost, s.known, s.now = who, full.Begun, "", true, now
	s.past = make(map[string]*past, len(full.Rows))
	s.step = int(math.Max(before.Step, 1))
	kinds := make(map[string]supervisor.Kind, len(full.Rows))
	for i := range full.Rows {
		kinds[full.Rows[i].Name] = full.Rows[i].Kind
	}
	for _, series := range before.Series {
		p := &past{trend: series.Rate}
		if kinds[series.Name] == supervisor.Service {
			p.trend = series.CPU
		}
		s.past[series.Name] = p
	}
	s.sum(full.All)
	s.figures = s.figures[:0]
	for _, row := range full.Rows {
		s.figures = append(s.figures, s.of(row.Name).figures(row))
		s.of(row.Name).seconds = append(s.of(row.Name).seconds, row.Sample)
	}
	s.arrange()
}

// Change shows what an event says.
func (s *Screen) Change(now time.Time, change history.Change) {
	s.now = now
	gone := make(map[string]bool, len(change.Gone))
	for _, name := range change.Gone {
		gone[name] = true
		delete(s.past, name)
	}
	s.figures = slices.DeleteFunc(s.figures, func(f Figures) bool { return gone[f.Name] })
	at := make(map[string]int, len(s.figures))
	for i := range s.figures {
		at[s.figures[i].Name] = i
	}
	for _, row := range change.Rows {
		if i, known := at[row.Name]; known {
			s.figures[i].Row = row
		} else {
			s.figures = append(s.figures, Figures{Row: row})
		}
	}
	if change.Order != nil {
		rank := make(map[string]int, len(change.Order))
		for i, name := range change.Order {
			rank[name] = i
		}
		slices.SortStableFunc(s.figures, func(a, b Figures) int { return rank[a.Name] - rank[b.Name] })
	}
	if change.All != nil { // a second has passed
		s.sum(*change.All)
		for i := range s.figures {
			row := s.figures[i].Row
			p := s.of(row.Name)
			p.add(row.Sample, trendOf(&row), s.step)
			s.figures[i] = p.figures(row)
		}
	}
	s.arrange()
}

// of returns what a row did.
func (s *Screen) of(name string) *past {
	p := s.past[name]
	if p == nil {
		p = &past{}
		s.past[name] = p
	}
	return p
}

// sum notes what all rows did together.
func (s *Screen) sum(all history.Sample) {
	p := s.of("")
	p.add(all, all.Rate, s.step)
	s.all = p.figures(history.Row{Sample: all})
}

// Lose shows why nothing is observed. What was observed last stays, dimmed.
func (s *Screen) Lose(at time.Time, why string) {
	s.now, s.lost = at, terminal.Line(why)
}

// Tick lets time pass.
func (s *Screen) Tick(now time.Time) { s.now = now }

// Resize gives the screen another size.
func (s *Screen) Resize(width, height int) {
	s.width, s.height = width, height
	s.keepInSight()
}

// Print adds lines of the log of name, which are dropped if another one is selected.
func (s *Screen) Print(of Follow, lines []child.Line) {
	if of == s.Following() {
		s.logs.add(lines)
	}
}

// Say shows a message for a while: the outcome of what was asked for.
func (s *Screen) Say(text string, failed bool) {
	tone := terminal.Good
	if failed {
		tone = terminal.Bad
	}
	s.say(text, tone)
}

const messageFor = 8 * time.Second

func (s *Screen) say(text string, tone terminal.Tone) {
	s.message, s.until = part{terminal.Line(text), tone}, s.now.Add(messageFor)
}

// Explain shows a text on the whole screen.
func (s *Screen) Explain(text string) {
	s.mode, s.scrolls, s.helping, s.answer = reading, 0, text == Help, strings.Split(strings.TrimRight(text, "\n"), "\n")
}

// Follow is the log that is shown.
type Follow struct {
	Name     string
	Requests bool
}

// Following returns which log is to be shown; its name is empty if none is.
func (s *Screen) Following() Follow {
	f := s.current()
	if f == nil {
		return Follow{}
	}
	return Follow{f.Name, s.requests || f.called() && f.Wanted == 0 && f.State == supervisor.Ready}
}

// arrange filters and sorts the rows.
func (s *Screen) arrange() {
	s.shown = s.figures
	if s.filter != "" {
		s.shown = slices.DeleteFunc(slices.Clone(s.figures), func(f Figures) bool {
			return !strings.Contains(strings.ToLower(f.Name), strings.ToLower(s.filter))
		})
	}
	s.shown = sorted(s.shown, s.by)
	if s.index() < 0 && len(s.shown) > 0 {
		s.choose(0)
	}
	s.keepInSight()
}

// index is that of the selected row among those that are shown, -1 if it is not.
func (s *Screen) index() int {
	return slices.IndexFunc(s.shown, func(f Figures) bool { return f.Name == s.selected })
}

// current is the selected row, nil if there is none.
func (s *Screen) current() *Figures {
	if i := s.index(); i >= 0 {
		return &s.shown[i]
	}
	return nil
}

// choose selects a row by its index.
func (s *Screen) choose(i int) {
	if len(s.shown) == 0 {
		return
	}
	before := s.Following()
	s.selected = s.shown[min(max(i, 0), len(s.shown)-1)].Name
	if before.Name != s.Following().Name {
		s.logs = logs{search: s.logs.search}
	}
	s.keepInSight()
}

// keepInSight moves the rows so that the selected one is on the screen.
func (s *Screen) keepInSight() {
	rows := s.areas().rows
	if rows <= 0 {
		return
	}
	if i := s.index(); i >= 0 {
		s.offset = min(max(s.offset, i-rows+1), i)
	}
	s.offset = max(min(s.offset, len(s.shown)-rows), 0)
}

// areas is how many rows of the screen each part of it has.
type areas struct {
	header, heading, rows, info, logs, footer int
}

// areas divides the height: the table has at most three fifths of it.
func (s *Screen) areas() areas {
	var a areas
	if s.height >= 3 {
		a.footer = 1
	}
	if s.height >= 7 {
		a.header = 1
	}
	if s.zoomed {
		a.info = min(1, s.height-a.footer-a.header)
		a.logs = max(s.height-a.footer-a.header-a.info, 0)
		return a
	}
	if s.height >= 4 {
		a.heading = 1
	}
	left := s.height - a.footer - a.header - a.heading
	a.rows = max(left, 0)
	if left >= 6 {
		a.rows = max(min(len(s.shown), left*3/5), 1)
		a.info = 1
		a.logs = left - a.rows - a.info
	}
	return a
}
