// Package endpoint is the servers behind one upstream that is run elsewhere: each address
// that is written, or that its name has, is an endpoint.
//
//	set := endpoint.New(endpoint.Options{Addresses: []string{"api.internal:8080"}, Make: dial})
//	defer set.Close()
//	e, err := set.Acquire(ctx, nil)   // the one with the fewest calls
//	err = send(e.Value)
//	e.Release(err == nil)             // one that was left out is back
//	e.Fails(err)                      // leaves it out for a while
//
// An endpoint that fails is left out, twice as long each time, and comes back by one call
// that tries it. Names are resolved again every 2 seconds, and at once when an endpoint
// fails; an address that left the name gets no new calls, and is closed when its last one
// has ended.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options are what a Set is made of.
type Options struct {
	Route     string   // for the log
	Network   string   // tcp or unix
	Addresses []string // host:port, or the path of a socket
	Resolver  *net.Resolver
	Log       *slog.Logger

	// Again is told when an endpoint fails, or there is none, where Become gives the
	// addresses; nil is that names are resolved. It must not wait, and not call the set.
	Again func()

	// Make returns what the calls of an endpoint use to reach it; it is closed with the
	// endpoint.
	Make func(address string) io.Closer

	// Probe asks an endpoint whether it works, every Interval; Failures consecutive errors
	// leave it out until it answers again. Nil is no probe.
	Probe    func(ctx context.Context, address string) error
	Interval time.Duration
	Failures int
}

const (
	// resolveEvery is how often a name is resolved. Docker Swarm takes a task out of the name
	// about 2 s before it stops it: at 5 s calls were lost, at 2 s none.
	resolveEvery = 2 * time.Second
	// resolveLeast is the time between two resolutions, however many calls fail.
	resolveLeast = 100 * time.Millisecond
	// resolveBound is how long one resolution may take.
	resolveBound = 5 * time.Second
	// firstOut and mostOut are how long an endpoint is left out: doubled with each failure.
	firstOut = 500 * time.Millisecond
	mostOut  = 10 * time.Second
	// Most is how many endpoints a name may have; further addresses are not used.
	Most = 256
)

// Set is the endpoints of one upstream. It resolves and probes from the first call until
// Close.
type Set struct {
	o     Options
	names bool // an address has to be resolved

	begin  sync.Once
	close  sync.Once
	stop   chan struct{}
	ended  sync.WaitGroup
	renew  chan struct{} // a failure asks for a resolution; with room for one
	filled chan struct{} // closed after the first resolution

	mu      sync.Mutex
	all     []*Endpoint
	turn    int    // where the search for the next endpoint begins
	out     int    // how many of all are left out
	problem string // why the name was not resolved, or how many addresses are too many
}

// Endpoint is one server.
type Endpoint struct {
	Address string
	Value   io.Closer // of Options.Make

	set      *Set
	inflight int
	failures int       // consecutive
	until    time.Time // left out until then; zero is in use
	trial    bool      // a call is trying it
	why      string    // it is left out
	unwell   int       // consecutive failures of its probe
	gone     bool      // no longer an address of the name
	total    uint64    // failures
}

// New returns the set of the endpoints. It starts nothing.
func New(o Options) *Set {
	s := &Set{o: o, stop: make(chan struct{}), renew: make(chan struct{}, 1), filled: make(chan struct{})}
	if o.Resolver == nil {
		s.o.Resolver = net.DefaultResolver
	}
	var fixed []string
	for _, a := range o.Addresses {
		if named(o.Network, a) {
			s.names = true
		} else {
			fixed = append(fixed, a)
		}
	}
	if !s.names {
		s.replace(fixed)
		close(s.filled)
	}
	return s
}

// named reports whether the host of an address is a name that has to be resolved. localhost
// is one server, whichever of its two addresses it listens on.
func named(network, address string) bool {
	host, _, err := net.SplitHostPort(address)
	return network == "tcp" && err == nil && net.ParseIP(host) == nil && !strings.EqualFold(host, "localhost")
}

// ErrNone is why there is no endpoint for a call. An error that wraps it adds the reason.
var ErrNone = errors.New("the upstream has no address")

// noneError is ErrNone with its reason alone as the text: what it says of the upstream is
// said by whoever answers the call.
type noneError struct{ why string }

func (e noneError) Error() string { return e.why }

func (e noneError) Is(target error) bool { return target == ErrNone }

