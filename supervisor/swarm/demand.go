package swarm

import (
	"context"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/supervisor/swarm/engine"
)

// A gateway that does not scale publishes how many calls it has of each function that is
// scaled, as labels of a config of its own, which the holder of the lease reads: the engine is
// all that the gateways share. It is published when more are needed at once, and less often
// when it falls; a gateway without calls publishes nothing.
const (
	// publishEvery is how often less calls are published, and unchanged ones confirmed.
	publishEvery = 3 * time.Second
	// forgotten is the age at which what a gateway needed counts no more, by the clock of who
	// reads it; removed is the age at which its config is.
	forgotten = 10 * time.Second
	removed   = time.Minute

	demandLabel  = "watchdogd.demand" // its value is the name of the lease
	callsOf      = "watchdogd.calls."
	demandPrefix = "watchdogd-demand-"
	// mostNeeds is how many functions a gateway publishes.
	mostNeeds = 2000
)

// needs are the calls at this gateway.
type needs struct {
	mu        sync.Mutex
	now       map[string]int // by the ID of the service; the most since it was published
	published map[string]int
	at        time.Duration // of the last publication
	beat      uint64
}

// note takes the most calls of a function since it was measured last.
func (n *needs) note(f *Function, peak int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if peak == 0 {
		return
	}
	if n.now == nil {
		n.now = map[string]int{}
	}
	was, known := n.now[f.ID]
	calls := rounded(int(peak))
	if calls <= was || !known && len(n.now) >= mostNeeds {
		return
	}
	n.now[f.ID] = calls
	if calls > n.published[f.ID] {
		wake(f.swarm.leasing)
	}
}

// rounded is a number of calls in steps of a quarter, so that not every call is published.
func rounded(n int) int {
	step := 1
	for n/step > 8 {
		step *= 2
	}
	return (n + step - 1) / step * step
}

// take returns what to publish now, and whether.
func (n *needs) take(now time.Duration) (all map[string]int, beat uint64, due bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now-n.at >= publishEvery {
		due = len(n.now) > 0 || len(n.published) > 0
		all = n.now
	} else {
		all = maps.Clone(n.published)
		if all == nil {
			all = map[string]int{}
		}
		for id, calls := range n.now {
			if calls > all[id] {
				all[id], due = calls, true
			}
		}
	}
	if !due {
		return nil, 0, false
	}
	n.beat++
	n.at, n.published = now, all
	n.now = nil
	return all, n.beat, true
}

// clear forgets what was needed and published.
func (n *needs) clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now, n.published = nil, nil
}

// demand is what another gateway needs.
type demand struct {
	version uint64
	seen    time.Duration // when this version was seen first
	calls   map[string]int
}

// demands are what the other gateways need.
type demands struct {
	mu  sync.Mutex
	all map[string]*demand // by the name of the config
}

// calls is how many calls of a service the other gateways have.
func (d *demands) calls(id string, now time.Duration) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.all {
		if now-one.seen < forgotten {
			n += one.calls[id]
		}
	}
	return n
}

// exchange publishes what this gateway needs or, of the holder, reads what the others need.
func (s *Swarm) exchange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseBound)
	defer cancel()
	if s.lease.holds(s.now()) {
		s.needs.clear()
		return s.readDemands(ctx)
	}
	all, beat, due := s.needs.take(s.now())
	if !due {
		return nil
	}
	err := s.publishNeeds(ctx, all, beat)
	if err != nil {
		s.needs.clear() // so that it is published anew
	}
	return err
}

// demandConfigs calls each for the config of every gateway that needs something.
func (s *Swarm) demandConfigs(ctx context.Context, each func(*engine.Config)) error {
	return s.o.Engine.Configs(ctx, engine.Filter{"label": {demandLabel + "=" + s.lease.name}}, each)
}

// readDemands reads what the other gateways need, and removes what gateways left that are gone.
func (s *Swarm) readDemands(ctx context.Context) error {
	now := s.now()
	there := map[string]bool{}
	var old []string
	err := s.demandConfigs(ctx, func(c *engine.Config) {
		name := c.Spec.Name
		there[name] = true
		s.others.mu.Lock()
		defer s.others.mu.Unlock()
		was := s.others.all[name]
		if was == nil || was.version != c.Version.Index {
			was = &demand{version: c.Version.Index, seen: now, calls: callsIn(c.Spec.Labels)}
			s.others.all[name] = was
			wake(s.measure)
		}
		if now-was.seen > removed || name == s.demandName() {
			old = append(old, c.ID)
		}
	})
	if err != nil {
		return err
	}
	s.others.mu.Lock()
	maps.DeleteFunc(s.others.all, func(name string, _ *demand) bool { return !there[name] || name == s.demandName() })
	s.others.mu.Unlock()
	for _, id := range old {
		if err := s.o.Engine.RemoveConfig(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// callsIn reads the calls of a config.
func callsIn(labels map[string]string) map[string]int {
	all := map[string]int{}
	for key, value := range labels {
		if id, ok := strings.CutPrefix(key, callsOf); ok {
			if n, err := strconv.Atoi(value); err == nil && n > 0 && n < 1<<20 {
				all[id] = n
			}
		}
	}
	return all
}

// demandName is the name of the config of this gateway, which is at most 64 letters.
func (s *Swarm) demandName() string {
	name := demandPrefix + s.o.ID
	return name[:min(len(name), 64)]
}

// publishNeeds publishes what this gateway needs.
func (s *Swarm) publishNeeds(ctx context.Context, all map[string]int, beat uint64) error {
	labels := map[string]string{demandLabel: s.lease.name, beatLabel: strconv.FormatUint(beat, 10)}
	for id, calls := range all {
		labels[callsOf+id] = strconv.Itoa(calls)
	}
	own, err := s.ownDemand(ctx)
	if err != nil {
		return err
	}
	if own == nil {
		return s.o.Engine.CreateConfig(ctx, s.demandName(), labels)
	}
	return s.o.Engine.UpdateConfig(ctx, own, labels)
}

// ownDemand returns the config of this gateway, or nil.
func (s *Swarm) ownDemand(ctx context.Context) (own *engine.Config, err error) {
	err = s.demandConfigs(ctx, func(c *engine.Config) {
		if c.Spec.Name == s.demandName() {
			own = c
		}
	})
	return own, err
}

// withdraw removes what this gateway published.
func (s *Swarm) withdraw(ctx context.Context) {
	s.needs.mu.Lock()
	published := s.needs.at > 0
	s.needs.mu.Unlock()
	if !published {
		return
	}
	if own, err := s.ownDemand(ctx); err == nil && own != nil {
		_ = s.o.Engine.RemoveConfig(ctx, own.ID) // else the holder does
	}
}
