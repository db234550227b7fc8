package routes

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/metrics"
)

// Functions are routes that come and go while tables are used, such as the services of a
// swarm. The gateway finds them by their names, and no path does. A route of the table wins
// over a function of the same name. They outlive the tables that they are in, with their
// limits and counters. A nil *Functions has none.
type Functions struct {
	metrics *metrics.Registry

	mu     sync.RWMutex
	byName map[string]*route
	former []*route        // replaced or removed; they may still have calls
	routes map[string]bool // names of the current table
	why    func() error    // see Explain; nil is none
}

// NewFunctions returns no functions yet.
func NewFunctions(m *metrics.Registry) *Functions {
	return &Functions{metrics: m, byName: map[string]*route{}}
}

// Explain has why asked when a call names no route and no function: its error, that they are
// not known yet, is the answer then. It is nil when the name is just wrong.
func (f *Functions) Explain(why func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.why = why
}

// unknown is what Explain's function says, or nil.
func (f *Functions) unknown() *failure.Error {
	if f == nil {
		return nil
	}
	f.mu.RLock()
	why := f.why
	f.mu.RUnlock()
	if why == nil {
		return nil
	}
	var e *failure.Error
	errors.As(why(), &e)
	return e
}

// Put makes e the function of its name. Calls of the one before go on, in their places.
func (f *Functions) Put(e Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := e.Route.Name
	rt := newRoute(e.Route, e.Handler, f.metrics)
	rt.timed = false
	rt.auth = e.Auth
	rt.function.count = f.metrics.Function(name)
	if old := f.byName[name]; old != nil {
		old.limiter.resize(rt.limiter.limit, rt.limiter.room)
		rt.limiter = old.limiter
		rt.rate.adopt(old.rate)
	}
	f.byName[name] = rt
}

// Remove takes the function of a name out. Its calls go on.
func (f *Functions) Remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rt := f.byName[name]
	if rt == nil {
		return
	}
	delete(f.byName, name)
	f.former = slices.DeleteFunc(f.former, func(rt *route) bool { return rt.limiter.empty() })
	if !rt.limiter.empty() {
		f.former = append(f.former, rt)
	}
	if !f.routes[name] {
		f.metrics.Forget(name)
	}
}

// Hidden reports whether a route of the current table has the name.
func (f *Functions) Hidden(name string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.routes[name]
}

// beside notes the routes of the current table, and returns the names of the functions.
func (f *Functions) beside(all []*route) (names []string) {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routes = make(map[string]bool, len(all))
	for _, rt := range all {
		f.routes[rt.name] = true
	}
	for name := range f.byName {
		names = append(names, name)
	}
	return names
}

// named returns the function of a name, or nil.
func (f *Functions) named(name string) *route {
	if f == nil {
		return nil
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.byName[name]
}

// like returns names that name may be meant to be, at most some: what a wrong name costs must
// not grow with the functions.
func (f *Functions) like(name string) (names []string) {
	const most, many = 500, 1000
	if f == nil || name == "" {
		return nil
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	few := len(f.byName) <= most
	for n := range f.byName {
		if few || len(names) < many && strings.HasPrefix(n, name[:1]) && abs(len(n)-len(name)) < 3 {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

func abs(n int) int { return max(n, -n) }

// calls returns every function that may have calls.
func (f *Functions) calls() (all []*route) {
	if f == nil {
		return nil
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, rt := range f.byName {
		all = append(all, rt)
	}
	return append(all, f.former...)
}

// all yields the routes of t, and then the functions that are found beside them.
func (t *Table) all() iter.Seq[*route] {
	return func(yield func(*route) bool) {
		for _, rt := range t.routes {
			if !yield(rt) {
				return
			}
		}
		for _, rt := range t.opt.Functions.calls() {
			if !yield(rt) {
				return
			}
		}
	}
}
