package swarm

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
)

// Function is a service of the swarm that is called by a name.
type Function struct {
	ID    string // of the service
	swarm *Swarm

	called   atomic.Int64 // when it was called last, by Swarm.now
	checked  atomic.Int64 // when its tasks were looked at last; 0 is never
	usable   atomic.Int32 // how many tasks take calls
	inflight atomic.Int64
	peak     atomic.Int64 // the most calls in flight since it was measured last
	target   atomic.Int64 // calls that another task is needed for; 0 is not scaled

	// The mutex of swarm guards what follows.
	service   string // its name
	settings  Settings
	created   time.Time
	version   uint64
	gone      bool
	replicas  uint64 // that there should be
	updating  bool
	networks  []string      // IDs
	dirty     bool          // its tasks have to be looked at
	old       bool          // it was there before the services were listed
	seen      bool          // its tasks were looked at
	unsettled time.Duration // since when there are fewer tasks than there should be; 0 is not
	tally     tally
	tasks     []task
	waiting   int           // calls
	change    chan struct{} // closed when something has changed; nil without a call that waits
	followers map[int]func([]string)
	follower  int
	scaling   scaling
}

// task is one that runs.
type task struct {
	address netip.AddrPort
	proven  bool // it has accepted a connection
}

// Settings are what the labels of the service say.
func (f *Function) Settings() Settings {
	f.swarm.mu.Lock()
	defer f.swarm.mu.Unlock()
	return f.settings
}

// Service is the name of the service.
func (f *Function) Service() string {
	f.swarm.mu.Lock()
	defer f.swarm.mu.Unlock()
	return f.service
}

// Enter counts a call that came. Each Enter is followed by one Leave.
func (f *Function) Enter() {
	n := f.inflight.Add(1)
	f.called.Store(int64(f.swarm.now()))
	for {
		most := f.peak.Load()
		if n <= most || f.peak.CompareAndSwap(most, n) {
			break
		}
	}
	if target := f.target.Load(); target > 0 && (n == 1 || n%target == 0) {
		wake(f.swarm.measure)
	}
}

// Leave counts a call that is over.
func (f *Function) Leave() { f.inflight.Add(-1) }

const (
	// stale is the age at which what is known of a function's tasks is looked at again before
	// a call is sent to them: their addresses may be those of others by now.
	stale = 5 * time.Second
	// staleWait is how long such a call waits for that.
	staleWait = time.Second
)

// Await returns when a task of f takes calls. The error is a *failure.Error, or the cause of
// the end of ctx. Wait bounds it, and start the time that tasks may take to start; 0 is none.
func (f *Function) Await(ctx context.Context, wait, start time.Duration) error {
	s := f.swarm
	now := s.now()
	f.called.Store(int64(now))
	if f.usable.Load() > 0 && (now-time.Duration(f.checked.Load()) < stale || s.Lost()) {
		if s.silent.Load() {
			wake(s.look) // it may answer again
		}
		return nil
	}
	s.mu.Lock()
	f.waiting++
	wake(s.look)
	wake(s.measure)
	for {
		if f.usable.Load() > 0 && (time.Duration(f.checked.Load()) > now-stale || s.Lost() || s.now() > now+staleWait) {
			if time.Duration(f.checked.Load()) <= now-stale {
				s.silent.Store(true) // no other call waits for the engine in vain
			}
			f.waiting--
			s.mu.Unlock()
			return nil
		}
		until, err := f.verdict(now, wait, start)
		if err != nil {
			f.waiting--
			s.mu.Unlock()
			return err
		}
		if f.change == nil {
			f.change = make(chan struct{})
		}
		changed := f.change
		s.mu.Unlock()
		timer := time.NewTimer(max(until-s.now(), 0))
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		s.mu.Lock()
		if ctx.Err() != nil {
			f.waiting--
			s.mu.Unlock()
			return context.Cause(ctx)
		}
	}
}

// verdict returns until when a call that came at began may go on waiting, or why it may not.
// It is called with the mutex held.
func (f *Function) verdict(began, wait, start time.Duration) (until time.Duration, err error) {
	s := f.swarm
	now := s.now()
	if f.usable.Load() > 0 {
		return began + staleWait, nil
	}
	state, reason := f.standing()
	e := &failure.Error{Kind: failure.NotReady, Route: f.settings.Name, State: string(state), Detail: "no task of service " + f.service + " takes calls", RetryAfter: time.Second}
	if reason != "" {
		e.Detail += ": " + reason
	}
	if state == lifecycle.CrashLoop {
		e.Kind = failure.CrashLoop
	}
	if f.gone {
		e.Detail = "service " + f.service + " was removed from the swarm"
		return 0, e
	}
	if f.hopeless() || s.problem != "" && time.Since(s.since) > patience {
		return 0, e
	}
	until = began + time.Hour
	if wait < time.Hour {
		until = began + wait
	}
	e.Timeout = "queue"
	if start > 0 && f.unsettled > 0 && max(f.unsettled, began)+start < until {
		until = max(f.unsettled, began) + start
		e.Kind, e.Timeout = failure.Timeout, "start"
	}
	if now >= until {
		return 0, e
	}
	return until, nil
}

// patience is how long calls with no known task wait for an engine that is lost.
const patience = 3 * time.Second

// hopeless reports whether waiting is in vain: only an operator can change it.
func (f *Function) hopeless() bool {
	return f.settings.Problem != "" || f.swarm.unshared(f) != "" || f.replicas == 0 && !f.settings.Scaled
}

