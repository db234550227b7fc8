package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

func TestAfterThreeRestartsInTenSecondsOneFollowsInEachPause(t *testing.T) {
	const most, reset = 30 * time.Second, 10 * time.Minute
	var w rewatch
	now := time.Unix(0, 0)
	for n, step := range []struct {
		after time.Duration
		pause time.Duration
		loop  bool
	}{
		{0, 0, false},
		{time.Second, 0, false},
		{time.Second, 0, false},
		{time.Second, most - time.Second, true}, // the fourth within ten seconds
		{time.Second, most - time.Second, true},
		{40 * time.Second, 0, true}, // longer than the pause after the one before
		{time.Second, most - time.Second, true},
		{2 * reset, 0, false}, // quiet for long enough
		{time.Second, 0, false},
	} {
		now = now.Add(step.after)
		pause, next := w.next(now, most, reset)
		if w = next; pause != step.pause || w.Loop != step.loop {
			t.Errorf("step %d: got a pause of %v, loop %t, want %v, %t", n, pause, w.Loop, step.pause, step.loop)
		}
		now = now.Add(pause)
		w.Restarts = append(w.Restarts, now)
	}
}

func TestAProgramThatChangesItsOwnFilesIsSlowedDownAndNamed(t *testing.T) {
	spec := idler(t, "api")
	spec.Process.Restart.Max = schema.Duration(time.Hour)
	s := newStack(t, spec)
	p := s.Process("api")
	for range mostRewatches + 2 {
		p.fileChanged("/app/cache.py")
		s.await("api", "one instance", allReady(1))
	}
	st := p.Status()
	if !strings.Contains(st.Reason, "/app/cache.py changed: if the program changes its own watched files") {
		t.Errorf("got reason %q, want one that names the file", st.Reason)
	}
	if n := strings.Count(s.log.String(), "restarts are slowed down"); n != 1 {
		t.Errorf("got %d warnings, want 1", n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.rewatch.Restarts); n != mostRewatches {
		t.Errorf("got %d restarts, want %d", n, mostRewatches)
	}
}

func TestOneBurstOfManyChangedFilesIsOneRestart(t *testing.T) {
	spec := idler(t, "api")
	spec.Process.Watch = []string{"**/*.py"}
	dir := string(spec.Process.Dir)
	s := newStack(t, spec)
	s.await("api", "one instance", allReady(1))
	p := s.Process("api")
	for n := range 5000 {
		sub := filepath.Join(dir, fmt.Sprint(n/500))
		if n%500 == 0 {
			if err := os.Mkdir(sub, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprint(n, ".py")), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.await("api", "a restart", func(Status) bool { return strings.Contains(s.log.String(), "watch: ") })
	s.await("api", "one instance", allReady(1))
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.rewatch.Restarts); n != 1 {
		t.Errorf("got %d restarts, want 1", n)
	}
}

func TestTheSilenceAfterABurstGrowsWithIt(t *testing.T) {
	for lasted, want := range map[time.Duration]time.Duration{
		0:                      settle,
		100 * time.Millisecond: settle,
		time.Second:            500 * time.Millisecond,
		5 * time.Second:        settleLong,
		settleMax:              0,
	} {
		if got := silence(lasted); got != want {
			t.Errorf("after %v: got %v, want %v", lasted, got, want)
		}
	}
}
