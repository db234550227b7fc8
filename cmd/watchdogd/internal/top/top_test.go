package top

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/history"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local)

// rows are a stack of one row of each kind.
func rows() []history.Row {
	next := start.Add(4200 * time.Millisecond)
	return []history.Row{
		{Name: "api", Kind: supervisor.Route, Mode: schema.HTTP, State: supervisor.Ready, Ready: 2, Wanted: 2, Total: 1234, Restarts: 1,
			Sample: history.Sample{Rate: 812.4, Errors: 2, P50: 0.0004, P95: 0.0021, P99: 0.0188, Inflight: 3, Instances: 2, CPU: 0.123, RSS: 84 << 20}},
		{Name: "upper", Kind: supervisor.Route, Mode: schema.Streaming, State: supervisor.Ready, Total: 7},
		{Name: "broken", Kind: supervisor.Route, Mode: schema.HTTP, State: supervisor.CrashLoop, Reason: "exit status 1: no such module", NextStart: &next, Wanted: 1, Restarts: 5},
		{Name: "queue", Kind: supervisor.Service, State: supervisor.Starting, Wanted: 1, Sample: history.Sample{Instances: 1, CPU: 1.5, RSS: 3 << 30}},
	}
}

// shown returns a screen of that size that shows rows for the third second.
func shown(width, height int, all []history.Row) *Screen {
	s := &Screen{}
	s.Resize(width, height)
	before := history.History{Step: 10}
	before.Series = append(before.Series, history.Series{Name: "api", Rate: []float64{0, 100, 400, 800}})
	sum := history.Sample{}
	for _, r := range all {
		sum.Rate += r.Rate
		sum.Errors += r.Errors
		sum.CPU += r.CPU
		sum.RSS += r.RSS
	}
	s.Begin(start, admin.Info{PID: 42, Name: "shop"}, history.Full{Rows: all, All: sum, Begun: 1}, before)
	for range 2 {
		s.Change(start, history.Change{All: &sum})
	}
	return s
}

// press presses keys, which are separated by spaces, and returns the last that asks for something.
func press(s *Screen, keys string) (ask Ask) {
	for _, key := range strings.Fields(keys) {
		text := key
		if len([]rune(key)) > 1 {
			text = ""
		}
		if a := s.Press(key, text); a != (Ask{}) {
			ask = a
		}
	}
	return ask
}

