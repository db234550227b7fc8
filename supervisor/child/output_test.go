package child

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// record is one line of a JSON log.
type record struct {
	Msg, Level, Route, Service, Stream, Line, Why string
	Instance, PID, Lines                          int
	Partial                                       bool
	JSON                                          json.RawMessage
}

func records(t *testing.T, log string) (all []record) {
	t.Helper()
	for line := range strings.Lines(log) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("got %v in %q, want no error", err, line)
		}
		all = append(all, r)
	}
	return all
}

// logged waits until all that was put has been logged, however long the log takes.
func (o *Output) logged() {
	o.mu.Lock()
	done := o.logging
	o.mu.Unlock()
	if done != nil {
		<-done
	}
}

// copied returns the log of what is read.
func copied(t *testing.T, r io.Reader) []record {
	t.Helper()
	var log testkit.Log
	o := NewOutput(slog.New(slog.NewJSONHandler(&log, nil)), "route", "fn", Printing{})
	o.Copy(7, "stdout", r)
	o.logged()
	return records(t, log.String())
}

func TestOutputIsLoggedByLineWithRouteStreamAndPID(t *testing.T) {
	got := copied(t, strings.NewReader("one\r\n\ntwo"))
	if len(got) != 3 || got[0].Line != "one" || got[1].Line != "" || got[2].Line != "two" {
		t.Fatalf("got %+v, want 3 of them, got[0].Line one, got[1].Line nothing and got[2].Line two", got)
	}
	if r := got[0]; r.Msg != "output" || r.Route != "fn" || r.Stream != "stdout" || r.PID != 7 || r.Partial {
		t.Errorf("got %+v, want Msg output, Route fn, Stream stdout, PID 7 and Partial false", r)
	}
}

func TestALineThatIsAJSONObjectStaysOne(t *testing.T) {
	got := copied(t, strings.NewReader(`{"level":"warn","n":1}`+"\n"+`{"broken"`+"\n"+`[1]`+"\n"))
	if string(got[0].JSON) != `{"level":"warn","n":1}` || got[0].Line != "" {
		t.Errorf("got %+v, want JSON %q and Line nothing", got[0], `{"level":"warn","n":1}`)
	}
	if got[1].JSON != nil || got[1].Line != `{"broken"` || got[2].Line != "[1]" {
		t.Errorf("got %+v, want got[1].JSON nil, got[1].Line %q and got[2].Line %q", got[1:], `{"broken"`, "[1]")
	}
}

func TestALongLineIsCutIntoPieces(t *testing.T) {
	long := strings.Repeat("ä", 100_000) // two bytes each
	got := copied(t, strings.NewReader("x"+long+"\nend\n"))
	var text string
	for n, r := range got[:len(got)-1] {
		last := n == len(got)-2
		if r.Partial == last {
			t.Errorf("piece %d of %d: partial is %v, want other than %v", n, len(got)-1, r.Partial, last)
		}
		if len(r.Line) > maxLine || strings.ContainsRune(r.Line, '\ufffd') {
			t.Errorf("piece %d: %d bytes, cut in a character: %v", n, len(r.Line), strings.ContainsRune(r.Line, '\ufffd'))
		}
		text += r.Line
	}
	if text != "x"+long {
		t.Error("the pieces are not the line")
	}
	if got[len(got)-1].Line != "end" {
		t.Error("what follows is lost")
	}
}

// However long lines are, and wherever they are cut, nothing of them is lost, and no piece
// is longer than asked for.
func TestLinesOfAnyLengthAreCutWhereAskedFor(t *testing.T) {
	for _, longest := range []int{1, 5, 100, maxLine - 1, maxLine, maxLine + 1, 200_000, 10 << 20} {
		var want, got []string
		var partial bool
		o := NewOutput(slog.New(slog.DiscardHandler), "route", "fn", Printing{Longest: longest, Write: func(l *Line) {
			most := min(max(longest, 4), MostLine)
			if len(l.Text) > most || l.Partial && len(l.Text) <= most-4 {
				t.Errorf("%d: a piece of %d bytes", longest, len(l.Text))
			}
			if partial {
				got[len(got)-1] += l.Text
			} else {
				got = append(got, l.Text)
			}
			partial = l.Partial
		}})
		for _, n := range []int{0, 1, 3, 4, 5, 6, 99, 100, 101, 30_000} {
			want = append(want, strings.Repeat("ä", n/2)+strings.Repeat("x", n%2))
		}
		if longest > 1000 {
			for _, n := range []int{maxLine - 1, maxLine, maxLine + 1, 2 * maxLine, 3 << 20} {
				want = append(want, strings.Repeat("x", n))
			}
		}
		want = append(want, "no end")
		o.Copy(7, "stdout", &narrow{strings.NewReader(strings.Join(want, "\n")), o})
		o.logged()
		if !slices.Equal(got, want) {
			t.Errorf("%d: %d lines of %d, or others", longest, len(got), len(want))
		}
	}
}

// narrow returns what it reads in pieces that fit nowhere, and no faster than o takes them.
type narrow struct {
	r io.Reader
	o *Output
}

func (n *narrow) Read(p []byte) (int, error) {
	n.o.logged()
	return n.r.Read(p[:min(len(p), 977)])
}

