package lifecycle

import (
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// Demand is what the scaling remembers: when each number of instances was last needed.
// needed[k] is when k+1 of them were.
type Demand struct {
	needed []time.Time
}

// Scale returns how many instances there should be at now, when calls is the most calls
// that were in flight or waiting at once since it was last asked. Another is added while
// each has target calls, at once; one that is not needed leaves after idle. again is
// when to ask again if nothing happens; 0 is never.
func Scale(r schema.Replicas, d Demand, calls int, now time.Time) (want int, again time.Duration, after Demand) {
	if r.Min >= r.Max {
		return r.Min, 0, Demand{}
	}
	need := needs(r, calls)
	after.needed = make([]time.Time, r.Max)
	copy(after.needed, d.needed)
	for k := range need {
		after.needed[k] = now
	}
	want = need
	for k := need; k < r.Max; k++ {
		if t := after.needed[k]; !t.IsZero() && now.Sub(t) < r.Idle.D() {
			want = k + 1
		}
	}
	if want > need {
		// The last of those not needed leaves first.
		again = r.Idle.D() - now.Sub(after.needed[want-1])
	} else if want > r.Min {
		again = max(r.Idle.D()/4, time.Millisecond) // calls tell only how many they were at most
	}
	return want, again, after
}

// needs is how many instances so many calls need.
func needs(r schema.Replicas, calls int) int {
	n := 0
	if calls > 0 {
		n = 1 + calls/max(r.Target, 1)
	}
	return min(max(n, r.Min), r.Max)
}
