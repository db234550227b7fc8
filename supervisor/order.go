package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/internal/cycles"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
)

// awaitDependencies waits until all that the slot's process depends on is as it should
// be, and reports false when the slot is to leave before that. What it waits for is
// shown in its state.
func (s *slot) awaitDependencies() bool {
	for {
		why, givenUp, changed := s.unmet()
		if why == "" {
			select {
			case <-s.leave:
				return false
			default:
				return true
			}
		}
		s.waitsFor(why, givenUp)
		if !untilAny(s.leave, changed) {
			return false
		}
	}
}

// untilAny waits until one of changed is closed, and reports false when stop is before.
func untilAny(stop <-chan struct{}, changed []<-chan struct{}) bool {
	cases := make([]reflect.SelectCase, 0, len(changed)+1)
	for _, c := range append([]<-chan struct{}{stop}, changed...) {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)})
	}
	chosen, _, _ := reflect.Select(cases)
	return chosen > 0
}

// unmet is what the slot waits for first, whether that was given up, and channels of which
// one is closed when it may be different.
func (s *slot) unmet() (why string, givenUp bool, changed []<-chan struct{}) {
	return s.p.sup.unmet(s.current().Process.DependsOn)
}

// Await waits until the processes that on names are as it asks, for a route whose
// processes live for one call. When ctx ends first, or one of them was given up, the error
// is a sentence of what was waited for.
func (s *Supervisor) Await(ctx context.Context, on schema.Dependencies) error {
	for {
		why, givenUp, changed := s.unmet(on)
		if why == "" {
			return nil
		}
		if givenUp {
			return errors.New("it waits for " + why)
		}
		if !untilAny(ctx.Done(), changed) {
			return errors.New("it waits for " + why)
		}
	}
}

// unmet is the first of on that was given up or, without one, the first that is not as it
// should be, whether it was given up, and channels of which one is closed when it may be
// different.
func (s *Supervisor) unmet(on schema.Dependencies) (why string, givenUp bool, changed []<-chan struct{}) {
	names := make([]string, 0, len(on))
	for n := range on {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		// One that is not supervised has nothing to wait for.
		if d := s.Process(n); d != nil {
			w, lost, c := d.meets(on[n])
			if w == "" {
				continue
			}
			changed = append(changed, c)
			if why == "" || lost && !givenUp {
				why, givenUp = w, lost
			}
		}
	}
	return why, givenUp, changed
}

// meets is empty when the process meets a condition of depends_on, and otherwise says
// why it does not, and whether the process has been given up, with a channel that is
// closed when that may have changed.
func (p *Process) meets(condition string) (why string, givenUp bool, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	state := p.state()
	ended := state == lifecycle.Exited && p.last != nil && p.last.exit.OK()
	met := false
	switch condition {
	case "completed":
		met = ended
	case "started":
		met = ended || state == lifecycle.Idle || slices.ContainsFunc(p.slots, func(s *slot) bool { return s.lives > 0 })
	default:
		met = state == lifecycle.Ready || state == lifecycle.Idle
	}
	if met {
		return "", false, nil
	}
	why = fmt.Sprintf("%s to be %s", p.name, condition)
	waiting := slices.IndexFunc(p.slots, func(s *slot) bool { return s.state == lifecycle.Waiting && s.why != "" })
	if state == lifecycle.Waiting && waiting >= 0 {
		why += whichWaitsFor + root(p.slots[waiting].why)
	} else {
		why += fmt.Sprintf(", whose state is %s", state)
	}
	if (state == lifecycle.Exited || state == lifecycle.Backoff || state == lifecycle.CrashLoop) && p.last != nil {
		why += " (" + p.last.why + ")"
	}
	// What waits for something that was given up is given up with it.
	return why, p.hopeless() != nil, p.nextChange()
}

// whichWaitsFor joins what a process waits for to what that waits for itself.
const whichWaitsFor = ", which waits for "

// root is the end of a chain of processes that wait for each other: what has to be mended. The
// sentence does not grow with the chain.
func root(why string) string { return why[strings.LastIndex(whichWaitsFor+why, whichWaitsFor):] }

// dependents returns for each process those that depend on it.
func dependents(ps []*Process) map[*Process][]*Process {
	byName := make(map[string]*Process, len(ps))
	for _, p := range ps {
		byName[p.name] = p
	}
	users := make(map[*Process][]*Process, len(ps))
	for _, p := range ps {
		for n := range p.current().Process.DependsOn {
			if d := byName[n]; d != nil && d != p {
				users[d] = append(users[d], p)
			}
		}
	}
	return users
}

// cycle is the names of specs that depend on each other in a circle, or nil.
func cycle(specs []Spec) []string {
	names, needs := make([]string, len(specs)), make(map[string]schema.Dependencies, len(specs))
	for i, s := range specs {
		names[i], needs[s.Name] = s.Name, s.Process.DependsOn
	}
	found := cycles.Find(names, func(name string) []string { return slices.Sorted(maps.Keys(needs[name])) })
	if len(found) == 0 {
		return nil
	}
	return found[0]
}
