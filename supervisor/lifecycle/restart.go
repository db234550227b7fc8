package lifecycle

import (
	"math/rand/v2"
	"time"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// Outcome is why a life ended.
type Outcome uint8

// The outcomes.
const (
	AskedFor    Outcome = iota // we asked for it
	EndedItself                // the child ended by itself
	StartFailed                // it could not be started
	LateStart                  // it was not ready within timeouts.start
	Unwell                     // its liveness probe failed
	PortLost                   // another process took its port before it did
)

// Decision is what follows a life.
type Decision struct {
	State State         // Waiting (start again at once), Backoff, CrashLoop or Exited
	Pause time.Duration // before the next start
}

// History is what the policy remembers of the ends of a process and of one of its
// instances. The zero value is that of one that never ended.
type History struct {
	Ends     []time.Time // the ends that count, of all instances, within give_up.within
	Failures int         // ends in a row of this instance
	Ports    int         // ports lost in a row
	Loop     bool        // in a crash loop, until a life lasts reset
}

// maxPorts is how many ports an instance may lose in a row before that counts as an end.
const maxPorts = 5

// Next decides what follows a life that ended as o says at now, after uptime; exit says
// how its child ended. random returns a duration from 0 to the one given: full jitter.
//
// The pause doubles from min to max with each end in a row, and all is forgotten when a
// life lasted reset. give_up.exits ends within give_up.within are a crash loop, which is
// left when a life lasts reset. What we asked for counts for nothing.
func Next(r schema.Restart, h History, o Outcome, exit child.Exit, uptime time.Duration, now time.Time, random func(time.Duration) time.Duration) (Decision, History) {
	if o == AskedFor {
		return Decision{State: Waiting}, h
	}
	if o == PortLost && h.Ports < maxPorts {
		h.Ports++
		return Decision{State: Waiting}, h
	}
	h.Ports = 0
	if r.Policy == "never" || r.Policy == "on-failure" && o == EndedItself && exit.OK() {
		return Decision{State: Exited}, h
	}
	if uptime >= r.Reset.D() {
		h = History{}
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
		return Decision{State: CrashLoop, Pause: r.Max.D()}, h
	}
	most := r.Min.D()
	for range h.Failures {
		if most *= 2; most >= r.Max.D() || most <= 0 {
			most = r.Max.D()
			break
		}
	}
	h.Failures++
	return Decision{State: Backoff, Pause: random(min(most, r.Max.D()))}, h
}

// Jitter returns anything from 0 to d: what Next takes as random.
func Jitter(d time.Duration) time.Duration { return time.Duration(rand.Int64N(int64(d) + 1)) }
