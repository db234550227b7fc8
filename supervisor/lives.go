package supervisor

import (
	"slices"
	"time"

	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
	"github.com/watchdogd/watchdogd/supervisor/why"
)

// MostLives is how many lives that are over are kept of a process.
const MostLives = 10

// Life is one life of an instance, as ps NAME shows it.
type Life struct {
	Instance int        `json:"instance"`
	PID      int        `json:"pid,omitempty"` // 0: it could not be started
	Started  time.Time  `json:"started"`
	Ended    *time.Time `json:"ended"`            // nil: it runs
	Reason   string     `json:"reason,omitempty"` // why it ended
	Calls    int        `json:"calls"`            // that it answered
	Peak     int64      `json:"peak_rss_bytes"`   // the most memory that one of its processes had; 0 is unknown
}

// Lives returns the lives of the process's instances, the latest first: those that run, and
// the last MostLives that are over.
func (p *Process) Lives() []Life {
	all, running := p.allLives()
	for n, c := range running {
		all[n].Peak = c.Peak()
	}
	slices.SortStableFunc(all, func(a, b Life) int { return b.Started.Compare(a.Started) })
	return all
}

// allLives is Lives in no order, with the children of those that run, which are the first.
func (p *Process) allLives() (all []Life, running []*child.Child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.slots {
		if i := s.life; i != nil {
			all = append(all, Life{Instance: s.number, PID: i.child.PID(), Started: i.began, Calls: i.served})
			running = append(running, i.child)
		}
	}
	for _, w := range p.pool.waiting {
		all = append(all, Life{PID: w.PID(), Started: w.began})
		running = append(running, w.Child)
	}
	return append(all, p.lives...), running
}

// lived keeps a life that is over. p.mu is held.
func (p *Process) lived(l Life) {
	p.lives = append(p.lives, l)
	if n := len(p.lives) - MostLives; n > 0 {
		p.lives = slices.Delete(p.lives, 0, n)
	}
}

// lifeOf is the life of s that ended as e says, at now at the latest. p.mu is held.
func (s *slot) lifeOf(e ending, now time.Time) Life {
	l := Life{Instance: s.number, Started: now, Ended: &now, Reason: why.Diagnosis{What: e.why, Printed: e.printed}.String(), Peak: e.exit.Peak}
	if i := s.life; i != nil {
		l.PID, l.Started, l.Calls, l.Peak = i.child.PID(), i.began, i.served, i.peak
	}
	if e.outcome == lifecycle.AskedFor {
		l.Reason = "stopped by watchdogd"
		if s.why != "" {
			l.Reason += ": " + s.why
		}
	}
	return l
}
