package routes

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/fifo"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/routes/alexa"
	"github.com/watchdogd/watchdogd/routes/origin"
)

// serving is how a call is served, from its head to its end: begin, accept, arm, admit, the
// handler, finish. It is pooled, with the call and the response in one piece.
//
//	s.begin(table, route, w, r)
//	s.accept(r, path)             // the request and the response that the handler gets
//	s.arm()                       // the clocks start
//	err := s.admit(length)        // rate, place
//	s.finish()                    // what the handler left undone; then counted and logged
type serving struct {
	call.Call
	clock
	table    *Table
	route    *route
	response response
	values   *values
	request  *http.Request     // as the handler gets it
	client   client            // nil where the server reports by itself that the client has left
	function *metrics.Function // of a call through the gateway; else nil
	ahead    *alexa.Body       // what the gateway has read of the body; nil is nothing

	ids     http1.Text         // new ones
	fields  *http1.Fields      // of the request, as the handler gets it
	fielder http1.FieldWriter  // where the server has them; else nil
	came    http.Header        // where not: those that the request came with
	isLocal func() bool        // local, made once
	headed  func() http.Header // header, made once
	place   fifo.Item[*serving]
	swept   bool          // the limiter has seen to the timer; the limiter's lock guards it
	called  chan struct{} // a token when the place is given
}

// values are what every call has and whoever was given the request may keep: the call's
// context, the request, and the values of headers. They are used again if nobody can have
// kept them: see call.Context.Kept.
type values struct {
	context       call.Context
	bare, request http.Request // in that context; bare has nothing else
	duration      [1]string
	fields        []string // the values of the Header of request
}

func newValues() *values {
	v := new(values)
	v.bare = *new(http.Request).WithContext(&v.context)
	return v
}

// requestIn returns r in the context of v. It is r.WithContext, but for the memory.
func (v *values) requestIn(r *http.Request) *http.Request {
	in := &v.request
	*in = v.bare
	in.Method, in.URL, in.Proto, in.ProtoMajor, in.ProtoMinor = r.Method, r.URL, r.Proto, r.ProtoMajor, r.ProtoMinor
	in.Header, in.Trailer, in.Host, in.RequestURI, in.RemoteAddr = r.Header, r.Trailer, r.Host, r.RequestURI, r.RemoteAddr
	in.Body, in.GetBody, in.ContentLength, in.TransferEncoding = r.Body, r.GetBody, r.ContentLength, r.TransferEncoding
	in.Close, in.TLS, in.Response, in.Pattern = r.Close, r.TLS, r.Response, r.Pattern
	in.Form, in.PostForm, in.MultipartForm = r.Form, r.PostForm, r.MultipartForm
	return in
}

var servings = sync.Pool{New: func() any { return newServing() }}

func newServing() *serving {
	s := &serving{called: make(chan struct{}, 1)}
	s.place.Value = s
	s.isLocal, s.headed = s.local, s.header
	return s
}

// client is what the server of a request can tell of the client, when its request came, and
// whether the program is saturated: see call.Call.
type client interface {
	Gone() bool
	Arrived() time.Time
	Saturated() bool
}

// begin starts the call of a request to a route. It is ended by over.
func (s *serving) begin(t *Table, to *aim, w http.ResponseWriter, r *http.Request) {
	rt := to.route
	s.table, s.route, s.function, s.ahead = t, rt, to.function, to.ahead
	var came time.Time
	if s.client, _ = w.(client); s.client != nil {
		came = s.client.Arrived()
	} else {
		came = time.Now()
	}
	if s.values == nil {
		s.values = newValues() // one piece of memory for all of them
	}
	s.Begin(r.Context(), &s.values.context, w, came)
	s.Route, s.Prefix, s.Stripped = rt.name, to.prefix, to.stripped
	s.Saturated = s.client != nil && s.client.Saturated()
	rt.count.Begin()
}

