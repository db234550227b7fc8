package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/internal/testprogram"
)

// stack is a running supervisor.
type stack struct {
	*Supervisor
	t     testing.TB
	log   *testkit.Log
	ended chan child.Exit
	stop  func()

	reloading sync.Mutex
}

// newStack runs a supervisor until the end of the test.
func newStack(t testing.TB, specs ...Spec) *stack {
	t.Helper()
	s := &stack{t: t, log: &testkit.Log{}, ended: make(chan child.Exit, 100)}
	s.Supervisor = New(Options{
		Log:   slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Ended: func(_ string, e child.Exit) { s.ended <- e },
	})
	if _, err := s.Reconcile(specs); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(bound):
			t.Errorf("the supervisor does not end; log:\n%s", s.log)
			s.Hurry()
			<-done
		}
	})
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("log:\n%s", s.log)
		}
	})
	return s
}

// server is a route whose program serves HTTP.
func server(t testing.TB, name, be string) Spec {
	s := Spec{Name: name, Kind: Route, Mode: schema.HTTP, Process: *program(t, be), Listens: true, Start: bound}
	s.Process.Ready = schema.Probe{TCP: "${PORT}"}
	return s
}

func service(t testing.TB, name, be string) Spec {
	return Spec{Name: name, Kind: Service, Process: *program(t, be), Start: bound}
}

// firstLines waits for the first n lines that the process called name prints.
func (s *stack) firstLines(name string, n int) (lines []string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	err := s.Follow(ctx, 0, []string{name}, func(l child.Line) error {
		if lines = append(lines, l.Text); len(lines) == n {
			return io.EOF
		}
		return nil
	})
	if err != io.EOF {
		s.t.Fatalf("got %d lines of %s, %v, want %d", len(lines), name, err, n)
	}
	return lines
}

// get calls name, and gives what it answers: "NAME INSTANCE PID".
func (s *stack) get(name, path string) (string, error) {
	i, err := s.Process(name).Acquire(context.Background(), bound)
	if err != nil {
		return "", err
	}
	defer i.Release()
	return read(i.Upstream().URL() + path)
}

// await waits until ok says so of the process's status.
func (s *stack) await(name string, what string, ok func(Status) bool) Status {
	s.t.Helper()
	p := s.Process(name)
	limit := time.After(bound)
	for {
		p.mu.Lock()
		changed := p.nextChange()
		p.mu.Unlock()
		st := p.Status()
		if ok(st) {
			return st
		}
		select {
		case <-changed:
		case <-limit:
			s.t.Fatalf("%s is never %s: %+v", name, what, st)
		}
	}
}

func (s *stack) awaitState(name string, state State) Status {
	s.t.Helper()
	return s.await(name, string(state), func(st Status) bool { return st.State == state })
}

func TestACallIsHeldUntilItsProcessIsReady(t *testing.T) {
	s := newStack(t, server(t, "api", "serve 300ms"))
	got, err := s.get("api", "/")
	if err != nil || !strings.HasPrefix(got, "api 0 ") {
		t.Fatalf("got %v %v, want %q at its start and no error", got, err, "api 0 ")
	}
}

func TestAcquireWithoutWaitIsRefusedWhileNothingIsReady(t *testing.T) {
	s := newStack(t, server(t, "api", "serve 1h"))
	s.awaitState("api", Starting)
	_, err := s.Process("api").Acquire(context.Background(), 0)
	f, ok := errors.AsType[*failure.Error](err)
	if !ok || f.Kind != failure.NotReady || f.State != "starting" || f.RetryAfter <= 0 {
		t.Fatalf("got %+v, want ok true, f.Kind %v, f.State starting and f.RetryAfter more than 0", err, failure.NotReady)
	}
}

func TestAKilledProcessIsStartedAgainAndItsCallsAreHeld(t *testing.T) {
	s := newStack(t, server(t, "api", "serve"))
	for range 3 {
		before, err := s.get("api", "/")
		if err != nil {
			t.Fatal(err)
		}
		st := s.awaitState("api", Ready)
		i, err := s.Process("api").Acquire(context.Background(), bound)
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(st.Instances[0].PID, syscall.SIGKILL)
		<-i.Done()
		i.Release()
		after, err := s.get("api", "/")
		if err != nil || after == before {
			t.Fatalf("before %q, after %q %v", before, after, err)
		}
	}
	if st := s.Process("api").Status(); st.Restarts != 3 || !strings.HasPrefix(st.LastExit, "killed by SIGKILL: it or another process sent it") {
		t.Errorf("got %+v, want Restarts 3 and LastExit killed by SIGKILL", st)
	}
}

func TestACrashLoopRefusesAtOnceAndIsTriedOn(t *testing.T) {
	spec := server(t, "api", "exit 7")
	spec.Process.Restart.Max = schema.Duration(50 * time.Millisecond)
	s := newStack(t, spec)
	_, err := s.Process("api").Acquire(context.Background(), bound)
	f, ok := errors.AsType[*failure.Error](err)
	if !ok || f.Kind != failure.CrashLoop || f.State != "crash-loop" || f.NextStart.IsZero() || f.RetryAfter <= 0 || !strings.Contains(f.Detail, "exit status 7") {
		t.Fatalf("got %+v, want a crash loop with status 7 and the next start", err)
	}
	n := s.Process("api").Status().Restarts
	s.await("api", "tried on", func(st Status) bool { return st.Restarts > n+2 })
}

