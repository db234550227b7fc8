// Package call is one request on its way: what a handler is given besides net/http.
//
// A front begins a call for each request, and ends it. The handler finds it in the
// request's context:
//
//	c := call.From(r.Context())
//	c.SetInstance("api/1")     // for the access line
//	c.OnEnd(interrupt)         // when the client leaves or a timeout passes
//	defer c.OffEnd()
//
// A handler that reads the request's body or waits for anything begins with Enter, which
// makes a call where the server has made none, so that it works behind any server.
//
// A call ends in one way, whatever the reason: Stop. It ends the context with the reason as
// its cause, the reading of the request's body, the writing of a response that has begun,
// and by the function of OnEnd what the handler has in hand. Nobody else sets deadlines on
// the client's connection because a call is over.
package call

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/trace"
)

// Call is one request on its way. The handler's goroutine uses it, and any goroutine may call
// Stop, EndStream, Touch and Fail. A Call must not be used after the handler has returned.
type Call struct {
	// What the front knows of the request.
	ID        string       // its X-Request-Id
	Route     string       // the name of the route; empty without one
	Prefix    string       // the route's path, without a slash at the end
	Stripped  bool         // the request's target does not have the prefix any more
	SentPath  string       // the path as the client sent it, with the prefix
	TraceID   string       // of the trace that the request is part of
	Spans     *trace.Spans // what is recorded of the call for a collector; nil is nothing
	User      string       // who calls, if the route's auth has named them
	AuthType  string       // the scheme by which they were authenticated: Basic or Bearer
	Saturated bool         // the program has no processor's time to spare: let others go on before a write

	fields   *http1.Fields      // of the request; nil where its Header has them
	own      http1.Fields       // of a request that came with a Header
	header   func() http.Header // makes one of fields
	local    func() bool
	instance string
	reason   string
	untimed  bool
	waited   time.Duration

	ctx     context.Context
	x       *Context            // the same, if the call has begun
	detach  func() bool         // from the server's context; nil where that does not end
	w       http.ResponseWriter // the server's
	entered bool                // made by Enter
	body    Body

	began   time.Time
	timed   bool         // somebody asks for Touched
	touched atomic.Int64 // when something last moved in the response, since began

	sent atomic.Bool // the head of the response is on its way; written with mu held

	mu       sync.Mutex // guards what follows; it is held while onEnd and farewell are called
	begin    uint64     // counts the calls that c has been
	stopped  bool
	over     bool
	failed   *failure.Error // why the call was ended, or refused
	failedAt time.Time
	cut      bool   // ended by us after its head was sent
	onEnd    func() // ends what the handler waits for
	taken    net.Conn

	upgraded  bool   // the call is no longer HTTP
	events    bool   // its response is an event stream
	ending    bool   // as soon as it is one of these, it is to end
	whole     bool   // it was an event stream that was ended, and is no less complete for it
	farewell  func() // ends an upgraded connection as its protocol provides; nil where none does
	concludes bool   // the handler ends a response that was stopped in a way that says so
	concluded bool   // and has done so
}

// ErrGone is the cause of a call's end when the client was seen to have left.
var ErrGone = errors.New("the client went away")

// concluding is how long the end of a response that was stopped may take to be sent.
const concluding = time.Second

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// SetInstance names the instance that answers from now on, for the access line.
func (c *Call) SetInstance(name string) {
	c.instance = name
	c.Spans.Answering()
}

// Instance returns what SetInstance was given last.
func (c *Call) Instance() string { return c.instance }

// SetReason sets the reason phrase of the access line, where it is not the usual one.
func (c *Call) SetReason(phrase string) { c.reason = phrase }

// Reason returns what SetReason was given last.
func (c *Call) Reason() string { return c.reason }

// SetUntimed leaves X-Duration-Seconds out of this response, though the route's have it.
func (c *Call) SetUntimed() { c.untimed = true }

// Untimed reports whether SetUntimed was called.
func (c *Call) Untimed() bool { return c.untimed }

// WaitedSince adds the time since began to the time that the call has waited, for what: its
// turn, or an instance.
func (c *Call) WaitedSince(began time.Time, what string) {
	now := time.Now()
	c.waited += now.Sub(began)
	c.Spans.Add(what, began, now)
}

// Waited is how long the call has waited so far.
func (c *Call) Waited() time.Duration { return c.waited }

// Patience is when the call's wait is over, of so long in all; the zero time for 0 is never.
func (c *Call) Patience(wait time.Duration) time.Time {
	if wait <= 0 {
		return time.Time{}
	}
	return time.Now().Add(wait - c.waited)
}

// SetFields sets the fields of the request as it goes to the handler, which may come without a
// Header, and what makes one of them.
func (c *Call) SetFields(fields *http1.Fields, header func() http.Header) {
	c.fields, c.header = fields, header
}

// Fields returns the header of r, the call's request, as fields: those of SetFields, or once
// r has a Header what that says.
func (c *Call) Fields(r *http.Request) *http1.Fields {
	if r.Header == nil && c.fields != nil {
		return c.fields
	}
	c.own.From(r.Header)
	return &c.own
}

