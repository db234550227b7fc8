package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/ports"
	"github.com/watchdogd/watchdogd/supervisor/watch"
)

// Supervisor is a set of processes that are kept running. Reconcile says which; Run
// runs them. Its methods may be called by many goroutines.
type Supervisor struct {
	opt   Options
	log   *slog.Logger
	ports ports.Set
	files watch.Eyes
	owner *child.Owner
	hurry chan struct{} // closed: no more waiting for calls, nor for grace

	mu      sync.Mutex
	phase   phase
	byName  map[string]*Process // of the last Reconcile
	order   []*Process          // of the last Reconcile, as its specs
	all     []*Process          // all that are not gone, with those that are to retire
	hurried bool

	attached map[string]*child.Output // of processes that are not supervised
}

type phase uint8

const (
	before phase = iota // Run has not been called
	during
	finishing // Run's context has ended
)

// Options are what a Supervisor needs from its owner. The zero value is of use.
type Options struct {
	Log *slog.Logger // nil is slog.Default()
	// Ended is called when a process with then: exit ended and is not started again, or
	// only seldom (a crash loop), with how it ended. It must return soon.
	Ended func(name string, exit child.Exit)
	// Printing is what becomes of what the processes print.
	Printing child.Printing
}

// ErrStopped is what is refused after Run's context has ended.
var ErrStopped = errors.New("the supervisor has been stopped")

// New returns a Supervisor of nothing. It starts nothing.
func New(opt Options) *Supervisor {
	s := &Supervisor{opt: opt, log: opt.Log, owner: child.NewOwner(), hurry: make(chan struct{}), byName: map[string]*Process{}, attached: map[string]*child.Output{}}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s
}

// Run supervises until ctx ends; then it stops all processes, each after those that
// depend on it, and returns when no process is left. Calls in flight then are not waited
// for. It is called once.
func (s *Supervisor) Run(ctx context.Context) error {
	s.mu.Lock()
	s.phase = during
	for _, p := range s.all {
		s.launch(p)
	}
	s.mu.Unlock()

	tending, stop := context.WithCancel(context.Background())
	var tender sync.WaitGroup
	tender.Go(func() { child.Tend(tending, s.log) })

	<-ctx.Done()
	s.mu.Lock()
	s.phase = finishing
	all := append([]*Process(nil), s.all...)
	s.mu.Unlock()
	cut, cancel := context.WithCancel(context.Background())
	cancel()
	said := time.AfterFunc(sayAfter, func() { s.sayWaiting(all) })
	s.halt(cut, all, nil)
	said.Stop()
	s.owner.SweepAll()
	stop()
	tender.Wait()
	return nil
}

// sayAfter is how long a stop takes before it says what it waits for.
const sayAfter = time.Second

// sayWaiting logs which processes have not ended.
func (s *Supervisor) sayWaiting(ps []*Process) {
	var names []string
	for _, p := range ps {
		select {
		case <-p.gone:
		default:
			stop := p.current().Process.Stop
			names = append(names, fmt.Sprintf("%s (SIG%s, then SIGKILL after %v)", p.name, stop.Signal, stop.Grace.D()))
		}
	}
	if len(names) > 0 {
		s.log.Info(event.WaitingForProcesses, "which", strings.Join(names, ", "), "next", "Ctrl-C or another signal kills them")
	}
}

// Hurry ends the waiting of all stops, under way and to come: for calls in flight, and
// for the grace of processes, which are killed.
func (s *Supervisor) Hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.hurried {
		s.hurried = true
		close(s.hurry)
	}
}

// Reconcile makes the set of processes be specs: it is Prepare and Commit in one.
func (s *Supervisor) Reconcile(specs []Spec) (retire func(ctx context.Context), err error) {
	next, err := s.Prepare(specs)
	if err != nil {
		return nil, err
	}
	return next.Commit(nil)
}

// Prepare checks that specs can work and returns the set that Commit will bring about,
// so that what is to use its processes can be built before anything changes. It
// changes nothing; a Next that is not committed is simply forgotten. From a Prepare to
// its Commit no other goroutine may call either.
//
// The error has a line for each spec that cannot work: a program that is missing, an
// unknown user, an env_file that is not there.
func (s *Supervisor) Prepare(specs []Spec) (*Next, error) {
	prepared, err := prepareAll(specs)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &Next{s: s, prepared: prepared, byName: make(map[string]*Process, len(prepared))}
	for _, r := range prepared {
		p := s.byName[r.Name]
		if p == nil || !p.canBecome(r) {
			p = newProcess(s, r)
			n.fresh = append(n.fresh, p)
		}
		n.byName[r.Name] = p
		n.order = append(n.order, p)
	}
	return n, nil
}

