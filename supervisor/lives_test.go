package supervisor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/lives"
)

func TestLivesSayWhenWhyAndAfterHowManyCallsTheyEnded(t *testing.T) {
	s := newStack(t, server(t, "api", "serve"))
	for range 2 {
		s.acquire("api").Release()
	}
	before := s.Process("api").Lives()
	if len(before) != 1 || before[0].Ended != nil || before[0].Calls != 2 || before[0].PID == 0 {
		t.Fatalf("got %+v, want one life that runs and has answered 2 calls", before)
	}
	if err := s.Restart(context.Background(), "api"); err != nil {
		t.Fatal(err)
	}
	after := s.Process("api").Lives()
	if len(after) != 2 || after[0].Ended != nil || after[1].Ended == nil {
		t.Fatalf("got %+v, want the life that runs, then the one that is over", after)
	}
	old := after[1]
	if want := "stopped by watchdogd: a restart was asked for"; old.Reason != want || old.Calls != 2 || old.PID != before[0].PID {
		t.Errorf("got %+v, want process %d with 2 calls and the reason %q", old, before[0].PID, want)
	}
	if old.Ended.Before(old.Started) || !old.Started.Equal(before[0].Started) {
		t.Errorf("got a life from %v to %v, want it to begin at %v and end later", old.Started, old.Ended, before[0].Started)
	}
}

func TestOnlyTheLastLivesAreKept(t *testing.T) {
	spec := service(t, "task", "exit 3")
	spec.Process.Restart = schema.Restart{Policy: "always", Min: schema.Duration(time.Millisecond), Max: schema.Duration(time.Millisecond)}
	s := newStack(t, spec)
	s.await("task", "restarted often", func(st Status) bool { return st.Restarts > lives.Most+2 })
	if err := s.Stop(context.Background(), "task"); err != nil {
		t.Fatal(err)
	}
	all := s.Process("task").Lives()
	if len(all) != lives.Most {
		t.Fatalf("got %d lives, want %d", len(all), lives.Most)
	}
	for n, l := range all[1:] { // the stop may have ended the latest
		if l.Reason != "exit status 3" || l.Ended == nil || l.Started.After(all[n].Started) {
			t.Errorf("got %+v, want one that ended with status 3 and is older than %v", l, all[n].Started)
		}
	}
}

func TestARefusedCallSaysHowTheProcessEndedLast(t *testing.T) {
	s := newStack(t, server(t, "web", "complain"))
	s.awaitState("web", CrashLoop)
	_, err := s.Process("web").Acquire(t.Context(), bound)
	f := failure.Of(err)
	if f.LastExit != "exit status 3" || f.LastExitAt.IsZero() || f.NextStart.IsZero() || f.State != string(CrashLoop) {
		t.Errorf("got last exit %q at %v, next start %v, state %s, want exit status 3, both times, and a crash loop", f.LastExit, f.LastExitAt, f.NextStart, f.State)
	}
}

func TestAnExplanationIsASentence(t *testing.T) {
	blocked := service(t, "blocked", "sleep")
	blocked.Process.DependsOn = schema.Dependencies{"gone": "completed"}
	gone := service(t, "gone", "exit 3")
	gone.Process.Restart.Policy = "never"
	idle := server(t, "idle", "serve")
	idle.Process.Replicas = schema.Replicas{Min: 0, Max: 1}
	s := newStack(t, service(t, "well", "sleep"), blocked, gone, idle)
	s.awaitState("gone", Exited)
	s.awaitState("well", Ready)
	s.await("blocked", "told", func(st Status) bool { return strings.Contains(st.Reason, "exited (exit") })
	for name, want := range map[string]struct {
		why   string
		ready bool
	}{
		"well":    {"1 instance can answer", true},
		"gone":    {"exit status 3", false},
		"idle":    {"no instance runs because none is needed; the next call starts one", true},
		"blocked": {"waits for gone to be completed, whose state is exited (exit status 3)", false},
	} {
		if e := s.Process(name).Explain(); e.Why != want.why || e.Ready != want.ready {
			t.Errorf("%s: got %q, ready %v, want %q, %v", name, e.Why, e.Ready, want.why, want.ready)
		}
	}
	if err := s.Scale("well", 0); err != nil {
		t.Fatal(err)
	}
	if got, want := s.Process("well").Explain().Why, "it is scaled to 0; run `watchdogd scale well=1`"; got != want {
		s.awaitState("well", Stopped)
		if got = s.Process("well").Explain().Why; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
