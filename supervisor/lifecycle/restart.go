package supervisor

import (
	"time"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// outcome is why a life ended.
type outcome uint8

// The outcomes.
const (
	askedFor    outcome = iota // we asked for it
	endedItself                // the child ended by itself
	startFailed                // it could not be started
	lateStart                  // it was not ready within timeouts.start
	unwell                     // its liveness probe failed
	portLost                   // another process took its port before it did
)

// decision is what follows a life.
type decision struct {
	State State         // Waiting (start again at once), Backoff, CrashLoop or Exited
	Pause time.Duration // before the next start
}

// history is what the policy remembers of the ends of a process and of one of its
// instances. The zero value is that of one that never ended.
type history struct {
	Ends     []time.Time // the ends that count, of all instances, within give_up.within
	Failures int         // ends in a row of this instance
	Ports    int         // ports lost in a row
	Loop     bool        // in a crash loop, until a life lasts reset
}

// maxPorts is how many ports an instance may lose in a row before that counts as an end.
const maxPorts = 5

// next decides what follows a life that ended as o says at now, after uptime; exit says
// how its child ended. random returns a duration from 0 to the one given: full jitter.
//
// The pause doubles from min to max with each end in a row, and all is forgotten when a
// life lasted reset. give_up.exits ends within give_up.within are a crash loop, which is
// left when a life lasts reset. What we asked for counts for nothing.
func next(r schema.Restart, h history, o outcome, exit child.Exit, uptime time.Duration, now time.Time, random func(time.Duration) time.Duration) (decision, history) {
	if o == askedFor {
		return decision{State: Waiting}, h
	}
	if o == portLost && h.Ports < maxPorts {
		h.Ports++
		return decision{State: Waiting}, h
	}
	h.Ports = 0
	if r.Policy == "never" || r.Policy == "on-failure" && o == endedItself && exit.OK() {
		return decision{State: Exited}, h
	}
	if uptime >= r.Reset.D() {
		h = history{}
	}
	recent := make([]time.Time, 0, len(h.Ends)+1)
	for _, t := range append(h.Ends[:len(h.Ends):len(h.Ends)], now) {
		if now.Sub(t) < r.GiveUp.Within.D() || t.Equal(now) {
			recent = append(recent, t)
		}
	}
	h.Ends = recent
	if h.Loop || r.GiveUp.Exits > 0 && len(h.Ends) >= r.GiveUp.Exits {
		h.Loop = true
		return decision{State: CrashLoop, Pause: r.Max.D()}, h
	}
	most := r.Min.D()
	for range h.Failures {
		if most *= 2; most >= r.Max.D() || most <= 0 {
			most = r.Max.D()
			break
		}
	}
	h.Failures++
	return decision{State: Backoff, Pause: random(min(most, r.Max.D()))}, h
}
