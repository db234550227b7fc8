package supervisor

import (
	"fmt"
	"slices"
	"time"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
	"github.com/watchdogd/watchdogd/supervisor/lives"
)

// State is where a process or one of its instances stands: the words of ps and of the
// metrics.
type State = lifecycle.State

// The states.
const (
	Waiting   = lifecycle.Waiting
	Starting  = lifecycle.Starting
	Ready     = lifecycle.Ready
	Unready   = lifecycle.Unready
	Stopping  = lifecycle.Stopping
	Stopped   = lifecycle.Stopped
	Backoff   = lifecycle.Backoff
	CrashLoop = lifecycle.CrashLoop
	Exited    = lifecycle.Exited
	Idle      = lifecycle.Idle
)

// Status is how one process stands: an element of what ps --json prints.
type Status struct {
	Name       string           `json:"name"`
	Kind       Kind             `json:"kind"`
	Mode       schema.Mode      `json:"mode,omitempty"`
	State      State            `json:"state"`
	Reason     string           `json:"reason,omitempty"` // why it is in its state
	Restarts   int              `json:"restarts"`         // after unrequested exits
	LastExit   string           `json:"last_exit"`        // the last unrequested exit; empty when there was none
	LastExitAt *time.Time       `json:"last_exit_at,omitempty"`
	NextStart  *time.Time       `json:"next_start"` // in backoff and crash-loop
	Inflight   int              `json:"inflight"`
	Queued     int              `json:"queued"`
	Cut        int              `json:"cut"`               // calls that were cut at the end of stop.drain
	Removed    bool             `json:"removed,omitempty"` // not in the configuration any more
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

// Status returns how each process of the last Reconcile stands, in the order of its specs,
// and then those that were removed from the configuration and are not gone yet.
func (s *Supervisor) Status() []Status { return s.statuses(child.Usages()) }

// Standing is Status of the last Reconcile without what needs a look at other processes:
// which of them are used by whom, and what they use.
func (s *Supervisor) Standing() []Status {
	all := s.statuses(nil)
	return slices.DeleteFunc(all, func(st Status) bool { return st.Removed })
}

func (s *Supervisor) statuses(usage func(*child.Child) child.Usage) []Status {
	s.mu.Lock()
	ps, kept := slices.Clone(s.order), len(s.order)
	for _, p := range s.all {
		if s.byName[p.name] != p {
			ps = append(ps, p)
		}
	}
	s.mu.Unlock()
	all := make([]Status, 0, len(ps))
	for i, p := range ps {
		select {
		case <-p.gone:
			if i >= kept {
				continue
			}
		default:
		}
		st := p.status(usage)
		if i >= kept {
			st.Removed, st.State = true, lifecycle.Stopping
			if st.Reason == "" {
				st.Reason = "removed from the configuration"
			}
		}
		all = append(all, st)
	}
	return all
}

// Status returns how the process stands.
func (p *Process) Status() Status { return p.status(child.Usages()) }

// Standing is Status without the use of memory and CPU.
func (p *Process) Standing() Status { return p.status(nil) }

// status returns how the process stands; without usage, what it uses is left out.
func (p *Process) status(usage func(*child.Child) child.Usage) Status {
	st, lives := p.standing()
	for n := range st.Instances {
		in, l := &st.Instances[n], lives[n]
		if usage != nil && l.child != nil {
			u := usage(l.child)
			in.RSS, in.CPUSeconds = u.RSS, u.CPU.Seconds()
		}
		if l.instance == nil {
			continue
		}
		if waits := l.instance.waitsFor(in.Inflight, l.until); waits != "" {
			in.Reason = waits
			if st.Reason == "" || st.State == lifecycle.Stopping {
				st.Reason = waits
			}
		}
	}
	return st
}

// waiting is an instance and how long it may still wait for its calls.
type waiting struct {
	child    *child.Child // nil between lives
	instance *Instance    // nil for a process started ahead
	until    time.Time
}

// standing is what the process itself knows of how it stands, and for each instance
// whether it waits for calls.
func (p *Process) standing() (st Status, lives []waiting) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	st = Status{
		Name: p.name, Kind: p.kind, Mode: p.spec.Mode, State: p.state(), Restarts: p.restarts,
		Inflight: p.inflight, Queued: p.line.Len(), Cut: p.cut, Instances: []InstanceStatus{},
	}
	if p.last != nil {
		at := p.last.at
		st.LastExit, st.LastExitAt = p.last.String(), &at
	}
	for n, w := range p.pool.waiting {
		st.Instances = append(st.Instances, InstanceStatus{Number: n, PID: w.PID(), State: lifecycle.Ready, Uptime: now.Sub(w.began).Seconds()})
		lives = append(lives, waiting{child: w.Child})
	}
	slots := slices.Clone(p.slots)
	slices.SortStableFunc(slots, func(a, b *slot) int { return a.number - b.number })
	for _, s := range slots {
		in, of := InstanceStatus{Number: s.number, State: s.state, Reason: s.reason()}, waiting{}
		if l := s.life; l != nil {
			in.PID, in.Port, in.Inflight = l.child.PID(), l.servedPort(), l.calls
			in.Uptime = now.Sub(l.began).Seconds()
			of = waiting{l.child, l, l.until}
		}
		if s.state == lifecycle.Backoff || s.state == lifecycle.CrashLoop {
			if at := s.next; st.NextStart == nil || at.Before(*st.NextStart) {
				st.NextStart = &at
			}
		}
		if s.state == st.State && st.Reason == "" {
			st.Reason = s.reason()
		}
		st.Instances = append(st.Instances, in)
		lives = append(lives, of)
	}
	if why := p.rewatching(); why != "" {
		st.Reason = why
	}
	return st, lives
}