// zeros is n bytes without a newline.
type zeros struct{ n int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.n)
	clear(p[:n])
	z.n -= n
	return n, nil
}

func TestALineOf100MBCostsNoMemoryBeyondItsBuffer(t *testing.T) {
	o := NewOutput(slog.New(slog.DiscardHandler), "route", "fn", Printing{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	o.Copy(7, "stdout", &zeros{100 << 20})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("the heap grew by %d bytes, want at most %v", grown, 4<<20)
	}
	if n := int64(after.HeapSys) - int64(before.HeapSys); n > 32<<20 {
		t.Errorf("the heap's memory grew by %d bytes, want at most %v", n, 32<<20)
	}
}

func TestBinaryOutputIsLogged(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	if got := copied(t, bytes.NewReader(append(all, '\n'))); len(got) != 2 { // one newline is among them
		t.Errorf("got %d lines, want 2", len(got))
	}
}

// stuck is a log that takes nothing until it is let go.
type stuck struct {
	free chan struct{}
	testkit.Log
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.free
	return s.Log.Write(p)
}

func TestAFloodAndASlowLogNeverBlockAChild(t *testing.T) {
	log := &stuck{free: make(chan struct{})}
	o := NewOutput(slog.New(slog.NewJSONHandler(log, nil)), "route", "fn", Printing{})
	child, _ := start(t, "exit 0") // any: its pid
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var copying sync.WaitGroup
	copying.Go(func() { o.Copy(child.PID(), "stdout", r) })
	const lines = 200_000
	text := strings.Repeat("x", 49) + "\n"
	for range lines { // would block for ever without a reader
		if _, err := w.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	copying.Wait()
	close(log.free)
	o.logged()
	logged, dropped := 0, 0
	for _, r := range records(t, log.String()) {
		switch r.Msg {
		case "output":
			logged++
		case "output dropped":
			dropped += r.Lines
		}
	}
	if logged+dropped != lines || dropped == 0 {
		t.Errorf("%d logged and %d said to be dropped of %d", logged, dropped, lines)
	}
}

func TestASilentPipeCostsNoBuffer(t *testing.T) {
	o := NewOutput(slog.New(slog.DiscardHandler), "route", "fn", Printing{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var copying sync.WaitGroup
	const pipes = 200
	var ws [pipes]*os.File
	for n := range ws {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		ws[n] = w
		copying.Go(func() { o.Copy(1, "stdout", r); r.Close() })
		if _, err := w.WriteString("hello\n"); err != nil {
			t.Fatal(err)
		}
	}
	f := newFollower()
	seen := len(o.Follow(f))
	for ; seen < pipes; seen++ {
		<-f.lines
	}
	o.Close()
	runtime.GC()
	runtime.GC() // the pool's are kept for one
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > pipes*maxLine/4 {
		t.Errorf("%d silent pipes hold %d bytes", pipes, grown)
	}
	for _, w := range ws {
		w.Close()
	}
	copying.Wait()
}

func TestTheRingIsBoundedInBytes(t *testing.T) {
	var r ring
	for range 100 {
		r.add(Line{Text: strings.Repeat("x", maxLine), Time: time.Now()})
	}
	if n := len(r.lines()); n != maxRing/maxLine {
		t.Errorf("%d long lines are kept", n)
	}
	for n := range 5*maxLast/2 + 7 {
		r.add(Line{PID: n})
	}
	lines := r.lines()
	if len(lines) != maxLast || len(r.all) > maxLast {
		t.Fatalf("%d lines are kept in %d places", len(lines), len(r.all))
	}
	for i, l := range lines {
		if want := 5*maxLast/2 + 7 - maxLast + i; l.PID != want {
			t.Fatalf("line %d is the %dth, not the %dth", i, l.PID, want)
		}
	}
}

func TestAFollowerThatDoesNotReadIsBoundedInBytes(t *testing.T) {
	f := newFollower()
	for range 100 {
		f.Put(Line{Text: strings.Repeat("x", maxLine)})
	}
	if n := len(f.lines); n != maxQueue/maxLine || f.takeLost() != 100-n {
		t.Errorf("%d long lines wait", n)
	}
	f.took(<-f.lines)
	f.Put(Line{})
	if n := f.takeLost(); n != 0 {
		t.Error("after one was taken there is no room")
	}
}

func TestAFloodOfShortLinesCostsLittleMemory(t *testing.T) {
	for _, to := range []io.Writer{io.Discard, &stuck{free: make(chan struct{})}} {
		var before, after runtime.MemStats
		o := NewOutput(slog.New(slog.NewJSONHandler(to, nil)), "route", "fn", Printing{})
		f := newFollower()
		o.Follow(f)
		runtime.GC()
		runtime.ReadMemStats(&before)
		o.Copy(7, "stdout", io.LimitReader(twos{}, 4<<20))
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 24<<20 {
			t.Errorf("the heap has grown by %d bytes, want at most %v", grown, 24<<20)
		}
		if s, ok := to.(*stuck); ok {
			close(s.free)
		}
		o.Close()
	}
}

// twos is lines of two bytes without end.
type twos struct{}

func (twos) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "x\n"[i%2]
	}
	return len(p) &^ 1, nil
}
