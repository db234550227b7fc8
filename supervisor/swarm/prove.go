package swarm

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/watchdogd/watchdogd/internal/sleep"
)

const (
	// mostDials is how many tasks are tried at once.
	mostDials = 64
	// dialBound is how long one attempt may take.
	dialBound = time.Second
	// firstTry, mostTry and lateTry are the pauses between attempts: at first, then doubled up
	// to the second, and after late the third.
	firstTry = 10 * time.Millisecond
	mostTry  = 250 * time.Millisecond
	lateTry  = 5 * time.Second
	late     = 30 * time.Second
)

// prove tries a task until it accepts a connection, or is none of f any more: a container
// runs before its program listens, and no call should be the one to find that out. A token of
// dials is held by each that is tried at the time.
func (f *Function) prove(ctx context.Context, at netip.AddrPort, dials chan struct{}) {
	began, pause := time.Now(), firstTry
	for {
		select {
		case dials <- struct{}{}:
		case <-ctx.Done():
			return
		}
		accepted, there := f.try(ctx, at)
		<-dials
		if accepted || !there {
			return
		}
		if time.Since(began) > late {
			pause = lateTry
		}
		if !sleep.For(ctx, pause) {
			return
		}
		pause = min(2*pause, mostTry)
	}
}

// try connects to a task once.
func (f *Function) try(ctx context.Context, at netip.AddrPort) (accepted, there bool) {
	is := func(t task) bool { return t.address == at && !t.proven }
	mu := &f.swarm.mu
	mu.Lock()
	there = slices.ContainsFunc(f.tasks, is)
	mu.Unlock()
	if !there {
		return false, false
	}
	ctx, cancel := context.WithTimeout(ctx, dialBound)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", at.String())
	if err != nil {
		return false, true
	}
	_ = c.Close() // nothing was sent
	mu.Lock()
	defer mu.Unlock()
	if i := slices.IndexFunc(f.tasks, is); i >= 0 {
		f.tasks[i].proven = true
		f.settle()
		f.publish()
	}
	return true, true
}
