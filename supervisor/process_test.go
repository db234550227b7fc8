package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

const ms = schema.Duration(time.Millisecond)

// acquire takes an instance, or ends the test.
func (s *stack) acquire(name string) *Instance {
	s.t.Helper()
	i, err := s.Process(name).Acquire(context.Background(), bound)
	if err != nil {
		s.t.Fatal(err)
	}
	return i
}

// mustGet is get that ends the test.
func (s *stack) mustGet(name, path string) string {
	s.t.Helper()
	got, err := s.get(name, path)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// readiness and liveness

func TestReadinessIsAskedByHTTPExecAndLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ready")
	http := server(t, "http", "serve 50ms")
	http.Process.Ready = schema.Probe{HTTP: "/healthz"}
	said := service(t, "log", "says")
	said.Process.Ready = schema.Probe{Log: "^now serving on ${PORT}$$"}
	exec := service(t, "exec", "sleep")
	exec.Process.Ready = schema.Probe{Exec: schema.Command{Words: []schema.Text{"/usr/bin/test", "-e", schema.Text(file)}}}
	s := newStack(t, http, said, exec)
	s.awaitState("http", Ready)
	s.awaitState("log", Ready)
	s.awaitState("exec", Starting)
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.awaitState("exec", Ready)
}

func TestAnInstanceThatIsNotReadyInTimeIsReplaced(t *testing.T) {
	spec := server(t, "api", "sleep")
	spec.Start = 50 * time.Millisecond
	s := newStack(t, spec)
	// A busy machine may not have asked the port within the first 50 ms.
	st := s.await("api", "late", func(st Status) bool { return strings.Contains(st.LastExit, "nothing listens") })
	port := strings.TrimPrefix(st.LastExit, "it was not ready within 50ms (timeouts.start): nothing listens on $PORT (")
	if _, rest, _ := strings.Cut(port, ") yet"); rest != " (does it listen on $PORT?); it has printed nothing" {
		t.Errorf("got %+v, want a last exit that asks whether it listens on $PORT", st)
	}
}

func TestTimeoutsStartEndsTheCallsThatWait(t *testing.T) {
	spec := server(t, "api", "sleep")
	spec.Start = 50 * time.Millisecond
	s := newStack(t, spec)
	_, err := s.Process("api").Acquire(context.Background(), bound)
	f, ok := errors.AsType[*failure.Error](err)
	if !ok || f.Kind != failure.Timeout || f.Timeout != "start" || !strings.Contains(f.Detail, "within 50ms (timeouts.start)") {
		t.Errorf("got %+v, want ok true, f.Kind %v, f.Timeout start and f.Detail %q in it", err, failure.Timeout, "within 50ms (timeouts.start)")
	}
}

func TestAnInstanceThatFailsItsLivenessProbeIsReplaced(t *testing.T) {
	spec := server(t, "api", "serve")
	spec.Process.Live = schema.Probe{HTTP: "/healthz", Interval: 10 * ms, Timeout: schema.Duration(bound), Failures: 2}
	s := newStack(t, spec)
	before := s.mustGet("api", "/sick")
	st := s.await("api", "restarted", func(st Status) bool { return st.Restarts > 0 })
	if !strings.Contains(st.LastExit, "its liveness probe http /healthz failed 2 times: status 500") {
		t.Errorf("got %+v, want LastExit %q in it", st, "its liveness probe http /healthz failed 2 times: status 500")
	}
	if after := s.mustGet("api", "/"); after == before {
		t.Errorf("it is still %s, want other than %v", after, before)
	}
}

func TestOneThatIsUnreadyGetsNoCallsUntilItIsReadyAgain(t *testing.T) {
	spec := server(t, "api", "serve")
	spec.Process.Ready = schema.Probe{HTTP: "/healthz", Interval: 10 * ms, Failures: 2}
	s := newStack(t, spec)
	i := s.acquire("api")
	defer i.Release()
	url := i.Upstream().URL()
	s.mustGet("api", "/sick")
	s.awaitState("api", Unready)
	if _, err := s.Process("api").Acquire(context.Background(), time.Millisecond); failure.Of(err).State != "unready" {
		t.Errorf("got %+v, want failure.Of(err).State unready", err)
	}
	if err := fetch(url + "/well"); err != nil {
		t.Fatal(err)
	}
	s.awaitState("api", Ready)
	if st := s.Process("api").Status(); st.Restarts != 0 {
		t.Errorf("got %+v, want Restarts 0", st)
	}
}