// Acquire returns the endpoint with the fewest calls in flight that is not in tried, for one
// call, which releases it. One that was left out for long enough is tried by a call first.
// If all are left out, it is the one that comes back first. It waits for the first
// resolution of a name; the error wraps ErrNone, or is that of ctx.
func (s *Set) Acquire(ctx context.Context, tried []*Endpoint) (*Endpoint, error) {
	s.begin.Do(func() {
		if s.names || s.o.Probe != nil {
			s.ended.Go(s.lookAfter)
		}
	})
	select {
	case <-s.filled:
	default:
		select {
		case <-s.filled:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.stop:
			return nil, ErrNone
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.choose(tried)
	if e == nil {
		if len(tried) > 0 {
			return nil, fmt.Errorf("%w that was not tried", ErrNone)
		}
		s.again()
		if s.problem != "" {
			return nil, noneError{s.problem}
		}
		return nil, ErrNone
	}
	if !e.until.IsZero() {
		e.trial = true
	}
	e.inflight++
	return e, nil
}

// choose returns the endpoint for the next call, or nil. It is called with s.mu held.
func (s *Set) choose(tried []*Endpoint) (best *Endpoint) {
	var now time.Time
	if s.out > 0 {
		now = time.Now()
	}
	var soonest *Endpoint
	s.turn++
	for n := range s.all {
		e := s.all[(s.turn+n)%len(s.all)]
		switch {
		case slices.Contains(tried, e):
		case e.until.IsZero():
			if best == nil || e.inflight < best.inflight {
				best = e
			}
		case !e.trial && e.unwell < max(s.o.Failures, 1) && !now.Before(e.until):
			return e // its trial
		case soonest == nil || e.until.Before(soonest.until):
			soonest = e
		}
	}
	if best == nil {
		return soonest
	}
	return best
}

// More reports whether there is an endpoint that is not in tried and not left out.
func (s *Set) More(tried []*Endpoint) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.all, func(e *Endpoint) bool { return e.until.IsZero() && !slices.Contains(tried, e) })
}

// Release ends the call that acquired e. An endpoint that was left out is back if it
// answered.
func (e *Endpoint) Release(answered bool) {
	e.set.mu.Lock()
	defer e.set.mu.Unlock()
	if answered && e.failures > 0 && e.unwell < max(e.set.o.Failures, 1) {
		e.back()
	}
	if e.inflight--; e.inflight == 0 {
		e.trial = false
		if e.gone {
			_ = e.Value.Close() // connections that no call uses
		}
	}
}

// Fails notes that e refused a call, or broke its connection before it answered: it is left
// out for a while.
func (e *Endpoint) Fails(err error) {
	s := e.set
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if e.gone || !e.until.IsZero() && now.Before(e.until) {
		return // a call that began before it was left out
	}
	e.leaveOut(now, err)
	s.again()
}

// leaveOut is called with s.mu held.
func (e *Endpoint) leaveOut(now time.Time, err error) {
	s := e.set
	if e.until.IsZero() {
		s.out++
		s.o.Log.Warn("endpoint left out", "route", s.o.Route, "endpoint", e.Address, "error", reason(err))
	}
	pause := firstOut << min(e.failures, 10)
	e.failures++
	e.total++
	e.until, e.trial, e.why = now.Add(min(pause, mostOut)), false, reason(err)
}

// reason is what happened at an endpoint, without its address, which stands beside it.
func reason(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && op.Err != nil {
		return strings.Replace(err.Error(), op.Error(), op.Err.Error(), 1)
	}
	return err.Error()
}

// back is called with s.mu held.
func (e *Endpoint) back() {
	if !e.until.IsZero() {
		e.set.out--
		e.set.o.Log.Info("endpoint is back", "route", e.set.o.Route, "endpoint", e.Address)
	}
	e.until, e.failures, e.trial, e.why = time.Time{}, 0, false, ""
}

// again asks for a resolution. It is called with s.mu held.
func (s *Set) again() {
	if s.o.Again != nil {
		s.o.Again()
		return
	}
	select {
	case s.renew <- struct{}{}:
	default:
	}
}

// Close ends what looks after the endpoints, and closes the connections that no call uses.
// Calls that are under way go on.
func (s *Set) Close() error {
	s.close.Do(func() { close(s.stop) })
	s.begin.Do(func() {}) // nothing begins from now on
	s.ended.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.all {
		e.gone = true
		_ = e.Value.Close() // connections that no call uses
	}
	return nil
}

// Status is what can be seen of an endpoint.
type Status struct {
	Address  string `json:"address"`
	State    string `json:"state"` // ready or left-out
	Inflight int    `json:"inflight"`
	Failures uint64 `json:"failures"`
	Reason   string `json:"reason,omitempty"`   // it is left out
	Next     string `json:"next_try,omitempty"` // when, RFC 3339
}

// Status returns the endpoints in the order of their addresses, and why the name could not be
// resolved; "" is that it could.
func (s *Set) Status() (all []Status, problem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.all {
		st := Status{Address: e.Address, State: "ready", Inflight: e.inflight, Failures: e.total}
		if !e.until.IsZero() {
			st.State, st.Reason, st.Next = "left-out", e.why, e.until.Format(time.RFC3339)
		}
		all = append(all, st)
	}
	return all, s.problem
}
