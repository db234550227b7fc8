package supervisor

import "fmt"

// Change is what Reconcile would do with one process.
type Change struct {
	Name   string `json:"name"`
	Action Action `json:"action"`
	Why    string `json:"why,omitempty"`
}

// Action is keep, start, replace or stop.
type Action string

// The actions.
const (
	Keep    Action = "keep"
	Begin   Action = "start"
	Replace Action = "replace"
	End     Action = "stop"
)

// Plan returns what Reconcile would do with specs, and does nothing. The error is what
// Reconcile's would be.
func (s *Supervisor) Plan(specs []Spec) ([]Change, error) {
	prepared, err := prepareAll(specs)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var changes []Change
	names := map[string]bool{}
	for _, r := range prepared {
		names[r.Name] = true
		p := s.byName[r.Name]
		switch {
		case p == nil:
			changes = append(changes, Change{r.Name, Begin, "it is new"})
		case !p.canBecome(r):
			changes = append(changes, Change{r.Name, Replace, "it is of another kind"})
		default:
			changes = append(changes, p.changeTo(r))
		}
	}
	for _, p := range s.order {
		if !names[p.name] {
			changes = append(changes, Change{p.name, End, "it is not in the configuration any more"})
		}
	}
	return changes, nil
}

// changeTo is what a reload to r would do with p.
func (p *Process) changeTo(r *Spec) Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Change{Name: r.Name, Action: Keep}
	if key := r.difference(p.spec); key != "" {
		c.Action, c.Why = Replace, key+" has changed"
	} else if p.scaled != nil {
		c.Why = fmt.Sprintf("scaled to %d by hand; the configuration's replicas apply again", p.scaled.Max)
	} else if p.kind == Service && !r.Equal(*p.spec) {
		c.Why = "what has changed applies to the running instances"
	}
	return c
}

// canBecome reports whether what holds p can go on with instances of r.
func (p *Process) canBecome(r *Spec) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kind == r.Kind && p.spec.Socketpair == r.Socketpair && p.spec.Listens == r.Listens && (p.spec.Warm > 0) == (r.Warm > 0) && p.wish != toLeave
}

// adopt makes r what the process is made of.
func (p *Process) adopt(r *Spec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.scaled != nil { // until the next reload
		p.scaled = nil
		p.nudge()
	}
	if r.Equal(*p.spec) && r.difference(p.spec) == "" {
		return
	}
	key := r.difference(p.spec)
	p.spec = r
	for _, s := range p.slots {
		if key != "" {
			s.stale = "the configuration: " + key + " has changed"
		} else {
			s.spec = r
		}
	}
	p.nudge()
}
