package routes

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/metrics"
)

// call is one request on its way, from its head to its end: begin, arm, admit,
// head, end. It knows nothing of http.ResponseWriter, so that any front can have
// its calls admitted, timed, counted and logged alike; what a call must do to its
// connection it does through line.
//
//	c.begin(table, route, parent, line)
//	c.arm(header)                 // the timers start
//	err := c.admit(length)        // rate, place
//	c.head(stream)                // the head of the response is sent
//	c.end(&ending)                // counted, logged, its place given to the next
//
// Of these only touch, cut and the timer's own function may run beside the rest.
type call struct {
	table  *Table
	route  *route
	id     string
	began  time.Time
	queue  time.Duration // spent waiting, for a place and for a process
	ctx    context.Context
	cancel context.CancelCauseFunc
	line   line

	// place.mu guards these
	in         *calls
	prev, next *call
	called     chan struct{} // a token when the place is given

	onEnd atomic.Pointer[func()] // what is called when ctx ends before its time

	touched atomic.Int64 // when something last moved in the response, since began

	mu       sync.Mutex // guards what follows
	stage    stage
	timer    *time.Timer
	due      time.Duration // when timer fires, since began; 0 is not armed
	exec     time.Duration // as X-Timeout lowered it
	execAt   time.Duration // 0 is none
	firstAt  time.Duration
	idle     time.Duration
	watchAt  time.Duration  // when to look next whether the caller is still there
	failed   *failure.Error // why the call was ended, or refused
	upgraded bool
	events   bool   // its response is an event stream
	ending   bool   // as soon as it is a stream or upgraded, it is to end
	whole    bool   // it was an event stream that was ended, and is no less complete for it
	farewell func() // ends an upgraded connection as its protocol provides; nil where none does
	cutShort bool   // ended by us after its head was sent
}

// line is a call's connection, as far as a call is concerned with it. Its methods
// are called with call.mu held and must not wait.
type line interface {
	// stop makes a read of the request's body that waits fail with why, and, when
	// the head of the response is sent, a write of the response that waits.
	stop(why error, sent bool)
	// gone reports whether the caller has left, and watched whether that must be
	// asked: a server notices it by itself only when the request's body is read.
	gone() bool
	watched() bool
	// String is the call as an operator knows it.
	String() string
}

// stage is how far a call has come.
type stage uint8

const (
	waiting  stage = iota // admission
	running               // the handler has it; the timers run
	answered              // the head of the response is sent
	over
)

// begin starts c. A call that began is ended by end.
func (c *call) begin(t *Table, rt *route, parent context.Context, l line) {
	c.table, c.route, c.line = t, rt, l
	c.began = time.Now()
	c.ctx, c.cancel = context.WithCancelCause(parent)
	c.touched.Store(0)
	c.queue, c.stage = 0, waiting
	c.due, c.execAt, c.firstAt, c.idle, c.watchAt = 0, 0, 0, 0, 0
	c.failed, c.upgraded, c.cutShort = nil, false, false
	c.events, c.ending, c.whole, c.farewell = false, false, false, nil
	c.onEnd.Store(nil)
	rt.count.Begin()
}

// admit gives c a place in its route, or an error: a *failure.Error, or the cause
// of the context's end. length is that of the request's body, -1 when unknown.
func (c *call) admit(length int64) error {
	rt := c.route
	if rt.body > 0 && length > rt.body {
		return bodyError(rt)
	}
	if wait, ok := rt.rate.take(); !ok {
		return &failure.Error{Kind: failure.RateLimited, Route: rt.name, RetryAfter: wait,
			Detail: "more calls than limits.rate allows"}
	}
	return rt.place.enter(c)
}

// fail notes why c is answered with a failure; the first reason stands.
func (c *call) fail(err error) {
	f := failure.Of(err)
	if f.Kind == failure.Gone {
		return
	}
	c.mu.Lock()
	if c.failed == nil && !c.whole {
		c.failed = f
		if c.execAt > 0 {
			c.execAt = max(c.execAt, time.Since(c.began)+answering)
		}
	}
	c.mu.Unlock()
}

// answering is how long a call that has failed has for telling its caller, whatever
// timeouts.exec says: that may be over at the same moment as what it failed of.
const answering = time.Second

// upgrade tells that the call is no longer HTTP. note is called with the lock held
// under which line.stop is.
func (c *call) upgrade(note func()) {
	c.head(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	note()
	c.upgraded = true
	if c.ending || c.table.closing.Load() {
		c.stopLocked(drainError(c.route))
	}
}

// streams tells that the response, whose head is sent, is an event stream.
func (c *call) streams() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = true
	if c.ending || c.table.closing.Load() {
		c.endStreamLocked()
	}
}

