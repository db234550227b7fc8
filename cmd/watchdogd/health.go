package main

import (
	"net/http"

	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

// handler is the main handler: health and readiness first, then the current table.
func (d *daemon) handler() http.Handler {
	return routes.Health{Ready: d.ready, Next: d.live}
}

// ready reports whether the stack is ready, or with a name whether that route or
// service can answer; known is false for a name that nothing has.
//
// The stack is ready when each process is ready, idle by design, ended as meant, or
// in a crash loop with "then: degrade".
func (d *daemon) ready(name string) (ok, known bool, why string) {
	if d.leavingNow.Load() {
		return false, true, "draining"
	}
	cfg := d.current.config()
	if name == "" {
		for _, s := range d.supervisor.Status() {
			if !restsOrServes(s) {
				return false, true, s.Name + " is " + s.State.String()
			}
		}
		return true, true, ""
	}
	for _, s := range d.supervisor.Status() {
		if s.Name == name {
			return answers(s), true, s.State.String()
		}
	}
	for i := range cfg.Routes {
		if cfg.Routes[i].Name == name {
			return true, true, "" // no process of its own: it answers as long as watchdogd does
		}
	}
	return false, false, ""
}

// restsOrServes reports whether a process is where it is meant to be.
func restsOrServes(s supervisor.Status) bool {
	switch s.State {
	case supervisor.Ready, supervisor.Idle, supervisor.CrashLoop:
		return true
	case supervisor.Exited:
		return s.LastExit == nil || s.LastExit.OK()
	}
	return false
}

// answers reports whether a call would be answered now, or after the start that it
// causes.
func answers(s supervisor.Status) bool {
	return s.State == supervisor.Ready || s.State == supervisor.Idle
}

var _ = schema.Config{}
