package swarm

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/supervisor/swarm/engine"
)

const (
	// lookEvery is how often the tasks of a function are looked at that is called, or has
	// fewer than it should have. An engine stops a task 2 s after it has taken it out.
	lookEvery = 500 * time.Millisecond
	// waitEvery is how often while a call waits.
	waitEvery = 100 * time.Millisecond
	// hotFor is how long a function counts as called.
	hotFor = 10 * time.Second
	// sweepEvery is how often some of the others are looked at, sweepMost how many.
	sweepEvery = 2 * time.Second
	sweepMost  = 50
	// lookMost is of how many functions one list holds the tasks.
	lookMost = 100
	// idleShare is how many times as long as a list took no other follows, unless a call waits.
	idleShare = 3
	// lookBound is how long a list of tasks may take.
	lookBound = 10 * time.Second
	// mostUnsettled is the longest pause for a function that lacks tasks for a long time.
	mostUnsettled = 10 * time.Second
)

// lookAtTasks keeps the tasks of the functions as the engine has them until ctx ends.
func (s *Swarm) lookAtTasks(ctx context.Context) {
	var proving sync.WaitGroup
	defer proving.Wait()
	dials := make(chan struct{}, mostDials)
	prove := func(f *Function, at netip.AddrPort) {
		proving.Go(func() {
			defer logwriter.LastWords(s.o.Log)
			f.prove(ctx, at, dials)
		})
	}
	for ctx.Err() == nil {
		batch := s.due()
		pause := waitEvery
		if len(batch) > 0 {
			began := time.Now()
			if err := s.lookAt(ctx, batch, prove); err != nil {
				pause = time.Second // follow notices by itself that the engine is lost
			} else {
				pause = min(idleShare*time.Since(began), 5*time.Second)
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.look:
		}
		timer.Stop()
	}
}

// hot reports whether f was called a short time ago.
func (f *Function) hot(now time.Duration) bool {
	called := time.Duration(f.called.Load())
	return f.inflight.Load() > 0 || called > 0 && now-called < hotFor
}

// due returns the functions whose tasks are to be looked at next: those first that calls wait
// for, then those that have changed, then those that are called or lack tasks, and of the others a few.
func (s *Swarm) due() []*Function {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	var classes [4][]*Function
	sweep := now-time.Duration(s.swept.Sub(s.began)) >= sweepEvery
	n := len(s.order)
	for i := range n {
		f := s.order[(s.cursor+i)%n]
		class := -1
		age := now - time.Duration(f.checked.Load())
		switch {
		case f.waiting > 0 && (age >= waitEvery || f.dirty):
			class = 0
		case f.dirty:
			class = 1
		case age >= lookEvery && f.hot(now):
			class = 2
		case f.unsettled > 0 && age >= min(max(lookEvery, (now-f.unsettled)/8), mostUnsettled):
			class = 2
		case sweep && age >= sweepEvery && len(classes[3]) < sweepMost:
			class = 3
			if len(classes[3]) == sweepMost-1 {
				s.cursor = (s.cursor + i + 1) % n
			}
		}
		if class >= 0 && len(classes[class]) < lookMost {
			classes[class] = append(classes[class], f)
		}
	}
	if sweep {
		s.swept = time.Now()
	}
	batch := slices.Concat(classes[:]...)
	batch = batch[:min(len(batch), lookMost)]
	for _, f := range batch {
		f.dirty = false
	}
	return batch
}

// prover begins to try a new task.
type prover func(*Function, netip.AddrPort)

// looked is what a list says of the tasks of one function.
type looked struct {
	tally
	running []netip.Addr // of tasks that take calls
}

// tally is what is kept of it beside the tasks that run.
type tally struct {
	unreached int    // that run, and have no address in a shared network
	pending   string // why a task is not started
	progress  string // how far a task has come that is being started
	failed    int
	failure   string // of the newest that failed
	failedAt  time.Time
}

// lookAt lists the tasks of some functions.
func (s *Swarm) lookAt(parent context.Context, batch []*Function, prove prover) error {
	ctx, cancel := context.WithTimeout(parent, lookBound)
	defer cancel()
	began := s.now()
	filter := engine.Filter{}
	tallies := make(map[string]*looked, len(batch))
	whole := false // the tasks that failed are needed too
	s.mu.Lock()
	for _, f := range batch {
		filter["service"] = append(filter["service"], f.ID)
		tallies[f.ID] = &looked{}
		whole = whole || f.waiting > 0 || f.unsettled > 0 || !f.seen
	}
	s.mu.Unlock()
	if !whole {
		filter["desired-state"] = []string{"running"}
	}
	err := s.o.Engine.Tasks(ctx, filter, func(t *engine.Task) {
		if one := tallies[t.ServiceID]; one != nil {
			s.count(one, t)
		}
	})
	if parent.Err() == nil {
		s.silent.Store(err != nil)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range batch {
		if err != nil {
			f.dirty = true
			continue
		}
		if !f.gone {
			f.become(tallies[f.ID], prove)
		}
		f.checked.Store(int64(began)) // not before: a call that sees it asks for no lock
	}
	return err
}

// count counts a task.
func (s *Swarm) count(t *looked, one *engine.Task) {
	switch state := one.Status.State; {
	case state == "failed" || state == "rejected":
		t.failed++
		if !one.Status.Timestamp.Before(t.failedAt) {
			t.failedAt, t.failure = one.Status.Timestamp, reasonOf(one)
		}
	case one.DesiredState != "running":
	case state == "running":
		if a := s.addressOf(one); a.IsValid() {
			t.running = append(t.running, a)
		} else {
			t.unreached++
		}
	case state == "pending" && one.Status.Err != "":
		t.pending = one.Status.Err
	default:
		t.progress = state
	}
}

// reasonOf is why a task failed.
func reasonOf(one *engine.Task) string {
	const most = 200
	reason := one.Status.Err
	if c := one.Status.ContainerStatus; c != nil && c.ExitCode != 0 && reason == "" {
		reason = fmt.Sprintf("exit status %d", c.ExitCode)
	}
	if reason == "" {
		reason = "its container ended with status 0"
	}
	if len(reason) > most {
		reason = reason[:most] + "..."
	}
	return reason
}

// addressOf is the address of a task in a network that watchdogd is on.
func (s *Swarm) addressOf(one *engine.Task) netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range one.NetworksAttachments {
		if !s.networks[a.Network.ID].shared {
			continue
		}
		for _, text := range a.Addresses {
			if p, err := netip.ParsePrefix(text); err == nil {
				return p.Addr().Unmap()
			}
		}
	}
	return netip.Addr{}
}

// become takes what is known of the tasks of f now. It is called with the mutex held.
func (f *Function) become(l *looked, prove prover) {
	slices.SortFunc(l.running, netip.Addr.Compare)
	first := !f.seen
	f.seen = true
	var tasks []task
	for _, a := range slices.Compact(l.running) {
		one := task{address: netip.AddrPortFrom(a, uint16(f.settings.Port)), proven: first && f.old}
		if i := slices.IndexFunc(f.tasks, func(had task) bool { return had.address == one.address }); i >= 0 {
			one = f.tasks[i]
		} else if !one.proven {
			prove(f, one.address)
		}
		tasks = append(tasks, one)
	}
	changed := f.tally != l.tally || !slices.Equal(f.tasks, tasks)
	f.tasks, f.tally = tasks, l.tally
	f.settle()
	if changed {
		f.publish()
	} else {
		f.announce()
	}
}

// settle notes since when f has fewer tasks than it should have. It is called with the mutex
// held.
func (f *Function) settle() {
	proven := 0
	for _, t := range f.tasks {
		if t.proven {
			proven++
		}
	}
	switch {
	case proven == len(f.tasks) && uint64(proven) >= f.replicas:
		f.unsettled = 0
	case f.unsettled == 0:
		f.unsettled = f.swarm.now()
	}
}