func trimmed(s *Screen) string {
	lines := strings.Split(s.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func logOf(texts ...string) (lines []child.Line) {
	for i, text := range texts {
		lines = append(lines, child.Line{Time: start.Add(time.Duration(i) * time.Second), Name: "api", Stream: "stdout", Text: text})
	}
	return lines
}

func TestTheScreenInFourSizes(t *testing.T) {
	for _, c := range []struct {
		width, height int
		want          string
	}{
		{120, 13, `
 shop  1 not ready  812 calls/s  2.0 errors/s  CPU 162%  RSS 3.1G  3 routes, 1 service  pid 42
 NAME    STATE          UP  CALLS/S     P50     P95     P99  ERR/S  QUEUE    CPU    RSS                            TREND
›api     ready         2/2      812   0.4ms   2.1ms    19ms    2.0      0    12%    84M                            ▁▂▄██
 upper   ready           -        0       -       -       -      0      0      -      -                                ▁
 broken  crash-loop    0/1        0       -       -       -      0      0      -      -                                ▁
 queue   starting      0/1        -       -       -       -      -      -   150%   3.0G                                █
─ api ready  1 restart  3 in flight, 1234 in all ───────────────────────────────────────────────────────────────────────
12:00:00 listening
12:00:01 a line that is longer than forty columns are



 ?:help q:quit /:filter enter:log f:find w:why r:restart s:start x:stop +-:scale o:sort e:requests`},
		{80, 10, `
 shop  1 not ready  812 calls/s  2.0 errors/s  CPU 162%  RSS 3.1G  3 routes, 1 …
 NAME   STATE         UP CALLS/S    P95    P99 ERR/S   CPU   RSS           TREND
›api    ready        2/2     812  2.1ms   19ms   2.0   12%   84M           ▁▂▄██
 upper  ready          -       0      -      -     0     -     -               ▁
 broken crash-loop   0/1       0      -      -     0     -     -               ▁
 queue  starting     0/1       -      -      -     -  150%  3.0G               █
─ api ready  1 restart  3 in flight, 1234 in all ───────────────────────────────
12:00:00 listening
12:00:01 a line that is longer than forty columns are
 ?:help q:quit /:filter enter:log f:find w:why r:restart s:start x:stop +-:scale`},
		{40, 9, `
 shop  1 not ready  812 calls/s  2.0 er…
 NAME   STATE      CALLS/S    P95 ERR/S
›api    ready          812  2.1ms   2.0
 upper  ready            0      -     0
 broken crash-loop       0      -     0
─ api ready  1 restart  3 in flight, 12…
listening
a line that is longer than forty column…
 ?:help q:quit /:filter enter:log f:find`},
		{20, 5, `
 NAME   STATE
›api    ready
 upper  ready
 broken crash-loop
 ?:help q:quit`},
	} {
		s := shown(c.width, c.height, rows())
		s.Print(s.Following(), logOf("listening", "a line that is longer than forty columns are"))
		if got := trimmed(s); got != strings.TrimPrefix(c.want, "\n") {
			t.Errorf("%d columns, %d rows: got\n%s\nwant%s", c.width, c.height, got, c.want)
		}
	}
}

func TestNoSizeIsTooSmallAndNoLineTooLong(t *testing.T) {
	many := rows()
	for i := range 100 {
		many = append(many, history.Row{Name: fmt.Sprintf("a-route-with-a-long-name-%d", i), Kind: supervisor.Route, State: supervisor.Ready})
	}
	many[2].Name = "日本語の名前はとても長い"
	for _, all := range [][]history.Row{nil, rows(), many} {
		for _, width := range []int{1, 3, 8, 20, 40, 59, 60, 109, 110} {
			for _, height := range []int{1, 2, 3, 4, 6, 7, 13} {
				for _, keys := range []string{"", "enter", "?", "/ u p", "f x", "x", "=", "end", "/ n o n e", "o o o"} {
					s := shown(width, height, all)
					s.Print(s.Following(), logOf("a", strings.Repeat("日本", 100)))
					press(s, keys)
					lines := strings.Split(s.String(), "\n")
					if len(lines) != height {
						t.Fatalf("%dx%d, %q: got %d lines", width, height, keys, len(lines))
					}
					for _, line := range lines {
						if n := terminal.Cells(line); n > width {
							t.Fatalf("%dx%d, %q: got %d cells in %q", width, height, keys, n, line)
						}
					}
				}
			}
		}
	}
}

func TestKeysAskForWhatTheySay(t *testing.T) {
	for keys, want := range map[string]Ask{
		"r":           {Verb: Restart, Name: "api"},
		"s":           {Verb: Start, Name: "api"},
		"x":           {},
		"x y":         {Verb: Stop, Name: "api"},
		"x n":         {},
		"x q r":       {Verb: Restart, Name: "api"},
		"down w":      {Verb: Why, Name: "upper"},
		"+":           {Verb: Scale, Name: "api", Replicas: 3},
		"-":           {Verb: Scale, Name: "api", Replicas: 1},
		"end -":       {},
		"end - y":     {Verb: Scale, Name: "queue", Replicas: 0},
		"= 1 2 enter": {Verb: Scale, Name: "api", Replicas: 12},
		"= 1 2 esc":   {},
		"= x enter":   {},
		"= enter":     {},
		"/ b r r":     {},
		"/ b r enter r": {
			Verb: Restart, Name: "broken",
		},
		"/ b r enter esc r":      {Verb: Restart, Name: "broken"},
		"/ n o n e enter r":      {},
		"G r":                    {Verb: Restart, Name: "queue"},
		"pgdown up r":            {Verb: Restart, Name: "broken"},
		"? q r":                  {Verb: Restart, Name: "api"},
		"q":                      {Verb: Quit},
		"/ q":                    {},
		"/ ctrl+c":               {Verb: Quit},
		"? ctrl+c":               {Verb: Quit},
		"ctrl+z":                 {Verb: Suspend},
		"/ x x backspace ctrl+u": {},
	} {
		s := shown(100, 30, rows())
		if got := press(s, keys); got != want {
			t.Errorf("%s: got %+v, want %+v", keys, got, want)
		}
		_ = s.String() // it can be drawn
	}
}

func TestAMistakeIsSaid(t *testing.T) {
	s := shown(100, 30, rows())
	press(s, "= x enter")
	if got := s.String(); !strings.Contains(got, "the number of instances") {
		t.Errorf("got\n%s\nwant what is wrong with x", got)
	}
	s.Done(Ask{Verb: Scale, Name: "api", Replicas: 3}, supervisor.Status{State: supervisor.Ready}, nil)
	if got := s.String(); !strings.Contains(got, "api scaled to 3, now ready") {
		t.Errorf("got\n%s\nwant what came of it", got)
	}
	s.Done(Ask{Verb: Stop, Name: "api"}, supervisor.Status{}, fmt.Errorf("stop api:\x1b[2J no"))
	if got := s.String(); !strings.Contains(got, "stop api: no") || strings.Contains(got, "\x1b") {
		t.Errorf("got\n%q\nwant the error", got)
	}
	s.Tick(start.Add(time.Minute))
	if got := s.String(); strings.Contains(got, "stop api") {
		t.Errorf("got\n%s\nwant the message gone after a while", got)
	}
}

func TestHelpFitsEightyColumnsAndHangsInFewer(t *testing.T) {
	s := shown(80, 60, rows())
	press(s, "?")
	for line := range strings.Lines(Help) {
		if line = strings.TrimRight(line, "\n"); !strings.Contains(s.String(), " "+line) {
			t.Errorf("80 columns: got a row that is wrapped, want one for %q", line)
		}
	}
	s = shown(40, 60, rows())
	press(s, "?")
	want := "   enter           show the log on the\n                   whole screen, and\n                   back\n"
	if got := trimmed(s); !strings.Contains(got, want) {
		t.Errorf("40 columns: got\n%s\nwant in it\n%s", got, want)
	}
	s = shown(24, 90, rows())
	press(s, "?")
	want = "   enter\n       show the log on\n       the whole\n"
	if got := trimmed(s); !strings.Contains(got, want) {
		t.Errorf("24 columns: got\n%s\nwant in it\n%s", got, want)
	}
}

func TestALogWithoutLinesSaysSo(t *testing.T) {
	s := shown(80, 12, rows())
	if got := trimmed(s); !strings.Contains(got, "\n nothing was printed yet\n") {
		t.Errorf("got\n%s\nwant that nothing was printed", got)
	}
	press(s, "e")
	if got := trimmed(s); !strings.Contains(got, "\n nothing was printed and no request came yet\n") {
		t.Errorf("with requests: got\n%s\nwant that none came", got)
	}
	s.Print(s.Following(), logOf("listening"))
	press(s, "f x enter")
	if got := trimmed(s); !strings.Contains(got, "\n no line contains x\n") || strings.Contains(got, "nothing was printed") {
		t.Errorf("after a search: got\n%s\nwant that no line contains x", got)
	}
}

func TestTheSelectionStaysWithItsName(t *testing.T) {
	s := shown(100, 30, rows())
	press(s, "down down")
	for _, keys := range []string{"o", "o o", "O", "/ o esc"} { // sorted, filtered
		press(s, keys)
		if f := s.current(); f == nil || f.Name != "broken" {
			t.Errorf("after %s: got %v selected, want broken", keys, f)
		}
	}
	s.Change(start, history.Change{Gone: []string{"broken"}, All: &history.Sample{}})
	if f := s.current(); f == nil || len(s.shown) != 3 {
		t.Errorf("after it was removed: got %v of %d selected, want one of three", f, len(s.shown))
	}
	order := []string{"new"}
	for _, row := range s.figures {
		order = append(order, row.Name)
	}
	s.Change(start, history.Change{Rows: []history.Row{{Name: "new", Kind: supervisor.Route}}, Order: order, All: &history.Sample{}})
	if len(s.shown) != 4 {
		t.Errorf("after a reload: got %d rows, want the new one too", len(s.shown))
	}
	for i, row := range s.figures {
		if row.Name != order[i] {
			t.Errorf("after a reload: got %s in place %d, want the order %q", row.Name, i, order)
		}
	}
}

func TestRowsAreSortedByWhatThereIsMostOf(t *testing.T) {
	s := shown(100, 30, rows())
	for by, first := range map[Order]string{InFile: "api", ByName: "api", ByState: "broken", ByRate: "api", ByP95: "api", ByErrors: "api", ByCPU: "queue", ByMemory: "queue"} {
		s.by = by
		s.arrange()
		if got := s.shown[0].Name; got != first {
			t.Errorf("by %s: got %s first, want %s", by, got, first)
		}
	}
}

func TestAThousandRowsScroll(t *testing.T) {
	var all []history.Row
	for i := range 1000 {
		all = append(all, history.Row{Name: fmt.Sprintf("r%03d", i), Kind: supervisor.Route, State: supervisor.Ready})
	}
	s := shown(80, 24, all)
	for _, c := range []struct{ keys, want, not string }{
		{"", "r000", "r500"},
		{"end", "›r999", "r000"},
		{"pgup", "r988", "r000"},
		{"home", "›r000", "r999"},
		{"/ 9 9 9 enter", "›r999", "r000"},
	} {
		press(s, c.keys)
		if got := s.String(); !strings.Contains(got, c.want) || strings.Contains(got, c.not) {
			t.Errorf("after %s: got\n%s\nwant %s and not %s", c.keys, got, c.want, c.not)
		}
	}
}

func TestTheMouseSelectsSortsAndScrolls(t *testing.T) {
	s := shown(120, 14, rows())
	s.Click(3, 4)
	if got := s.current().Name; got != "broken" {
		t.Errorf("a click on the third row: got %s, want broken", got)
	}
	s.Click(strings.Index(s.String(), "CPU  ")%120, 0) // the header does nothing
	columns := []rune(strings.Split(s.String(), "\n")[1])
	at := strings.Index(string(columns), "RSS")
	s.Click(at, 1)
	if got := s.shown[0].Name; s.by != ByMemory || got != "queue" {
		t.Errorf("a click on RSS: got %s and %s first, want memory and queue", s.by, got)
	}
	s.Click(at, 1)
	if s.by != InFile {
		t.Errorf("a second click: got %s, want the order of the file", s.by)
	}
	s.Wheel(3, -1)
	if got := s.current().Name; got != "queue" {
		t.Errorf("the wheel: got %s, want the next row", got)
	}
	for y := range 20 {
		s.Click(500, y)
		s.Click(0, y) // outside of everything
	}
}

func TestALostStackIsSaidAndFoundAgain(t *testing.T) {
	s := shown(100, 12, rows())
	s.Lose(start, "dial: \x1b]0;x\x07refused")
	if got := s.String(); !strings.Contains(got, "dial: refused; trying again") || !strings.Contains(got, "broken") || strings.Contains(got, "\x1b") {
		t.Errorf("got\n%s\nwant why, and the last rows", got)
	}
	s.Begin(start, admin.Info{PID: 43, Name: "shop"}, history.Full{Rows: rows(), Begun: 2}, history.History{Step: 10})
	if got := s.String(); strings.Contains(got, "trying again") || !strings.Contains(got, "started again") || !strings.Contains(got, "pid 43") {
		t.Errorf("got\n%s\nwant the new one, and that it is new", got)
	}
	small := shown(30, 5, rows())
	small.Lose(start, "refused")
	if got := small.String(); !strings.Contains(got, "refused") {
		t.Errorf("without a header: got\n%s\nwant why in the footer", got)
	}
}

func TestColoursAreOnlyOurs(t *testing.T) {
	s := shown(100, 20, rows())
	s.Colour = true
	s.Print(s.Following(), logOf("\x1b[31mred\x1b[0m \x1b]52;c;aGk=\x07 \x1b[2J\x1bPq\x1b\\ \u009b2J \x00\x07 \u202e end"))
	got := s.String()
	for _, want := range []string{"\x1b[32", "\x1b[31mcrash-loop", "\x1b[7m"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%q\nwant %q", got, want)
		}
	}
	if s.Colour = false; strings.ContainsAny(s.String(), "\x1b\x07\u009b\u202e") {
		t.Errorf("got\n%q\nwant nothing that a terminal obeys", s.String())
	}
}

func TestTheLogIsSearchedAndScrolled(t *testing.T) {
	s := shown(100, 20, rows())
	var texts []string
	for i := range 3 * mostLines {
		texts = append(texts, fmt.Sprintf("line %d", i))
	}
	s.Print(s.Following(), logOf(texts...))
	s.Print(Follow{Name: "other"}, logOf("not here"))
	if got := short(strings.Repeat("ä", mostText)); len(got) > mostText+3 {
		t.Errorf("a long line: got %d bytes, want at most %d", len(got), mostText+3)
	}
	if len(s.logs.lines) != mostLines {
		t.Errorf("got %d lines, want at most %d", len(s.logs.lines), mostLines)
	}
	for _, c := range []struct{ keys, want, not string }{
		{"", "line 2999", "not here"},
		{"ctrl+u ctrl+u", "rows below", "line 2999"},
		{"ctrl+d ctrl+d ctrl+d", "line 2999", "rows below"},
		{"f L I N E", "1000 of 1000 lines", "line 2000"},
		{"ctrl+u 2 5 5 5 enter", "1 of 1000 lines: 2555", "line 2999"},
		{"esc enter", "line 2984", "NAME"},
		{"home", "line 2000", "line 2999"},
		{"end esc", "NAME", "line 2000"},
		{"down", "upper ready", "line"},
	} {
		press(s, c.keys)
		if got := s.String(); !strings.Contains(got, c.want) || strings.Contains(got, c.not) {
			t.Errorf("after %s: got\n%s\nwant %q and not %q", c.keys, got, c.want, c.not)
		}
	}
}

func TestALogOfRequestsIsFollowedWhereNoProcessIs(t *testing.T) {
	s := shown(100, 20, rows())
	if got, want := s.Following(), (Follow{Name: "api"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	press(s, "down")
	if got, want := s.Following(), (Follow{"upper", true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	press(s, "up e")
	if got, want := s.Following(), (Follow{"api", true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestNumbersAreShort(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{rate(0), "0"}, {rate(0.33), "0.3"}, {rate(9.96), "10"}, {rate(812), "812"}, {rate(1234), "1.2k"}, {rate(99_999), "100k"}, {rate(2e6), "2.0M"},
		{took(0), "-"}, {took(60 * time.Microsecond), "0.06ms"}, {took(400 * time.Microsecond), "0.4ms"}, {took(88 * time.Millisecond), "88ms"}, {took(1200 * time.Millisecond), "1.2s"}, {took(10 * time.Second), ">10s"},
		{percent(0), "0%"}, {percent(0.004), "0.4%"}, {percent(2.3), "230%"},
		{size(0), "0K"}, {size(4 << 20), "4.0M"}, {size(1000 << 20), "1.0G"}, {size(84 << 20), "84M"},
		{spark([]float64{0, 1, 50, 100}, 6), "  ▁▂▅█"}, {spark([]float64{1, 2, 3}, 2), "▆█"}, {spark(nil, 2), "  "}, {spark([]float64{0, 0}, 2), "▁▁"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestTheTrendHasAPointForEachStep(t *testing.T) {
	p := &past{}
	for i := range 25 {
		p.add(history.Sample{}, float64(i/10), 10)
	}
	if got, want := fmt.Sprint(p.trend), "[0 1 2]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for range 100 * points {
		p.add(history.Sample{}, 1, 10)
	}
	if len(p.trend) != points || len(p.seconds) != recall {
		t.Errorf("got %d points and %d seconds, want %d and %d", len(p.trend), len(p.seconds), points, recall)
	}
}

// Whatever is printed and pressed, a screen can be drawn, and nothing acts on the terminal.
func FuzzScreen(f *testing.F) {
	f.Add("a line", "down enter f a", 40, 12)
	f.Add("\x1b[31m\x1b]0;x\x07\xff\u202e", "/ x ? = 1 enter x y w", 7, 3)
	f.Fuzz(func(t *testing.T, line, keys string, width, height int) {
		all := rows()
		all[0].Name, all[0].Reason, all[0].State = line, line, supervisor.State(line)
		s := shown(width%300, height%100, all)
		s.Print(s.Following(), logOf(line, line))
		for _, key := range strings.Split(keys, " ") {
			s.Press(key, key)
			s.Type(line)
			s.Click(width%50, height%50)
			s.Explain(line)
			for _, r := range s.String() {
				if r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 {
					t.Fatalf("got %q on the screen, want no control characters", s.String())
				}
			}
			s.mode = browsing
		}
	})
}
