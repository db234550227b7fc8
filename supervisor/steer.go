package supervisor

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Start has a process run that was stopped, has exited, or waits for its next start,
// and forgets its crashes. It returns nil when the process is ready (or idle, or exited
// with 0), and otherwise, at the latest when ctx ends, what stands in the way.
func (s *Supervisor) Start(ctx context.Context, name string) error {
	p, err := s.known(name)
	if err != nil {
		return err
	}
	p.mu.Lock()
	if p.wish == toStop {
		p.wish = toRun
	}
	if p.scaledToNone() {
		p.scaled = nil
	}
	p.ends = nil
	for _, o := range p.slots {
		if o.state == Backoff || o.state == CrashLoop || o.state == Exited {
			o.history = history{}
			o.next = time.Now()
			select {
			case o.kick <- struct{}{}:
			default:
			}
		}
	}
	p.nudge()
	was := p.last
	p.mu.Unlock()
	return p.settled(ctx, "start", was, nil)
}

// Stop ends all instances of a process: their calls first, as long as ctx lasts. It
// returns when nobody of them is left, and the process stays stopped until Start or
// Restart.
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
	over := ctx.Done()
	for len(p.slots)+len(p.pool.waiting)+p.pool.ending > 0 {
		changed := p.nextChange()
		p.mu.Unlock()
		select {
		case <-changed:
			p.mu.Lock()
		case <-over:
			over = nil
			p.mu.Lock()
		}
		if over == nil {
			p.cutAll()
		}
	}
	return nil
}

// Restart replaces all instances of a process, as Reconcile does for one that changed,
// and forgets its crashes. It returns as Start does, when the old ones are gone.
func (s *Supervisor) Restart(ctx context.Context, name string) error {
	p, err := s.known(name)
	if err != nil {
		return err
	}
	p.mu.Lock()
	if p.wish == toStop {
		p.wish = toRun
	}
	old := p.renew("a restart was asked for")
	p.ends = nil
	was := p.last
	p.mu.Unlock()
	return p.settled(ctx, "restart", was, old)
}

// renew has all slots replaced, and gives them.
func (p *Process) renew(why string) []*slot {
	for _, s := range p.slots {
		s.stale = why
	}
	p.pool.stale = true
	p.nudge()
	return slices.Clone(p.slots)
}

// Scale makes n the number of instances, until the configuration says another. With 0
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
	case n > 1 && !p.recipe.overlap && p.kind == Route:
		return fmt.Errorf("scale %s to %d: its upstream %s is the same for all instances: put ${PORT} into it", name, n, p.recipe.Upstream)
	}
	r := p.recipe.Process.Replicas
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

// settled waits until none of old is left and the process is as it is meant to be.
func (p *Process) settled(ctx context.Context, what string, was *lastExit, old []*slot) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		left := slices.ContainsFunc(p.slots, func(s *slot) bool { return slices.Contains(old, s) })
		state := p.state()
		fell := p.last != was && p.last != nil
		switch {
		case p.wish == toLeave:
			return fmt.Errorf("%s %s: %w", what, p.name, ErrStopped)
		case p.wish == toStop:
			return fmt.Errorf("%s %s: it was stopped meanwhile", what, p.name)
		case fell && slices.ContainsFunc(p.slots, func(s *slot) bool {
			return !slices.Contains(old, s) && (s.state == CrashLoop || s.state == Backoff || s.state == Exited && !p.last.exit.OK())
		}):
			return fmt.Errorf("%s %s: it is %s after: %s", what, p.name, state, p.last)
		case left:
		case state == Ready, state == Idle, state == Exited && fell, state == Stopped:
			return nil
		}
		changed := p.nextChange()
		p.mu.Unlock()
		select {
		case <-changed:
			p.mu.Lock()
		case <-ctx.Done():
			p.mu.Lock()
			return fmt.Errorf("%s %s: it is %s: %w", what, p.name, p.state(), context.Cause(ctx))
		}
	}
}
