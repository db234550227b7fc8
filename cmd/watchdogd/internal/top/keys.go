package top

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

// Verb is what a key asks for beyond the screen.
type Verb string

// The verbs; those with a path segment of the admin API bear its name.
const (
	Nothing Verb = ""
	Quit    Verb = "quit"
	Suspend Verb = "suspend"
	Why     Verb = "why"
	Start   Verb = "start"
	Stop    Verb = "stop"
	Restart Verb = "restart"
	Scale   Verb = "scale"
)

// Ask is what has to be done, to which row.
type Ask struct {
	Verb     Verb
	Name     string
	Replicas int // of Scale
}

func (a Ask) String() string {
	if a.Verb == Scale {
		return fmt.Sprintf("scale %s to %d", a.Name, a.Replicas)
	}
	return string(a.Verb) + " " + a.Name
}

// Press handles a key by its name, as bubbletea calls it; text is what the key types.
func (s *Screen) Press(key, text string) Ask {
	if key == "ctrl+c" {
		return Ask{Verb: Quit}
	}
	if key == "ctrl+z" {
		return Ask{Verb: Suspend}
	}
	switch s.mode {
	case filtering, searching, scaling:
		return s.typed(key, text)
	case confirming:
		ask := s.asking
		s.mode, s.asking = browsing, Ask{}
		if key == "y" || key == "Y" {
			return s.do(ask)
		}
		return Ask{}
	case reading:
		s.read(key)
		return Ask{}
	}
	return s.browse(key)
}

// browse handles a key that is a command.
func (s *Screen) browse(key string) Ask {
	if s.move(key) {
		return Ask{}
	}
	switch key {
	case "q":
		return Ask{Verb: Quit}
	case "/":
		s.mode, s.input = filtering, s.filter
	case "f":
		s.mode, s.input = searching, s.logs.search
	case "esc":
		s.escape()
	case "enter", "l":
		s.zoomed = !s.zoomed
	case "e":
		s.requests = !s.requests
		s.logs = logs{search: s.logs.search}
	case "o":
		s.by = (s.by + 1) % orders
		s.arrange()
	case "O":
		s.by = (s.by + orders - 1) % orders
		s.arrange()
	case "?", "h", "f1":
		s.Explain(Help)
	default:
		return s.steer(key)
	}
	return Ask{}
}

// steer handles a key that does something to the selected row.
func (s *Screen) steer(key string) Ask {
	f := s.current()
	if f == nil {
		return Ask{}
	}
	switch key {
	case "w":
		return Ask{Verb: Why, Name: f.Name}
	case "r":
		return s.do(Ask{Verb: Restart, Name: f.Name})
	case "s":
		return s.do(Ask{Verb: Start, Name: f.Name})
	case "x":
		s.mode, s.asking = confirming, Ask{Verb: Stop, Name: f.Name}
	case "+":
		return s.do(Ask{Verb: Scale, Name: f.Name, Replicas: f.Wanted + 1})
	case "-":
		s.asking = Ask{Verb: Scale, Name: f.Name, Replicas: max(f.Wanted-1, 0)}
		if s.asking.Replicas == 0 {
			s.mode = confirming
			return Ask{}
		}
		return s.do(s.asking)
	case "=":
		s.mode, s.input = scaling, ""
	}
	return Ask{}
}

// do says what is being done.
func (s *Screen) do(ask Ask) Ask {
	s.say(ask.String()+" ...", terminal.Normal)
	return ask
}

// escape takes back the last of what hides something.
func (s *Screen) escape() {
	switch {
	case s.zoomed:
		s.zoomed = false
	case s.logs.search != "":
		s.logs.search = ""
	case s.filter != "":
		s.filter = ""
		s.arrange()
	}
}

// move handles a key that moves what is shown.
func (s *Screen) move(key string) bool {
	a := s.areas()
	rows, i := max(a.rows-1, 1), s.index()
	if s.zoomed {
		rows = max(a.logs-1, 1)
		if by, ok := map[string]int{"up": 1, "k": 1, "down": -1, "j": -1, "pgup": rows, "pgdown": -rows, "home": mostLines * mostText, "g": mostLines * mostText, "end": -mostLines * mostText, "G": -mostLines * mostText}[key]; ok {
			s.logs.scroll(by)
			return true
		}
	}
	switch key {
	case "up", "k":
		s.choose(i - 1)
	case "down", "j":
		s.choose(i + 1)
	case "pgup":
		s.choose(i - rows)
	case "pgdown":
		s.choose(i + rows)
	case "home", "g":
		s.choose(0)
	case "end", "G":
		s.choose(len(s.shown) - 1)
	case "ctrl+u", "shift+up":
		s.logs.scroll(max(a.logs/2, 1))
	case "ctrl+d", "shift+down":
		s.logs.scroll(-max(a.logs/2, 1))
	default:
		return false
	}
	return true
}

// longestInput bounds what is typed: longer names do not exist.
const longestInput = 100