// NeedHeader makes the Header of r, the call's request, if it has none. From then on it is what
// counts.
func (c *Call) NeedHeader(r *http.Request) {
	if r.Header == nil && c.header != nil {
		r.Header = c.header()
	}
}

// SetLocal sets what Local asks.
func (c *Call) SetLocal(f func() bool) { c.local = f }

// Local reports whether the client is on this machine, as far as can be seen: it may be told
// what strangers should not.
func (c *Call) Local() bool { return c.local != nil && c.local() }

// Touch notes that something moved in the response or in an upgraded connection.
func (c *Call) Touch() {
	if c.timed {
		c.touched.Store(int64(time.Since(c.began)))
	}
}

// Fail notes why the call is answered with a failure, for the access line and the counters;
// the first reason stands. A client that has gone is none.
func (c *Call) Fail(err error) {
	f := failure.Of(err)
	if f.Kind == failure.Gone {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil && !c.whole {
		c.failed, c.failedAt = f, time.Now()
	}
}

// OnEnd has f called when the call is stopped, at once if it was, and not after OffEnd. There
// is one f at a time. It must not wait, and not use the call.
func (c *Call) OnEnd(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		f()
		return
	}
	c.onEnd = f
}

// OffEnd ends what OnEnd began: when it has returned f is not called any more, and has
// returned if it was. It reports whether the call was stopped.
func (c *Call) OffEnd() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onEnd = nil
	return c.stopped
}

// Answer is called before the head of the response is sent. It reports false when the call
// was stopped: then there may be another response to send.
func (c *Call) Answer() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped && !c.sent.Load() {
		return false
	}
	c.sent.Store(true)
	return true
}

// Took tells that the client's connection was taken over. When the call is stopped, reads
// and writes of it fail.
func (c *Call) Took(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken, c.upgraded = conn, true
	c.sent.Store(true)
	switch {
	case c.stopped:
		_ = conn.SetDeadline(aLongTimeAgo) // it fails only on a closed connection
	case c.ending:
		c.endStream()
	}
}

// OnFarewell says how the connection that was taken over is ended as its protocol provides.
// f must not wait and not use the call, and may be called more than once.
func (c *Call) OnFarewell(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.farewell = f
}

// Concludes says that the handler ends a response that has begun, when the call is stopped,
// in a way that the client understands as a failure. It has a second for that.
func (c *Call) Concludes() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.concludes = true
}

// Concluded says that it has.
func (c *Call) Concluded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.concluded = true
}

// EndStream ends the call if it is an event stream or an upgraded connection, or as soon as
// it becomes one: when it would end by itself is unknown. An event stream ends like one whose
// program has ended it, so that the client connects again; an upgraded connection as its
// protocol provides, where the handler knows how. It does not wait, and reports whether the
// call is either.
func (c *Call) EndStream() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
	if !c.over && !c.stopped {
		c.endStream()
	}
	return c.upgraded || c.events
}

func (c *Call) endStream() {
	switch {
	case c.upgraded && c.farewell != nil:
		c.farewell()
	case c.upgraded:
		c.stop(c.Draining())
	case c.events:
		c.whole = true
		c.stop(c.Draining())
	}
}

// StopStream stops the call if it is still a stream though EndStream was called.
func (c *Call) StopStream() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over && (c.upgraded || c.events) && (!c.stopped || c.whole) {
		c.whole = false
		c.stop(c.Draining())
	}
}

// Draining is the failure of a call that ends because watchdogd does.
func (c *Call) Draining() *failure.Error {
	return &failure.Error{Kind: failure.Draining, Route: c.Route, Detail: "watchdogd is shutting down"}
}

// Cut stops the call for the reason why, whatever it is at. It does not wait.
func (c *Call) Cut(why error) { c.Stop(failure.Of(why)) }

// Stop ends the call for the reason why: a *failure.Error, or the client's leaving. It does
// not wait, and reports whether there was something to end.
func (c *Call) Stop(why error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopOnce(why)
}

func (c *Call) stopOnce(why error) bool {
	if c.over || c.stopped && !c.whole {
		return false
	}
	c.whole = false
	c.stop(why)
	return true
}

// stop is the one way in which a call ends before its time. c.mu is held.
func (c *Call) stop(why error) {
	f, ours := errors.AsType[*failure.Error](why)
	ours = ours && f.Kind != failure.Gone
	if ours && !c.whole {
		if c.failed == nil {
			c.failed = f
		}
		c.cut = c.sent.Load()
	}
	c.stopped = true
	if c.x != nil {
		c.x.end(why)
	}
	c.body.stop(why)
	switch {
	case c.taken != nil:
		_ = c.taken.SetDeadline(aLongTimeAgo) // it fails only on a closed connection
	case c.whole, c.w == nil, ours && !c.sent.Load(): // what is written may be written, and so may an answer
	case c.concludes:
		_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(concluding)) // the connection may be gone
	default:
		_ = http.NewResponseController(c.w).SetWriteDeadline(aLongTimeAgo) // as above
	}
	if f := c.onEnd; f != nil {
		c.onEnd = nil
		f()
	}
}