// Lives returns the lives of the process's instances, the latest first: those that run, and
// the last lives.Most that are over.
func (p *Process) Lives() []lives.Life {
	all, running := p.allLives()
	for n, c := range running {
		all[n].Peak = c.Peak()
	}
	slices.SortStableFunc(all, func(a, b lives.Life) int { return b.Started.Compare(a.Started) })
	return all
}

// allLives is Lives in no order, with the children of those that run, which are the first.
func (p *Process) allLives() (all []lives.Life, running []*child.Child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.slots {
		if i := s.life; i != nil {
			all = append(all, lives.Life{Instance: s.number, PID: i.child.PID(), Started: i.began, Calls: i.served})
			running = append(running, i.child)
		}
	}
	for _, w := range p.pool.waiting {
		all = append(all, lives.Life{PID: w.PID(), Started: w.began})
		running = append(running, w.Child)
	}
	return append(all, p.lives...), running
}

// Explanation is why a process is in its state: what `why --json` prints.
type Explanation struct {
	Name       string       `json:"name"`
	State      State        `json:"state"`
	Since      *time.Time   `json:"since,omitempty"` // when it came into this state
	Ready      bool         `json:"ready"`
	Why        string       `json:"why"`     // one sentence
	Certain    bool         `json:"certain"` // waiting does not help: the program or the file has to change
	LastExit   string       `json:"last_exit,omitempty"`
	LastExitAt *time.Time   `json:"last_exit_at,omitempty"`
	NextStart  *time.Time   `json:"next_start,omitempty"`
	Output     []child.Line `json:"output"` // the last lines that it printed
}

// Explain returns why the process is in its state, without its output.
func (p *Process) Explain() Explanation {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := Explanation{Name: p.name, State: p.state(), Output: []child.Line{}}
	e.Ready = e.State == lifecycle.Ready || e.State == lifecycle.Idle
	if p.last != nil {
		at := p.last.at
		e.LastExit, e.LastExitAt = p.last.String(), &at
	}
	ready := 0
	slots := slices.Clone(p.slots)
	slices.SortStableFunc(slots, func(a, b *slot) int { return a.since.Compare(b.since) })
	var others []string
	for _, s := range slots {
		d := s.sentence()
		if s.state == lifecycle.Ready {
			ready++
		}
		if (s.state == lifecycle.Backoff || s.state == lifecycle.CrashLoop) && (e.NextStart == nil || s.next.Before(*e.NextStart)) {
			at := s.next
			e.NextStart = &at
		}
		if s.state != e.State {
			other := fmt.Sprintf("instance %d is %s", s.number, s.state.InWords())
			if d.What != "" {
				other += ": " + d.String()
			}
			others = append(others, other)
			continue
		}
		if e.Since == nil {
			at := s.since
			e.Since, e.Why, e.Certain = &at, d.String(), d.Certain
		}
	}
	e.Why = p.sentence(e, ready, others)
	return e
}

// sentence completes why a process is in its state, of which its oldest instance in that
// state says e.Why. p.mu is held.
func (p *Process) sentence(e Explanation, ready int, others []string) string {
	if held := p.rewatching(); held != "" {
		return held
	}
	switch {
	case e.State == lifecycle.Ready && len(p.slots) == 0:
		return fmt.Sprintf("a process is started for each call; %d of %d started ahead wait for one", len(p.pool.waiting), p.spec.Warm)
	case e.State == lifecycle.Ready && len(others) > 0:
		return fmt.Sprintf("%d of %s %s ready, but %s", ready, phrase.Count(len(p.slots), "instance"), phrase.Of(ready, "is", "are"), others[0])
	case e.State == lifecycle.Ready && e.Why != "":
		return e.Why
	case e.State == lifecycle.Ready:
		return phrase.Count(ready, "instance") + " can answer"
	case e.State == lifecycle.Idle:
		return "no instance runs because none is needed; the next call starts one"
	case e.State == lifecycle.Stopped && p.scaledToNone():
		return "it is scaled to 0; run `watchdogd scale " + p.name + "=1`"
	case e.State == lifecycle.Stopped:
		return "a stop was asked for; run `watchdogd start " + p.name + "`"
	case e.Why == "" && e.State == lifecycle.Waiting:
		return "it is about to start"
	case e.Why == "" && e.State == lifecycle.Starting:
		return "it was started a moment ago"
	}
	return e.Why
}
