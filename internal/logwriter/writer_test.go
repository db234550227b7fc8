package logwriter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// sink keeps what is written to it.
type sink struct {
	mu     sync.Mutex
	text   bytes.Buffer
	writes int
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	return s.text.Write(p)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// stuck is an output that takes nothing until it is freed.
type stuck struct {
	in, free chan struct{}
	sink
}

func newStuck() *stuck { return &stuck{in: make(chan struct{}, 100), free: make(chan struct{})} }

func (s *stuck) Write(p []byte) (int, error) {
	s.in <- struct{}{}
	<-s.free
	return s.sink.Write(p)
}

// run starts w and gives what ends it.
func run(w *Writer) (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

func TestALineIsWrittenWithin100Milliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{}
		w := New(out)
		end := run(w)
		synctest.Wait()
		for i := range 3 {
			time.Sleep(time.Second)
			fmt.Fprintf(w, "line %d\n", i)
			fmt.Fprintf(w, "and %d\n", i)
			if strings.Contains(out.String(), fmt.Sprint("line ", i)) {
				t.Error("written at once: nothing is gathered")
			}
			time.Sleep(100 * time.Millisecond)
			if !strings.HasSuffix(out.String(), fmt.Sprintf("line %d\nand %d\n", i, i)) {
				t.Errorf("after 100 ms there is %q, want %q at its end", out.String(), fmt.Sprintf("line %d\nand %d\n", i, i))
			}
		}
		if out.writes != 3 {
			t.Errorf("%d writes for 3 batches", out.writes)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingIsLostBeforeRunAndAtItsEndAndAfterIt(t *testing.T) {
	out := &sink{}
	w := New(out)
	want := ""
	log := func(line string) {
		want += line + "\n"
		if _, err := fmt.Fprintln(w, line); err != nil {
			t.Error(err)
		}
	}
	log("before")
	if out.String() != want {
		t.Error("not passed on at once before Run")
	}
	end := run(w)
	for i := range 1000 {
		log(fmt.Sprint("during ", i))
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	if out.String() != want {
		t.Errorf("%d bytes of %d when Run has returned", len(out.String()), len(want))
	}
	log("after")
	w.Flush()
	if out.String() != want || w.Dropped() != 0 {
		t.Errorf("got %q, %d dropped, want %q 0", out.String(), w.Dropped(), want)
	}
}

func TestFlushWritesWhatIsGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{}
		w := New(out)
		end := run(w)
		synctest.Wait()
		fmt.Fprintln(w, "the last words before a panic")
		w.Flush()
		if out.String() != "the last words before a panic\n" {
			t.Errorf("got %q, want %q", out.String(), "the last words before a panic\n")
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

func TestLinesOfManyStayWholeAndEachOnesInOrder(t *testing.T) {
	out := &sink{}
	w := New(out)
	end := run(w)
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for n := range 300 {
				fmt.Fprintf(w, "%d %d %s\n", i, n, strings.Repeat("x", n))
			}
		})
	}
	writers.Wait()
	if err := end(); err != nil {
		t.Error(err)
	}
	var next [8]int
	for line := range strings.Lines(out.String()) {
		var i, n int
		var rest string
		if _, err := fmt.Sscanf(line, "%d %d %s", &i, &n, &rest); err != nil && n > 0 {
			t.Fatalf("%q: %v", line, err)
		}
		if n != next[i] || len(rest) != n {
			t.Fatalf("%d says %d after %d", i, n, next[i])
		}
		next[i]++
	}
	for i, n := range next {
		if n != 300 {
			t.Errorf("got %d lines of %d, want 300", n, i)
		}
	}
}

func TestAnOutputThatDoesNotMoveHoldsNobodyUpAndWhatIsLostIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newStuck()
		w := New(out)
		end := run(w)
		synctest.Wait()
		line := []byte(strings.Repeat("x", 1023) + "\n")
		_, _ = w.Write(line)
		<-out.in // its batch is on the way and stuck
		began := time.Now()
		for range 3 * writerRoom / len(line) {
			if n, err := w.Write(line); n != len(line) || err != nil {
				t.Fatalf("got %v %v, want %v and no error", n, err, len(line))
			}
		}
		if time.Since(began) != 0 {
			t.Errorf("Write waited: got %s, want 0", time.Since(began))
		}
		if n, want := w.Dropped(), uint64(2*writerRoom/len(line)); n != want {
			t.Errorf("got %d lines dropped, want %d", n, want)
		}
		close(out.free)
		if err := end(); err != nil {
			t.Error(err)
		}
		if n, want := len(out.String()), len(line)+writerRoom; n != want {
			t.Errorf("got %d bytes written, want %d", n, want)
		}
	})
}

