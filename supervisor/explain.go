package supervisor

import (
	"fmt"
	"slices"
	"time"

	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
)

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
			other := fmt.Sprintf("instance %d is %s", s.number, s.state)
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
		return fmt.Sprintf("%s of %d is ready, but %s", plural(ready, "instance"), len(p.slots), others[0])
	case e.State == lifecycle.Ready && e.Why != "":
		return e.Why
	case e.State == lifecycle.Ready:
		return plural(ready, "instance") + " can answer"
	case e.State == lifecycle.Idle:
		return "no instance runs because none is needed; the next call starts one"
	case e.State == lifecycle.Stopped && p.scaledToNone():
		return "it is scaled to 0; run `watchdogd scale " + p.name + "=1`"
	case e.State == lifecycle.Stopped:
		return "it was stopped; run `watchdogd start " + p.name + "`"
	case e.Why == "" && e.State == lifecycle.Waiting:
		return "it is about to start"
	case e.Why == "" && e.State == lifecycle.Starting:
		return "it was started a moment ago"
	}
	return e.Why
}