func TestStoppingLeavesNoProcess(t *testing.T) {
	s := newStack(t, service(t, "tree", "tree 4 stay"), server(t, "api", "serve"))
	s.awaitState("api", Ready)
	st := s.awaitState("tree", Ready)
	var pids []int
	for _, text := range s.firstLines("tree", 5) {
		pids = append(pids, testprogram.Atoi(t, text))
	}
	spec := s.Process("tree").spec
	spec.Process.Stop.Grace = schema.Duration(10 * time.Millisecond)
	s.stop()
	for _, pid := range append(pids, st.Instances[0].PID) {
		if testprogram.Alive(pid) {
			t.Errorf("%d is alive", pid)
		}
	}
}

func TestReconcileKeepsWhatIsEqualAndReplacesWhatChanged(t *testing.T) {
	same, changed, gone := server(t, "same", "serve"), server(t, "changed", "serve"), server(t, "gone", "serve")
	s := newStack(t, same, changed, gone)
	before := map[string]string{}
	for _, n := range []string{"same", "changed", "gone"} {
		got, err := s.get(n, "/")
		if err != nil {
			t.Fatal(err)
		}
		before[n] = got
	}
	old := s.Process("gone")
	held, err := s.Process("changed").Acquire(context.Background(), bound)
	if err != nil {
		t.Fatal(err)
	}
	changed.Process.Env = map[string]schema.Text{"BE": "serve", "MORE": "1"}
	plan, err := s.Plan([]Spec{same, changed, server(t, "fresh", "serve")})
	if err != nil || fmt.Sprint(plan) != "[{same keep } {changed replace env has changed} {fresh start it is new} {gone stop it is not in the configuration any more}]" {
		t.Errorf("got %v %v, want one to keep, to replace, to start and to stop", plan, err)
	}
	retire, err := s.Reconcile([]Spec{same, changed, server(t, "fresh", "serve")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.get("same", "/"); err != nil || got != before["same"] {
		t.Errorf(`same: got %q %v, before %q, want no error, and got == before["same"]`, got, err, before["same"])
	}
	s.await("changed", "replaced", func(st Status) bool {
		return len(st.Instances) == 2 && st.Instances[0].State == Stopping && st.Instances[1].State == Ready
	})
	if got, err := s.get("changed", "/"); err != nil || got == before["changed"] {
		t.Errorf(`changed: got %q %v, before %q, want no error, and got != before["changed"]`, got, err, before["changed"])
	}
	select {
	case <-held.Done():
		t.Error("the old instance left before its call was over")
	default:
	}
	held.Release()
	s.await("changed", "alone", func(st Status) bool { return len(st.Instances) == 1 })
	if old.State() != Ready {
		t.Errorf("gone is %s before retire, want %s", old.State(), Ready)
	}
	retire(context.Background())
	if old.State() != Stopped {
		t.Errorf("gone is %s after retire, want %s", old.State(), Stopped)
	}
	if _, err := old.Acquire(context.Background(), bound); failure.Of(err).Kind != failure.Draining {
		t.Errorf("a call to what has left: got %v, want failure.Of(err).Kind %v", err, failure.Draining)
	}
}

func TestReconcileRefusesWhatCannotWorkAndChangesNothing(t *testing.T) {
	api := server(t, "api", "serve")
	s := newStack(t, api)
	before, err := s.get("api", "/")
	if err != nil {
		t.Fatal(err)
	}
	bad, worse := server(t, "bad", "serve"), server(t, "worse", "serve")
	bad.Process.FProcess.Words = []schema.Text{"/no/such/program"}
	worse.Process.EnvFile = schema.Strings{"/no/such.env"}
	_, err = s.Reconcile([]Spec{bad, worse})
	if err == nil || !strings.Contains(err.Error(), "route bad: program /no/such/program is not there") || !strings.Contains(err.Error(), "route worse: env_file /no/such.env is not there") {
		t.Fatalf("got %v, want an error, %q in it and %q in it", err, "route bad: program /no/such/program is not there", "route worse: env_file /no/such.env is not there")
	}
	if got, err := s.get("api", "/"); err != nil || got != before {
		t.Errorf("got %q %v, want no error and %q", got, err, before)
	}
}

// getAgain is get as http mode does it: a call whose life ends is made again.
func (s *stack) getAgain(name, path string) (string, error) {
	for {
		i, err := s.Process(name).Acquire(context.Background(), bound)
		if err != nil {
			return "", err
		}
		got, err := read(i.Upstream().URL() + path)
		if err == nil {
			i.Release()
			return got, nil
		}
		select { // however long the machine takes to report it
		case <-i.Done():
			i.Release()
		case <-time.After(bound):
			i.Release()
			return got, fmt.Errorf("%w, and its instance goes on", err)
		}
	}
}

func fetch(url string) error {
	_, err := read(url)
	return err
}

func read(url string) (string, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: bound}
	if !strings.HasPrefix(url, "http") {
		url = "http://" + url
	}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// upstream parses text.
func upstream(t *testing.T, text string) schema.Upstream {
	t.Helper()
	u, err := schema.ParseUpstream(schema.Text(text))
	if err != nil {
		t.Fatal(err)
	}
	return u
}
