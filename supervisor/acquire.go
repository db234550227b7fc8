package supervisor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/fifo"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
)

// Acquire returns the least loaded ready instance. When there is none it waits in line
// for one, at most wait (0 is not at all) and until ctx ends: while an instance starts,
// and also while it is started again after it ended. Each instance acquired is released
// once.
//
// The error is a *failure.Error: NotReady, or QueueTimeout when all instances are at
// their capacity, after wait; CrashLoop, or NotReady for a process that was stopped or
// has exited, at once; Draining when the process leaves. When ctx ends it is ctx's cause
// if that is a *failure.Error, and one of kind Gone otherwise.
//
// When an instance is ready, Acquire and Release cost no allocation.
func (p *Process) Acquire(ctx context.Context, wait time.Duration) (*Instance, error) {
	return p.AcquireFor(ctx, wait, nil)
}

// Client is whom an instance is acquired for.
type Client interface {
	// Local reports whether the client is on this machine, and so most likely a developer's.
	Local() bool
}

// AcquireFor is Acquire for a client, which may be nil. One on this machine is not kept
// waiting when it is certain that the wait is in vain, since the program listens elsewhere
// or is not a server: the error is returned after localPatience, and not after wait.
func (p *Process) AcquireFor(ctx context.Context, wait time.Duration, c Client) (*Instance, error) {
	i, w, err := p.takeOrQueue(wait > 0)
	if w == nil {
		return i, err
	}
	return p.await(ctx, w, wait, c)
}

// takeOrQueue takes an instance that is free at once. Without one it returns what waits in
// line for one or, if there is no use to wait or the call does not want to, why it gets none.
func (p *Process) takeOrQueue(waits bool) (*Instance, *waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line.Len() == 0 || !waits && !p.spread.IsZero() {
		if i := p.least(); i != nil {
			p.take(i)
			return i, nil, nil
		}
	}
	if err := p.hopeless(); err != nil {
		return nil, nil, err
	}
	w := &waiter{Value: make(chan answer, 1)}
	p.line.Push(w)
	p.count() // also for a call that does not wait: it shows that one more is needed
	if !waits {
		p.line.Remove(w)
		return nil, nil, p.late()
	}
	return nil, w, nil
}

// localPatience is how long a client on this machine waits before it is told why a wait
// is in vain, and localPause the time between two looks from then on.
const (
	localPatience = 1500 * time.Millisecond
	localPause    = 50 * time.Millisecond
)

// await waits until w is answered or its wait is over.
func (p *Process) await(ctx context.Context, w *waiter, wait time.Duration, c Client) (*Instance, error) {
	t := time.NewTimer(wait)
	defer t.Stop()
	var look <-chan time.Time // for a certain failure; never, for most
	if c != nil && c.Local() {
		first := time.NewTimer(localPatience)
		defer first.Stop()
		look = first.C
	}
	var err error
	for waiting := true; waiting; {
		select {
		case a := <-w.Value:
			return a.instance, a.err
		case <-look:
			if err := p.leaveStuck(w); err != nil {
				return nil, err
			}
			look = time.After(localPause)
			continue
		case <-ctx.Done():
			if f, ok := context.Cause(ctx).(*failure.Error); ok {
				err = f
			} else {
				err = &failure.Error{Kind: failure.Gone, Route: p.name, Detail: "the client left while waiting for a ready instance", Cause: context.Cause(ctx)}
			}
		case <-t.C:
		}
		waiting = false
	}
	return p.giveUp(w, err)
}