func TestWhatWasDroppedIsToldWhenTheOutputMovesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newStuck()
		w := New(out)
		w.Lost = func(lines uint64) { fmt.Fprintf(w, "lost %d\n", lines) }
		end := run(w)
		synctest.Wait()
		line := []byte(strings.Repeat("x", 1023) + "\n")
		_, _ = w.Write(line)
		<-out.in // its batch is on the way and stuck
		for range writerRoom/len(line) + 7 {
			_, _ = w.Write(line)
		}
		close(out.free)
		time.Sleep(time.Second)
		if text := out.String(); strings.Count(text, "lost") != 1 || !strings.HasSuffix(text, "x\nlost 7\n") {
			t.Errorf("it ends with %q", text[max(0, len(text)-40):])
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

func TestTheEndIsNotHeldUpByAnOutputThatDoesNotMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newStuck()
		w := New(out)
		end := run(w)
		synctest.Wait()
		fmt.Fprintln(w, "unread")
		<-out.in
		began := time.Now()
		if err := end(); !errors.Is(err, ErrStuck) {
			t.Errorf("got %v, want %v", err, ErrStuck)
		}
		if took := time.Since(began); took != flushBound {
			t.Errorf("Run held up %s, want %s", took, flushBound)
		}
		close(out.free)
	})
	// Flush waits for a lock, which the bubble takes for something that moves.
	out := newStuck()
	w := New(out)
	done := make(chan error, 1)
	go func() { _, err := w.Write([]byte("x\n")); done <- err }()
	<-out.in
	w.Flush()
	close(out.free)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// gone is an output without a reader, until it is back.
type gone struct {
	sink
	back atomic.Bool
}

func (g *gone) Write(p []byte) (int, error) {
	if !g.back.Load() {
		return 0, syscall.EPIPE
	}
	return g.sink.Write(p)
}

func TestLinesThatCannotBeWrittenAreCountedAndReportedOnceTheyCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &gone{}
		w := New(out)
		w.Lost = func(lines uint64) { fmt.Fprintf(w, "lost %d\n", lines) }
		end := run(w)
		synctest.Wait()
		for range 3 {
			fmt.Fprint(w, "one\ntwo\n")
			time.Sleep(time.Second)
		}
		if got := w.Dropped(); got != 6 {
			t.Errorf("got %d lines dropped, want 6", got)
		}
		time.Sleep(time.Hour)
		if got := w.Dropped(); got != 6 {
			t.Errorf("an hour later: got %d lines dropped, want 6: the report of a loss is lost too", got)
		}
		out.back.Store(true)
		fmt.Fprintln(w, "three")
		time.Sleep(time.Second)
		if err := end(); err != nil {
			t.Error(err)
		}
		if got, want := out.String(), "three\nlost 6\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestALineThatIsTooLongIsDropped(t *testing.T) {
	out := &sink{}
	w := New(out)
	end := run(w)
	waitRunning(t, w)
	_, _ = w.Write(make([]byte, longestLine+1))
	_, _ = w.Write(make([]byte, longestLine))
	if err := end(); err != nil {
		t.Error(err)
	}
	if len(out.String()) != longestLine || w.Dropped() != 1 {
		t.Errorf("got %d bytes, %d dropped, want %d 1", len(out.String()), w.Dropped(), longestLine)
	}
}

func waitRunning(t *testing.T, w *Writer) {
	t.Helper()
	testkit.Eventually(t, "the writer runs", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.running
	})
}

func TestWritingAllocatesNothingOnceItHasRoom(t *testing.T) {
	w := New(&sink{})
	w.running = true
	w.batch = make([]byte, 0, writerRoom)
	line := []byte("a line\n")
	if n := testkit.Allocs(100, 0, func() { _, _ = w.Write(line) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestAnOutputThatIsStuckIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := newStuck()
		w := New(out)
		w.running = true // as if Run ran
		_, _ = w.Write([]byte("a line\n"))
		began := time.Now()
		for range 10 {
			w.Flush()
		}
		if got := time.Since(began); got != flushBound {
			t.Errorf("got %v of waiting in all, want %v", got, flushBound)
		}
		close(out.free)
	})
}