// endStream ends c if it is an event stream or no longer HTTP, or as soon as it is: when
// it would end by itself is unknown. An event stream ends like one whose program has
// ended it, so that the client connects again; an upgraded connection as its protocol
// provides, where the mode knows how. It reports whether c is either.
func (c *call) endStream() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
	if c.stage != over && c.ctx.Err() == nil {
		c.endStreamLocked()
	}
	return c.upgraded || c.events
}

func (c *call) endStreamLocked() {
	switch {
	case c.upgraded && c.farewell != nil:
		c.farewell()
	case c.upgraded:
		c.stopLocked(drainError(c.route))
	case c.events:
		c.whole = true
		c.endContext(drainError(c.route))
		c.line.stop(drainError(c.route), false) // what is written may still be written
	}
}

// stopStream ends c if it is still a stream though endStream was called.
func (c *call) stopStream() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage != over && (c.upgraded || c.events) {
		c.stopLocked(drainError(c.route))
	}
}

// cut ends c for the reason why, whatever it is at. It reports whether there was something
// to cut.
func (c *call) cut(why *failure.Error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == over || c.ctx.Err() != nil && !c.whole {
		return false
	}
	c.stopLocked(why)
	return true
}

// stopLocked ends what c waits for, wherever that is. c.mu is held.
func (c *call) stopLocked(why *failure.Error) {
	if c.failed == nil {
		c.failed = why
	}
	c.cutShort = c.stage == answered
	c.endContext(why)
	c.line.stop(why, c.stage == answered)
}

// endContext ends c.ctx, with why as its cause.
func (c *call) endContext(why error) {
	c.cancel(why)
	if f := c.onEnd.Swap(nil); f != nil {
		go (*f)()
	}
}

// end ends c: it is counted and logged, and its place is the next one's. It reports
// whether c may be used for another call.
func (c *call) end(e *ending) (reusable bool) {
	c.mu.Lock()
	c.stage = over
	reusable = c.due == 0 || c.timer.Stop()
	e.cut = e.cut || c.cutShort
	failed := c.failed
	c.mu.Unlock()
	if c.in != nil {
		c.route.place.leave(c)
	}

	took := time.Since(c.began)
	gone := errors.Is(context.Cause(c.ctx), context.Canceled) || errors.Is(context.Cause(c.ctx), errGone)
	if e.status == 0 {
		e.status = unsent(failed, gone)
	}
	c.cancel(nil)
	count := c.route.count
	count.End(e.method, e.status, took)
	if c.queue >= noWait {
		count.Waited(c.queue)
	}
	c.countFailure(failed)
	c.log(e, took, failed)
	c.table.leave()
	c.table, c.route, c.line, c.ctx, c.cancel = nil, nil, nil, nil, nil
	return reusable
}

// unsent is the status of a call whose response was never begun: 499 for a caller
// who went away, else what he would have been told.
func unsent(failed *failure.Error, gone bool) int {
	switch {
	case gone:
		return 499
	case failed != nil && failed.Kind == failure.Timeout:
		return http.StatusGatewayTimeout
	case failed != nil && failed.Kind == failure.Draining:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func (c *call) countFailure(f *failure.Error) {
	if f == nil {
		return
	}
	if why, ok := rejection(f.Kind); ok {
		c.route.count.Rejected(why)
	}
	if f.Timeout != "" {
		c.route.count.TimedOut(f.Timeout)
	}
}

// rejection gives the reason of watchdogd_rejected_total, for kinds that are refusals.
func rejection(k failure.Kind) (metrics.Reason, bool) {
	switch k {
	case failure.RateLimited:
		return metrics.OverRate, true
	case failure.Full:
		return metrics.Full, true
	case failure.QueueTimeout:
		return metrics.QueueTimeout, true
	case failure.BodyTooLarge:
		return metrics.TooLarge, true
	case failure.Unauthorized, failure.Forbidden:
		return metrics.Unauthorized, true
	case failure.NotReady:
		return metrics.NotReady, true
	case failure.CrashLoop:
		return metrics.CrashLoop, true
	case failure.Draining:
		return metrics.Draining, true
	}
	return 0, false
}

// errGone is the cause of a call's end when we, not the server, saw its caller leave.
var errGone = errors.New("the caller went away")

func drainError(rt *route) *failure.Error {
	return &failure.Error{Kind: failure.Draining, Route: rt.name, Detail: "watchdogd is shutting down"}
}

func itoa(n int) string { return strconv.Itoa(n) }
