package watch

import "time"

const (
	// Most restarts within Span are not caused by a person: the program changes its own files.
	Most = 3
	Span = 10 * time.Second
)

// Restarts is what the policy of watch remembers. The zero value is that of a process whose
// files never changed.
type Restarts struct {
	Times []time.Time // of those within Span
	Last  time.Time   // the last change
	Loop  bool        // slowed down, until no file changed for restart.reset
}

// Next decides when a restart for a change at now may follow: in pause from now. A loop is
// slowed as a crash loop is: one restart in each most. It is left after reset without a
// change.
func (w Restarts) Next(now time.Time, most, reset time.Duration) (pause time.Duration, after Restarts) {
	if w.Loop && now.Sub(w.Last) >= reset {
		w.Loop = false
	}
	recent := make([]time.Time, 0, Most)
	for _, t := range w.Times {
		if now.Sub(t) < max(Span, most) {
			recent = append(recent, t)
		}
	}
	within := 0
	for _, t := range recent {
		if now.Sub(t) < Span {
			within++
		}
	}
	w.Times, w.Last = recent, now
	w.Loop = w.Loop || within >= Most
	if w.Loop && len(recent) > 0 {
		pause = max(most-now.Sub(recent[len(recent)-1]), 0)
	}
	return pause, w
}