// accept makes the response and the request that the handler will see.
func (s *serving) accept(w http.ResponseWriter, r *http.Request, path string) {
	id, made := origin.Identify(s.fields, &s.ids)
	s.ID = id
	s.joinTrace(s.fields, made)
	s.SentPath = path
	s.SetLocal(s.isLocal)
	s.SetFields(s.fields, s.headed)
	s.request = s.values.requestIn(r)
	s.request.Header = nil         // see NeedHeader
	origin.CleanTrailer(r.Trailer) // of what is announced
	s.response = response{w: w, serving: s, noBody: r.Method == http.MethodHead}
	s.Receive(r, s.request, call.Limits{Size: s.route.body, Read: s.route.timeouts.Read.D(), Trailer: origin.InTrailer})
}

// take makes s.fields those of r: the server's, or those of the header that it has made.
func (s *serving) take(w http.ResponseWriter, r *http.Request) {
	if s.fielder, _ = w.(http1.FieldWriter); s.fielder != nil && r.Header == nil {
		s.fields = s.fielder.Fields()
	} else {
		s.fielder, s.fields, s.came = nil, s.Call.Fields(r), r.Header
	}
}

// header makes the http.Header of the request, for a handler that needs one.
func (s *serving) header() http.Header {
	if s.fielder != nil {
		return s.fielder.RequestHeader()
	}
	if s.came == nil {
		s.came = http.Header{}
	}
	clear(s.came)
	s.values.fields = s.fields.Into(s.came, s.values.fields)
	return s.came
}

// admit gives s a place in its route, or returns an error: a *failure.Error, or the cause
// of the context's end. length is that of the request's body, -1 when unknown.
func (s *serving) admit(length int64) error {
	rt := s.route
	if rt.body > 0 && length > rt.body {
		return s.TooLarge(rt.body)
	}
	if wait, ok := rt.rate.take(); !ok {
		return &failure.Error{Kind: failure.RateLimited, Route: rt.name, RetryAfter: wait,
			Detail: "more calls than limits.rate allows"}
	}
	return rt.limiter.enter(s)
}

// refuse answers a call that does not reach its handler.
func (s *serving) refuse(err error) {
	f, ok := errors.AsType[*failure.Error](err)
	if !ok {
		f = &failure.Error{Kind: failure.Gone, Route: s.route.name, Cause: err}
	}
	s.Fail(f)
	s.NeedHeader(s.request)
	s.table.opt.Respond(&s.response, s.request, f)
}

// endIfClosing ends a call that has just become a stream if the table is about to be left:
// Drain may have looked at it before.
func (s *serving) endIfClosing() {
	if s.table.closing.Load() {
		s.EndStream()
	}
}

// farewell is how long streams and upgraded connections have to end after they were told.
const farewell = 2 * time.Second

// finish is what follows every handler, however it ended.
func (s *serving) finish() {
	p := recover()
	w := &s.response
	if p != nil && p != http.ErrAbortHandler {
		s.logPanic(p)
		if p = http.ErrAbortHandler; w.status == 0 {
			s.refuse(&failure.Error{Kind: failure.Internal, Route: s.route.name, Detail: "internal error"})
			p = nil
		}
	}
	if w.upgrade != nil {
		s.finishUpgrade(p)
		return
	}
	state := s.State()
	if state.Whole && w.status != 0 {
		p = nil
		// A client that takes nothing any more does not hold the end up.
		_ = http.NewResponseController(w.w).SetWriteDeadline(time.Now().Add(farewell))
	}
	if p == nil && w.status == 0 {
		if cause := context.Cause(s.Context()); cause != nil {
			s.refuse(cause) // the handler left the answer to us; a client that has gone gets none
			state = s.State()
		} else if !s.Lost() {
			w.WriteHeader(http.StatusOK)
		}
	}
	if p == nil && (w.status == 0 || stopped(state)) {
		p = http.ErrAbortHandler // the server must not end it as if it were whole
	}
	s.over(p != nil)
	if p != nil {
		panic(http.ErrAbortHandler)
	}
}

