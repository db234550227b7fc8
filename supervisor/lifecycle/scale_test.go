package lifecycle

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

func TestNeeds(t *testing.T) {
	r := schema.Replicas{Min: 0, Max: 4, Target: 10}
	for calls, want := range map[int]int{0: 0, 1: 1, 9: 1, 10: 2, 19: 2, 20: 3, 30: 4, 1000: 4} {
		if got := needs(r, calls); got != want {
			t.Errorf("%d calls: got %d needed, want %d", calls, got, want)
		}
	}
}

func TestAFixedNumberStays(t *testing.T) {
	want, again, _ := Scale(schema.Replicas{Min: 3, Max: 3}, Demand{}, 1000, time.Now())
	if want != 3 || again != 0 {
		t.Errorf("%d, again after %v", want, again)
	}
}

func TestUpAtOnceAndDownAfterIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := schema.Replicas{Min: 0, Max: 4, Target: 10, Idle: schema.Duration(time.Minute)}
		var d Demand
		var again time.Duration
		ask := func(calls int) (want int) {
			want, again, d = Scale(r, d, calls, time.Now())
			return want
		}
		if n := ask(0); n != 0 || again != 0 {
			t.Fatalf("at first %d, again after %v, want 0 0", n, again)
		}
		if n := ask(25); n != 3 {
			t.Fatalf("25 calls: got %d, want 3", n)
		}
		time.Sleep(30 * time.Second)
		if n := ask(5); n != 3 {
			t.Fatalf("5 calls half a minute later: got %d, want 3", n)
		}
		time.Sleep(again)
		if n := ask(5); n != 1 {
			t.Fatalf("5 calls when two were idle for a minute: got %d, want 1", n)
		}
		for n := ask(0); n > 0; n = ask(0) {
			if again <= 0 {
				t.Fatal("it never asks again")
			}
			time.Sleep(again)
		}
		if again != 0 {
			t.Errorf("with nothing it asks again after %v, want 0", again)
		}
	})
}

// Whatever the calls, the number stays in its bounds, is enough, and falls only after
// idle.
func TestPropertiesOfTheScaling(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	for range 300 {
		r := schema.Replicas{Min: rnd.IntN(3), Target: 1 + rnd.IntN(5), Idle: schema.Duration(int64(time.Millisecond) + rnd.Int64N(int64(time.Minute)))}
		r.Max = r.Min + 1 + rnd.IntN(5)
		now := time.Now()
		var d Demand
		needed := make([]time.Time, r.Max) // when each was needed last
		for range 200 {
			now = now.Add(time.Duration(rnd.Int64N(int64(20 * time.Second))))
			calls := rnd.IntN(r.Max * r.Target * 2)
			if rnd.IntN(3) > 0 {
				calls = rnd.IntN(2)
			}
			var want int
			var again time.Duration
			want, again, d = Scale(r, d, calls, now)
			need := needs(r, calls)
			for k := range need {
				needed[k] = now
			}
			switch {
			case want < r.Min || want > r.Max:
				t.Fatalf("%d is not in %d to %d", want, r.Min, r.Max)
			case want < need:
				t.Fatalf("%d for %d calls, which need %d", want, calls, need)
			case want > need && now.Sub(needed[want-1]) >= r.Idle.D():
				t.Fatalf("%d though the last was not needed for %v", want, now.Sub(needed[want-1]))
			case want < r.Max && !needed[want].IsZero() && now.Sub(needed[want]) < r.Idle.D():
				t.Fatalf("%d though another was needed %v ago", want, now.Sub(needed[want]))
			case want > r.Min && (again <= 0 || again > r.Idle.D()):
				t.Fatalf("%d of at least %d, and again after %v", want, r.Min, again)
			}
		}
	}
}
