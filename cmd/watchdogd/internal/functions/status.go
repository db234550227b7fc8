package functions

import (
	"fmt"
	"io"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
	"github.com/watchdogd/watchdogd/supervisor/swarm"
)

// Status is how a function stands.
type Status struct {
	swarm.Status
	Endpoints []modes.Endpoint
}

// current is the swarm, or nil.
func (f *Functions) current() *swarm.Swarm {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wanted
}

// Statuses returns how all functions stand.
func (f *Functions) Statuses() []Status {
	s := f.current()
	if s == nil {
		return nil
	}
	all := make([]Status, 0, 16)
	for _, one := range s.Statuses() {
		st := Status{Status: one}
		if f.o.Routes.Hidden(one.Name) {
			st.State, st.Reason = lifecycle.Unready, "a route of the file has the name "+one.Name+": it gets the calls of service "+one.Service
		}
		f.mu.Lock()
		h := f.handlers[one.Name]
		f.mu.Unlock()
		switch answer := h.Handler.(type) {
		case *answerer:
			if answer.function.Service() == one.Service {
				st.Endpoints = answer.endpoints()
			}
		case refused:
			st.State, st.Reason = lifecycle.Unready, answer.why.Error()
		}
		all = append(all, st)
	}
	return all
}

// Ready returns why the functions cannot be served yet, or nil.
func (f *Functions) Ready() error {
	s := f.current()
	if s == nil {
		return nil
	}
	if err := s.Ready(); err != nil {
		return &failure.Error{Kind: failure.NotReady, Detail: "gateway.swarm: " + err.Error(), Cause: err}
	}
	return nil
}

// Note is what is wrong with the swarm while what is known of it is served; empty is nothing.
func (f *Functions) Note() string {
	s := f.current()
	if s == nil {
		return ""
	}
	if problem := s.Problem(); problem != "" {
		return "gateway.swarm: " + problem
	}
	return ""
}

// ReadyOf returns why a function gets no calls, or nil. It is false for a name that none has.
func (f *Functions) ReadyOf(name string) (known bool, why error) {
	s := f.current()
	if s == nil {
		return false, nil
	}
	fn := s.Function(name)
	if fn == nil {
		return false, nil
	}
	one := fn.Status()
	if one.State == lifecycle.Ready || one.State == lifecycle.Idle {
		return true, nil
	}
	e := &failure.Error{Kind: failure.NotReady, Route: name, State: string(one.State), Detail: name + " is " + string(one.State)}
	if one.Reason != "" {
		e.Detail += ": " + one.Reason
	}
	if one.State == lifecycle.CrashLoop {
		e.Kind = failure.CrashLoop
	}
	return true, e
}

// Write writes the metrics of the swarm.
func (f *Functions) Write(w io.Writer) {
	s := f.current()
	if s == nil {
		return
	}
	all := s.Statuses()
	one := func(name, kind, help string, value any) {
		metrics.Family(w, name, kind, help)
		fmt.Fprintf(w, "%s %v\n", name, value)
	}
	up := 1
	if s.Lost() {
		up = 0
	}
	one("watchdogd_swarm_up", "gauge", "1 if the Docker Engine can be used, 0 if what is known of its services is served without it", up)
	one("watchdogd_swarm_functions", "gauge", "services of the swarm that are functions", len(all))
	one("watchdogd_swarm_events_total", "counter", "events that the Docker Engine has sent", s.Events())
	scaler, holds := s.Scaler(), 0
	if scaler.Holds {
		holds = 1
	}
	one("watchdogd_swarm_scaler", "gauge", "1 for the gateway that scales the functions, 0 for the others", holds)
	metrics.Family(w, "watchdogd_swarm_updates_total", "counter", "numbers of replicas that were sent to the Docker Engine, by what it answered")
	for _, r := range []struct {
		result string
		n      uint64
	}{{"done", scaler.Done}, {"conflict", scaler.Conflicts}, {"refused", scaler.Refused}} {
		fmt.Fprintf(w, "watchdogd_swarm_updates_total{result=%q} %d\n", r.result, r.n)
	}
	each := func(name, help string, value func(swarm.Status) int) {
		metrics.Family(w, name, "gauge", help)
		for _, st := range all {
			fmt.Fprintf(w, "%s{function_name=%q,service=%q} %d\n", name, st.Name, st.Service, value(st))
		}
	}
	each("watchdogd_function_tasks", "tasks of a function that take calls", func(st swarm.Status) int { return st.Tasks })
	each("watchdogd_function_replicas", "tasks that a function should have", func(st swarm.Status) int { return st.Replicas })
	each("watchdogd_function_up", "1 for a function that answers calls or is started by one, 0 for one that cannot", func(st swarm.Status) int {
		if st.State == lifecycle.Ready || st.State == lifecycle.Idle {
			return 1
		}
		return 0
	})
}