// typed handles a key while a text is typed. A filter and a search apply as they are typed;
// esc takes them back.
func (s *Screen) typed(key, text string) Ask {
	switch key {
	case "enter":
		return s.entered()
	case "esc":
		s.input = ""
	case "ctrl+u":
		s.input = ""
		text = ""
	case "backspace", "ctrl+h":
		if runes := []rune(s.input); len(runes) > 0 {
			s.input = string(runes[:len(runes)-1])
		}
	default:
		s.Type(text)
	}
	s.apply()
	if key == "esc" {
		s.mode = browsing
	}
	return Ask{}
}

// Type adds text to what is typed, as a key or a paste does.
func (s *Screen) Type(text string) {
	if s.mode != filtering && s.mode != searching && s.mode != scaling {
		return
	}
	text, _, _ = strings.Cut(text, "\n")
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text)
	if len(s.input)+len(text) <= longestInput {
		s.input += text
	}
	s.apply()
}

// apply lets what is typed so far take effect.
func (s *Screen) apply() {
	switch s.mode {
	case filtering:
		s.filter = s.input
		s.arrange()
	case searching:
		s.logs.search, s.logs.behind = s.input, 0
	}
}

// entered ends the typing.
func (s *Screen) entered() Ask {
	was := s.mode
	s.mode = browsing
	if was != scaling || s.input == "" {
		return Ask{}
	}
	f := s.current()
	n, err := schema.ParseCount(s.input, 0, schema.MaxReplicas)
	switch {
	case err != nil:
		s.say("the number of instances "+err.Error(), terminal.Bad)
	case f != nil:
		return s.do(Ask{Verb: Scale, Name: f.Name, Replicas: n})
	}
	return Ask{}
}

// read handles a key while a text has the screen.
func (s *Screen) read(key string) {
	page := max(s.height-3, 1)
	switch key {
	case "up", "k":
		s.scrolls--
	case "down", "j":
		s.scrolls++
	case "pgup", "ctrl+u":
		s.scrolls -= page
	case "pgdown", "ctrl+d", "space":
		s.scrolls += page
	default:
		s.mode, s.answer = browsing, nil
	}
}

// Wheel scrolls what is at a row of the screen: the log, or the selection. Up is 1, down -1.
func (s *Screen) Wheel(y, up int) {
	a := s.areas()
	switch {
	case s.mode == reading:
		s.scrolls -= 3 * up
	case s.zoomed || y >= a.header+a.heading+a.rows:
		s.logs.scroll(3 * up)
	default:
		s.choose(s.index() - up)
	}
}

// Click selects the row at a place of the screen, or sorts by the column whose title is there.
func (s *Screen) Click(x, y int) {
	if s.mode == reading {
		s.mode, s.answer = browsing, nil
		return
	}
	a := s.areas()
	if s.zoomed {
		return
	}
	switch y -= a.header; {
	case a.heading == 1 && y == 0:
		at := 1
		columns, gap := s.columns()
		for _, c := range columns {
			if x >= at && x < at+c.width {
				if s.by == c.by {
					s.by = InFile
				} else {
					s.by = c.by
				}
				s.arrange()
			}
			at += c.width + gap
		}
	case y >= a.heading && y < a.heading+a.rows && s.offset+y-a.heading < len(s.shown):
		s.choose(s.offset + y - a.heading)
	}
}

// Done says what came of something that was asked for.
func (s *Screen) Done(ask Ask, now supervisor.Status, err error) {
	if err != nil {
		s.Say(err.Error(), true)
		return
	}
	past := map[Verb]string{Start: "started", Stop: "stopped", Restart: "restarted", Scale: fmt.Sprintf("scaled to %s", strconv.Itoa(ask.Replicas))}
	said := ask.Name + " " + past[ask.Verb]
	if string(now.State) != past[ask.Verb] {
		said += ", now " + string(now.State)
	}
	s.Say(said, false)
}

// Help is what the key ? shows.
const Help = `Keys

  up, down, j, k  select a route or service; PgUp, PgDn, Home and End too
  /               show only names that contain a text
  o, O            sort by the next or previous column; a click on a title too
  enter           show the log on the whole screen, and back
  f               show only lines of the log that contain a text
  e               show a line of the log for each request, or not
  ctrl+u, ctrl+d  scroll the log; the wheel of the mouse too
  esc             clear the search, then the filter

  r               restart: replace the processes without losing a request
  s               start
  x               stop, after a question
  +, -            one instance more or less, until the next reload
  =               another number of instances
  w               why it is in its state, and what to do

  ?               this help
  q, ctrl+c       leave; the stack keeps running

Columns

  UP       instances that are ready, of all
  CALLS/S  calls a second, the mean of 3 seconds
  ERR/S    those of them with a status of 500 or more
  P50 ...  half, 95 % and 99 % of the calls of the last second took no longer
  QUEUE    calls that wait for a place or an instance
  CPU      100% is one processor; like RSS, it is that of all its processes
  TREND    calls a second, of a service its CPU; 10 seconds a bar (longer with
           more than 100 rows)`