// giveUp takes w out of the line because of err, which is nil when its time is over.
func (p *Process) giveUp(w *waiter, err error) (*Instance, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.line.Remove(w) { // answered meanwhile
		a := <-w.Value
		if a.instance == nil || err == nil {
			return a.instance, a.err
		}
		p.giveBack(a.instance)
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if i := p.least(); i != nil { // the call was kept for an instance that is still starting
		p.take(i)
		return i, nil
	}
	return nil, p.late()
}

// least is the ready instance with the fewest calls and room for one more, or nil.
// Among equals, workers that are scaled are taken as a stack, so that those not needed
// stay idle, and others in turn.
func (p *Process) least() *Instance {
	var best *Instance
	capacity := p.spec.Capacity
	stack := p.spec.Socketpair || p.spec.Process.Replicas.Min < p.spec.Process.Replicas.Max
	for _, i := range p.ready {
		switch {
		case capacity > 0 && i.calls >= capacity:
		case best == nil, i.calls < best.calls, i.calls == best.calls && (i.used > best.used) == stack:
			best = i
		}
	}
	return best
}

func (p *Process) take(i *Instance) {
	i.calls++
	p.inflight++
	p.served++
	i.used = p.served
	p.count()
}

// count sees whether so many calls make another instance needed.
func (p *Process) count() {
	n := p.calls()
	p.peak = max(p.peak, n)
	if p.crowd > 0 && n >= p.crowd {
		p.crowd = 0 // until run has decided
		p.nudge()
	}
}

// Release returns the instance back: the call is over. It is called exactly once for each
// Acquire.
func (i *Instance) Release() {
	if i.returned() {
		_ = i.conn.Close() // its last call is over
	}
}

// returned ends a call, and reports whether it was the last of an instance that is over.
func (i *Instance) returned() (hangUp bool) {
	i.p.mu.Lock()
	defer i.p.mu.Unlock()
	i.p.giveBack(i)
	return i.ended && i.calls == 0 && i.conn != nil
}

func (p *Process) giveBack(i *Instance) {
	i.calls--
	p.inflight--
	p.served++
	i.used = p.served
	i.served++
	if i.calls == 0 && i.unused != nil {
		close(i.unused)
		i.unused = nil
	}
	if n := p.spec.Process.Recycle.Requests; n > 0 && i.served == n {
		p.due(i, "recycle: it has answered "+phrase.Count(n, "call"))
	}
	if p.line.Len() > 0 {
		p.serve()
	}
}

// due has an instance replaced by a fresh one.
func (p *Process) due(i *Instance, why string) {
	if s := i.slot; s.life == i && !s.leaving && s.stale == "" {
		s.stale = why
		p.nudge()
	}
}

// serve gives instances to those who wait, in order. After a start an instance gets no more
// than its share.
func (p *Process) serve() {
	if p.line.Len() == 0 {
		return
	}
	share := p.share()
	for p.line.Len() > 0 {
		i := p.least()
		if i == nil || share > 0 && i.calls >= share {
			return
		}
		w := p.line.Pop()
		p.take(i)
		w.Value <- answer{instance: i}
	}
}

// refuse gives all who wait an error.
func (p *Process) refuse(err error) {
	for p.line.Len() > 0 {
		p.line.Pop().Value <- answer{err: err}
	}
}

// notStarted tells those who wait that an instance was not ready within timeouts.start,
// unless another is or may be soon.
func (p *Process) notStarted(why string) {
	for _, s := range p.slots {
		if s.state == lifecycle.Ready || s.state == lifecycle.Unready || s.state == lifecycle.Starting || s.state == lifecycle.Waiting {
			return
		}
	}
	e := p.failure(failure.Timeout)
	e.Timeout, e.Detail = "start", p.name+" did not start: "+why
	p.refuse(e)
}

// hopeless is why it would be no use to wait, or nil.
func (p *Process) hopeless() error {
	e := p.failure(failure.NotReady)
	switch {
	case p.wish == toLeave:
		e.Kind, e.Detail = failure.Draining, p.name+" is being stopped and will not start again"
		return e
	case p.wish == toStop:
		e.Detail = p.name + " is stopped; run `watchdogd start " + p.name + "`"
		return e
	case p.scaledToNone():
		e.Detail = p.name + " is scaled to 0; run `watchdogd scale " + p.name + "=1`"
		return e
	case len(p.slots) == 0:
		return nil
	}
	var loop, stuck *slot
	standing := 0
	for _, s := range p.slots {
		if s.leaving {
			continue
		}
		if s.state == lifecycle.Waiting && s.givenUp {
			standing++
			stuck = s
			continue
		}
		if s.state != lifecycle.CrashLoop && s.state != lifecycle.Exited || s.stale != "" {
			return nil
		}
		standing++
		if s.state == lifecycle.CrashLoop && (loop == nil || s.next.Before(loop.next)) {
			loop = s
		}
	}
	if standing == 0 {
		return nil // another follows
	}
	p.explain(e, loop, stuck)
	return e
}

// explain completes the error of a process none of whose instances runs or will soon: loop
// is one in a crash loop and stuck one whose dependency was given up, if there are any.
func (p *Process) explain(e *failure.Error, loop, stuck *slot) {
	e.RetryAfter = time.Second
	if p.last != nil {
		e.Local = p.last.printed
	}
	switch {
	case loop != nil:
		e.Kind, e.NextStart = failure.CrashLoop, loop.next
		e.RetryAfter = max(time.Until(loop.next), time.Second)
		e.Detail = fmt.Sprintf("%s is in a crash loop; the last time it ended: %s", p.name, p.lastWhy())
		if loop.spec.Process.Restart.Then == "exit" {
			e.Detail = fmt.Sprintf("%s exited, and watchdogd exits with it: %s", p.name, p.lastWhy())
		}
	case stuck != nil:
		e.Detail = fmt.Sprintf("%s cannot start: it waits for %s", p.name, stuck.why)
	default:
		e.Detail = fmt.Sprintf("%s exited and will not be restarted: %s", p.name, p.lastWhy())
	}
}

// failure is an error that says how the process stands and how it ended last. p.mu is held.
func (p *Process) failure(kind failure.Kind) *failure.Error {
	e := &failure.Error{Kind: kind, Route: p.name, State: string(p.state())}
	if p.last != nil {
		e.LastExit, e.LastExitAt = p.last.why, p.last.at
	}
	return e
}

// late is the error of a call that has waited in vain.
func (p *Process) late() error {
	e := p.failure(failure.NotReady)
	e.RetryAfter, e.Timeout = time.Second, "queue"
	if len(p.ready) > 0 {
		e.Kind = failure.QueueTimeout
		e.Detail = phrase.Of(len(p.ready), "the only ready instance of "+p.name+" was busy", fmt.Sprintf("all %d instances of %s were busy", len(p.ready), p.name))
		return e
	}
	e.Detail = fmt.Sprintf("no instance of %s was ready in time: it is %s", p.name, lifecycle.State(e.State).InWords())
	for _, s := range p.slots {
		if d := s.sentence(); s.state == lifecycle.State(e.State) && d.What != "" {
			if since, ok := strings.CutPrefix(d.What, "has been "); ok {
				e.Detail = fmt.Sprintf("no instance of %s was ready in time: it has been %s", p.name, since)
			} else {
				e.Detail += ": " + d.What
			}
			e.Local = d.Printed
			break
		}
	}
	for _, s := range p.slots {
		if s.state == lifecycle.Backoff && (e.NextStart.IsZero() || s.next.Before(e.NextStart)) {
			e.NextStart = s.next
			e.RetryAfter = max(time.Until(s.next), time.Second)
		}
	}
	return e
}

func (p *Process) lastWhy() string {
	if p.last == nil {
		return "exit status unknown"
	}
	return p.last.why
}

// leaveStuck takes w out of the line if its wait is in vain, and returns why; nil when it
// is not certain, or w has been answered.
func (p *Process) leaveStuck(w *waiter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.stuck(); err != nil && p.line.Remove(w) {
		return err
	}
	return nil
}

// stuck is why no call can be answered before the program or the configuration changes,
// or nil when that is not certain: what a developer should be told soon.
func (p *Process) stuck() *failure.Error {
	if len(p.ready) > 0 {
		return nil
	}
	var s *slot
	for _, o := range p.slots {
		if o.leaving {
			continue
		}
		if !o.certain || o.why == "" {
			return nil
		}
		s = o
	}
	if s == nil {
		return nil
	}
	e := p.failure(failure.NotReady)
	e.RetryAfter, e.Timeout, e.NextStart, e.Local = time.Second, "queue", s.next, s.printed
	e.Detail = fmt.Sprintf("%s is %s: %s", p.name, lifecycle.State(e.State).InWords(), s.why)
	return e
}

// line is the calls that wait, first come first served; each waits for its answer.
type (
	line   = fifo.List[chan answer]
	waiter = fifo.Item[chan answer]
)

type answer struct {
	instance *Instance
	err      error
}
