package routes

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// values are those of headers that every call has. They are not pooled, since who
// was given the request may keep them.
type values struct{ forwardedFor, proto, host, prefix, id, duration [1]string }

// exchange is a call that came through net/http: the front around it. It is
// pooled, with the call, the body and the response in one piece.
type exchange struct {
	call
	body     body
	response response
	values   *values
	request  *http.Request // as the mode gets it
	parent   context.Context
	conn     *conn // that it came on, if it is one of ours
	http1    bool
	expects  bool // the caller waits for 100 Continue before he sends the body
}

var exchanges = sync.Pool{New: func() any {
	x := &exchange{}
	x.called = make(chan struct{}, 1)
	return x
}}

// serve takes a request all the way to the route that matches it, or to named if that
// is not nil. Its caller has counted it in t.inflight.
func (t *Table) serve(w http.ResponseWriter, r *http.Request, named *route) {
	x := exchanges.Get().(*exchange)
	path, query, hasPath := target(r.RequestURI)
	rt, refusal := t.none, (*failure.Error)(nil)
	switch {
	case named != nil:
		rt = named
	case hasPath:
		rt, refusal = t.match(r.Method, r.Host, path, r.Header)
	case r.Method != http.MethodOptions || r.RequestURI != "*":
		refusal = &failure.Error{Kind: failure.Malformed, Detail: "the request's target has no path"}
	}
	x.begin(t, rt, r.Context(), x)
	x.accept(w, r, path)
	defer x.finish()

	switch {
	case refusal != nil:
		x.refuse(refusal)
	case rt == t.none: // OPTIONS *: of the server, not of a route (RFC 9110 section 9.3.7)
		w.Header().Set("Content-Length", "0")
		x.response.WriteHeader(http.StatusOK)
	default:
		forward(x.request, rt, t.opt.Trusted, x.values)
		readdress(x.request, rt, path, query)
		if err := x.admit(r.ContentLength); err != nil {
			x.refuse(err)
			return
		}
		x.arm(x.request.Header)
		rt.handler.ServeHTTP(&x.response, x.request)
	}
}

// accept makes the response and the request that the mode will see.
func (x *exchange) accept(w http.ResponseWriter, r *http.Request, path string) {
	x.http1 = r.ProtoMajor == 1
	x.parent = r.Context()
	x.values = new(values) // one piece of memory for all of them
	x.id = identify(r.Header, &x.values.id)
	x.request = r.WithContext(x.ctx)
	x.response = response{w: w, call: &x.call, duration: x.values.duration[:], path: path, noBody: r.Method == http.MethodHead}
	x.body.reset()
	if x.http1 {
		if d, ok := w.(interface{ EnableFullDuplex() error }); ok {
			_ = d.EnableFullDuplex() // an answer may begin before the upload ends
		}
		x.conn = connOf(x.parent)
		if ambiguous(r, x.conn) {
			closeAfter(w)
		}
	}
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	x.expects = x.http1 && r.Header["Expect"] != nil
	x.body.from, x.body.original, x.body.request = r.Body, r, x.request
	x.body.route, x.body.call, x.body.http1, x.body.w = x.route, &x.call, x.http1, w
	x.body.most = x.route.timeouts.Read.D()
	if x.route.body > 0 {
		x.body.limit = x.route.body
	}
	x.request.Body = &x.body
}

// readdress makes the request's target what the process is to see: the path as it
// was sent, without the prefix where the route strips it.
func readdress(r *http.Request, rt *route, path, query string) {
	if !rt.strip && r.URL.Host == "" {
		return // as net/http made it
	}
	if rt.strip {
		path = path[len(rt.prefix):]
		if path == "" {
			path = "/"
		}
	}
	u := *r.URL
	u.Scheme, u.Host, u.User = "", "", nil // of an absolute target
	if rt.strip {
		u.RawPath = path
		u.Path, _ = url.PathUnescape(path) // net/http has unescaped it before
		if u.RawPath == u.Path {
			u.RawPath = ""
		}
	}
	r.URL = &u
	if tail := r.RequestURI[len(r.RequestURI)-min(len(r.RequestURI), len(path)+len(query)):]; strings.HasPrefix(tail, path) {
		r.RequestURI = tail
	} else {
		r.RequestURI = path + query // a "/" that was not sent
	}
}

// refuse answers a call that does not reach its handler.
func (x *exchange) refuse(err error) {
	f, ok := errors.AsType[*failure.Error](err)
	if !ok {
		f = &failure.Error{Kind: failure.Gone, Route: x.route.name, Cause: err}
	}
	x.fail(f)
	x.table.opt.Respond(&x.response, x.request, f)
}

