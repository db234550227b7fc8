package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
	"github.com/watchdogd/watchdogd/supervisor/swarm/enginetest"
)

// orchestrated starts and stops the tasks of services as they are scaled, at addresses of the
// loopback where something listens at the port.
func orchestrated(t testing.TB, e *enginetest.Engine, most int) (port int) {
	t.Helper()
	port = testkit.FreePort(t)
	for i := range most {
		listen(t, fmt.Sprintf("127.0.0.%d", i+1), port)
	}
	e.Scaled = func(id string, n int) {
		var tasks []enginetest.Task
		for i := range n {
			tasks = append(tasks, running(fmt.Sprint("t", i), fmt.Sprintf("127.0.0.%d", i+1)))
		}
		e.PutTasks(id, tasks...)
	}
	return port
}

// calls has n calls of a function be in flight until the function that it returns is called.
func calls(t *testing.T, s *followed, name string, n int) (end func()) {
	t.Helper()
	f := s.Function(name)
	over := make(chan struct{})
	var all sync.WaitGroup
	answered := make(chan error, n)
	for range n {
		all.Go(func() {
			f.Enter()
			defer f.Leave()
			answered <- f.Await(context.Background(), testkit.Patience, 0)
			<-over
		})
	}
	for range n {
		if err := testkit.Await(t, "the answer to a call", answered); err != nil {
			t.Errorf("got %v for a call, want it to get a task", err)
		}
	}
	return sync.OnceFunc(func() {
		close(over)
		all.Wait()
	})
}

func TestAFunctionIsScaledFromZeroAndBack(t *testing.T) {
	e := newEngine(t)
	port := orchestrated(t, e, 3)
	e.PutService(service("s1", "echo", 0, "watchdogd.port", strconv.Itoa(port), "watchdogd.min", "0", "watchdogd.max", "3", "watchdogd.target", "2", "watchdogd.idle", "100ms"))
	s := follow(t, e.Host())
	stands(t, s, "echo", lifecycle.Idle, "")
	one := calls(t, s, "echo", 1)
	if n := e.Replicas("s1"); n != 1 {
		t.Errorf("got %d replicas after the first call, want 1", n)
	}
	more := calls(t, s, "echo", 8)
	testkit.Eventually(t, "3 replicas for 9 calls", func() bool { return e.Replicas("s1") == 3 })
	if unknown := string(e.Spec("s1")["FieldOfTomorrow"]); unknown != "12345678901234567" {
		t.Errorf("got %q of a member of the specification that is not known, want it untouched", unknown)
	}
	ups := e.Updates()
	more()
	one()
	testkit.Eventually(t, "0 replicas after idle", func() bool { return e.Replicas("s1") == 0 })
	if n := e.Updates() - ups; n != 3 {
		t.Errorf("got %d updates from 3 replicas to 0, want a step each", n)
	}
	calls(t, s, "echo", 1)()
}

func TestCallsInFlightKeepTheirTasks(t *testing.T) {
	e := newEngine(t)
	port := orchestrated(t, e, 2)
	e.PutService(service("s1", "echo", 0, "watchdogd.port", strconv.Itoa(port), "watchdogd.min", "0", "watchdogd.max", "2", "watchdogd.idle", "1ms"))
	s := follow(t, e.Host())
	end := calls(t, s, "echo", 1)
	for range 20 { // as many measures as there may be
		wake(s.measure)
		if n := e.Replicas("s1"); n != 1 {
			t.Fatalf("got %d replicas with a call in flight, want 1", n)
		}
	}
	end()
	testkit.Eventually(t, "0 replicas without a call", func() bool { return e.Replicas("s1") == 0 })
}

