package supervisor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/internal/sleep"

	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
	"github.com/watchdogd/watchdogd/supervisor/probe"
	"github.com/watchdogd/watchdogd/supervisor/why"
)

// watchReady makes the instance ready when its probe says so, and then unready and
// ready again as a probe with an interval says. It returns when the instance was not
// ready in time, or ctx ended.
func (i *Instance) watchReady(ctx context.Context) error {
	r := i.spec
	if r.ready != nil {
		start, cancel := ctx, context.CancelFunc(func() {})
		if r.Start > 0 {
			start, cancel = context.WithTimeout(ctx, r.Start)
		}
		var look sync.WaitGroup
		looking, seen := context.WithCancel(start)
		look.Go(func() { i.lookAround(looking) })
		err := r.ready.UntilReady(start, i.target())
		seen()
		look.Wait()
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			d := i.stuck()
			if d.What == "" {
				d = i.unready(err)
			}
			return &late{why.Diagnosis{What: fmt.Sprintf("%v within %v (timeouts.start): %s", errLate, r.Start, d.What), Printed: d.Printed, Certain: d.Certain}}
		}
		if r.choosesPort() && i.child.LostPort(i.port) {
			return errPort // whom the probe found is not our child
		}
	}
	if r.Listens && (r.ready == nil || !r.ready.AsksOwn()) {
		i.address.Find(ctx)
	}
	if i.becomes(lifecycle.Starting, lifecycle.Ready, why.Diagnosis{}) {
		close(i.up)
	}
	if r.ready == nil || r.ready.Log != "" || r.ready.Interval <= 0 {
		<-ctx.Done()
		return nil
	}
	failures := 0
	for sleep.For(ctx, r.ready.Interval.D()) {
		err := r.ready.Ask(ctx, i.target())
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
			i.becomes(lifecycle.Unready, lifecycle.Ready, why.Diagnosis{})
		default:
			if failures++; failures >= max(r.ready.Failures, 1) {
				answer, body := probe.Said(err)
				i.becomes(lifecycle.Ready, lifecycle.Unready, why.Diagnosis{What: fmt.Sprintf("readiness probe %s: %s", r.ready.Name(i.target()), answer), Printed: body})
			}
		}
	}
	return nil
}

// becomes changes the instance's state if it is from, and reports whether it was.
func (i *Instance) becomes(from, to lifecycle.State, d why.Diagnosis) bool {
	i.p.mu.Lock()
	defer i.p.mu.Unlock()
	if i.slot.life != i || i.slot.state != from {
		return false
	}
	i.slot.printed, i.slot.certain = d.Printed, d.Certain
	i.p.move(i.slot, to, d.What)
	return true
}

// watchLive returns when the liveness probe has failed so many times in a row.
func (i *Instance) watchLive(ctx context.Context) error {
	l := i.spec.live
	select {
	case <-i.up:
	case <-ctx.Done():
		return nil
	}
	interval, failures := l.Interval.D(), 0
	if interval <= 0 {
		interval = 10 * time.Second
	}
	for sleep.For(ctx, interval) {
		err := l.Ask(ctx, i.target())
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
		default:
			if failures++; failures >= max(l.Failures, 1) {
				return fmt.Errorf("%w %s failed %s: %w", errUnwell, l.Name(i.target()), phrase.Of(failures, "once", fmt.Sprintf("%d times", failures)), err)
			}
		}
	}
	return nil
}

// memoryPause is how often an instance's memory is looked at.
const memoryPause = time.Second

// watchAge has the instance, once it was ready, replaced when it is too old or too large.
func (i *Instance) watchAge(ctx context.Context) error {
	c := i.spec.Process.Recycle
	var old, look <-chan time.Time
	if c.Age > 0 {
		t := time.NewTimer(c.Age.D())
		defer t.Stop()
		old = t.C
	}
	if c.Memory > 0 {
		t := time.NewTicker(memoryPause)
		defer t.Stop()
		look = t.C
	}
	select {
	case <-i.up: // one that needs longer to start than it may be old would never be replaced by one that is ready
	case <-ctx.Done():
		return nil
	}
	for {
		why := ""
		select {
		case <-ctx.Done():
			return nil
		case <-old:
			why = fmt.Sprintf("recycle: it is %v old", c.Age.D())
		case <-look:
			if rss := i.child.Usage().RSS; rss > int64(c.Memory) {
				why = fmt.Sprintf("recycle: it has %d bytes of memory, more than %d", rss, c.Memory)
			}
		}
		if why != "" {
			i.p.locked(func() { i.p.due(i, why) })
		}
	}
}
