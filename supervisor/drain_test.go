package supervisor

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
)

// caller is a call that the test makes; it is over when it is told to end.
type caller struct {
	name   string
	stream bool
	i      *Instance
	seat   Seat
	ended  chan error // nil: as a stream
	once   sync.Once
}

func (s *stack) call(name, called string, stream bool) *caller {
	s.t.Helper()
	c := &caller{name: called, stream: stream, i: s.acquire(name), ended: make(chan error, 1)}
	c.seat.Guest = c
	c.i.Enter(&c.seat)
	return c
}

func (c *caller) String() string { return c.name }
func (c *caller) EndStream() bool {
	if c.stream {
		c.end(nil)
	}
	return c.stream
}
func (c *caller) Cut(why error) { c.end(why) }
func (c *caller) end(why error) {
	c.once.Do(func() { c.ended <- why })
}

// over waits for the end of the call, and returns why it was cut; nil for a stream.
func (c *caller) over(t *testing.T) error {
	t.Helper()
	defer c.i.Release()
	defer c.i.Leave(&c.seat)
	return testkit.Await(t, "the end of "+c.name, c.ended)
}

func TestARestartCutsWhatGoesOnForLongerThanStopDrain(t *testing.T) {
	spec := server(t, "api", "serve")
	spec.Process.Stop.Drain = 50 * ms
	s := newStack(t, spec)
	plain, stream := s.call("api", "GET /slow", false), s.call("api", "GET /events", true)
	done := make(chan error, 1)
	go func() { done <- s.Restart(context.Background(), "api") }()
	err := plain.over(t)
	if f := failure.Of(err); f.Kind != failure.Draining || !strings.Contains(f.Detail, "stop.drain (50ms)") {
		t.Errorf("got %+v, want kind Draining and stop.drain named", err)
	}
	if err := stream.over(t); err != nil {
		t.Errorf("got %v for a stream, want its own end", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := s.Process("api").Status().Cut; got != 2 {
		t.Errorf("got %d calls cut, want 2", got)
	}
	if log := s.log.String(); !strings.Contains(log, "GET /slow, GET /events") {
		t.Errorf("got a log that does not name the calls that were cut, want GET /slow, GET /events:\n%s", log)
	}
}

func TestPsNamesTheCallsThatAnInstanceWaitsFor(t *testing.T) {
	s := newStack(t, server(t, "api", "serve"))
	c := s.call("api", "GET /events from 192.0.2.1:4711", true)
	done := make(chan error, 1)
	go func() { done <- s.Restart(context.Background(), "api") }()
	st := s.await("api", "waits for a call", func(st Status) bool { return strings.HasPrefix(st.Reason, "waits for 1 call, ") })
	if !strings.Contains(st.Reason, "GET /events from 192.0.2.1:4711") {
		t.Errorf("got reason %q, want the call's name in it", st.Reason)
	}
	for _, i := range st.Instances {
		if i.Number != 0 {
			t.Errorf("got instance number %d, want 0 for an instance and its successor", i.Number)
		}
	}
	c.i.Leave(&c.seat)
	c.i.Release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWithAFixedPortStreamsAreEndedAtOnceAndCallsAreWaitedFor(t *testing.T) {
	spec := server(t, "api", "serve")
	spec.Upstream = upstream(t, "http://127.0.0.1:"+strconv.Itoa(testkit.FreePort(t)))
	s := newStack(t, spec)
	plain, stream := s.call("api", "GET /slow", false), s.call("api", "GET /events", true)
	done := make(chan error, 1)
	go func() { done <- s.Restart(context.Background(), "api") }()
	if err := stream.over(t); err != nil {
		t.Errorf("got %v for a stream, want its own end", err)
	}
	select {
	case err := <-plain.ended:
		t.Errorf("got the end of a plain call (%v), want it to be waited for", err)
	default:
	}
	plain.i.Leave(&plain.seat)
	plain.i.Release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestARemovedProcessStaysListedUntilItsCallsAreOver(t *testing.T) {
	s := newStack(t, server(t, "api", "serve"))
	c := s.call("api", "GET /events", true)
	retire, err := s.Reconcile(nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { defer close(gone); retire(context.Background()) }()
	list := s.Status()
	if len(list) != 1 || !list[0].Removed || list[0].State != Stopping {
		t.Errorf("got %+v, want api, removed and stopping", list)
	}
	if list := s.Standing(); len(list) != 0 {
		t.Errorf("got %+v as the standing of what is configured, want none", list)
	}
	c.i.Leave(&c.seat)
	c.i.Release()
	<-gone
	if list := s.Status(); len(list) != 0 {
		t.Errorf("got %+v after its end, want none", list)
	}
}

func TestACallOnItsWayToARemovedProcessStillGetsIt(t *testing.T) {
	s := newStack(t, server(t, "api", "serve"))
	s.awaitState("api", Ready)
	p := s.Process("api")
	next, err := s.Prepare(nil)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{}, 1)
	var over atomic.Bool
	retire, err := next.Commit(func(string) int {
		select {
		case asked <- struct{}{}:
		default:
		}
		if over.Load() {
			return 0
		}
		return 1
	})
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { defer close(gone); retire(context.Background()) }()
	<-asked
	i, err := p.Acquire(context.Background(), bound)
	if err != nil {
		t.Fatalf("got %v, want an instance", err)
	}
	i.Release()
	over.Store(true)
	testkit.Await(t, "the end of the process", gone)
}
