package routes

import (
	"context"
	"errors"
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

// exchange is a call that came through net/http's interfaces: the front around it. It is
// pooled, with the call, the body and the response in one piece.
type exchange struct {
	call
	body     body
	response response
	values   *values
	request  *http.Request // as the mode gets it
	caller   caller        // nil where the server tells by itself that he has left
}

var exchanges = sync.Pool{New: func() any {
	x := &exchange{}
	x.called = make(chan struct{}, 1)
	return x
}}

// caller is what the server of a request can tell of who sent it.
type caller interface{ Gone() bool }

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
		x.response.proxied = relayed(x.request.Header)
		x.refuse(refusal)
	case rt == t.none: // OPTIONS *: of the server, not of a route (RFC 9110 section 9.3.7)
		w.Header().Set("Content-Length", "0")
		x.response.WriteHeader(http.StatusOK)
	default:
		x.response.proxied = forward(x.request, rt, t.opt.Trusted, x.values)
		readdress(x.request, rt, path, query)
		if err := checkOrigin(rt, x.request); err != nil {
			x.refuse(err)
			return
		}
		if rt.auth != nil {
			if err := rt.auth.check(x.ctx, x.request.Header); err != nil {
				err.Route = rt.name
				x.refuse(err)
				return
			}
		}
		x.arm(x.request.Header)
		if err := x.admit(r.ContentLength); err != nil {
			x.refuse(err)
			return
		}
		rt.handler.ServeHTTP(&x.response, x.request)
	}
}

// accept makes the response and the request that the mode will see.
func (x *exchange) accept(w http.ResponseWriter, r *http.Request, path string) {
	x.caller, _ = w.(caller)
	x.values = new(values) // one piece of memory for all of them
	x.id = identify(r.Header, &x.values.id)
	x.request = r.WithContext(x.ctx)
	dropUnsound(r.Trailer) // of what is announced
	x.response = response{w: w, call: &x.call, body: &x.body, ours: x.caller != nil, duration: x.values.duration[:], path: path, noBody: r.Method == http.MethodHead, request: x.request}
	x.body.reset()
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	x.body.from, x.body.original, x.body.request = r.Body, r, x.request
	x.body.route, x.body.call, x.body.http1, x.body.w = x.route, &x.call, r.ProtoMajor == 1, w
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
	if x.endedWhole() && w.status != 0 {
		p = nil
		// A client that takes nothing any more does not hold the end up.
		_ = http.NewResponseController(w.w).SetWriteDeadline(time.Now().Add(farewell))
	}
	if p == nil && w.status == 0 {
		if cause := context.Cause(x.ctx); cause != nil {
			x.refuse(cause) // the handler left the answer to us; a caller who has gone gets none
		} else if !x.body.lost() {
			w.WriteHeader(http.StatusOK)
		}
	}
	if p == nil && (w.status == 0 || x.endedShort() && !w.concluded) {
		p = http.ErrAbortHandler // the server must not end it as if it were whole
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
		reason:   w.reason,
		cut:      cut,
		request:  r.Header,
		response: w.w.Header(),
	})
	x.request, x.caller, x.values, x.id = nil, nil, nil, ""
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

// endedWhole reports whether the call was an event stream that was ended.
func (x *exchange) endedWhole() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.whole && !x.cutShort
}

// stop is the call's hold on the connection.
func (x *exchange) stop(why error, sent bool) {
	x.body.stop(why)
	switch {
	case x.response.upgrade != nil:
		_ = x.response.upgrade.SetDeadline(longAgo)
	case sent:
		if d, ok := x.response.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
			end := longAgo
			if x.response.concludes.Load() {
				end = time.Now().Add(time.Second)
			}
			_ = d.SetWriteDeadline(end) // the connection may be gone
		}
	}
}

func (x *exchange) gone() bool    { return x.caller != nil && x.caller.Gone() }
func (x *exchange) watched() bool { return x.caller != nil }

// String has no query, which may hold secrets.
func (x *exchange) String() string {
	return x.request.Method + " " + x.response.path + " from " + x.request.RemoteAddr
}

func (x *exchange) logPanic(p any) {
	x.table.opt.Log.LogAttrs(x.ctx, slog.LevelError, "a handler panicked",
		slog.String("route", x.route.name), slog.String("id", x.id), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
}
