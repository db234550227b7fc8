package supervisor

import (
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// Status is how one process stands: an element of what ps --json prints.
type Status struct {
	Name       string           `json:"name"`
	Kind       Kind             `json:"kind"`
	Mode       schema.Mode      `json:"mode,omitempty"`
	State      State            `json:"state"`
	Reason     string           `json:"reason,omitempty"` // why it is in its state
	Restarts   int              `json:"restarts"`         // after ends that nobody asked for
	LastExit   string           `json:"last_exit"`        // the last end that nobody asked for; empty when there was none
	LastExitAt *time.Time       `json:"last_exit_at,omitempty"`
	NextStart  *time.Time       `json:"next_start"` // in backoff and crash-loop
	Inflight   int              `json:"inflight"`
	Queued     int              `json:"queued"`
	Instances  []InstanceStatus `json:"instances"`
}

// InstanceStatus is how one instance stands. What its child and all of its descendants
// use is told together.
type InstanceStatus struct {
	Number     int     `json:"number"`
	PID        int     `json:"pid,omitempty"`
	Port       int     `json:"port,omitempty"`
	State      State   `json:"state"`
	Reason     string  `json:"reason,omitempty"`
	Uptime     float64 `json:"uptime_seconds"`
	Inflight   int     `json:"inflight"`
	RSS        int64   `json:"rss_bytes"`
	CPUSeconds float64 `json:"cpu_seconds"`
}

// Status gives how each process of the last Reconcile stands, in the order of its specs.
func (s *Supervisor) Status() []Status {
	s.mu.Lock()
	ps := append([]*Process(nil), s.order...)
	s.mu.Unlock()
	usage := usages()
	all := make([]Status, len(ps))
	for i, p := range ps {
		all[i] = p.status(usage)
	}
	return all
}

// Status gives how the process stands.
func (p *Process) Status() Status { return p.status(usages()) }

func (p *Process) status(usage func(pid int, o *origin) use) Status {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	st := Status{
		Name: p.name, Kind: p.kind, Mode: p.recipe.Mode, State: p.state(), Restarts: p.restarts,
		Inflight: p.inflight, Queued: p.line.len, Instances: []InstanceStatus{},
	}
	if p.last != nil {
		at := p.last.at
		st.LastExit, st.LastExitAt = p.last.String(), &at
	}
	for n, w := range p.pool.waiting {
		u := usage(w.PID(), nil)
		st.Instances = append(st.Instances, InstanceStatus{
			Number: n, PID: w.PID(), State: Ready, Uptime: now.Sub(w.began).Seconds(), RSS: u.rss, CPUSeconds: u.cpu.Seconds(),
		})
	}
	for _, s := range p.slots {
		in := InstanceStatus{Number: s.number, State: s.state, Reason: s.reason()}
		if l := s.life; l != nil {
			u := usage(l.child.PID(), l.origin)
			in.PID, in.Port, in.Inflight = l.child.PID(), l.port, l.calls
			in.Uptime = now.Sub(l.began).Seconds()
			in.RSS, in.CPUSeconds = u.rss, u.cpu.Seconds()
		}
		if s.state == Backoff || s.state == CrashLoop {
			if at := s.next; st.NextStart == nil || at.Before(*st.NextStart) {
				st.NextStart = &at
			}
		}
		if s.state == st.State && st.Reason == "" {
			st.Reason = s.reason()
		}
		st.Instances = append(st.Instances, in)
	}
	return st
}

// use is what a process and its descendants use.
type use struct {
	rss int64
	cpu time.Duration
}
