package routes

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
)

// Live is the http.Handler of the main listener: it answers probes, and gives every
// other request to the current table. Set its fields before the first request.
type Live struct {
	Health  Health
	Respond func(w http.ResponseWriter, r *http.Request, err error) // as in Options

	table atomic.Pointer[Table]

	mu       sync.Mutex // guards what follows, and is held by Swap
	old      []*Table   // that still have calls
	draining bool
}

// ServeHTTP answers a request.
func (l *Live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if uri := r.RequestURI; strings.HasPrefix(uri, healthPrefix) || !strings.HasPrefix(uri, "/") {
		if path, _, ok := target(uri); ok && strings.HasPrefix(path, healthPrefix) {
			needHeader(w, r)
			if l.probe(w, r, path) {
				return
			}
		}
	}
	t := l.hold()
	if t == nil {
		needHeader(w, r)
		l.Respond(w, r, &failure.Error{Kind: failure.NotReady, Detail: "watchdogd is starting", RetryAfter: time.Second})
		return
	}
	t.serve(w, r, nil)
}

// TakesFields says that requests may come without a Header.
func (l *Live) TakesFields() {}

// needHeader makes the Header of a request that has none, for what is not a call.
func needHeader(w http.ResponseWriter, r *http.Request) {
	if to, ok := w.(http1.FieldWriter); ok && r.Header == nil {
		r.Header = to.RequestHeader()
	}
}

// ServeNamed answers a request by the route called name, whatever its host, prefix,
// methods and headers. The request's target is what follows the route's prefix.
func (l *Live) ServeNamed(w http.ResponseWriter, r *http.Request, name string) {
	t := l.hold()
	if t == nil {
		l.Respond(w, r, &failure.Error{Kind: failure.NotReady, Detail: "watchdogd is starting", RetryAfter: time.Second})
		return
	}
	for rt := range t.all() {
		if rt.name == name {
			path, query, _ := target(r.RequestURI)
			r.RequestURI = strings.TrimSuffix(rt.prefix, "/") + path + query
			if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
				r.URL = u
			}
			t.serve(w, r, rt)
			return
		}
	}
	t.leave()
	l.Respond(w, r, &failure.Error{Kind: failure.NoRoute, Detail: "no route is called " + name})
}

// hold returns the current table, counting a call in it. nil is none yet.
func (l *Live) hold() *Table {
	for {
		t := l.table.Load()
		if t == nil {
			return nil
		}
		t.inflight.Add(1)
		if l.table.Load() == t {
			return t
		}
		t.leave() // swapped in between: who drains it may have seen nobody
	}
}

// Table returns the current table; nil is none yet.
func (l *Live) Table() *Table { return l.table.Load() }

// Swap makes t the table of all calls that come from now on and gives the one
// before, nil for none; its calls go on in it: Drain waits for them. Routes of the same
// name keep their limits' state and their counters; the counters of routes that t
// does not have are forgotten.
func (l *Live) Swap(t *Table) (old *Table) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old = l.table.Load()
	if old != nil {
		t.adopt(old)
		l.old = slices.DeleteFunc(append(l.old, old), func(o *Table) bool { return o != old && o.inflight.Load() == 0 })
	}
	t.closing.Store(l.draining)
	l.table.Store(t)
	names := t.opt.Functions.beside(t.routes)
	for _, rt := range t.routes {
		names = append(names, rt.name)
	}
	t.opt.Metrics.Keep(names)
	return old
}

// Inflight is the number of calls, in all tables.
func (l *Live) Inflight() int {
	n := 0
	for _, t := range l.tables() {
		n += t.Inflight()
	}
	return n
}

// Drain waits until no call is left; calls that come meanwhile are served, as long
// as somebody accepts them. Event streams and upgraded connections are ended at once,
// since it is unknown when they would end by themselves: a stream like one that is
// complete, a WebSocket by a close frame. Those that are not over after farewell are cut.
// When ctx ends every other call is: its context ends with a cause of kind Draining; and
// Drain returns how many these were, after a moment for their handlers to return.
//
// A call is over when its handler is: what the server still buffers then is sent by
// http.Server.Shutdown, which comes after.
func (l *Live) Drain(ctx context.Context) (cut int) {
	l.mu.Lock()
	l.draining = true
	l.mu.Unlock()
	tables := l.tables()
	for _, t := range tables {
		t.closing.Store(true)
		t.each(func(s *serving) { s.EndStream() })
	}
	late := time.AfterFunc(farewell, func() {
		for _, t := range tables {
			t.each(func(s *serving) { s.StopStream() })
		}
	})
	defer late.Stop()
	for _, t := range tables {
		_ = t.Drain(ctx) // its only error is ctx's
	}
	if ctx.Err() == nil {
		return 0
	}
	for _, t := range tables {
		cut += t.Cut()
	}
	moment, cancel := context.WithTimeout(context.WithoutCancel(ctx), cutGrace)
	defer cancel()
	for _, t := range tables {
		_ = t.Drain(moment) // who does not end now ends with the process
	}
	return cut
}

// cutGrace is how long handlers have to return after their calls were ended.
const cutGrace = 2 * time.Second

// tables returns the tables that may have calls.
func (l *Live) tables() []*Table {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.old)
	if t := l.table.Load(); t != nil {
		all = append(all, t)
	}
	return all
}

// Inflight is the number of calls in t, waiting ones too.
func (t *Table) Inflight() int { return int(t.inflight.Load()) }

// Drain waits until no call uses t, which must have been swapped out or get no more
// calls. Its only error is ctx's.
func (t *Table) Drain(ctx context.Context) error {
	t.draining.Store(true)
	for t.inflight.Load() > 0 {
		select {
		case <-t.empty:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	t.wake() // another who waits
	return nil
}

// Cut ends every call of t: its context ends with a cause of kind Draining, and its
// caller gets that or, after the head, a response that is visibly cut. It returns
// how many there were and does not wait for them.
func (t *Table) Cut() (n int) {
	t.each(func(c *serving) {
		if c.Stop(c.Draining()) {
			n++
		}
	})
	return n
}

// leave counts a call out.
func (t *Table) leave() {
	if t.inflight.Add(-1) == 0 && t.draining.Load() {
		t.wake()
	}
}

func (t *Table) wake() {
	select {
	case t.empty <- struct{}{}:
	default:
	}
}

// each calls f for each call of t that waits for its handler or is with it.
func (t *Table) each(f func(*serving)) {
	ours := func(c *serving) {
		if c.table == t {
			f(c)
		}
	}
	for rt := range t.all() {
		rt.limiter.each(ours)
	}
	if t.ready != nil {
		t.ready.limiter.each(ours)
	}
}

// adopt hands what a route of old remembers to the route of the same name in t, which
// serves nothing yet.
func (t *Table) adopt(old *Table) {
	before := make(map[string]*route, len(old.routes))
	for _, rt := range old.routes {
		before[rt.name] = rt
	}
	t.gateway.adopt(old.gateway)
	for _, rt := range t.routes {
		if o := before[rt.name]; o != nil {
			o.limiter.resize(rt.limiter.limit, rt.limiter.room)
			rt.limiter = o.limiter
			rt.rate.adopt(o.rate)
		}
	}
}