// finish is what follows every handler, however it ended.
func (x *exchange) finish() {
	p := recover()
	w := &x.response
	if p != nil && p != http.ErrAbortHandler {
		x.logPanic(p)
		if p = http.ErrAbortHandler; w.status == 0 {
			x.refuse(&failure.Error{Kind: failure.Internal, Route: x.route.name, Detail: "internal error"})
			p = nil
		}
	}
	if w.upgrade != nil {
		x.finishUpgrade(p)
		return
	}
	if p == nil && w.status == 0 {
		if cause := context.Cause(x.ctx); cause != nil {
			x.refuse(cause) // the handler left the answer to us; a caller who has gone gets none
		} else {
			w.WriteHeader(http.StatusOK)
		}
	}
	if p == nil && (w.status == 0 || x.endedShort()) {
		p = http.ErrAbortHandler // the server must not end it as if it were whole
	}
	if x.http1 {
		x.settleBody(p != nil)
		if x.conn != nil {
			x.conn.next.Store(true)
		}
	}
	x.over(p != nil)
	if p != nil {
		panic(http.ErrAbortHandler)
	}
}

// finishUpgrade ends the call when its connection is closed. It is closed here when
// the handler failed, or when the call was ended.
func (x *exchange) finishUpgrade(p any) {
	u := x.response.upgrade
	if p != nil {
		_ = u.Close() // it is over either way
	}
	select {
	case <-u.closed:
	case <-x.ctx.Done():
		_ = u.Close()
	}
	x.response.bytes = u.written.Load()
	x.over(p != nil)
	if p != nil {
		panic(http.ErrAbortHandler)
	}
}

func (x *exchange) over(cut bool) {
	w, r := &x.response, x.request
	reusable := x.end(&ending{
		method:   r.Method,
		path:     w.path,
		query:    r.URL.RawQuery,
		peer:     host(r.RemoteAddr),
		status:   w.status,
		bytes:    w.bytes,
		instance: w.instance,
		cut:      cut,
		request:  r.Header,
		response: w.w.Header(),
	})
	x.request, x.parent, x.conn, x.values, x.id = nil, nil, nil, nil, ""
	x.response = response{}
	x.body.reset()
	if reusable {
		exchanges.Put(x)
	}
}

// endedShort reports whether the call was ended after its head was sent.
func (x *exchange) endedShort() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.cutShort
}

// linger is how long the rest of a body is waited for that nobody read, and
// lingerBytes how much of it is read: then the connection is not worth keeping.
const (
	linger      = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// settleBody deals with a body that was not read to its end. In full duplex
// net/http would go on with whatever stands there as the next request if the rest
// cannot be read, and would wait for the rest without a bound: so we read it, or have
// the connection closed. A connection that is cut is closed anyway.
func (x *exchange) settleBody(cut bool) {
	b := &x.body
	more, readable := b.unfinished()
	switch {
	case !more:
	case cut:
		b.deadline(longAgo)
	case !readable || x.request.ContentLength > lingerBytes:
		b.deadline(time.Now().Add(linger))
		closeAfter(x.response.w)
	case x.expects && !b.asked:
		b.deadline(longAgo) // the sender still waits to be asked for it: net/http closes the connection
	default:
		_ = x.response.FlushError() // a caller who cannot be reached is found out below
		b.deadline(time.Now().Add(linger))
		if n, err := io.CopyN(io.Discard, b.from, lingerBytes); err != io.EOF || n == lingerBytes {
			closeAfter(x.response.w)
		}
	}
}

// closeAfter has net/http close the connection when the response is sent, in a way
// that lets the caller read it, and serve nothing more from it: what
// http.MaxBytesReader does when its limit is passed, also once the head is sent.
func closeAfter(w http.ResponseWriter) {
	var one [1]byte
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(one[:])
}

// stop is the call's hold on the connection.
func (x *exchange) stop(why error, sent bool) {
	x.body.stop(why)
	switch {
	case x.response.upgrade != nil:
		_ = x.response.upgrade.SetDeadline(longAgo)
	case sent:
		if d, ok := x.response.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
			_ = d.SetWriteDeadline(longAgo) // the connection may be gone
		}
	}
}

func (x *exchange) gone() bool { return peerGone(x.parent) }

// watched: net/http sees a caller of HTTP/1 leave only when the body is read.
func (x *exchange) watched() bool {
	more, _ := x.body.unfinished()
	return more && x.http1
}

func (x *exchange) logPanic(p any) {
	x.table.opt.Log.LogAttrs(x.ctx, slog.LevelError, "a handler panicked",
		slog.String("route", x.route.name), slog.String("id", x.id), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
}