// stopped reports whether a response was cut off in a way that the client can only tell by
// the connection.
func stopped(s call.State) bool { return s.Cut && !s.Concluded }

// finishUpgrade ends the call when its connection is closed. It is closed here when
// the handler failed, or when the call was stopped.
func (s *serving) finishUpgrade(p any) {
	u := s.response.upgrade
	if p != nil {
		_ = u.Close() // it is over either way
	}
	select {
	case <-u.closed:
	case <-s.Context().Done():
		_ = u.Close()
	}
	s.response.bytes = u.written.Load()
	s.over(p != nil)
	if p != nil {
		panic(http.ErrAbortHandler)
	}
}

// over ends the call: it is counted and logged, and its place is given to the next one.
func (s *serving) over(cut bool) {
	w, r := &s.response, s.request
	reusable := s.clock.stop()
	state, cause := s.End()
	s.route.limiter.leave(s)

	took := time.Since(s.Began())
	status, failed := w.status, state.Failed
	if status == 0 {
		gone := errors.Is(cause, context.Canceled) || errors.Is(cause, call.ErrGone)
		status = unsent(failed, gone)
	}
	count := s.route.count
	count.End(r.Method, status, took)
	if s.Waited() >= noWait {
		count.Waited(s.Waited())
	}
	countFailure(count, failed)
	if s.function != nil {
		s.function.End(status, took)
	}
	s.ahead.Release()
	s.log(took, status, failed, cut || state.Cut)
	if s.Spans != nil {
		s.endSpans(took, status, failed, cut || state.Cut)
		s.Spans = nil
	}
	s.table.leave()
	s.fields, s.fielder, s.came = nil, nil, nil
	s.table, s.route, s.request, s.client, s.function, s.ahead, s.swept = nil, nil, nil, nil, nil, nil, false
	s.response = response{}
	if s.values.context.Kept() {
		s.values = nil
	} else {
		s.values.request = http.Request{} // with what it holds
	}
	if reusable {
		servings.Put(s)
	}
}

// unsent is the status of a call whose response was never begun: 499 for a client that
// went away, else what it would have been sent.
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

func countFailure(count *metrics.Route, f *failure.Error) {
	if f == nil {
		return
	}
	if why, ok := rejection(f.Kind); ok {
		count.Rejected(why)
	}
	if f.Timeout != "" {
		count.TimedOut(f.Timeout)
	}
}

// rejection returns the reason of watchdogd_rejected_total, for kinds that are refusals.
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
	case failure.Unauthorized:
		return metrics.Unauthorized, true
	case failure.Forbidden:
		return metrics.Forbidden, true
	case failure.AuthUnavailable:
		return metrics.AuthUnavailable, true
	case failure.NotReady:
		return metrics.NotReady, true
	case failure.CrashLoop:
		return metrics.CrashLoop, true
	case failure.Draining:
		return metrics.Draining, true
	}
	return 0, false
}

// gone reports whether the client has left, and watched whether that must be asked: a
// server notices it by itself only when the request's body is read.
func (s *serving) gone() bool    { return s.client != nil && s.client.Gone() }
func (s *serving) watched() bool { return s.client != nil }

// local reports whether the client is on this machine, as far as can be seen.
func (s *serving) local() bool {
	return s.request != nil && origin.OnThisMachine(s.request, s.fields, s.response.proxied)
}

// String is the call as an operator knows it. It has no query, which may hold secrets.
func (s *serving) String() string {
	return s.request.Method + " " + s.SentPath + " from " + s.request.RemoteAddr
}

func (s *serving) logPanic(p any) {
	s.table.opt.Log.LogAttrs(s.Context(), slog.LevelError, "a handler panicked",
		slog.String("route", s.route.name), slog.String("id", s.ID), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
}
