package routes

import (
	"net/http"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// watchEvery is how soon a caller who left is missed whose leaving the server
// does not notice by itself.
const watchEvery = 500 * time.Millisecond

// arm starts the timers of a call, its wait for a place included:
//
//	first_byte  until the head of the response
//	exec        the whole call; for streams and upgraded connections until the head
//	idle        from the head on: how long nothing may move
//
// One timer serves them all. It is set to the earliest, and finds out what is due
// when it fires, so that nothing is set anew while bytes move.
func (c *call) arm(header http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &c.route.timeouts
	now := time.Since(c.began)
	c.stage = running
	c.idle = t.Idle.D()
	c.exec = lowered(t.Exec.D(), header)
	if c.exec > 0 {
		c.execAt = now + c.exec
	}
	if first := t.FirstByte.D(); first > 0 {
		c.firstAt = now + first
	}
	if c.line.watched() {
		c.watchAt = now + watchEvery
	}
	c.setTimer(now)
}

// lowered is exec, or what X-Timeout asks for if that is less: a Go duration above 0.
func lowered(exec time.Duration, header http.Header) time.Duration {
	asked := header["X-Timeout"]
	if len(asked) == 0 {
		return exec
	}
	d, err := time.ParseDuration(asked[0])
	if err != nil || d <= 0 || exec > 0 && d > exec {
		return exec
	}
	return d
}

// head tells that the head of the response is sent. What follows it in a stream or
// an upgraded connection has no end that exec could ask for.
func (c *call) head(stream bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage != running && c.stage != waiting {
		return
	}
	c.stage = answered
	c.firstAt = 0
	if stream {
		c.execAt = 0
	}
	if c.idle > 0 {
		now := time.Since(c.began)
		c.touched.Store(int64(now))
		if c.due == 0 || now+c.idle < c.due {
			c.setTimer(now)
		}
	}
}

// touch tells that something moved.
func (c *call) touch() {
	if c.idle > 0 {
		c.touched.Store(int64(time.Since(c.began)))
	}
}

// setTimer sets the timer to what is due next, if anything is. c.mu is held.
func (c *call) setTimer(now time.Duration) {
	next := time.Duration(0)
	for _, at := range [...]time.Duration{c.execAt, c.firstAt, c.idleAt(), c.watchAt} {
		if at > 0 && (next == 0 || at < next) {
			next = at
		}
	}
	if next == 0 {
		return
	}
	c.due = next
	if c.timer == nil {
		c.timer = time.AfterFunc(next-now, c.fire)
	} else {
		c.timer.Reset(next - now)
	}
}

// idleAt is when nothing will have moved for too long.
func (c *call) idleAt() time.Duration {
	if c.idle == 0 || c.stage != answered {
		return 0
	}
	return time.Duration(c.touched.Load()) + c.idle
}

// fire is what the timer does: it ends the call if something is due.
func (c *call) fire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == over || c.ctx.Err() != nil {
		return
	}
	c.due = 0
	now := time.Since(c.began)
	late := func(at time.Duration) bool { return at > 0 && now >= at }
	t := &c.route.timeouts
	switch {
	case late(c.firstAt):
		c.stopLocked(timeoutError(c.route, "first_byte", "no response began", t.FirstByte.D()))
		return
	case late(c.execAt):
		c.stopLocked(timeoutError(c.route, "exec", "the call was not over", c.exec))
		return
	case late(c.idleAt()):
		c.stopLocked(timeoutError(c.route, "idle", "nothing moved in the response", c.idle))
		return
	case late(c.watchAt):
		c.watchAt = 0
		if c.line.gone() {
			c.endContext(errGone)
			c.line.stop(errGone, true)
			return
		}
		if c.line.watched() {
			c.watchAt = now + watchEvery
		}
	}
	c.setTimer(now)
}

func timeoutError(rt *route, key, what string, after time.Duration) *failure.Error {
	return &failure.Error{Kind: failure.Timeout, Route: rt.name, Timeout: key,
		Detail: what + " within timeouts." + key + " (" + after.Round(time.Millisecond).String() + ")"}
}
