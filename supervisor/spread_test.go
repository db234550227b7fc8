package supervisor

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
)

// started is a process whose instances are starting, without programs: the test says when
// which of them is ready.
type started struct {
	*Process
	t     *testing.T
	calls []*waiter
}

func newStarted(t *testing.T, instances, calls int) *started {
	t.Helper()
	sup := New(Options{Log: slog.New(slog.NewTextHandler(&testkit.Log{}, nil))})
	spec := &Spec{Name: "api", Kind: Route, Process: schema.Process{Replicas: schema.Replicas{Min: instances, Max: instances}}}
	p := &started{Process: newProcess(sup, spec), t: t}
	for n := range instances {
		s := &slot{p: p.Process, spec: spec, number: n, state: lifecycle.Starting, leave: make(chan struct{})}
		s.life = &Instance{p: p.Process, slot: s, spec: spec, number: n, began: time.Now()}
		p.slots = append(p.slots, s)
	}
	for range calls {
		_, w, err := p.takeOrQueue(true)
		if w == nil || err != nil {
			t.Fatalf("got no place in the line and the error %v, want one", err)
		}
		p.calls = append(p.calls, w)
	}
	return p
}

func (p *started) become(number int, state lifecycle.State) {
	p.locked(func() { p.move(p.slots[number], state, "") })
}

// answered returns which instance each call has got: -1 is that it still waits.
func (p *started) answered() (numbers []int) {
	for _, w := range p.calls {
		select {
		case a := <-w.Value:
			w.Value <- a
			numbers = append(numbers, a.instance.number)
		default:
			numbers = append(numbers, -1)
		}
	}
	return numbers
}

func (p *started) want(what string, numbers ...int) {
	p.t.Helper()
	if got := p.answered(); !slices.Equal(got, numbers) {
		p.t.Errorf("%s: got the instances %v for the calls, want %v", what, got, numbers)
	}
}

func TestCallsThatWereHeldAreSpreadOverTheInstancesThatBecomeReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStarted(t, 3, 9)
		time.Sleep(100 * time.Millisecond)
		p.become(1, lifecycle.Ready)
		p.want("one of three is ready", 1, 1, 1, -1, -1, -1, -1, -1, -1)
		time.Sleep(49 * time.Millisecond)
		p.become(0, lifecycle.Ready)
		p.want("two are ready", 1, 1, 1, 0, 0, 0, -1, -1, -1)
		p.become(2, lifecycle.Ready)
		p.want("all are ready", 1, 1, 1, 0, 0, 0, 2, 2, 2)
		if again := p.spreads(time.Now(), 0); again != 0 {
			t.Errorf("got another look after %v, want none", again)
		}
	})
}

func TestCallsThatWereHeldDoNotWaitLongForAnotherInstance(t *testing.T) {
	for _, c := range []struct{ start, pause time.Duration }{
		{100 * time.Millisecond, 50 * time.Millisecond},
		{time.Minute, mostSpread},
	} {
		t.Run(fmt.Sprint(c.start), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newStarted(t, 2, 4)
				time.Sleep(c.start)
				p.become(0, lifecycle.Ready)
				p.want("the first is ready", 0, 0, -1, -1)
				again, _ := p.step(time.Now())
				if again != c.pause {
					t.Errorf("got another look after %v, want it after %v", again, c.pause)
				}
				time.Sleep(again - time.Nanosecond)
				p.step(time.Now())
				p.want("just before the pause is over", 0, 0, -1, -1)
				time.Sleep(time.Nanosecond)
				p.step(time.Now())
				p.want("the pause is over", 0, 0, 0, 0)
			})
		})
	}
}

func TestCallsAreNotKeptForAnInstanceThatFailsToStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStarted(t, 2, 4)
		time.Sleep(time.Second)
		p.become(0, lifecycle.Ready)
		p.become(1, lifecycle.Stopping)
		p.want("the other ended", 0, 0, 0, 0)
	})
}

func TestAnInstanceThatAnswersGetsTheNextCallThatWasHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStarted(t, 2, 4)
		time.Sleep(time.Second)
		p.become(0, lifecycle.Ready)
		p.slots[0].life.Release()
		p.want("a call is over", 0, 0, 0, -1)
		p.slots[0].life.Release()
		p.want("two are over, each instance may have one of the other two", 0, 0, 0, -1)
		p.slots[0].life.Release()
		p.want("three are over", 0, 0, 0, 0)
	})
}

func TestACallThatCannotWaitAnyLongerGetsTheInstanceThatIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newStarted(t, 2, 4)
		time.Sleep(time.Second)
		p.become(0, lifecycle.Ready)
		if i, err := p.giveUp(p.calls[3], nil); err != nil || i.number != 0 {
			t.Errorf("the last call's time in the queue is over: got %v, %v, want instance 0", i, err)
		}
		if i, _, err := p.takeOrQueue(false); err != nil || i == nil || i.number != 0 {
			t.Errorf("a call that does not wait: got %v, %v, want instance 0", i, err)
		}
		_, w, err := p.takeOrQueue(true)
		if w == nil || err != nil {
			t.Fatalf("a call that came later: got the error %v, want a place in the line", err)
		}
		p.calls = append(p.calls[:3], w)
		p.become(1, lifecycle.Ready)
		p.want("the other is ready", 0, 0, 1, 1)
	})
}
