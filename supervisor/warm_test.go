package supervisor

import (
	"bufio"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

func warmRoute(t *testing.T, name, be string, n int) Spec {
	return Spec{Name: name, Kind: Route, Mode: schema.Streaming, Process: *program(t, be), Warm: n}
}

func (s *stack) awaitWarm(name string, n int) Status {
	s.t.Helper()
	return s.await(name, "warm", func(st Status) bool { return len(st.Instances) == n })
}

func TestAProcessStartedAheadIsUsedForOneRequestAndReplaced(t *testing.T) {
	s := newStack(t, warmRoute(t, "fn", "warm", 2))
	p := s.Process("fn")
	seen := map[int]bool{}
	for range 5 {
		s.awaitWarm("fn", 2)
		w, ok := p.TakeWarm()
		if !ok {
			t.Fatal("none waits")
		}
		if seen[w.PID()] {
			t.Errorf("%d is given twice", w.PID())
		}
		seen[w.PID()] = true
		_, _ = io.WriteString(w.Env, "Http_Method=PUT\x00Http_Path=/a\x00")
		w.Env.Close()
		_, _ = io.WriteString(w.Stdin, "body")
		w.Stdin.Close()
		out, err := io.ReadAll(w.Stdout)
		if err != nil || string(out) != "Http_Method=PUT Http_Path=/a body" {
			t.Errorf("got %q %v, want %q and no error", out, err, "Http_Method=PUT Http_Path=/a body")
		}
		w.Close()
		w.Kill()
	}
}

func TestNoneIsGivenThatHasEndedWhileItWaited(t *testing.T) {
	s := newStack(t, warmRoute(t, "fn", "warm", 1))
	st := s.awaitWarm("fn", 1)
	pid := st.Instances[0].PID
	_ = syscall.Kill(pid, syscall.SIGKILL)
	st = s.await("fn", "replaced", func(st Status) bool { return len(st.Instances) == 1 && st.Instances[0].PID != pid })
	if st.LastExit != "killed by SIGKILL" || st.State != Ready {
		t.Errorf("got %+v, want LastExit killed by SIGKILL and State %v", st, Ready)
	}
}

func TestTakeWarmNeverWaits(t *testing.T) {
	spec := warmRoute(t, "fn", "exit 1", 1)
	spec.Process.Restart.Min = schema.Duration(10_000 * time.Hour) // the pause is any up to this
	spec.Process.Restart.Max = spec.Process.Restart.Min
	s := newStack(t, spec)
	s.await("fn", "in backoff", func(st Status) bool { return st.Restarts > 0 })
	if w, ok := s.Process("fn").TakeWarm(); ok {
		w.Close()
		w.Kill()
		t.Error("one that ended was given")
	}
}

func TestThoseThatWaitAreReplacedWhenTheSpecChanges(t *testing.T) {
	spec := warmRoute(t, "fn", "warm", 2)
	s := newStack(t, spec)
	before := s.awaitWarm("fn", 2)
	spec.Process.Env = map[string]schema.Text{"BE": "warm", "X": "1"}
	if _, err := s.Reconcile([]Spec{spec}); err != nil {
		t.Fatal(err)
	}
	s.await("fn", "replaced", func(st Status) bool {
		return len(st.Instances) == 2 && st.Instances[0].PID != before.Instances[0].PID && st.Instances[1].PID != before.Instances[1].PID
	})
}

// warmed is a program that is started ahead.
func warmed(env, in io.Reader, out io.Writer) {
	r := bufio.NewReader(env)
	for {
		kv, err := r.ReadString(0)
		if err != nil {
			break
		}
		_, _ = io.WriteString(out, strings.TrimSuffix(kv, "\x00")+" ")
	}
	_, _ = io.Copy(out, in)
}
