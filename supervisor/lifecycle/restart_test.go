package lifecycle

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

func defaults() schema.Restart {
	return schema.Restart{
		Policy: "always", Min: schema.Duration(250 * time.Millisecond), Max: schema.Duration(30 * time.Second), Reset: schema.Duration(time.Minute),
		GiveUp: schema.GiveUp{Exits: 5, Within: schema.Duration(time.Minute)}, Then: "degrade",
	}
}

func longest(d time.Duration) time.Duration { return d }

func TestThePauseDoublesFromMinToMaxAndIsForgottenAfterReset(t *testing.T) {
	r := defaults()
	r.GiveUp.Exits = 0
	now := time.Now()
	var h History
	var d Decision
	for _, want := range []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second} {
		d, h = Next(r, h, EndedItself, child.Exit{Code: 1}, time.Second, now, longest)
		if d.State != Backoff || d.Pause != want {
			t.Errorf("got %s %v, want %v", d.State, d.Pause, want)
		}
	}
	d, _ = Next(r, h, EndedItself, child.Exit{Code: 1}, time.Minute, now, longest)
	if d.Pause != 250*time.Millisecond {
		t.Errorf("after a life of reset: got %v, want %v", d.Pause, 250*time.Millisecond)
	}
}

func TestPolicies(t *testing.T) {
	for _, c := range []struct {
		policy  string
		outcome Outcome
		exit    child.Exit
		want    State
	}{
		{"always", EndedItself, child.Exit{}, Backoff},
		{"always", EndedItself, child.Exit{Code: 1}, Backoff},
		{"on-failure", EndedItself, child.Exit{}, Exited},
		{"on-failure", EndedItself, child.Exit{Code: 1}, Backoff},
		{"on-failure", EndedItself, child.Exit{Code: -1, Signal: 9}, Backoff},
		{"on-failure", Unwell, child.Exit{}, Backoff},
		{"on-failure", LateStart, child.Exit{}, Backoff},
		{"on-failure", StartFailed, child.Exit{}, Backoff},
		{"never", EndedItself, child.Exit{}, Exited},
		{"never", EndedItself, child.Exit{Code: 1}, Exited},
		{"never", Unwell, child.Exit{}, Exited},
		{"never", PortLost, child.Exit{Code: 1}, Waiting},
		{"never", AskedFor, child.Exit{}, Waiting},
		{"always", AskedFor, child.Exit{}, Waiting},
		{"always", PortLost, child.Exit{Code: 1}, Waiting},
	} {
		r := defaults()
		r.Policy = c.policy
		if d, _ := Next(r, History{}, c.outcome, c.exit, 0, time.Now(), longest); d.State != c.want {
			t.Errorf("%s, outcome %d, %v: got %s, want %s", c.policy, c.outcome, c.exit, d.State, c.want)
		}
	}
}

func TestTooManyEndsAreACrashLoopUntilALifeLasts(t *testing.T) {
	r := defaults()
	now := time.Now()
	var h History
	var d Decision
	for n := range 5 {
		if n > 0 && d.State != Backoff {
			t.Fatalf("crash loop after %d ends", n)
		}
		d, h = Next(r, h, EndedItself, child.Exit{}, 0, now, longest)
	}
	if d.State != CrashLoop || d.Pause != 30*time.Second {
		t.Fatalf("after 5 ends: got %+v, want State %v and Pause %v", d, CrashLoop, 30*time.Second)
	}
	d, h = Next(r, h, EndedItself, child.Exit{}, time.Second, now.Add(time.Hour), longest)
	if d.State != CrashLoop {
		t.Errorf("an hour later it is forgotten though no life lasted: got %+v, want State %v", d, CrashLoop)
	}
	d, _ = Next(r, h, EndedItself, child.Exit{}, time.Minute, now.Add(2*time.Hour), longest)
	if d.State != Backoff {
		t.Errorf("after a life of reset: got %+v, want State %v", d, Backoff)
	}
}

func TestAnEndThatWasAskedForDoesNotCount(t *testing.T) {
	r := defaults()
	var h History
	var d Decision
	for range 100 {
		if d, h = Next(r, h, AskedFor, child.Exit{Code: 1}, 0, time.Now(), longest); d.State != Waiting || d.Pause != 0 {
			t.Fatalf("got %+v, want State %v and Pause 0", d, Waiting)
		}
	}
}

