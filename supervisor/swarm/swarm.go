// Package swarm makes functions of the services of a Docker Swarm: it follows which services
// have the label, where their tasks are, and how many there should be.
//
//	s, err := swarm.New(swarm.Options{Engine: client, Label: "watchdogd.function", Changed: route, ...})
//	err = s.Run(ctx)                  // returns when nothing that it started is left
//
//	f.Enter(); defer f.Leave()        // a call of a function: what it is scaled by
//	err = f.Await(ctx, wait)          // until a task of it takes calls
//	stop := f.Follow(become)          // the addresses of those that do
//
// The services come from one list and then from the engine's events; each is read again by
// itself when it changes. An engine reports no events of tasks, so those are listed: of a
// function that is called or not as it should be twice a second, of the others in turn. Nothing
// is polled as a whole. When the engine cannot be reached, what is known goes on being used.
//
// follow.go follows the services, tasks.go the tasks, prove.go waits until a new task accepts
// connections, scale.go decides on replicas, lease.go which of several gateways does, and
// demand.go lets that one know what the others need.
package swarm

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/supervisor/swarm/engine"
)

// Options are what a Swarm is made of.
type Options struct {
	Engine *engine.Client
	Label  string // of the services that are functions
	ID     string // of this gateway among those that share the swarm
	Log    *slog.Logger

	// Changed is told which names have gone, and which have come or are another service or
	// have other settings now. It is called by one goroutine.
	Changed func(gone []string, come []*Function)

	// Prefixes returns the networks that this host or container has an address in; nil is
	// what the system says.
	Prefixes func() ([]netip.Prefix, error)
}

// Swarm follows the services of one swarm.
type Swarm struct {
	o     Options
	began time.Time

	down    atomic.Bool   // the engine cannot be reached
	silent  atomic.Bool   // a list of tasks got no answer, or a call waited for one in vain
	look    chan struct{} // tasks have to be looked at; with room for one
	measure chan struct{} // replicas have to be decided upon; with room for one
	leasing chan struct{} // a config has changed, or more is needed; with room for one
	unheard time.Duration // the constant, but in tests
	lease   lease
	needs   needs   // of this gateway
	others  demands // of the other gateways

	mu       sync.Mutex
	problem  string    // why the engine cannot be used; empty is that it can
	since    time.Time // of problem
	listed   bool      // all services are known
	events   uint64
	updates  updates
	byID     map[string]*Function
	byName   map[string][]*Function // the first one has the name
	order    []*Function            // in the order of the looks at their tasks
	cursor   int
	swept    time.Time // when functions that are not called were looked at last
	networks map[string]network
	isolated string              // why no network is shared
	changed  map[string]struct{} // names that Changed has to be told of
}

// network is a network of the swarm.
type network struct {
	name   string
	shared bool // watchdogd has an address in it
}

// New returns a Swarm. It starts nothing.
func New(o Options) *Swarm {
	if o.Prefixes == nil {
		o.Prefixes = localPrefixes
	}
	s := &Swarm{
		o: o, began: time.Now(), unheard: unheard,
		look: make(chan struct{}, 1), measure: make(chan struct{}, 1), leasing: make(chan struct{}, 1),
		byID: map[string]*Function{}, byName: map[string][]*Function{}, networks: map[string]network{}, changed: map[string]struct{}{},
	}
	s.lease.name = leaseName(o.Label)
	s.others.all = map[string]*demand{}
	return s
}

// Run follows the swarm until ctx ends.
func (s *Swarm) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	for _, run := range []func(context.Context){s.follow, s.lookAtTasks, s.keepScale, s.keepLease} {
		parts.Go(func() {
			defer logwriter.LastWords(s.o.Log)
			run(ctx)
		})
	}
	parts.Wait()
	s.o.Engine.Close()
	return nil
}

// now is the time since the swarm was made, which no clock that is set can change.
func (s *Swarm) now() time.Duration { return time.Since(s.began) }

// wake has what waits for c go on.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// troubled notes that the engine cannot be used, and why.
func (s *Swarm) troubled(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := err.Error()
	if s.problem == text {
		return
	}
	if s.problem == "" {
		s.since = time.Now()
	}
	s.problem = text
	s.down.Store(true)
	s.o.Log.Error("engine not usable; what is known of its services goes on being served", "engine", s.o.Engine.Host(), "error", text)
	for _, f := range s.order {
		if f.waiting > 0 {
			f.announce()
		}
	}
}

// recovered notes that the engine can be used.
func (s *Swarm) recovered() {
	s.down.Store(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.problem != "" {
		s.o.Log.Info("engine usable again", "engine", s.o.Engine.Host(), "after", time.Since(s.since).Round(time.Millisecond).String())
	}
	if !s.listed {
		s.o.Log.Info("services of the swarm listed", "engine", s.o.Engine.Host(), "functions", len(s.byName), "label", s.o.Label)
	}
	s.problem, s.listed = "", true
}

// Ready returns why the functions of the swarm cannot be served, or nil. A swarm whose engine
// is lost after its services were listed can.
func (s *Swarm) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.listed:
		return nil
	case s.problem != "":
		return errors.New(s.problem)
	}
	return errors.New(s.unlisted())
}

// unlisted says what is waited for until the services were listed.
func (s *Swarm) unlisted() string {
	return "the services of the swarm are not listed yet: the Docker Engine at " + s.o.Engine.Host() + " has not answered"
}

// Problem is what is wrong with the engine or the networks; empty is nothing.
func (s *Swarm) Problem() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.problem != "":
		return s.problem
	case s.silent.Load():
		return "the Docker Engine at " + s.o.Engine.Host() + " does not answer"
	case !s.listed:
		return s.unlisted()
	}
	return s.isolated
}

// Lost reports whether the engine cannot be used now.
func (s *Swarm) Lost() bool { return s.down.Load() || s.silent.Load() }

// Events is how many events the engine has sent.
func (s *Swarm) Events() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events
}

// Function returns the function called name, or nil.
func (s *Swarm) Function(name string) *Function {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.named(name)
}

// named is called with s.mu held.
func (s *Swarm) named(name string) *Function {
	if all := s.byName[name]; len(all) > 0 {
		return all[0]
	}
	return nil
}

// place puts f among those of its name: the oldest service has it.
func (s *Swarm) place(f *Function) {
	name := f.settings.Name
	all := append(s.byName[name], f)
	slices.SortFunc(all, func(a, b *Function) int {
		if c := a.created.Compare(b.created); c != 0 {
			return c
		}
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	s.byName[name] = all
	s.changed[name] = struct{}{}
}

// displace takes f from those of its name.
func (s *Swarm) displace(f *Function) {
	name := f.settings.Name
	all := slices.DeleteFunc(s.byName[name], func(other *Function) bool { return other == f })
	if s.byName[name] = all; len(all) == 0 {
		delete(s.byName, name)
	}
	s.changed[name] = struct{}{}
}

// tell tells Changed what has changed since it was told last.
func (s *Swarm) tell() {
	s.mu.Lock()
	var gone []string
	var come []*Function
	for name := range s.changed {
		if f := s.named(name); f != nil {
			come = append(come, f)
		} else {
			gone = append(gone, name)
		}
	}
	clear(s.changed)
	s.mu.Unlock()
	if len(gone)+len(come) > 0 && s.o.Changed != nil {
		s.o.Changed(gone, come)
	}
}

// localPrefixes are the networks that this host or container has an address in.
func localPrefixes() (all []netip.Prefix, err error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Masked())
		}
	}
	return all, nil
}
