// Package health answers the probes of watchdogd, and keeps its lock file.
package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// Health is what the probes of a watchdogd are answered from.
type Health struct {
	schema.Health // of the first configuration, whose lock file it is to the end

	Log        *slog.Logger
	Supervisor *supervisor.Supervisor
	Config     func() *schema.Config // the current one
	Functions  Functions             // of gateway.swarm; nil is none

	draining atomic.Bool
}

// Functions are those that an engine runs.
type Functions interface {
	// Ready returns why none can be served yet, or nil.
	Ready() error
	// ReadyOf returns whether a function has the name, and why it gets no calls, or nil.
	ReadyOf(name string) (known bool, why error)
}

// Drain turns readiness off, for good.
func (h *Health) Drain() { h.draining.Store(true) }

// Leave is Drain, and the end of the lock file.
func (h *Health) Leave() {
	h.Drain()
	h.Unlock()
}

// Ready returns why the stack should get no requests or, with a name, why that route or
// service cannot answer; nil means ready.
//
// The stack is ready when each process is ready, idle by design, ended as meant, or
// in a crash loop, with "then: degrade".
func (h *Health) Ready(name string) error {
	if h.draining.Load() {
		return &failure.Error{Kind: failure.Draining, Detail: "watchdogd is stopping"}
	}
	if err := h.Unlocked(); err != nil && name == "" {
		return err
	}
	if name == "" {
		for _, s := range h.Supervisor.Standing() {
			if !asMeant(s) {
				return notReady(s)
			}
		}
		if h.Functions != nil {
			return h.Functions.Ready()
		}
		return nil
	}
	if p := h.Supervisor.Process(name); p != nil {
		if s := p.Standing(); s.State != supervisor.Ready && s.State != supervisor.Idle {
			return notReady(s)
		}
		return nil
	}
	routes := h.Config().Routes
	for i := range routes {
		if r := &routes[i]; r.Name == name {
			return h.couldAnswer(r)
		}
	}
	if h.Functions != nil {
		if known, why := h.Functions.ReadyOf(name); known {
			return why
		}
	}
	return &failure.Error{Kind: failure.NoRoute, Detail: fmt.Sprintf("no route or service is named %q", name)}
}

// Unlocked returns why "live: lock" takes the server for dead, nil if it does not.
func (h *Health) Unlocked() error {
	switch {
	case h.Live != "lock":
	case h.draining.Load():
		return errors.New("watchdogd is stopping")
	case h.LockFile != "":
		if _, err := os.Lstat(h.LockFile); err != nil {
			return fmt.Errorf("the lock file %s is missing", h.LockFile)
		}
	}
	return nil
}

// couldAnswer returns why a route without a process of its own could not answer.
func (h *Health) couldAnswer(r *schema.Route) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // the next probe asks again
	defer cancel()
	e := &failure.Error{Kind: failure.NotReady, Route: r.Name}
	switch {
	case r.Mode.Traits().Elsewhere:
		var err error
		for _, up := range r.Upstream.All(schema.Vars{Name: r.Name}) { // one of them is enough
			var c net.Conn
			if c, err = new(net.Dialer).DialContext(ctx, up.Network, up.Address); err == nil {
				return c.Close()
			}
		}
		e.Detail = "its upstream takes no connection"
		e.Local = r.Upstream.String()
		if err != nil {
			e.Local = err.Error()
		}
		e.Cause = err
		return e
	case r.Forks():
		ended, end := context.WithCancel(ctx)
		end()
		if err := h.Supervisor.Await(ended, r.DependsOn); err != nil {
			e.State, e.Detail = string(supervisor.Waiting), err.Error()
			return e
		}
	}
	return nil
}

// asMeant reports whether a process is where its configuration wants it.
func asMeant(s supervisor.Status) bool {
	switch s.State {
	case supervisor.Ready, supervisor.Idle, supervisor.CrashLoop:
		return true
	case supervisor.Exited:
		return s.LastExit == child.Exit{}.String()
	}
	return false
}

func notReady(s supervisor.Status) error {
	kind := failure.NotReady
	if s.State == supervisor.CrashLoop {
		kind = failure.CrashLoop
	}
	e := &failure.Error{Kind: kind, Route: s.Name, State: string(s.State), Detail: s.Name + " is " + string(s.State)}
	if s.Reason != "" {
		e.Cause = errors.New(s.Reason)
		e.Local = s.Reason // it may name addresses, and hold what a program printed
	}
	if s.NextStart != nil {
		e.NextStart = *s.NextStart
	}
	return e
}
