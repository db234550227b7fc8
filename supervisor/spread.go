package supervisor

import (
	"time"

	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
)

// mostSpread is how long the calls that were held while a process started may be kept for
// those of its instances that are still starting: a little more than two looks of a readiness
// probe.
const mostSpread = 600 * time.Millisecond

// spreadFrom begins to spread the calls that were held: i is the first instance that became
// ready, at now, and the others will be soon if they take about as long as it did.
func (p *Process) spreadFrom(i *Instance, now time.Time) {
	if p.line.Len() > 0 {
		p.spread = now.Add(min(now.Sub(i.began)/2, mostSpread))
	}
}

// share is how many calls an instance may have while those that were held are spread over
// the instances that are ready and those that are starting; 0 is without a bound.
func (p *Process) share() int {
	if p.spread.IsZero() {
		return 0
	}
	starting := 0
	for _, s := range p.slots {
		if s.state == lifecycle.Starting && !s.leaving {
			starting++
		}
	}
	if starting == 0 {
		p.spread = time.Time{}
		return 0
	}
	all := len(p.ready) + starting
	return (p.calls() + all - 1) / all
}

// spreads gives all calls that wait to the instances that are ready once the others took
// too long. It returns when to ask again: again, or sooner.
func (p *Process) spreads(now time.Time, again time.Duration) time.Duration {
	if p.spread.IsZero() {
		return again
	}
	if left := p.spread.Sub(now); left > 0 {
		if again <= 0 {
			return left
		}
		return min(again, left)
	}
	p.spread = time.Time{}
	p.serve()
	return again
}
