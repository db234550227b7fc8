package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/modes/proxy/endpoint"
	"github.com/watchdogd/watchdogd/schema"
)

// nearby is how long an endpoint may take to accept a connection, and to acknowledge what
// was sent to it, where another one could have the call instead: its host is gone. A lost
// SYN is sent again after 1 s. The system counts from the first repetition, which follows
// after 0.2 to 0.4 s: an endpoint is out within 2 s.
const nearby = 1200 * time.Millisecond

// mostTries is how many endpoints a call tries.
const mostTries = 10

// newElsewhere returns the servers of a route that are run elsewhere. They share all but
// their addresses.
func newElsewhere(route *schema.Route, d Deps, log *slog.Logger) *endpoint.Set {
	all := route.Upstream.All(schema.Vars{Name: route.Name})
	o := endpoint.Options{Route: route.Name, Network: all[0].Network, Resolver: d.Resolver, Log: d.Log}
	if d.Tasks != nil {
		o.Again = d.Tasks.Suspect
	} else {
		for _, at := range all {
			o.Addresses = append(o.Addresses, at.Address)
		}
	}
	written := all[0].Address
	o.Make = func(address string) io.Closer {
		at, name := all[0], address
		at.Address = address
		if len(all) == 1 && address == written { // as an operator wrote it
			name = route.Upstream.String()
		}
		var patience time.Duration
		if len(all) > 1 || address != written || d.Tasks != nil {
			patience = nearby
		}
		return newUpstream(name, at, patience, log)
	}
	p := &route.Live
	if p.Empty() {
		p = &route.Ready
	}
	if !p.Empty() {
		o.Interval, o.Failures = p.Interval.D(), p.Failures
		if o.Interval == 0 {
			o.Interval = 2 * time.Second
		}
		o.Probe = prober(p, all[0])
	}
	return endpoint.New(o)
}

// prober asks an endpoint for the path of the probe, or for a connection.
func prober(p *schema.Probe, at schema.Endpoint) func(context.Context, string) error {
	path := string(p.HTTP)
	return func(ctx context.Context, address string) error {
		ctx, cancel := context.WithTimeout(ctx, p.Timeout.D())
		defer cancel()
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, at.Network, address)
		}
		if path == "" {
			c, err := dial(ctx, "", "")
			if err != nil {
				return err
			}
			return c.Close()
		}
		t := &http.Transport{DialContext: dial, DisableKeepAlives: true, Protocols: new(http.Protocols)}
		t.Protocols.SetHTTP1(!at.H2C)
		t.Protocols.SetUnencryptedHTTP2(at.H2C)
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.Host+at.BasePath+path, nil)
		if err != nil {
			return err
		}
		response, err := t.RoundTrip(request)
		if err != nil {
			return err
		}
		_ = response.Body.Close() // it is not read
		if response.StatusCode >= 400 {
			return fmt.Errorf("GET %s: %s", path, response.Status)
		}
		return nil
	}
}

// Endpoints returns the servers of a route that are run elsewhere, and why its name could
// not be resolved. The name of the route is empty where it has a process.
func (p *proxy) Endpoints() (route string, all []endpoint.Status, problem string) {
	if p.elsewhere == nil {
		return "", nil, ""
	}
	all, problem = p.elsewhere.Status()
	return p.route.Name, all, problem
}

// attemptElsewhere passes the call to one endpoint.
func (c *attempts) attemptElsewhere() error {
	e, err := c.acquireElsewhere()
	if err != nil {
		if _, ok := errors.AsType[*failure.Error](err); ok || c.r.Context().Err() != nil {
			return err
		}
		return &failure.Error{Kind: failure.NotReady, Detail: "the upstream has no address", Local: err.Error(), Cause: err, RetryAfter: time.Second}
	}
	err = c.over(e.Value.(*upstream))
	e.Release(c.answered)
	if err != nil && c.toBlame(err) {
		c.tried = append(c.tried, e)
		e.Fails(err)
	}
	return err
}

// acquireElsewhere takes an endpoint, for which tasks are waited for.
func (c *attempts) acquireElsewhere() (*endpoint.Endpoint, error) {
	for {
		if c.Tasks != nil {
			if err := c.awaitTask(); err != nil {
				return nil, err
			}
		}
		e, err := c.elsewhere.Acquire(c.r.Context(), c.tried)
		if err == nil || c.Tasks == nil || len(c.tried) > 0 || !pause(c.r.Context(), time.Millisecond) {
			return e, err // else the last task has gone in this moment
		}
	}
}

// Tasks are the servers of a route that an engine runs and replaces. There may be none for a
// while: the first call has one started.
type Tasks interface {
	// Await returns when a task takes calls. The error is a *failure.Error, or the cause of
	// the end of ctx. Wait bounds it; start is how long a task may take to start, 0 without a bound.
	Await(ctx context.Context, wait, start time.Duration) error
	// Follow calls become with the addresses of the tasks that take calls, now and at each change,
	// until stop. Become must not wait.
	Follow(become func(addresses []string)) (stop func())
	// Suspect has the engine be asked again: a task failed. It must not wait.
	Suspect()
}

// awaitTask waits until a task takes calls, as long as timeouts.queue allows.
func (c *attempts) awaitTask() error {
	began := time.Now()
	if queue := c.route.Timeouts.Queue.D(); queue > 0 && c.patience.IsZero() {
		c.patience = began.Add(queue - c.call.Waited())
	}
	wait := time.Duration(math.MaxInt64)
	if !c.patience.IsZero() {
		wait = max(c.patience.Sub(began), 0)
	}
	err := c.Tasks.Await(c.r.Context(), wait, c.route.Timeouts.Start.D())
	c.call.WaitedSince(began, "wait for task")
	return err
}

const (
	// replaced is how long an engine may take to notice that a task refuses connections.
	replaced = 3 * time.Second
	// replacedPause is between two attempts meanwhile.
	replacedPause = 50 * time.Millisecond
)

// untilReplaced holds a call that no task took: the engine will replace those that ended, which
// it does not know yet. It reports whether to try again.
func (c *attempts) untilReplaced() bool {
	now := time.Now()
	if c.failing.IsZero() {
		c.failing = now
	}
	if now.Sub(c.failing) > replaced || !c.patience.IsZero() && now.After(c.patience) {
		return false
	}
	c.tried = nil
	return pause(c.r.Context(), replacedPause)
}

// toBlame reports whether an attempt failed because of its endpoint: it refused, or broke
// the connection before it answered. An idle connection that was closed meanwhile says
// nothing.
func (c *attempts) toBlame(err error) bool {
	if c.answered || c.begun || c.ended() != nil {
		return false
	}
	if _, ok := errors.AsType[*failure.Error](err); ok {
		return false
	}
	if _, ok := errors.AsType[goneError](err); ok {
		return false
	}
	return !c.reused || isTimeout(err)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// againElsewhere reports whether another endpoint may have the call: if nothing of it reached
// the last one or, once, if it does no harm to send it twice.
func (c *attempts) againElsewhere() bool {
	if c.Tasks != nil && !c.reached && len(c.tried) > 0 && !c.elsewhere.More(c.tried) {
		return c.untilReplaced()
	}
	if len(c.tried) == 0 || len(c.tried) >= mostTries || !c.elsewhere.More(c.tried) {
		return false
	}
	if !c.reached {
		return true
	}
	if c.repeated || !http1.Idempotent(c.r.Method) {
		return false
	}
	c.repeated = true
	return true
}
