package call

import (
	"context"
	"net/http"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// Begin starts c for a request of the server of w, which came at began and whose context is
// parent; x becomes the context of the call. c may have been used before. A call that began
// is ended by End.
func (c *Call) Begin(parent context.Context, x *Context, w http.ResponseWriter, began time.Time) {
	c.ID, c.Route, c.Prefix, c.SentPath, c.Stripped = "", "", "", "", false
	c.User, c.AuthType, c.TraceID, c.Spans = "", "", "", nil
	c.instance, c.reason, c.untimed, c.waited = "", "", false, 0
	c.fields, c.header = nil, nil
	c.began, c.timed = began, false
	x.begin(parent, c)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin++
	c.w, c.entered, c.ctx, c.x = w, false, x, x
	c.stopped, c.over, c.failed, c.failedAt, c.cut = false, false, nil, time.Time{}, false
	c.sent.Store(false)
	c.upgraded, c.events, c.ending, c.whole, c.concludes, c.concluded = false, false, false, false, false, false
	if parent.Done() != nil {
		begin := c.begin
		c.detach = context.AfterFunc(parent, func() { c.stopIn(begin, context.Cause(parent), true) })
	}
}

// stopIn is Stop for the call that c was at begin. Of the server it is ignored once reading
// the body was stopped: some servers take that for the client's leaving.
func (c *Call) stopIn(begin uint64, why error, server bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begin == begin && !(server && c.body.isStopped()) {
		c.stopOnce(why)
	}
}

// Context returns the context of the call.
func (c *Call) Context() context.Context { return c.ctx }

// Began is when the call began.
func (c *Call) Began() time.Time { return c.began }

// Head notes that the head of the response is being sent. It returns the failure that the
// response tells of, nil for a response of the handler's own.
func (c *Call) Head() *failure.Error {
	if c.sent.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent.Store(true)
	return c.failed
}

// Streams notes that the response, whose head is sent, is an event stream.
func (c *Call) Streams() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = true
	if c.ending && !c.stopped {
		c.endStream()
	}
}

// KeepTouched has Touch note the time.
func (c *Call) KeepTouched() {
	c.timed = true
	c.touched.Store(0)
}

// Touched is when something last moved, since Began.
func (c *Call) Touched() time.Duration { return time.Duration(c.touched.Load()) }

// FailedAt is when Fail was first called; the zero time is not yet.
func (c *Call) FailedAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failedAt
}

// State is how far a call has come.
type State struct {
	Failed    *failure.Error // why it was stopped, or answered with a failure
	Stopped   bool
	Cut       bool // stopped by us after the head of the response was sent
	Concluded bool // and the response says so
	Whole     bool // an event stream that was ended, and is complete
}

// State returns how far the call has come.
func (c *Call) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state()
}

func (c *Call) state() State {
	return State{Failed: c.failed, Stopped: c.stopped, Cut: c.cut, Concluded: c.concluded, Whole: c.whole && !c.cut}
}

// End ends a call whose handler has returned, and returns how far it had come and the cause
// of its context's end, nil if that had not ended. Nothing stops it any more.
func (c *Call) End() (State, error) {
	if c.detach != nil {
		c.detach()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cause := c.x.cause()
	c.over, c.onEnd, c.farewell, c.taken = true, nil, nil, nil
	s := c.state()
	c.x.end(nil)
	c.x.call.Store(nil)
	c.ctx, c.x, c.detach, c.w, c.local, c.fields, c.header = nil, nil, nil, nil, nil, nil, nil
	c.own.Forget(mostFields)
	if c.body.from != nil {
		c.body.reset()
	}
	return s, cause
}

// mostFields is how many fields of a request are worth memory that is kept.
const mostFields = 64

// Enter returns the call of r. Where the server of w has made none it begins one, and returns
// r in its context. The handler calls Leave before it returns.
func Enter(w http.ResponseWriter, r *http.Request) (*Call, *http.Request) {
	if c, ok := r.Context().Value(key{}).(*Call); ok {
		return c, r
	}
	c := new(Call)
	c.Begin(r.Context(), new(Context), w, time.Now())
	c.entered = true
	c.ID = r.Header.Get("X-Request-Id")
	c.SentPath = r.URL.EscapedPath()
	in := r.WithContext(c.ctx)
	c.Receive(r, in, Limits{})
	return c, in
}

// Leave ends a call that Enter has begun.
func (c *Call) Leave() {
	if c.entered {
		c.entered = false
		_, _ = c.End() // nobody counts it
	}
}
