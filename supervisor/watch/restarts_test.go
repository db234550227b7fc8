package watch

import (
	"testing"
	"time"
)

func TestAfterThreeRestartsInTenSecondsOneFollowsInEachPause(t *testing.T) {
	const most, reset = 30 * time.Second, 10 * time.Minute
	var w Restarts
	now := time.Unix(0, 0)
	for n, step := range []struct {
		after time.Duration
		pause time.Duration
		loop  bool
	}{
		{0, 0, false},
		{time.Second, 0, false},
		{time.Second, 0, false},
		{time.Second, most - time.Second, true}, // the fourth within ten seconds
		{time.Second, most - time.Second, true},
		{40 * time.Second, 0, true}, // longer than the pause after the one before
		{time.Second, most - time.Second, true},
		{2 * reset, 0, false}, // quiet for long enough
		{time.Second, 0, false},
	} {
		now = now.Add(step.after)
		pause, next := w.Next(now, most, reset)
		if w = next; pause != step.pause || w.Loop != step.loop {
			t.Errorf("step %d: got a pause of %v, loop %t, want %v, %t", n, pause, w.Loop, step.pause, step.loop)
		}
		now = now.Add(pause)
		w.Times = append(w.Times, now)
	}
}

func TestTheSilenceAfterABurstGrowsWithIt(t *testing.T) {
	for lasted, want := range map[time.Duration]time.Duration{
		0:                      settle,
		100 * time.Millisecond: settle,
		time.Second:            500 * time.Millisecond,
		5 * time.Second:        settleLong,
		settleMax:              0,
	} {
		if got := silence(lasted); got != want {
			t.Errorf("after %v: got %v, want %v", lasted, got, want)
		}
	}
}
