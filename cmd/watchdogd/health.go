package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// ready returns why the stack should get no requests or, with a name, why that route or
// service cannot answer; nil means ready.
//
// The stack is ready when each process is ready, idle by design, ended as meant, or
// in a crash loop, with "then: degrade".
func (d *daemon) ready(name string) error {
	if d.draining.Load() {
		return &failure.Error{Kind: failure.Draining, Detail: "watchdogd is stopping"}
	}
	if err := d.unlocked(); err != nil && name == "" {
		return err
	}
	if name == "" {
		for _, s := range d.supervisor.Standing() {
			if !asMeant(s) {
				return notReady(s)
			}
		}
		return nil
	}
	if p := d.supervisor.Process(name); p != nil {
		if s := p.Standing(); s.State != supervisor.Ready && s.State != supervisor.Idle {
			return notReady(s)
		}
		return nil
	}
	for i := range d.current.config().Routes {
		if r := &d.current.config().Routes[i]; r.Name == name {
			return d.couldAnswer(r)
		}
	}
	return &failure.Error{Kind: failure.NoRoute, Detail: fmt.Sprintf("no route or service is named %q", name)}
}

// unlocked returns why "live: lock" takes the server for dead, nil if it does not.
func (d *daemon) unlocked() error {
	health := d.health
	switch {
	case health.Live != "lock":
	case d.draining.Load():
		return errors.New("watchdogd is stopping")
	case health.LockFile != "":
		if _, err := os.Lstat(health.LockFile); err != nil {
			return fmt.Errorf("the lock file %s is missing", health.LockFile)
		}
	}
	return nil
}

// couldAnswer returns why a route without a process of its own could not answer.
func (d *daemon) couldAnswer(r *schema.Route) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // the next probe asks again
	defer cancel()
	e := &failure.Error{Kind: failure.NotReady, Route: r.Name}
	switch {
	case r.Mode.Traits().Elsewhere:
		up := r.Upstream.At(schema.Vars{Name: r.Name})
		c, err := new(net.Dialer).DialContext(ctx, up.Network, up.Address)
		if err == nil {
			return c.Close()
		}
		e.Detail = "its upstream takes no connection"
		e.Local = r.Upstream.String()
		e.Cause = err
		return e
	case r.Forks():
		ended, end := context.WithCancel(ctx)
		end()
		if err := d.supervisor.Await(ended, r.DependsOn); err != nil {
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