// announce tells the calls that wait that something has changed. It is called with the mutex
// held.
func (f *Function) announce() {
	if f.change != nil {
		close(f.change)
		f.change = nil
	}
}

// Suspect has the tasks of f be looked at: one of them failed. It takes no lock.
func (f *Function) Suspect() {
	f.checked.Store(1) // so that it is due
	f.called.Store(int64(f.swarm.now()))
	wake(f.swarm.look)
}

// Follow calls become with the addresses of the tasks that take calls, now and whenever
// they change, until stop. Become must not call f, and not wait.
func (f *Function) Follow(become func(addresses []string)) (stop func()) {
	s := f.swarm
	s.mu.Lock()
	defer s.mu.Unlock()
	f.follower++
	n := f.follower
	if f.followers == nil {
		f.followers = map[int]func([]string){}
	}
	f.followers[n] = become
	become(f.addresses())
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(f.followers, n)
	}
}

// addresses are those of the tasks that take calls. It is called with the mutex held.
func (f *Function) addresses() []string {
	all := make([]string, 0, len(f.tasks))
	for _, t := range f.tasks {
		if t.proven {
			all = append(all, t.address.String())
		}
	}
	return all
}

// publish tells the followers which tasks take calls. It is called with the mutex held.
func (f *Function) publish() {
	all := f.addresses()
	f.usable.Store(int32(len(all)))
	for _, become := range f.followers {
		become(slices.Clone(all))
	}
	f.announce()
}

// standing is the state of f, and why it is in it. It is called with the mutex held.
func (f *Function) standing() (lifecycle.State, string) {
	s := f.swarm
	t := &f.tally
	switch unshared := s.unshared(f); {
	case f.settings.Problem != "":
		return lifecycle.Unready, f.settings.Problem
	case s.named(f.settings.Name) != f && s.named(f.settings.Name) != nil:
		return lifecycle.Unready, fmt.Sprintf("service %s has the name %s already, and is older: give one of them another name by the label %s", s.named(f.settings.Name).service, f.settings.Name, s.o.Label)
	case unshared != "":
		return lifecycle.Unready, unshared
	case f.usable.Load() > 0:
		return lifecycle.Ready, f.beside()
	case s.problem != "":
		return lifecycle.Unready, s.problem
	case f.replicas == 0 && f.settings.Scaled:
		return lifecycle.Idle, f.scaling.problem
	case f.replicas == 0 && f.settings.Unscaled != "":
		return lifecycle.Stopped, "the service has 0 replicas, and is not scaled: " + f.settings.Unscaled
	case f.replicas == 0:
		return lifecycle.Stopped, fmt.Sprintf("the service has 0 replicas: docker service scale %s=1 starts one", f.service)
	case t.failed >= failing:
		return lifecycle.CrashLoop, fmt.Sprintf("its tasks keep failing: %d have, the last one: %s", t.failed, t.failure)
	case t.pending != "":
		return lifecycle.Waiting, t.pending
	case len(f.tasks) > 0:
		return lifecycle.Starting, fmt.Sprintf("its task runs and accepts no connection at port %d yet: the label watchdogd.port names another", f.settings.Port)
	case t.unreached > 0:
		return lifecycle.Unready, "its tasks have no address in a network that watchdogd is on"
	case t.failed > 0:
		return lifecycle.Starting, "a task failed: " + t.failure
	case t.progress != "":
		return lifecycle.Starting, "its task is " + t.progress
	}
	return lifecycle.Starting, ""
}

// beside is what is wrong with a function that answers. It is called with the mutex held.
func (f *Function) beside() string {
	t := &f.tally
	switch {
	case f.scaling.problem != "":
		return f.scaling.problem
	case f.settings.Unscaled != "":
		return f.settings.Unscaled
	case uint64(len(f.tasks)) >= f.replicas:
		return ""
	case t.pending != "":
		return fmt.Sprintf("%d of %s %s; %s", len(f.tasks), phrase.Count(f.replicas, "task"), phrase.Of(len(f.tasks), "runs", "run"), t.pending)
	case t.failed >= failing:
		return fmt.Sprintf("%d of %s %s; the others keep failing, the last one: %s", len(f.tasks), phrase.Count(f.replicas, "task"), phrase.Of(len(f.tasks), "runs", "run"), t.failure)
	}
	return ""
}

// failing is how many failed tasks are a crash loop.
const failing = 3

// Status is how a function stands.
type Status struct {
	Name, Service string
	State         lifecycle.State
	Reason        string
	Replicas      int // that there should be
	Tasks         int // that take calls
	Scaled        bool
	Inflight      int
	Waiting       int
}

// Status returns how f stands.
func (f *Function) Status() Status {
	f.swarm.mu.Lock()
	defer f.swarm.mu.Unlock()
	return f.status()
}

func (f *Function) status() Status {
	state, reason := f.standing()
	return Status{
		Name: f.settings.Name, Service: f.service, State: state, Reason: reason, Replicas: int(f.replicas), Tasks: int(f.usable.Load()),
		Scaled: f.settings.Scaled, Inflight: int(f.inflight.Load()), Waiting: f.waiting,
	}
}

// Statuses returns how all functions stand, also those whose name another one has.
func (s *Swarm) Statuses() (all []Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.order {
		all = append(all, f.status())
	}
	return all
}
