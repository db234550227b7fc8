package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
)

// Start has a process run that was stopped, has exited, or waits for its next start,
// and forgets its crashes. It returns nil when all its instances are ready (or the process
// is idle, or exited with 0), and otherwise, at the latest when ctx ends, what stands in the way.
func (s *Supervisor) Start(ctx context.Context, name string) error {
	p, err := s.known(name)
	if err != nil {
		return err
	}
	was, err := p.begin()
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return p.settled(ctx, "start", was, nil)
}

// begin has the process run, and returns how it ended last. One that was stopped reads its
// env_file again.
func (p *Process) begin() (was *lastExit, err error) {
	stopped := false
	if p.locked(func() { stopped = p.wish == toStop }); stopped {
		if err := p.refresh(); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wish == toStop {
		p.wish = toRun
	}
	if p.scaledToNone() {
		p.scaled = nil
	}
	p.ends = nil
	for _, o := range p.slots {
		if o.state == lifecycle.Backoff || o.state == lifecycle.CrashLoop || o.state == lifecycle.Exited {
			o.history = lifecycle.History{}
			o.next = time.Now()
			select {
			case o.kick <- struct{}{}:
			default:
			}
		}
	}
	p.nudge()
	p.change() // a stop under way is overtaken
	return p.last, nil
}

// Stop ends all instances that a process has: their calls first, as long as stop.drain and
// ctx last. It returns when none of their processes is left, and the process stays stopped until
// Start or Restart; when one of these comes before, the error says so.
func (s *Supervisor) Stop(ctx context.Context, name string) error {
	p, err := s.known(name)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wish == toRun {
		p.wish = toStop
	}
	p.nudge()
	p.refuse(p.hopeless())
	ours := slices.Clone(p.slots)
	overtaken := func() bool { return p.wish == toRun }
	over := func() bool {
		return overtaken() || !p.hasAny(ours) && len(p.pool.waiting)+p.pool.ending == 0
	}
	if p.waitFor(ctx, over) != nil {
		for _, o := range ours {
			p.ask(o, "a stop was asked for")
			p.cutCalls(o)
		}
		_ = p.waitFor(context.Background(), over) // bounded by stop.grace
	}
	if overtaken() {
		return fmt.Errorf("stop %s: it was started meanwhile", name)
	}
	return nil
}

// hasAny reports whether one of these slots is not gone.
func (p *Process) hasAny(these []*slot) bool {
	return slices.ContainsFunc(p.slots, func(s *slot) bool { return slices.Contains(these, s) })
}

// waitFor waits until ok, and returns the cause of ctx's end when that comes before. p.mu
// is held when it is called, when ok is, and when it returns; it is free in between.
func (p *Process) waitFor(ctx context.Context, ok func() bool) error {
	for !ok() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		changed := p.nextChange()
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		p.mu.Lock()
	}
	return nil
}

// Restart replaces all instances of a process, as Reconcile does for one that changed,
// with its env_file as it is now, and forgets its crashes. It returns as Start does, when
// the old ones are gone.
func (s *Supervisor) Restart(ctx context.Context, name string) error {
	p, err := s.known(name)
	if err != nil {
		return err
	}
	if err := p.refresh(); err != nil {
		return fmt.Errorf("restart %s: %w; what runs was left as it is", name, err)
	}
	was, old := p.beginAnew()
	return p.settled(ctx, "restart", was, old)
}

// beginAnew has the process run with new instances. It returns how it ended last, and the
// old ones.
func (p *Process) beginAnew() (was *lastExit, old []*slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wish == toStop {
		p.wish = toRun
	}
	old = p.renew("a restart was asked for")
	p.ends = nil
	p.forgetChanges()
	p.change() // as in begin
	return p.last, old
}

// refresh looks up again what instances are made of besides the configuration: the
// contents of env_file, the program, the user. Instances that begin from now on have it.
func (p *Process) refresh() error {
	was := p.current()
	r, err := prepare(*was)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spec == was { // or a reload was faster
		p.spec = r
	}
	return nil
}

// renew has all slots replaced, and returns them.
func (p *Process) renew(why string) []*slot {
	for _, s := range p.slots {
		s.stale = why
	}
	p.pool.stale = true
	p.nudge()
	return slices.Clone(p.slots)
}

// Scale makes n the number of instances, until the next Commit. With 0
// calls are refused, as after Stop.
func (s *Supervisor) Scale(name string, n int) error {
	p, err := s.known(name)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case n < 0:
		return fmt.Errorf("scale %s to %d: the number of instances is 0 or more", name, n)
	case p.wish == toLeave:
		return fmt.Errorf("scale %s: %w", name, errRemoved)
	case n > 1 && !p.spec.several:
		return fmt.Errorf("scale %s to %d: its upstream %s is the same for all instances: put ${PORT} into it", name, n, p.spec.Upstream)
	}
	if err := p.spec.holds(n); err != nil {
		return fmt.Errorf("scale %s to %d: %w", name, n, err)
	}
	r := p.spec.Process.Replicas
	r.Min, r.Max = n, n
	p.scaled = &r
	if n == 0 {
		p.refuse(p.hopeless())
	}
	p.nudge()
	return nil
}

func (s *Supervisor) known(name string) (*Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == finishing {
		return nil, ErrStopped
	}
	if p := s.byName[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("no process is called %q", name)
}

// errRemoved is why a process that a reload removed cannot be steered.
var errRemoved = errors.New("it was removed from the configuration")

// settled waits until none of old is left and the process is as it is meant to be.
func (p *Process) settled(ctx context.Context, what string, was *lastExit, old []*slot) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if cause := p.waitFor(ctx, func() bool {
		var done bool
		done, err = p.isSettled(was, old)
		return done
	}); cause != nil {
		err = fmt.Errorf("its state is %s: %w", p.state(), cause)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, p.name, err)
	}
	return nil
}

// isSettled reports whether there is nothing more to wait for, and what stands in the way
// of the process.
func (p *Process) isSettled(was *lastExit, old []*slot) (bool, error) {
	state := p.state()
	fell := p.last != was && p.last != nil
	isNew := func(s *slot) bool { return !slices.Contains(old, s) && !s.leaving }
	switch p.wish {
	case toLeave:
		return true, errRemoved
	case toStop:
		return true, errors.New("it was stopped meanwhile")
	}
	standing, coming := 0, false
	for _, s := range p.slots {
		if !s.leaving {
			standing++
			coming = coming || s.state == lifecycle.Waiting || s.state == lifecycle.Starting
		}
		switch {
		case !isNew(s):
		case fell && (s.state == lifecycle.CrashLoop || s.state == lifecycle.Backoff || s.state == lifecycle.Exited && !p.last.exit.OK()):
			return true, fmt.Errorf("its state is %s: %s", state, p.last)
		case s.state == lifecycle.Waiting && s.givenUp:
			return true, errors.New("it waits for " + s.why)
		}
	}
	if p.hasAny(old) || coming || standing < p.replicas().Min && p.spec.Warm == 0 {
		return false, nil
	}
	return state == lifecycle.Ready || state == lifecycle.Idle || state == lifecycle.Exited && fell || state == lifecycle.Stopped, nil
}
