package swarm

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
	"github.com/watchdogd/watchdogd/supervisor/swarm/engine"
)

const (
	// measureEvery is how often the calls in flight are measured while there are any, or a
	// function has more tasks than its least.
	measureEvery = 250 * time.Millisecond
	// measureLeast is the time between two measures, however many calls come.
	measureLeast = 20 * time.Millisecond
	// stepEvery is the time between two steps down: the one before has reached all gateways.
	stepEvery = 2 * time.Second
	// firstRefusal and mostRefusal are how long after a refused update another is tried.
	firstRefusal = time.Second
	mostRefusal  = 30 * time.Second
	// unheard is how long calls at a gateway without the lease wait for the first task before that
	// gateway has it started: the holder may be gone, which shows only after expiry.
	unheard = time.Second
	// updateBound is how long an update may take.
	updateBound = 15 * time.Second
)

// scaling is what the scaling remembers of a function. The mutex of Swarm guards it.
type scaling struct {
	demand  lifecycle.Demand
	seeded  bool          // demand knows how many tasks there were at first
	again   time.Duration // not before this
	rest    time.Duration // without a call nothing changes before this
	pause   time.Duration // after the last refusal
	problem string        // why the engine did not do it
	asked   time.Duration // calls wait since then for a first task of another gateway; 0 is none do
}

// keepScale keeps the replicas of the functions with watchdogd.max as the calls in flight
// want them until ctx ends. The gateway that holds the lease does that; the others let it know
// what they need. They scale from 0 to 1 alone, when the holder does not for a while: that two do
// so does no harm, since the engine takes an update only in the version that was read.
func (s *Swarm) keepScale(ctx context.Context) {
	for ctx.Err() == nil {
		active := s.scaleAll(ctx)
		pause := measureEvery
		if !active {
			pause = 4 * measureEvery
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.measure:
			least := time.NewTimer(measureLeast)
			select {
			case <-ctx.Done():
			case <-least.C:
			}
			least.Stop()
		}
		timer.Stop()
	}
}

// scaleAll decides on every function once. It reports whether one is called, or has more
// tasks than its least.
func (s *Swarm) scaleAll(ctx context.Context) (active bool) {
	holds := s.lease.holds(s.now())
	now := time.Now()
	var steps []step
	s.mu.Lock()
	for _, f := range s.order {
		if !f.settings.Scaled {
			continue
		}
		if holds {
			f.scaling.asked = 0
		} else if one, ok := f.unheard(s.now()); ok {
			steps = append(steps, one)
		}
		peak := f.peak.Swap(f.inflight.Load())
		s.needs.note(f, peak)
		calls := int(peak) + s.others.calls(f.ID, s.now())
		if calls == 0 && f.replicas == uint64(f.settings.Replicas.Min) {
			continue
		}
		active = true
		if calls == 0 && f.scaling.seeded && s.now() < f.scaling.rest && holds {
			continue
		}
		if !holds || s.down.Load() || f.settings.Problem != "" {
			f.scaling.seeded = false
			continue
		}
		if one, ok := f.decide(calls, now); ok {
			steps = append(steps, one)
		}
	}
	s.mu.Unlock()
	for _, one := range steps {
		s.scale(ctx, one)
	}
	return active
}

// unheard returns the step to the first task of f, for which calls wait at this gateway, which
// does not hold the lease, when the holder did not do it in time. It is called with the mutex held.
func (f *Function) unheard(now time.Duration) (step, bool) {
	sc := &f.scaling
	if f.replicas > 0 {
		sc.problem = "" // the holder sees to all else
	}
	switch {
	case f.replicas > 0 || f.waiting == 0 || f.settings.Problem != "" || f.swarm.down.Load():
		sc.asked = 0
	case sc.asked == 0:
		sc.asked = now
	case now-sc.asked >= f.swarm.unheard && now >= sc.again:
		return step{f, 0, 1}, true
	}
	return step{}, false
}

// step is one change of the replicas.
type step struct {
	f        *Function
	from, to uint64
}

