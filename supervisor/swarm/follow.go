package swarm

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/supervisor/swarm/engine"
)

const (
	// relistEvery is how often all services are listed, in case an event was lost.
	relistEvery = time.Minute
	// gathering is how long events are gathered that one list answers.
	gathering = 20 * time.Millisecond
	// mostChanged is how many services are read again one by one; of more, all are listed.
	mostChanged = 100
	// firstPause and mostPause are between two attempts to reach the engine.
	firstPause = 250 * time.Millisecond
	mostPause  = 10 * time.Second
	// listBound is how long a list may take.
	listBound = time.Minute
	// told is after how many services of a list they are routed.
	told = 256
)

// follow keeps the services as the engine has them until ctx ends.
func (s *Swarm) follow(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := s.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		s.troubled(err)
		s.o.Engine.Forget()
		if time.Since(began) > mostPause {
			pause = firstPause
		}
		sleep.For(ctx, pause/2+rand.N(pause/2+1))
		pause = min(2*pause, mostPause)
	}
}

// changes are what events say has to be read again.
type changes struct {
	mu       sync.Mutex
	services map[string]struct{}
	networks bool
	any      chan struct{} // with room for one
}

// watch lists everything and then follows the events, until the engine is lost.
func (s *Swarm) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	c := &changes{services: map[string]struct{}{}, any: make(chan struct{}, 1)}
	opened, broken := make(chan struct{}), make(chan error, 1)
	var stream sync.WaitGroup
	defer stream.Wait()
	defer cancel()
	stream.Go(func() {
		broken <- s.o.Engine.Events(ctx, engine.Filter{
			"type":  {"service", "network", "node", "config", "container"},
			"event": {"create", "update", "remove", "start", "die"},
		}, func() { close(opened) }, func(e *engine.Event) { s.note(c, e) })
	})
	select { // what changes during the list is an event
	case <-opened:
	case err := <-broken:
		return err
	case <-time.After(listBound):
		return fmt.Errorf("the engine at %s does not begin the stream of its events", s.o.Engine.Host())
	}
	if err := s.list(ctx); err != nil {
		return err
	}
	s.recovered()
	again := time.NewTicker(relistEvery)
	defer again.Stop()
	for {
		var err error
		select {
		case err = <-broken:
		case <-again.C:
			err = s.list(ctx)
		case <-c.any:
			sleep.For(ctx, gathering)
			err = s.relist(ctx, c)
		}
		if err != nil {
			return err
		}
	}
}

// note takes an event.
func (s *Swarm) note(c *changes, e *engine.Event) {
	s.mu.Lock()
	s.events++
	s.mu.Unlock()
	switch e.Type {
	case "service":
		c.mu.Lock()
		c.services[e.Actor.ID] = struct{}{}
		c.mu.Unlock()
		wake(c.any)
	case "network":
		c.mu.Lock()
		c.networks = true
		c.mu.Unlock()
		wake(c.any)
	case "config":
		wake(s.leasing)
	case "container": // of a task on the engine's own node: the first to be known
		if id := e.Actor.Attributes["com.docker.swarm.service.id"]; id != "" {
			s.soil(id)
		}
	case "node":
		s.soilCalled()
	}
}

// soil has the tasks of a service be looked at.
func (s *Swarm) soil(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.byID[id]; f != nil {
		f.dirty = true
		wake(s.look)
	}
}

// soilCalled has the tasks of the functions that are called be looked at.
func (s *Swarm) soilCalled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.order {
		f.dirty = f.dirty || f.hot(s.now())
	}
	wake(s.look)
}