// Next is a set of processes that could be.
type Next struct {
	s        *Supervisor
	prepared []*Spec
	order    []*Process // as prepared
	byName   map[string]*Process
	fresh    []*Process // those of order that are new
}

// Process returns the process of that name in the set, or nil.
func (n *Next) Process(name string) *Process { return n.byName[name] }

// Commit makes the set the one that runs. A name whose spec is equal keeps running
// untouched. A changed one is replaced instance by instance: a fresh one is ready
// before an old one leaves; where two cannot run at once, because the upstream's port
// is fixed or it is a service of one instance, the old one is stopped first and calls
// wait. New ones start, when Run runs. Those gone stay until retire is called, which stops
// them and returns when they are gone; before that they are there for pending calls, at
// most for stop.drain and while ctx lasts. pending says how many calls there are that may
// use the process of that name or already do; nil is none.
//
// Its only error is ErrStopped.
func (n *Next) Commit(pending func(name string) int) (retire func(ctx context.Context), err error) {
	s := n.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == finishing {
		return nil, ErrStopped
	}
	s.all = append(s.all, n.fresh...)
	stay := make(map[*Process]bool, len(n.order))
	for _, p := range n.order {
		stay[p] = true
	}
	var gone []*Process
	for _, p := range s.order {
		if !stay[p] {
			gone = append(gone, p)
		}
	}
	s.byName, s.order = n.byName, n.order
	for i, p := range n.order {
		p.adopt(n.prepared[i])
		if s.phase == during {
			s.launch(p)
		}
	}
	return func(ctx context.Context) { s.halt(ctx, gone, pending) }, nil
}

func prepareAll(specs []Spec) ([]*Spec, error) {
	var errs []error
	prepared := make([]*Spec, 0, len(specs))
	names := make(map[string]bool, len(specs))
	for _, spec := range specs {
		if names[spec.Name] {
			errs = append(errs, fmt.Errorf("%s %s: the name is used twice", spec.Kind, spec.Name))
			continue
		}
		names[spec.Name] = true
		r, err := prepare(spec)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		prepared = append(prepared, r)
	}
	if c := cycle(specs); c != nil {
		errs = append(errs, fmt.Errorf("depends_on goes in a circle: %s", strings.Join(c, " -> ")))
	}
	return prepared, errors.Join(errs...)
}

// launch has p run, once.
func (s *Supervisor) launch(p *Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.launched {
		p.launched = true
		go p.run()
	}
}

// halt stops processes for good, each after those of them that depend on it, and
// returns when they are gone. When ctx ends their calls are cut.
func (s *Supervisor) halt(ctx context.Context, ps []*Process, pending func(name string) int) {
	users := dependents(ps)
	var wg sync.WaitGroup
	for _, p := range ps {
		wg.Go(func() {
			for _, u := range users[p] {
				<-u.gone
			}
			p.retire(ctx, pending)
		})
	}
	wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(p *Process) bool {
		select {
		case <-p.gone:
			return true
		default:
			return false
		}
	})
}

// retire stops the process for good. Calls on their way to it may still have it, within
// the time that all its calls have.
func (p *Process) retire(ctx context.Context, pending func(name string) int) {
	if pending == nil {
		p.halt(ctx)
		return
	}
	drained, cancel := context.WithTimeout(ctx, p.current().Process.Stop.Drain.D())
	defer cancel()
	for pending(p.name) > p.held() && sleep.For(drained, pendingPause) {
	}
	p.halt(drained)
}

// pendingPause is how often is looked whether calls are still on their way to a process
// that a reload removed.
const pendingPause = 10 * time.Millisecond

// held is how many calls the process's instances have.
func (p *Process) held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inflight
}

func (p *Process) halt(ctx context.Context) {
	p.locked(func() {
		p.wish = toLeave
		if !p.launched {
			p.launched = true
			close(p.gone)
			p.refuse(p.hopeless())
		}
		p.nudge()
	})
	p.awaitGone(ctx)
}

// awaitGone waits until the process is gone; from the end of ctx on without its calls.
func (p *Process) awaitGone(ctx context.Context) {
	select {
	case <-p.gone:
		return
	case <-ctx.Done():
	}
	for {
		changed := p.askAll()
		select {
		case <-p.gone:
			return
		case <-changed:
		}
	}
}

// askAll asks all instances to end without their calls, and returns what nextChange does.
func (p *Process) askAll() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.slots {
		p.ask(s, event.BeingStopped)
		p.cutCalls(s)
	}
	return p.nextChange()
}

// Process returns the process of that name in the last Reconcile, or nil.
func (s *Supervisor) Process(name string) *Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byName[name]
}