// decide returns what to do about f, which has so many calls at the gateways. It is called with
// the mutex held.
func (f *Function) decide(calls int, now time.Time) (step, bool) {
	r, sc := f.settings.Replicas, &f.scaling
	if !sc.seeded { // the tasks that there are were needed until now
		sc.seeded = true
		if n := int(f.replicas); n > 0 {
			_, _, sc.demand = lifecycle.Scale(r, sc.demand, max(1, (n-1)*max(r.Target, 1)), now)
		}
	}
	want, again := r.Min, time.Duration(0)
	if r.Min < r.Max {
		want, again, sc.demand = lifecycle.Scale(r, sc.demand, calls, now)
	}
	at := f.swarm.now()
	sc.rest = at
	if want == int(f.replicas) {
		sc.rest += again
	}
	switch is := int(f.replicas); {
	case want == is || at < sc.again:
		return step{}, false
	case f.updating && (want < is || f.usable.Load() > 0):
		// An update of the service meanwhile would take the last one's way back from the engine.
		return step{}, false
	case want < is:
		return step{f, f.replicas, f.replicas - 1}, true
	default:
		return step{f, f.replicas, uint64(want)}, true
	}
}

// scale has the engine do a step.
func (s *Swarm) scale(ctx context.Context, one step) {
	ctx, cancel := context.WithTimeout(ctx, updateBound)
	defer cancel()
	f := one.f
	var read *engine.Service
	done, err := s.o.Engine.Scale(ctx, f.ID, func(is *engine.Service) (uint64, bool) {
		read = is
		n, scalable := is.Replicas()
		up := one.to > one.from
		switch {
		case !scalable, is.Updating() && !(up && f.usable.Load() == 0):
			return 0, false
		case up:
			return one.to, n < one.to
		case n != one.from: // it was changed meanwhile: the next measure decides
			return 0, false
		}
		return one.to, f.inflight.Load() == 0 || one.to > 0
	})
	if ctx.Err() != nil && err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sc := &f.scaling
	switch {
	case engine.IsConflict(err):
		s.updates.conflicts++
		sc.again = s.now() + measureEvery
	case err != nil:
		s.updates.refused++
		sc.pause = min(max(2*sc.pause, firstRefusal), mostRefusal)
		sc.again = s.now() + sc.pause
		problem := fmt.Sprintf("the engine does not scale service %s from %d to %d: %s", f.service, one.from, one.to, strings.TrimSpace(err.Error()))
		if problem != sc.problem {
			s.o.Log.Error("function not scaled", "function", f.settings.Name, "from", one.from, "to", one.to, "error", err.Error())
		}
		sc.problem = problem
		f.announce()
	case done:
		s.updates.done++
		s.o.Log.Info("function scaled", "function", f.settings.Name, "service", f.service, "from", one.from, "to", one.to)
		sc.pause, sc.problem = 0, ""
		if one.to < one.from {
			sc.again = s.now() + stepEvery
		}
		f.became(one.to)
	case read != nil: // another has changed it
		if n, ok := read.Replicas(); ok {
			f.became(n)
		}
		sc.again = s.now() + measureEvery
	}
}

// became notes that f should have n tasks now. It is called with the mutex held.
func (f *Function) became(n uint64) {
	f.replicas, f.dirty = n, true
	if n > 0 && f.usable.Load() == 0 {
		f.unsettled = f.swarm.now()
	}
	f.announce()
	wake(f.swarm.look)
}

// updates counts what the engine said to updates. The mutex of Swarm guards it.
type updates struct{ done, conflicts, refused uint64 }

// Scaler is how the scaling stands, for the metrics.
type Scaler struct {
	Holds                    bool // this gateway scales
	Done, Conflicts, Refused uint64
}

// Scaler returns how the scaling stands.
func (s *Swarm) Scaler() Scaler {
	holds := s.lease.holds(s.now())
	s.mu.Lock()
	defer s.mu.Unlock()
	return Scaler{holds, s.updates.done, s.updates.conflicts, s.updates.refused}
}