// list lists the networks and all services.
func (s *Swarm) list(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listBound)
	defer cancel()
	if err := s.listNetworks(ctx); err != nil {
		return err
	}
	seen := map[string]struct{}{}
	err := s.o.Engine.Services(ctx, engine.Filter{"label": {s.o.Label}}, func(one *engine.Service) {
		seen[one.ID] = struct{}{}
		s.merge(one)
		if len(seen)%told == 0 {
			s.tell()
		}
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	for id := range s.byID {
		if _, there := seen[id]; !there {
			s.remove(id)
		}
	}
	s.mu.Unlock()
	s.tell()
	wake(s.look)
	return nil
}

// relist reads what has changed.
func (s *Swarm) relist(ctx context.Context, c *changes) error {
	c.mu.Lock()
	ids, networks := slices.Collect(maps.Keys(c.services)), c.networks
	clear(c.services)
	c.networks = false
	c.mu.Unlock()
	if len(ids) > mostChanged {
		return s.list(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, listBound)
	defer cancel()
	if networks {
		if err := s.listNetworks(ctx); err != nil {
			return err
		}
	}
	if len(ids) == 0 {
		return nil
	}
	seen := map[string]struct{}{}
	err := s.o.Engine.Services(ctx, engine.Filter{"id": ids, "label": {s.o.Label}}, func(one *engine.Service) {
		seen[one.ID] = struct{}{}
		s.merge(one)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	for _, id := range ids {
		if _, there := seen[id]; !there {
			s.remove(id)
		} else if f := s.byID[id]; f != nil {
			f.dirty = true
		}
	}
	missing := s.missesNetwork(ids)
	s.mu.Unlock()
	if missing && !networks { // it is new: its event follows
		if err := s.listNetworks(ctx); err != nil {
			return err
		}
	}
	s.tell()
	wake(s.look)
	wake(s.measure)
	return nil
}

// merge takes a service as it is now.
func (s *Swarm) merge(one *engine.Service) {
	settings, is := settingsOf(s.o.Label, &one.Spec)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !is {
		s.remove(one.ID)
		return
	}
	f := s.byID[one.ID]
	switch {
	case f == nil:
		f = &Function{ID: one.ID, swarm: s, created: one.CreatedAt, settings: settings, dirty: true, old: !s.listed}
		s.byID[one.ID] = f
		s.order = append(s.order, f)
		s.place(f)
	case one.Version.Index < f.version:
		return // an older answer
	case f.settings.Name != settings.Name:
		s.displace(f)
		f.settings = settings
		s.place(f)
	case f.settings != settings:
		if f.settings.Port != settings.Port {
			f.tasks, f.dirty = nil, true
			f.publish()
		}
		f.settings = settings
		s.changed[settings.Name] = struct{}{}
	}
	f.service, f.version, f.updating = one.Spec.Name, one.Version.Index, one.Updating()
	f.target.Store(0)
	if settings.Scaled {
		f.target.Store(int64(max(settings.Replicas.Target, 1)))
	}
	f.attach(one)
	f.want(one)
}

// attach notes the networks of a service.
func (f *Function) attach(one *engine.Service) {
	f.networks = f.networks[:0]
	for _, n := range one.Attached() {
		f.networks = append(f.networks, n.Target)
	}
}

// want notes how many tasks there should be.
func (f *Function) want(one *engine.Service) {
	n, replicated := one.Replicas()
	if !replicated && one.ServiceStatus != nil {
		n = one.ServiceStatus.DesiredTasks
	}
	if f.replicas != n {
		f.replicas, f.dirty = n, true
		f.scaling.seeded = false // another client of the engine wanted it so
		f.announce()
	}
}

// remove forgets a service. Calls in its hands go on. It is called with s.mu held.
func (s *Swarm) remove(id string) {
	f := s.byID[id]
	if f == nil {
		return
	}
	delete(s.byID, id)
	s.order = slices.DeleteFunc(s.order, func(other *Function) bool { return other == f })
	s.displace(f)
	f.gone, f.tasks = true, nil
	f.publish()
}

// listNetworks lists the networks of the swarm, and finds those that watchdogd is on.
func (s *Swarm) listNetworks(ctx context.Context) error {
	local, err := s.o.Prefixes()
	if err != nil {
		return fmt.Errorf("list the networks that watchdogd is on: %w", err)
	}
	all := map[string]network{}
	shared := 0
	err = s.o.Engine.Networks(ctx, engine.Filter{"scope": {"swarm"}}, func(n *engine.Network) {
		one := network{name: n.Name}
		for _, c := range n.IPAM.Config {
			p, err := netip.ParsePrefix(c.Subnet)
			one.shared = one.shared || err == nil && !n.Ingress && slices.Contains(local, p.Masked())
		}
		if one.shared {
			shared++
		}
		all[n.ID] = one
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !maps.Equal(all, s.networks) {
		for _, f := range s.order {
			f.dirty = true
		}
	}
	before := s.isolated
	s.networks, s.isolated = all, ""
	if shared == 0 {
		s.isolated = "watchdogd is on no overlay network of the swarm: run it as a service of the swarm, with --network NETWORK"
	}
	if s.isolated != before && s.isolated != "" {
		s.o.Log.Error("no function can be reached", "why", s.isolated)
	}
	return nil
}

// missesNetwork reports whether a service is on a network that is not known. It is called with
// s.mu held.
func (s *Swarm) missesNetwork(ids []string) bool {
	for _, id := range ids {
		if f := s.byID[id]; f != nil && slices.ContainsFunc(f.networks, func(n string) bool { _, known := s.networks[n]; return !known }) {
			return true
		}
	}
	return false
}

// unshared is why no network is shared with a service, or empty. It is called with s.mu held.
func (s *Swarm) unshared(f *Function) string {
	var names []string
	for _, id := range f.networks {
		n, known := s.networks[id]
		if n.shared {
			return ""
		}
		if !known {
			n.name = id
		}
		names = append(names, n.name)
	}
	switch {
	case !s.listed && s.networks == nil:
		return ""
	case s.isolated != "":
		return s.isolated
	case names == nil:
		return fmt.Sprintf("service %s is on no overlay network: attach it to the gateway's: docker service update --network-add NETWORK %s", f.service, f.service)
	}
	return fmt.Sprintf("service %s shares no network with watchdogd (it is on %s): docker service update --network-add NETWORK %s", f.service, strings.Join(names, ", "), f.service)
}
