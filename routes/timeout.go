package routes

import (
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
)

// watchEvery is how soon a caller who left is missed whose leaving the server
// does not notice by itself.
const watchEvery = 500 * time.Millisecond

// clock is what a call's timeouts need:
//
//	first_byte  until the head of the response
//	exec        the whole call; for streams and upgraded connections until the head
//	idle        from the head on: how long nothing may move
//
// One timer serves them all. It is set to the earliest, and finds out what is due
// when it fires, so that nothing is set anew while bytes move. Most calls are over long
// before: a call whose timeouts are all far away is given its timer when its limiter looks
// for such calls (see limiter.sweep), if it is not over by then.
type clock struct {
	mu      sync.Mutex // guards what follows; the call's own lock may be taken inside
	stage   stage
	wound   bool // the timer is set if anything is due
	timer   *time.Timer
	due     time.Duration // when timer fires, since the call began; 0 is not armed
	exec    time.Duration // as X-Timeout lowered it
	execAt  time.Duration // 0 is none
	firstAt time.Duration
	idle    time.Duration
	watchAt time.Duration // when to look next whether the client is still there
}

// stage is how far a call has come.
type stage uint8

const (
	waiting  stage = iota // admission
	running               // the handler has it; the timers run
	answered              // the head of the response is sent
	over
)

// sweepEvery is how often a limiter looks for calls that have no timer yet, and sweepable
// how far away a timeout must be to wait for that.
const (
	sweepEvery = 250 * time.Millisecond
	sweepable  = 2 * sweepEvery
)

// stop ends the clock. It reports false when the timer may still fire.
func (c *clock) stop() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	quiet := c.due == 0 || c.timer.Stop()
	c.stage, c.wound, c.due, c.exec, c.execAt, c.firstAt, c.idle, c.watchAt = over, false, 0, 0, 0, 0, 0, 0
	return quiet
}

// arm starts the clock, the wait for a place included. Whoever waits for anything before the
// call is in its limiter sees to the timer by wind.
func (s *serving) arm() {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	t := &s.route.timeouts
	now := time.Duration(0)
	if s.route.auth != nil { // what came before may have waited
		now = time.Since(s.Began())
	}
	s.stage = running
	if s.idle = t.Idle.D(); s.idle > 0 {
		s.KeepTouched()
	}
	s.exec = lowered(t.Exec.D(), s.fields.Get("X-Timeout"))
	if s.exec > 0 {
		s.execAt = now + s.exec
	}
	if first := t.FirstByte.D(); first > 0 {
		s.firstAt = now + first
	}
	if s.watched() {
		s.watchAt = now + watchEvery
	}
	if next := s.next(); next > 0 && next < now+sweepable {
		s.setTimer(now)
	}
}

// wind sets the timer of a call that lasts, unless it is set.
func (s *serving) wind() {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	if s.wound || s.stage != running && s.stage != answered {
		return
	}
	s.wound = true
	if s.due == 0 {
		s.setTimer(time.Since(s.Began()))
	}
}

// lowered is exec, or asked, the value of X-Timeout, if that is less: a Go duration above 0.
func lowered(exec time.Duration, asked string) time.Duration {
	if asked == "" {
		return exec
	}
	d, err := time.ParseDuration(asked)
	if err != nil || d <= 0 || exec > 0 && d > exec {
		return exec
	}
	return d
}

// headSent notes that the head of the response is sent. What follows it in a stream or
// an upgraded connection has no end that exec could ask for.
func (s *serving) headSent(stream bool) {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	if s.stage != running && s.stage != waiting {
		return
	}
	s.stage = answered
	s.firstAt = 0
	if stream {
		s.execAt = 0
	}
	if s.idle > 0 {
		s.Touch()
		if !s.wound && s.idle >= sweepable {
			return
		}
		now := time.Since(s.Began())
		if s.due == 0 || now+s.idle < s.due {
			s.setTimer(now)
		}
	}
}

// setTimer sets the timer to what is due next, if anything is. clock.mu is held.
func (s *serving) setTimer(now time.Duration) {
	next := s.next()
	if next == 0 {
		return
	}
	s.due = next
	if s.timer == nil {
		s.timer = time.AfterFunc(next-now, s.fire)
	} else {
		s.timer.Reset(next - now)
	}
}

// next is when something is due; 0 is never. clock.mu is held.
func (s *serving) next() time.Duration {
	next := time.Duration(0)
	for _, at := range [...]time.Duration{s.execAt, s.firstAt, s.idleAt(), s.watchAt} {
		if at > 0 && (next == 0 || at < next) {
			next = at
		}
	}
	return next
}

// idleAt is when nothing will have moved for too long.
func (s *serving) idleAt() time.Duration {
	if s.idle == 0 || s.stage != answered {
		return 0
	}
	return s.Touched() + s.idle
}

// answering is how long a call that has failed has for telling its client, whatever
// timeouts.exec says: that may be over at the same moment as what it failed of.
const answering = time.Second

// fire is what the timer does: it stops the call if something is due.
func (s *serving) fire() {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	if s.stage == over || s.Context().Err() != nil {
		return
	}
	s.due = 0
	now := time.Since(s.Began())
	if failed := s.FailedAt(); !failed.IsZero() && s.execAt > 0 {
		s.execAt = max(s.execAt, failed.Sub(s.Began())+answering)
	}
	late := func(at time.Duration) bool { return at > 0 && now >= at }
	t := &s.route.timeouts
	switch {
	case late(s.firstAt):
		s.Stop(timeoutError(s.route, "first_byte", "no response began", t.FirstByte.D()))
		return
	case late(s.execAt):
		s.Stop(timeoutError(s.route, "exec", "the call was not over", s.exec))
		return
	case late(s.idleAt()):
		s.Stop(timeoutError(s.route, "idle", "nothing moved in the response", s.idle))
		return
	case late(s.watchAt):
		s.watchAt = 0
		if s.gone() {
			s.Stop(call.ErrGone)
			return
		}
		if s.watched() {
			s.watchAt = now + watchEvery
		}
	}
	s.setTimer(now)
}

func timeoutError(rt *route, key, what string, after time.Duration) *failure.Error {
	return &failure.Error{Kind: failure.Timeout, Route: rt.name, Timeout: key,
		Detail: what + " within timeouts." + key + " (" + after.Round(time.Millisecond).String() + ")"}
}
