package supervisor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// disturbances is how many times the chaos test disturbs; CHAOS=10000 is for long nights.
func disturbances(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("CHAOS"))
	switch {
	case err == nil:
		return n
	case testing.Short():
		return 10
	}
	return 40
}

// Under load, whatever befalls the instances, each call is answered; and when all is
// over nothing is left. SEED=n repeats a run.
func TestNoCallIsLostAndNothingIsLeft(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("SEED=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	mustRun(t) // /dev/null stays open
	before := openFiles(t)

	spec := server(t, "api", "serve")
	spec.Process.Replicas = schema.Replicas{Min: 2, Max: 2}
	spec.Process.Restart.GiveUp.Exits = 0
	spec.Process.Restart.Max = schema.Duration(50 * time.Millisecond)
	spec.Process.Recycle.Requests = 200
	s := newStack(t, spec)
	s.await("api", "ready", allReady(2))

	var calls atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				if got, err := s.getAgain("api", "/"); err != nil || !strings.HasPrefix(got, "api ") {
					t.Errorf("call %d: got %q %v, want %q at its start and no error", calls.Load(), got, err, "api ")
					return
				}
				calls.Add(1)
			}
		})
	}
	p := s.Process("api")
	for n := range disturbances(t) {
		if t.Failed() {
			break
		}
		done := calls.Load()
		switch what := rnd.IntN(6); what {
		case 0, 1:
			var lives []*Instance
			p.mu.Lock()
			for _, s := range p.slots {
				if s.life != nil {
					lives = append(lives, s.life)
				}
			}
			p.mu.Unlock()
			if len(lives) > 0 {
				_ = lives[rnd.IntN(len(lives))].child.Signal(syscall.SIGKILL) // it may have ended
			}
		case 2:
			p.mu.Lock()
			p.renew("chaos")
			p.mu.Unlock()
		case 3:
			spec.Process.Env = map[string]schema.Text{"BE": "serve", "N": schema.Text(strconv.Itoa(n))}
			if _, err := s.Reconcile([]Spec{spec}); err != nil {
				t.Error(err)
			}
		case 4:
			if err := s.Scale("api", 1+rnd.IntN(3)); err != nil {
				t.Error(err)
			}
		case 5:
			if err := fetchFrom(s, "/exit?"+strconv.Itoa(rnd.IntN(3))); err == nil {
				t.Error("one that exits answers")
			}
		}
		testkit.Eventually(t, "twenty more calls", func() bool { return calls.Load() >= done+20 || t.Failed() })
	}
	cancel()
	load.Wait()
	s.stop()
	t.Logf("%d calls", calls.Load())
	testkit.Eventually(t, "no descriptor beside those of before", func() bool { // net/http closes connections a moment later
		for file := range openFiles(t) {
			if !before[file] {
				return false
			}
		}
		return true
	})
	if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("a child is left: got %v, want %v", err, syscall.ECHILD)
	}
}

// fetchFrom makes one call, which is not made again.
func fetchFrom(s *stack, path string) error {
	i, err := s.Process("api").Acquire(context.Background(), bound)
	if err != nil {
		return fmt.Errorf("no instance: %w", err)
	}
	defer i.Release()
	return fetch(i.Upstream().URL() + path)
}

// openFiles returns the descriptors that are open, with what each is of.
func openFiles(t *testing.T) map[string]bool {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, fd := range fds {
		// That of ReadDir is closed by now.
		if of, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil {
			all[fd.Name()+" "+of] = true
		}
	}
	return all
}

// mustRun runs a program for once.
func mustRun(t *testing.T) {
	t.Helper()
	prog, err := child.NewProgram("once", program(t, "exit 0"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := prog.Start(child.StartOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.Kill()
}