func TestPortsLostAgainAndAgainCount(t *testing.T) {
	r := defaults()
	var h History
	var d Decision
	for range maxPorts {
		if d, h = Next(r, h, PortLost, child.Exit{Code: 1}, 0, time.Now(), longest); d.State != Waiting {
			t.Fatalf("got %+v, want State %v", d, Waiting)
		}
	}
	if d, _ = Next(r, h, PortLost, child.Exit{Code: 1}, 0, time.Now(), longest); d.State != Backoff {
		t.Fatalf("got %+v, want State %v", d, Backoff)
	}
}

// Whatever happens, the policy holds its bounds.
func TestPropertiesOfThePolicy(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		r := defaults()
		r.Policy = []string{"always", "on-failure", "never"}[rnd.IntN(3)]
		r.Min = schema.Duration(1 + rnd.Int64N(int64(time.Minute)))
		r.Max = schema.Duration(1 + rnd.Int64N(int64(time.Hour)))
		r.GiveUp.Exits = rnd.IntN(6)
		r.GiveUp.Within = schema.Duration(1 + rnd.Int64N(int64(time.Minute)))
		r.Reset = schema.Duration(1 + rnd.Int64N(int64(time.Minute)))
		now := time.Now()
		var h History
		for range 200 {
			now = now.Add(time.Duration(rnd.Int64N(int64(10 * time.Second))))
			o := Outcome(rnd.IntN(int(PortLost) + 1))
			exit := child.Exit{Code: rnd.IntN(2)}
			uptime := time.Duration(rnd.Int64N(int64(2 * r.Reset.D())))
			d, after := Next(r, h, o, exit, uptime, now, func(d time.Duration) time.Duration { return time.Duration(rnd.Int64N(int64(d) + 1)) })
			counts := o != AskedFor && (o != PortLost || h.Ports >= maxPorts)
			switch {
			case d.Pause < 0 || d.Pause > r.Max.D():
				t.Fatalf("pause %v is beyond max %v", d.Pause, r.Max.D())
			case d.Pause > 0 && d.State != Backoff && d.State != CrashLoop:
				t.Fatalf("a pause in %s", d.State)
			case o == AskedFor && (d.State != Waiting || len(after.Ends) != len(h.Ends)):
				t.Fatalf("what we asked for counted: got %+v, want no end", d)
			case counts && r.Policy == "never" && d.State != Exited:
				t.Fatalf("got %s, want exited", d.State)
			case d.State == CrashLoop && r.GiveUp.Exits == 0:
				t.Fatal("it gave up though it never may")
			case d.State == CrashLoop && d.Pause != r.Max.D():
				t.Fatalf("a crash loop is tried after %v", d.Pause)
			case counts && d.State == Backoff && uptime >= r.Reset.D() && (after.Failures != 1 || len(after.Ends) != 1 || after.Loop):
				t.Fatalf("a life of %v: got %+v, want the history forgotten", uptime, after)
			}
			for _, e := range after.Ends {
				if (d.State == Backoff || d.State == CrashLoop) && now.Sub(e) >= r.GiveUp.Within.D() && !e.Equal(now) {
					t.Fatalf("an end %v ago is remembered", now.Sub(e))
				}
			}
			h = after
		}
	}
}

// In a bubble of made-up time, ends are spread as the policy says.
func TestACrashingProcessIsStartedEverMoreSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := defaults()
		var h History
		var d Decision
		began := time.Now()
		starts := 0
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		for {
			starts++
			up := time.Now()
			if !sleep.For(ctx, 10*time.Millisecond) { // its life
				break
			}
			d, h = Next(r, h, EndedItself, child.Exit{Code: 1}, time.Since(up), time.Now(), longest)
			if !sleep.For(ctx, d.Pause) {
				break
			}
		}
		if got := time.Since(began); got < time.Hour {
			t.Fatalf("it was over after %v, want at least %v", got, time.Hour)
		}
		if starts < 110 || starts > 126 { // every 30 s, but for the first few
			t.Errorf("%d starts in an hour", starts)
		}
	})
}