func TestAnUpdateThatTheEngineRefusesIsAStateWithItsSentence(t *testing.T) {
	e := newEngine(t)
	port := orchestrated(t, e, 1)
	var refused atomic.Bool
	refused.Store(true)
	e.Refuse = func(r *http.Request) (int, string) {
		if refused.Load() && strings.HasSuffix(r.URL.Path, "/s1/update") {
			return 400, "rpc error: code = Unknown desc = the swarm is in maintenance"
		}
		return 0, ""
	}
	e.PutService(service("s1", "echo", 0, "watchdogd.port", strconv.Itoa(port), "watchdogd.min", "0", "watchdogd.max", "1"))
	s := follow(t, e.Host())
	f := s.Function("echo")
	f.Enter()
	defer f.Leave()
	stands(t, s, "echo", lifecycle.Idle, "the engine does not scale service echo from 0 to 1: the swarm is in maintenance")
	err := f.Await(context.Background(), time.Millisecond, 0)
	var why *failure.Error
	if !errors.As(err, &why) || !strings.Contains(why.Detail, "the swarm is in maintenance") {
		t.Errorf("got %v for a call, want the engine's sentence", err)
	}
	refused.Store(false)
	if err := f.Await(context.Background(), testkit.Patience, 0); err != nil {
		t.Errorf("got %v once the engine takes updates, want a task", err)
	}
}

func TestAServiceThatIsBeingUpdatedIsNotScaled(t *testing.T) {
	f := &Function{swarm: New(Options{}), updating: true, replicas: 2}
	f.settings.Replicas.Max, f.settings.Replicas.Target = 3, 1
	f.scaling.seeded = true
	f.usable.Store(2)
	now := time.Now()
	for _, calls := range []int{0, 9} {
		if got, ok := f.decide(calls, now); ok {
			t.Errorf("%d calls: got a step from %d to %d during an update, want none", calls, got.from, got.to)
		}
	}
	f.usable.Store(0)
	if got, ok := f.decide(9, now); !ok || got.to != 3 {
		t.Errorf("got %v %v without a task, want a step to 3", got, ok)
	}
}

func TestOneOfTwoGatewaysScalesAlsoForTheOther(t *testing.T) {
	e := newEngine(t)
	port := orchestrated(t, e, 3)
	e.PutService(service("s1", "echo", 0, "watchdogd.port", strconv.Itoa(port), "watchdogd.min", "0", "watchdogd.max", "3", "watchdogd.target", "2", "watchdogd.idle", "100ms"))
	first, second := followAs(t, e.Host(), "first"), followAs(t, e.Host(), "second")
	testkit.Eventually(t, "one of the gateways to hold the lease", func() bool { return first.Scaler().Holds || second.Scaler().Holds })
	holder, other := first, second
	if second.Scaler().Holds {
		holder, other = second, first
	}
	end := calls(t, other, "echo", 4)
	testkit.Eventually(t, "3 replicas for the 4 calls at the other gateway", func() bool { return e.Replicas("s1") == 3 })
	if n := other.Scaler().Done; n != 0 {
		t.Errorf("got %d updates by the gateway without the lease, want none", n)
	}
	end()
	testkit.Eventually(t, "0 replicas when the calls at the other gateway are over", func() bool { return e.Replicas("s1") == 0 })

	holder.stop()
	testkit.Eventually(t, "the other gateway to hold the lease that was given back", func() bool { return other.Scaler().Holds })
	calls(t, other, "echo", 1)()
	other.stop()
	if got := e.Configs(); !slices.Equal(got, []string{"watchdogd-scaler"}) {
		t.Errorf("got configs %v at the end, want that of the lease alone", got)
	}
}

func TestALeaseWhoseHolderIsGoneIsTakenOver(t *testing.T) {
	e := newEngine(t)
	e.PutService(service("s1", "echo", 1, "watchdogd.max", "3"))
	gone := New(Options{ID: "gone", Engine: newClient(t, e.Host()), Label: label, Log: slog.New(slog.DiscardHandler)})
	if err := gone.renew(context.Background()); err != nil || !gone.Scaler().Holds {
		t.Fatalf("got %v %v, want the lease", err, gone.Scaler())
	}
	next := New(Options{ID: "next", Engine: newClient(t, e.Host()), Label: label, Log: slog.New(slog.DiscardHandler)})
	if err := next.renew(context.Background()); err != nil || next.Scaler().Holds {
		t.Fatalf("got %v %v while another holds the lease, want none", err, next.Scaler())
	}
	next.lease.seen -= expiry // as if it had seen no change for so long
	if err := next.renew(context.Background()); err != nil || !next.Scaler().Holds {
		t.Errorf("got %v %v after its holder was silent, want the lease", err, next.Scaler())
	}
	if gone.lease.until > gone.now()+heldFor {
		t.Errorf("got a lease until %v, want it to end by itself within %v", gone.lease.until, heldFor)
	}
	gone.lease.seen = 0
	gone.lease.set(0)
	if err := gone.renew(context.Background()); err != nil || gone.Scaler().Holds {
		t.Errorf("got %v %v for the former holder that is back, want no lease", err, gone.Scaler())
	}
}