// calls

func TestCallsWaitInOrder(t *testing.T) {
	spec := server(t, "api", "serve")
	spec.Capacity = 1
	s := newStack(t, spec)
	p := s.Process("api")
	before := s.acquire("api") // the others wait behind it
	var mu sync.Mutex
	var order []int
	var calls sync.WaitGroup
	for n := range 5 {
		calls.Go(func() {
			i, err := p.Acquire(context.Background(), bound)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			order = append(order, n)
			mu.Unlock()
			i.Release()
		})
		testkit.Eventually(t, fmt.Sprintf("%d calls in line before the next comes", n+1), func() bool { return p.Status().Queued > n })
	}
	before.Release()
	calls.Wait()
	if fmt.Sprint(order) != "[0 1 2 3 4]" {
		t.Errorf("got the order %v, want 0 to 4", order)
	}
}

func TestAWaitingCallLeavesWithItsContext(t *testing.T) {
	s := newStack(t, server(t, "api", "serve 1h"))
	ctx, cancel := context.WithCancelCause(context.Background())
	because := &failure.Error{Kind: failure.Timeout, Timeout: "exec"}
	cancel(because)
	if _, err := s.Process("api").Acquire(ctx, bound); err != because {
		t.Errorf("got %+v, want %+v", err, because)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := s.Process("api").Acquire(ctx, bound); failure.Of(err).Kind != failure.Gone {
		t.Errorf("got %+v, want failure.Of(err).Kind %v", err, failure.Gone)
	}
	if st := s.Process("api").Status(); st.Queued != 0 {
		t.Errorf("got %+v, want Queued 0", st)
	}
}

func TestACallThatFindsAllInstancesBusyTimesOutInTheQueue(t *testing.T) {
	spec := server(t, "api", "serve")
	spec.Capacity = 1
	s := newStack(t, spec)
	i := s.acquire("api")
	defer i.Release()
	if _, err := s.Process("api").Acquire(context.Background(), time.Millisecond); failure.Of(err).Kind != failure.QueueTimeout {
		t.Errorf("got %+v, want failure.Of(err).Kind %v", err, failure.QueueTimeout)
	}
}

func TestAcquireAndReleaseAllocateNothing(t *testing.T) {
	spec := server(t, "api", "serve")
	spec.Process.Replicas = schema.Replicas{Min: 3, Max: 3}
	s := newStack(t, spec)
	s.await("api", "ready thrice", allReady(3))
	p, ctx := s.Process("api"), context.Background()
	if n := testkit.Allocs(1000, 0, func() {
		i, err := p.Acquire(ctx, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		i.Release()
	}); n > 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestKeepIsOneValueALifeAndClosedAtItsEnd(t *testing.T) {
	s := newStack(t, server(t, "api", "serve"))
	i := s.acquire("api")
	made := 0
	c := &closer{closed: make(chan struct{})}
	mk := func() io.Closer { made++; return c }
	for range 2 {
		if i.Keep(mk) != c || made != 1 {
			t.Errorf("made: got %d times, want i.Keep(mk) == c && made == 1", made)
		}
	}
	if i.Suspect(context.Background()) {
		t.Error("one that lives is taken for dead")
	}
	_ = syscall.Kill(i.PID(), syscall.SIGKILL)
	for !i.Suspect(context.Background()) {
	}
	<-c.closed
	late := &closer{closed: make(chan struct{})}
	i.Keep(func() io.Closer { return late })
	<-late.closed
	i.Release()
}

type closer struct {
	once   sync.Once
	closed chan struct{}
}

func (c *closer) Close() error { c.once.Do(func() { close(c.closed) }); return nil }

// replicas

func allReady(n int) func(Status) bool {
	return func(st Status) bool {
		if len(st.Instances) != n {
			return false
		}
		for _, i := range st.Instances {
			if i.State != Ready {
				return false
			}
		}
		return true
	}
}

func TestEachInstanceHasItsNumberAndItsPort(t *testing.T) {
	spec := server(t, "api", "serve")
	spec.Process.Replicas = schema.Replicas{Min: 4, Max: 4}
	spec.Process.Env["WHO"] = "${NAME}-${INSTANCE}-${PORT}"
	s := newStack(t, spec)
	st := s.await("api", "ready", allReady(4))
	ports := map[int]bool{}
	for n, i := range st.Instances {
		if i.Number != n || i.Port == 0 || ports[i.Port] || i.RSS == 0 || i.PID == 0 {
			t.Errorf("got %+v, want i.Number == n && i.Port != 0 && !ports[i.Port] && i.RSS != 0 && i.PID != 0", i)
		}
		ports[i.Port] = true
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", i.PID))
		if want := fmt.Sprintf("WHO=api-%d-%d", n, i.Port); err != nil || !strings.Contains(string(env), want) {
			t.Errorf("%s is not in the environment: got %v, want no error, and strings.Contains(string(env), want)", want, err)
		}
	}
}

func TestTheLeastLoadedInstanceIsTaken(t *testing.T) {
	spec := server(t, "api", "serve")
	spec.Process.Replicas = schema.Replicas{Min: 3, Max: 3}
	s := newStack(t, spec)
	s.await("api", "ready", allReady(3))
	calls := map[int]int{}
	var held []*Instance
	for range 9 {
		i := s.acquire("api")
		calls[i.Number()]++
		held = append(held, i)
	}
	if calls[0] != 3 || calls[1] != 3 || calls[2] != 3 {
		t.Errorf("got %v, want calls[0] 3, calls[1] 3 and calls[2] 3", calls)
	}
	for _, i := range held {
		if i.Number() == 1 {
			i.Release()
		}
	}
	for range 3 {
		if i := s.acquire("api"); i.Number() != 1 {
			t.Errorf("%d is taken", i.Number())
		}
	}
}

func TestInstancesComeAtOnceWithCallsAndLeaveAfterIdle(t *testing.T) {
	spec := server(t, "api", "serve")
	spec.Process.Replicas = schema.Replicas{Min: 0, Max: 3, Target: 2, Idle: 50 * ms}
	s := newStack(t, spec)
	if st := s.awaitState("api", Idle); len(st.Instances) != 0 {
		t.Fatalf("got %+v, want len(st.Instances) 0", st)
	}
	var held []*Instance
	for range 5 {
		held = append(held, s.acquire("api"))
	}
	s.await("api", "three", allReady(3))
	for _, i := range held[1:] {
		i.Release()
	}
	s.await("api", "one", func(st Status) bool { return len(st.Instances) == 1 })
	select {
	case <-held[0].Done():
		t.Error("the one with a call has left")
	default:
	}
	held[0].Release()
	s.awaitState("api", Idle)
	s.mustGet("api", "/") // and up again
}

func TestALostPortIsDistinguishedFromACrash(t *testing.T) {
	file := filepath.Join(t.TempDir(), "go")
	spec := server(t, "api", "loser "+file)
	s := newStack(t, spec)
	var port string
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	err := s.Follow(ctx, 0, []string{"api"}, func(l child.Line) error { port = l.Text; return io.EOF })
	if err != io.EOF {
		t.Fatalf("got %v, want %v", err, io.EOF)
	}
	thief, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	go func() { // as another server would
		for {
			c, err := thief.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	st := s.await("api", "on another port", func(st Status) bool {
		return st.State == Ready && strconv.Itoa(st.Instances[0].Port) != port
	})
	if st.Restarts != 0 || st.LastExit != "" {
		t.Errorf("it counts as a crash: got %+v, want Restarts 0 and LastExit nothing", st)
	}
	if got := s.mustGet("api", "/"); !strings.HasPrefix(got, "api 0 ") {
		t.Errorf("got %v, want %q at its start", got, "api 0 ")
	}
}

func TestTheHolderOfAFixedPortInUseIsNamed(t *testing.T) {
	port := testkit.FreePort(t)
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fixed := server(t, "fixed", "serve")
	fixed.Upstream = upstream(t, "http://127.0.0.1:"+strconv.Itoa(port))
	s := newStack(t, fixed, server(t, "other", "serve"))
	// A child that is just being started has the socket for a moment too.
	want := fmt.Sprintf("port %d is taken by supervisor.test (process %d)", port, os.Getpid())
	s.await("fixed", want, func(st Status) bool { return strings.Contains(st.LastExit, want) })
	s.mustGet("other", "/") // serves on
	l.Close()
	s.mustGet("fixed", "/")
}

func TestWithAFixedPortTheOldOneLeavesFirstAndCallsWait(t *testing.T) {
	spec := server(t, "api", "serve")
	spec.Upstream = upstream(t, "127.0.0.1:"+strconv.Itoa(testkit.FreePort(t)))
	s := newStack(t, spec)
	before := s.mustGet("api", "/")
	spec.Process.Env = map[string]schema.Text{"BE": "serve", "MORE": "1"}
	if _, err := s.Reconcile([]Spec{spec}); err != nil {
		t.Fatal(err)
	}
	for { // every call is answered, by one or the other
		after, err := s.getAgain("api", "/")
		if err != nil {
			t.Fatal(err)
		}
		if after != before {
			break
		}
	}
}

func TestABrokenSuccessorLeavesTheOldOneServing(t *testing.T) {
	spec := server(t, "api", "serve")
	s := newStack(t, spec)
	before := s.mustGet("api", "/")
	for _, be := range []string{"exit 1", "exit 2", "serve"} {
		spec.Process.Env = map[string]schema.Text{"BE": schema.Text(be), "AGAIN": "1"}
		if _, err := s.Reconcile([]Spec{spec}); err != nil {
			t.Fatal(err)
		}
		if be == "serve" {
			break
		}
		st := s.await("api", "broken", func(st Status) bool {
			return st.LastExit == strings.Replace(be, "exit", "exit status", 1)
		})
		if st.State != Ready {
			t.Errorf("got %+v, want State %v", st, Ready)
		}
		if got := s.mustGet("api", "/"); got != before {
			t.Errorf("got %q, want %q", got, before)
		}
	}
	for {
		got, err := s.getAgain("api", "/")
		if err != nil {
			t.Fatal(err)
		}
		if got != before {
			break
		}
	}
}

func TestWhatDoesNotConcernTheChildAppliesToIt(t *testing.T) {
	spec := server(t, "api", "serve")
	s := newStack(t, spec)
	before := s.mustGet("api", "/")
	spec.Process.Replicas = schema.Replicas{Min: 2, Max: 2}
	spec.Process.Restart.Policy = "never"
	plan, err := s.Plan([]Spec{spec})
	if err != nil || len(plan) != 1 || plan[0].Action != Keep {
		t.Errorf("got the plan %+v, %v, want to keep it", plan, err)
	}
	if _, err := s.Reconcile([]Spec{spec}); err != nil {
		t.Fatal(err)
	}
	st := s.await("api", "two", allReady(2))
	if !strings.HasSuffix(before, " "+strconv.Itoa(st.Instances[0].PID)) {
		t.Errorf(`got %+v, before %q, want strings.HasSuffix(before, " "+strconv.Itoa(st.Instances[0].PID))`, st, before)
	}
	_ = syscall.Kill(st.Instances[0].PID, syscall.SIGKILL)
	s.await("api", "not restarted", func(st Status) bool { return st.Instances[0].State == Exited })
}

// recycling

func TestRecycleByCallsAgeAndMemory(t *testing.T) {
	calls, age, memory := server(t, "calls", "serve"), server(t, "age", "serve"), server(t, "memory", "serve")
	calls.Process.Recycle.Requests = 3
	age.Process.Recycle.Age = 300 * ms
	memory.Process.Recycle.Memory = 60 << 20
	s := newStack(t, calls, age, memory)
	for _, c := range []struct{ name, path string }{{"calls", "/"}, {"age", "/"}, {"memory", "/grow"}} {
		before := s.mustGet(c.name, c.path)
		testkit.Eventually(t, "a new instance of "+c.name, func() bool {
			after, err := s.getAgain(c.name, "/")
			if err != nil {
				t.Fatal(c.name, err)
			}
			return after != before
		})
		if st := s.Process(c.name).Status(); st.Restarts != 0 || st.LastExit != "" {
			t.Errorf("%s: got %+v, want Restarts 0 and LastExit nothing", c.name, st)
		}
	}
}

func TestAnInstanceThatNeedsLongerToStartThanItMayBeOldIsReplacedByOneThatIsReady(t *testing.T) {
	spec := server(t, "api", "serve 200ms")
	spec.Process.Recycle.Age = 20 * ms
	s := newStack(t, spec)
	before := s.mustGet("api", "/")
	testkit.Eventually(t, "a new instance", func() bool {
		after, err := s.getAgain("api", "/")
		if err != nil {
			t.Fatal(err)
		}
		return after != before
	})
}

func TestARecycledInstanceLeavesWhenItsSuccessorIsReadyAndItsCallsAreDone(t *testing.T) {
	spec := server(t, "api", "serve 100ms")
	spec.Process.Recycle.Requests = 1
	s := newStack(t, spec)
	long := s.acquire("api")
	s.acquire("api").Release() // the one call
	s.await("api", "succeeded", func(st Status) bool {
		return len(st.Instances) == 2 && st.Instances[0].State == Stopping && st.Instances[1].State == Ready
	})
	select {
	case <-long.Done():
		t.Error("it left before its call was over")
	default:
	}
	long.Release()
	s.await("api", "alone", func(st Status) bool { return len(st.Instances) == 1 })
}

// restarting and giving up

func TestOneOffsEndAsExited(t *testing.T) {
	file := filepath.Join(t.TempDir(), "done")
	never, onFailure := service(t, "never", "exit 3"), service(t, "migrate", "once "+file)
	never.Process.Restart.Policy = "never"
	onFailure.Process.Restart.Policy = "on-failure"
	onFailure.Process.Restart.GiveUp.Exits = 0
	s := newStack(t, never, onFailure)
	if st := s.awaitState("never", Exited); st.LastExit != "exit status 3" {
		t.Errorf("got %+v, want LastExit exit status 3", st)
	}
	s.await("migrate", "tried again", func(st Status) bool { return st.Restarts > 1 })
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if st := s.awaitState("migrate", Exited); st.LastExit != "exit status 0" {
		t.Errorf("got %+v, want LastExit exit status 0", st)
	}
	_, err := s.Process("never").Acquire(context.Background(), bound)
	if f := failure.Of(err); f.Kind != failure.NotReady || f.State != "exited" || !strings.Contains(f.Detail, "exit status 3") {
		t.Errorf("got %+v, want Kind %v, State exited and Detail %q in it", f, failure.NotReady, "exit status 3")
	}
}

func TestThenExitReportsHowTheProcessEnded(t *testing.T) {
	spec := service(t, "main", "exit 42")
	spec.Process.Restart.Then = "exit"
	s := newStack(t, spec)
	if e := testkit.Await(t, "the end of the process", s.ended); e.Status() != 42 {
		t.Errorf("got %+v, want the status 42", e)
	}
	if st := s.Process("main").Status(); st.Restarts < 4 {
		t.Errorf("told after %d restarts, want at least 4", st.Restarts)
	}
}

// steering

func TestStopStartRestartAndScale(t *testing.T) {
	s := newStack(t, server(t, "api", "serve"))
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	first := s.mustGet("api", "/")

	if err := s.Supervisor.Stop(ctx, "api"); err != nil {
		t.Fatal(err)
	}
	if st := s.Process("api").Status(); st.State != Stopped || len(st.Instances) != 0 {
		t.Errorf("got %+v, want State %v and len(st.Instances) 0", st, Stopped)
	}
	if _, err := s.Process("api").Acquire(ctx, bound); failure.Of(err).State != "stopped" {
		t.Errorf("got %+v, want failure.Of(err).State stopped", err)
	}
	if err := s.Start(ctx, "api"); err != nil {
		t.Fatal(err)
	}
	second := s.mustGet("api", "/")
	if second == first {
		t.Error("stopped and started, it is the same")
	}
	if err := s.Restart(ctx, "api"); err != nil {
		t.Fatal(err)
	}
	if third := s.mustGet("api", "/"); third == second {
		t.Error("restarted, it is the same")
	}
	if err := s.Scale("api", 3); err != nil {
		t.Fatal(err)
	}
	s.await("api", "three", allReady(3))
	if err := s.Scale("api", 1); err != nil {
		t.Fatal(err)
	}
	s.await("api", "one", allReady(1))
	if err := s.Scale("api", 0); err != nil {
		t.Fatal(err)
	}
	s.awaitState("api", Stopped)
	if _, err := s.Process("api").Acquire(ctx, bound); failure.Of(err).State != "stopped" {
		t.Errorf("got %+v, want failure.Of(err).State stopped", err)
	}
	if err := s.Start(ctx, "api"); err != nil {
		t.Fatal(err)
	}
	s.mustGet("api", "/")
	if st := s.Process("api").Status(); st.Restarts != 0 {
		t.Errorf("what was asked for counts as restarts: got %+v, want Restarts 0", st)
	}
	for _, err := range []error{s.Start(ctx, "no"), s.Restart(ctx, "no"), s.Supervisor.Stop(ctx, "no"), s.Scale("no", 1)} {
		if err == nil || err.Error() != `no process is called "no"` {
			t.Errorf("got %v, want an error and %q", err, `no process is called "no"`)
		}
	}
}

func TestStartAndRestartSayWhatStandsInTheWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "well")
	spec := service(t, "task", "once "+file)
	spec.Process.Restart.Policy = "on-failure"
	spec.Process.Restart.Max = schema.Duration(time.Hour)
	spec.Process.Restart.GiveUp.Exits = 1
	spec.Process.Ready = schema.Probe{Log: "what it never says"}
	s := newStack(t, spec)
	s.awaitState("task", CrashLoop)
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	for _, do := range []func(context.Context, string) error{s.Start, s.Restart} {
		if err := do(ctx, "task"); err == nil || !strings.Contains(err.Error(), "exit status 6") {
			t.Errorf("got %v, want an error and %q in it", err, "exit status 6")
		}
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(ctx, "task"); err != nil {
		t.Error(err)
	}
	s.awaitState("task", Exited)
}

func TestStopWaitsForCallsAsLongAsItsContext(t *testing.T) {
	s := newStack(t, server(t, "api", "serve"))
	i := s.acquire("api")
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Supervisor.Stop(ctx, "api") }()
	s.awaitState("api", Stopping)
	select {
	case <-i.Done():
		t.Error("the call was cut")
	case <-stopped:
		t.Error("it is stopped")
	default:
	}
	cancel()
	<-i.Done()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	i.Release()
}

func TestHurryEndsTheGrace(t *testing.T) {
	spec := service(t, "stubborn", "stubborn")
	spec.Process.Ready = schema.Probe{Log: "up"}
	spec.Process.Stop.Grace = schema.Duration(time.Hour)
	s := newStack(t, spec)
	s.awaitState("stubborn", Ready)
	stopped := make(chan error, 1)
	go func() { stopped <- s.Supervisor.Stop(context.Background(), "stubborn") }()
	s.awaitState("stubborn", Stopping)
	s.Hurry()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// order

// An operator who asks about the last of a chain learns what is wrong with the first.
func TestOfAChainThatWaitsTheFirstIsNamed(t *testing.T) {
	first := service(t, "first", "once "+filepath.Join(t.TempDir(), "never"))
	first.Process.Restart.Policy = "never"
	specs := []Spec{first}
	for _, name := range []string{"second", "third", "fourth"} {
		next := service(t, name, "serve")
		next.Process.DependsOn = map[string]string{specs[len(specs)-1].Name: "completed"}
		specs = append(specs, next)
	}
	s := newStack(t, specs...)
	const cause = "first to be completed, whose state is exited (exit status 6)"
	for name, want := range map[string]string{
		"second": "waits for " + cause,
		"third":  "waits for second to be completed, which waits for " + cause,
		"fourth": "waits for third to be completed, which waits for " + cause,
	} {
		s.await(name, "the cause", func(st Status) bool { return st.Reason == want })
	}
}

func TestDependenciesAreStartedReadyOrCompletedFirst(t *testing.T) {
	file := filepath.Join(t.TempDir(), "done")
	db := server(t, "db", "serve 50ms")
	db.Kind = Service
	migrate := service(t, "migrate", "once "+file)
	migrate.Process.Restart.Policy = "never"
	migrate.Process.DependsOn = map[string]string{"db": "ready"}
	api := server(t, "api", "serve")
	api.Process.DependsOn = map[string]string{"db": "ready", "migrate": "completed"}
	s := newStack(t, api, migrate, db)
	s.awaitState("migrate", Exited)
	if st := s.Process("db").Status(); st.State != Ready {
		t.Errorf("migrate ran while db was %s, want %s", st.State, Ready)
	}
	st := s.await("api", "told", func(st Status) bool { return strings.Contains(st.Reason, "exit status 6") })
	if st.State != Waiting || st.Reason != "waits for migrate to be completed, whose state is exited (exit status 6)" {
		t.Errorf("got %+v, want State %v and Reason %q", st, Waiting, "waits for migrate to be completed, whose state is exited (exit status 6)")
	}
	if line := `"level":"WARN","msg":"process","service":"api"`; !strings.Contains(strings.ReplaceAll(s.log.String(), `"route"`, `"service"`), line) {
		t.Error("nothing is said about what api waits for")
	}
	_, err := s.Process("api").Acquire(context.Background(), time.Millisecond)
	if f := failure.Of(err); f.State != "waiting" || !strings.Contains(f.Detail, "migrate to be completed") {
		t.Errorf("got %+v, want State waiting and Detail %q in it", f, "migrate to be completed")
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(context.Background(), "migrate"); err != nil {
		t.Fatal(err)
	}
	s.awaitState("api", Ready)
}

func TestTheyAreStoppedInReverseOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ends")
	spec := func(name string, on ...string) Spec {
		s := service(t, name, "note "+file)
		s.Process.Ready = schema.Probe{Log: "up"}
		s.Process.DependsOn = map[string]string{}
		for _, d := range on {
			s.Process.DependsOn[d] = "ready"
		}
		return s
	}
	s := newStack(t, spec("db"), spec("cache", "db"), spec("api", "cache", "db"), spec("web", "api"))
	s.awaitState("web", Ready)
	s.stop()
	got, err := os.ReadFile(file)
	if err != nil || strings.Join(strings.Fields(string(got)), " ") != "web api cache db" {
		t.Errorf(`got %q %v, want no error, and strings.Join(strings.Fields(string(got)), " ") == "web api cache db"`, got, err)
	}
}

func TestACircleOfDependenciesIsRefused(t *testing.T) {
	a, b := service(t, "a", "sleep"), service(t, "b", "sleep")
	a.Process.DependsOn = map[string]string{"b": "ready"}
	b.Process.DependsOn = map[string]string{"a": "started"}
	_, err := New(Options{}).Reconcile([]Spec{a, b})
	if err == nil || !strings.Contains(err.Error(), "depends_on goes in a circle: ") {
		t.Errorf("got %v, want an error and %q in it", err, "depends_on goes in a circle: ")
	}
}

// watching

func TestAChangedFileRestarts(t *testing.T) {
	spec := server(t, "api", "serve")
	dir := string(spec.Process.Dir)
	spec.Process.Watch = schema.Strings{"**/*.py", "/nothing/here/x"}
	if err := os.MkdirAll(filepath.Join(dir, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	spec.Process.Watch = spec.Process.Watch[:1]
	s := newStack(t, spec)
	before := s.mustGet("api", "/")
	change := func(file string) {
		t.Helper()
		file = filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		limit := time.Now().Add(bound)
		after := before
		for after == before {
			if time.Now().After(limit) {
				t.Fatalf("%s: got the same instance for %s, want a new one", file, bound)
			}
			var err error
			if after, err = s.getAgain("api", "/"); err != nil {
				t.Fatal(err)
			}
		}
		before = after
	}
	change("a/x.py")
	change("new/folder/y.py")
}

// what a child is given

func TestEnvironmentDirUserUmaskAndLimits(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "x.env")
	if err := os.WriteFile(file, []byte("# comment\nexport FROM_FILE='a b'\nBOTH=file # says\nQ=\"x\\ny\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec := service(t, "env", "env FROM_FILE BOTH Q NAME INSTANCE")
	spec.Process.EnvFile = schema.Strings{file}
	spec.Process.Env["BOTH"] = "env of ${NAME}"
	spec.Process.Restart.Policy = "never"
	limits := service(t, "limits", "limits")
	limits.Process.Restart.Policy = "never"
	limits.Process.Umask = schema.Umask{Set: true, Mask: 0o027}
	limits.Process.RLimits = map[string]schema.Size{"nofile": 321}
	limits.Process.Dir = "/"
	s := newStack(t, spec, limits)
	s.awaitState("env", Exited)
	lines, err := s.Logs(0, "env")
	if err != nil || text(lines) != "FROM_FILE=a b|BOTH=env of env|Q=x|y|NAME=env|INSTANCE=0" {
		t.Errorf("got %s %v, want %q and no error", text(lines), err, "FROM_FILE=a b|BOTH=env of env|Q=x|y|NAME=env|INSTANCE=0")
	}
	s.awaitState("limits", Exited)
	lines, err = s.Logs(0, "limits")
	if want := fmt.Sprintf("nofile=321/321 umask=027 uid=%d gid=%d dir=/", os.Getuid(), os.Getgid()); err != nil || text(lines) != want {
		t.Errorf("got %s %v, want %s", text(lines), err, want)
	}
}

func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process as another user")
	}
	plain, limited := service(t, "plain", ""), service(t, "limited", "")
	for _, s := range []*Spec{&plain, &limited} {
		s.Process.Shell = true
		s.Process.FProcess = schema.Command{Line: "id -u; id -g; ulimit -n; grep -c . /proc/self/status >/dev/null; echo $$$$; kill -0 $$PPID 2>/dev/null || true"}
		s.Process.Restart.Policy = "never"
		s.Process.User = "12345:54321"
		s.Process.Dir = "/"
	}
	limited.Process.RLimits = map[string]schema.Size{"nofile": 99}
	s := newStack(t, plain, limited)
	for _, name := range []string{"plain", "limited"} {
		s.awaitState(name, Exited)
		lines, err := s.Logs(0, name)
		if err != nil || len(lines) < 3 || lines[0].Text != "12345" || lines[1].Text != "54321" || name == "limited" && lines[2].Text != "99" {
			t.Errorf("%s: got %s %v, want 12345, 54321 and the last line", name, text(lines), err)
		}
	}
}

func text(lines []child.Line) string {
	var all []string
	for _, l := range lines {
		all = append(all, l.Text)
	}
	return strings.Join(all, "|")
}

// workers over a socketpair

func TestAWorkerIsTalkedToByItsConn(t *testing.T) {
	spec := Spec{Name: "worker", Kind: Route, Mode: schema.Afterburn, Process: *program(t, "worker"), Socketpair: true, Capacity: 1, Start: bound}
	s := newStack(t, spec)
	say := func(i *Instance, what string) string {
		t.Helper()
		if _, err := io.WriteString(i.Conn(), what+"\n"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		_ = i.Conn().SetReadDeadline(time.Now().Add(bound))
		n, err := i.Conn().Read(b)
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(string(b[:n]))
	}
	i := s.acquire("worker")
	if got := say(i, "hello"); got != strconv.Itoa(i.PID())+" hello" {
		t.Errorf(`got %v, want the pid and hello`, got)
	}
	first := i.PID()
	i.Replace("it spoke nonsense")
	i.Replace("again")
	<-i.Done()
	i.Release()
	i = s.acquire("worker")
	if i.PID() == first {
		t.Error("it was not replaced")
	}
	if got := say(i, "hello"); got != strconv.Itoa(i.PID())+" hello" {
		t.Errorf(`got %v, want the pid and hello`, got)
	}
	if st := s.Process("worker").Status(); st.Restarts != 0 || st.LastExit != "" || st.State != Ready {
		t.Errorf("a replacement counts as a crash: got %+v, want Restarts 0, LastExit nothing and State %v", st, Ready)
	}
	if got := say(i, "die"); got != "EOF" {
		t.Errorf("got %v, want EOF", got)
	}
	if !i.Suspect(context.Background()) {
		<-i.Done()
	}
	i.Release()
	s.acquire("worker").Release()
}
