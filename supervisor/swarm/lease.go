package swarm

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/supervisor/swarm/engine"
)

// Of several gateways one scales: the one whose ID is in a label of a config of the swarm. The
// engine changes a config only in the version that was read, so that of two who want the
// lease one gets it. The holder changes a counter in another label; who sees no change for a
// time of its own clock takes the lease over. No two clocks are compared.
const (
	// renewEvery is how often the holder renews the lease, and how often the others look.
	renewEvery = 2 * time.Second
	// heldFor is how long the lease is held after the renewal was begun: shorter than expiry,
	// by which the others count from when they saw it.
	heldFor = 5 * time.Second
	expiry  = 7 * time.Second
	// leaseBound is how long one look or renewal may take.
	leaseBound = 3 * time.Second

	holderLabel = "watchdogd.holder"
	beatLabel   = "watchdogd.beat"
)

// lease is the right to scale.
type lease struct {
	name string // of the config

	mu    sync.Mutex
	until time.Duration // held until then, by Swarm.now; 0 is not

	// Of keepLease alone.
	version uint64        // that was seen last
	seen    time.Duration // when it was seen first
}

// leaseName is the name of the config; gateways of different labels have one each.
func leaseName(label string) string {
	if label == "watchdogd.function" {
		return "watchdogd-scaler"
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(label)) // it cannot fail
	return fmt.Sprintf("watchdogd-scaler-%08x", h.Sum32())
}

// holds reports whether the lease is held at now.
func (l *lease) holds(now time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return now < l.until
}

func (l *lease) set(until time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = until
}

// keepLease holds or seeks the lease, and exchanges with the other gateways what each needs,
// until ctx ends. Without a function that is scaled it asks the engine for nothing.
func (s *Swarm) keepLease(ctx context.Context) {
	for {
		pause := renewEvery
		if s.scales() && !s.down.Load() {
			held := s.lease.holds(s.now())
			if err := s.renew(ctx); err != nil && ctx.Err() == nil {
				s.o.Log.Warn("the lease of the scaling is not renewed", "config", s.lease.name, "error", err.Error())
			}
			if err := s.exchange(ctx); err != nil && ctx.Err() == nil {
				s.o.Log.Warn("what functions need is not exchanged with the other gateways", "error", err.Error())
			}
			if now := s.lease.holds(s.now()); now != held {
				s.o.Log.Info("scaling", "by", map[bool]string{true: "this gateway", false: "another gateway"}[now], "config", s.lease.name)
				wake(s.measure)
			}
		}
		if !s.rest(ctx, pause) {
			break
		}
	}
	s.giveBack(context.WithoutCancel(ctx))
}

// rest waits for pause, or until another gateway or a function needs something. It returns
// false when ctx has ended.
func (s *Swarm) rest(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-s.leasing:
		least := time.NewTimer(leasingLeast)
		defer least.Stop()
		select {
		case <-ctx.Done():
		case <-least.C:
		}
	}
	return ctx.Err() == nil
}

// leasingLeast is the time between two looks, however much changes.
const leasingLeast = 100 * time.Millisecond

// scales reports whether there is a function that is scaled.
func (s *Swarm) scales() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.order {
		if f.settings.Scaled {
			return true
		}
	}
	return false
}

// config returns the config of the lease, or nil.
func (s *Swarm) config(ctx context.Context) (found *engine.Config, err error) {
	err = s.o.Engine.Configs(ctx, engine.Filter{"name": {s.lease.name}}, func(c *engine.Config) {
		if c.Spec.Name == s.lease.name { // a filter of names takes beginnings
			found = c
		}
	})
	return found, err
}

// renew renews the lease, or takes one that is free.
func (s *Swarm) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseBound)
	defer cancel()
	l := &s.lease
	began := s.now()
	if l.holds(began) && began-l.seen < renewEvery-leasingLeast {
		return nil // it was renewed a moment ago
	}
	is, err := s.config(ctx)
	if err != nil {
		return err
	}
	mine := map[string]string{holderLabel: s.o.ID, beatLabel: "1"}
	if is == nil {
		if err := s.o.Engine.CreateConfig(ctx, l.name, mine); err != nil {
			if engine.IsConflict(err) {
				return nil // another was faster
			}
			return err
		}
		l.set(began + heldFor)
		l.seen = began
		return nil
	}
	holder := is.Spec.Labels[holderLabel]
	if is.Version.Index != l.version {
		l.version, l.seen = is.Version.Index, began
	}
	if holder != s.o.ID && holder != "" && began-l.seen < expiry {
		l.set(0)
		return nil
	}
	beat, _ := strconv.ParseUint(is.Spec.Labels[beatLabel], 10, 64) // it only has to change
	mine[beatLabel] = strconv.FormatUint(beat+1, 10)
	if err := s.o.Engine.UpdateConfig(ctx, is, mine); err != nil {
		if engine.IsConflict(err) {
			l.set(0)
			return nil // another was faster
		}
		return err
	}
	l.set(began + heldFor)
	l.seen = began
	return nil
}

// giveBack frees the lease, so that another gateway scales at once, and takes back what this one
// needed.
func (s *Swarm) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaseBound)
	defer cancel()
	if s.down.Load() {
		return
	}
	s.withdraw(ctx)
	if !s.lease.holds(s.now()) {
		return
	}
	s.lease.set(0)
	if is, err := s.config(ctx); err == nil && is != nil && is.Spec.Labels[holderLabel] == s.o.ID {
		_ = s.o.Engine.UpdateConfig(ctx, is, map[string]string{holderLabel: "", beatLabel: is.Spec.Labels[beatLabel]}) // else it expires
	}
}