func TestAFirstCallAtAGatewayWithoutTheLeaseDoesNotWaitForAHolderThatIsGone(t *testing.T) {
	e := newEngine(t)
	port := orchestrated(t, e, 2)
	e.PutService(service("s1", "echo", 0, "watchdogd.port", strconv.Itoa(port), "watchdogd.min", "0", "watchdogd.max", "2", "watchdogd.target", "1"))
	gone := New(Options{ID: "gone", Engine: newClient(t, e.Host()), Label: label, Log: slog.New(slog.DiscardHandler)})
	if err := gone.renew(context.Background()); err != nil || !gone.Scaler().Holds {
		t.Fatalf("got %v %v, want the lease", err, gone.Scaler())
	}
	e.Refuse = func(r *http.Request) (int, string) { // so that nothing takes the lease over
		if strings.Contains(r.URL.Path, "/configs/") && strings.HasSuffix(r.URL.Path, "/update") {
			return 409, "update out of sequence"
		}
		return 0, ""
	}
	s := followWith(t, e.Host(), "other", 1)
	testkit.Eventually(t, "the function", func() bool { return s.Function("echo") != nil })
	end := calls(t, s, "echo", 3)
	for range 20 { // as many measures as there may be
		wake(s.measure)
		if n := e.Replicas("s1"); n != 1 {
			t.Fatalf("got %d replicas for 3 calls, want 1: all above is for the holder of the lease", n)
		}
	}
	end()
	if got := s.Scaler(); got.Holds || got.Done != 1 {
		t.Errorf("got %+v, want one update by a gateway without the lease", got)
	}
}

func TestAGatewayWithoutTheLeaseScalesFromZeroAloneAndAfterAWhile(t *testing.T) {
	s := New(Options{})
	f := &Function{swarm: s, waiting: 1}
	at := time.Minute
	want := func(what string, steps bool) {
		t.Helper()
		if got, ok := f.unheard(at); ok != steps || ok && (got.from != 0 || got.to != 1) {
			t.Errorf("%s: got a step %v from %d to %d, want %v", what, ok, got.from, got.to, steps)
		}
	}
	want("the call came", false)
	at += unheard - 1
	want("a moment before the holder had its time", false)
	at += 1
	want("the holder had its time", true)
	f.scaling.again = at + 1
	want("the engine has just refused", false)
	at += 1
	want("the engine may be asked again", true)
	f.waiting = 0
	want("no call waits", false)
	f.waiting = 1
	want("another came", false)
	f.replicas = 1
	at += time.Hour
	want("there is a task", false)
	f.replicas = 0
	want("there is none again", false)
}

func TestCallsArePublishedInCoarseSteps(t *testing.T) {
	for n, want := range map[int]int{1: 1, 7: 7, 8: 8, 9: 10, 17: 18, 100: 112, 1000: 1024} {
		if got := rounded(n); got != want {
			t.Errorf("%d calls: got %d, want %d", n, got, want)
		}
	}
	n := &needs{}
	f := &Function{ID: "s1", swarm: New(Options{})}
	n.note(f, 3)
	if all, _, due := n.take(time.Second); !due || all["s1"] != 3 {
		t.Errorf("got %v %v at first, want 3 published at once", all, due)
	}
	n.note(f, 2)
	if _, _, due := n.take(time.Second + time.Millisecond); due {
		t.Error("got less published at once, want it to wait")
	}
	n.note(f, 5)
	if all, _, due := n.take(time.Second + 2*time.Millisecond); !due || all["s1"] != 5 {
		t.Errorf("got %v %v, want more published at once", all, due)
	}
	if all, _, due := n.take(time.Minute); !due || len(all) != 0 {
		t.Errorf("got %v %v later without calls, want that published", all, due)
	}
	if _, _, due := n.take(time.Hour); due {
		t.Error("got an unchanged demand published more than once")
	}
}
