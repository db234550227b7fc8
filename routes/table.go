// Package routes decides which handler answers a request, and is what every call
// passes on its way there and back: it is matched, given an id, admitted, timed,
// counted and logged.
//
// A Table never changes; a reload makes another and swaps it in. Routes know
// nothing of modes: they are given handlers. Who owns what: a Table owns its calls
// from their head to their end, a call owns its timers and its place, and the
// handler owns whatever it started for the call.
package routes

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/internal/trace"
	"github.com/watchdogd/watchdogd/routes/auth"
	"github.com/watchdogd/watchdogd/schema"
)

// Entry is a route and what answers it.
type Entry struct {
	Route   *schema.Route
	Handler http.Handler
	Untimed bool        // no response bears X-Duration-Seconds; otherwise those of a route with an fprocess do
	Auth    *auth.Check // who may call it; nil is everyone
}

// Options are what all routes of a table share.
type Options struct {
	Log     *slog.Logger
	Access  func(Line) // is told of each call that is over; nil for none. Called by many goroutines
	Headers bool       // Access reads the headers of the request and the response
	Metrics *metrics.Registry
	Trusted []netip.Prefix // peers whose X-Forwarded-* and Forwarded are believed
	Probes  Probes
	Tracer  *trace.Tracer   // records spans of calls; nil is none
	Gateway *schema.Gateway // routes are found by their names too; nil is off

	Functions *Functions // that the gateway finds beside the routes; nil is none

	// Respond answers a call that failed before its head was sent; err is a *failure.Error.
	Respond func(w http.ResponseWriter, r *http.Request, err error)
}

// Table finds the route of a request. It is safe for use by many goroutines.
//
// What decides, in this order: the host (an exact one before the longest
// *.wildcard before none), the longest prefix of the path, and among routes with
// the same host and prefix the number of headers that they ask for. A route whose
// headers the request lacks is as if it were not there. Where the method is all
// that does not match, the answer is 405.
//
// The path is compared as it was sent: nothing is unescaped, cleaned or redirected,
// and a segment ends at a literal '/' only. So "/a%2Fb" is one segment, and "/api/%2e%2e/x"
// and "/api/../x" are the business of the route /api.
type Table struct {
	opt     Options
	routes  []*route
	none    *route // of the calls that no route takes
	listing string // of the routes, for a developer
	ready   *route // of health.ready_path, for probes; nil is none
	exact   map[string]*node
	wild    domain // the names beneath which a wildcard takes all
	any     *node
	gateway *gateway // nil is none
	locked  locked

	inflight atomic.Int64  // calls, and Live's look at the table
	draining atomic.Bool   // Drain waits
	empty    chan struct{} // a token when inflight falls to 0 while draining
	closing  atomic.Bool   // upgraded connections are told to close
}

// NewTable gives the table of entries, in which the first of two equal ones wins.
// It starts nothing.
func NewTable(entries []Entry, opt Options) *Table {
	t := &Table{
		opt:   opt,
		none:  newRoute(&schema.Route{}, nil, opt.Metrics),
		exact: map[string]*node{},
		any:   &node{},
		empty: make(chan struct{}, 1),
	}
	for _, e := range entries {
		rt := newRoute(e.Route, e.Handler, opt.Metrics)
		rt.timed = rt.timed && !e.Untimed
		rt.auth = e.Auth
		t.routes = append(t.routes, rt)
		t.root(e.Route.Host).add(rt)
	}
	t.watch(entries)
	t.gateway = newGateway(opt.Gateway, t.routes, opt.Metrics)
	t.listing = listing(entries)
	t.ready = t.probed()
	return t
}

// listing names the first routes of a table.
func listing(entries []Entry) string {
	const most = 10
	var said []string
	for i, e := range entries {
		if i == most {
			said = append(said, "and "+strconv.Itoa(len(entries)-most)+" more")
			break
		}
		said = append(said, e.Route.Host+e.Route.Path+" ("+e.Route.Name+")")
	}
	if said == nil {
		return "there are no routes"
	}
	return phrase.Of(len(entries), "the only route is ", "the routes are ") + strings.Join(said, ", ")
}

// root gives the tree of the routes with one host.
func (t *Table) root(host string) *node {
	host = strings.ToLower(host)
	if host == "" {
		return t.any
	}
	if beneath, ok := strings.CutPrefix(host, "*."); ok {
		return t.wild.add(beneath)
	}
	if t.exact[host] == nil {
		t.exact[host] = &node{}
	}
	return t.exact[host]
}

// domain is a label of a name, read from its end; the root is the empty name.
type domain struct {
	beneath map[string]*domain
	tree    *node // of the routes of "*." and the name; nil is none
}

// add returns the tree of a wildcard for all names beneath name.
func (d *domain) add(name string) *node {
	for name != "" {
		var label string
		label, name = lastLabel(name)
		if d.beneath == nil {
			d.beneath = map[string]*domain{}
		}
		if d.beneath[label] == nil {
			d.beneath[label] = &domain{}
		}
		d = d.beneath[label]
	}
	if d.tree == nil {
		d.tree = &node{}
	}
	return d.tree
}

// find looks in the trees beneath which host is, the longest name first. It looks at no
// more of host than the names have.
func (d *domain) find(host string, q *query) (*route, bool) {
	label, rest := lastLabel(host)
	if rest == "" {
		return nil, false // a name is not beneath itself
	}
	next := d.beneath[label]
	if next == nil {
		return nil, false
	}
	if rt, found := next.find(rest, q); found || next.tree == nil {
		return rt, found
	}
	return next.tree.find(q)
}

// lastLabel splits "a.b.c" into "c" and "a.b".
func lastLabel(name string) (label, rest string) {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[i+1:], name[:i]
	}
	return name, ""
}

// match gives the route of a request. With an error of kind Method the route is
// one of those that take another method; with kind NoRoute it is t.none.
func (t *Table) match(method, host, path string, fields *http1.Fields) (*route, *failure.Error) {
	var q = query{method: method, host: host, path: path, fields: fields}
	if rt, found := t.find(&q); found {
		if rt != nil {
			if rt.wary {
				return rt, t.around(rt, q)
			}
			return rt, nil
		}
		rt = q.refused[0]
		return rt, &failure.Error{Kind: failure.Method, Route: rt.name, Allow: allowed(q.refused),
			Detail: "the route does not take the method " + method}
	}
	return t.none, &failure.Error{Kind: failure.NoRoute, Detail: "no route takes this path", Local: t.listing}
}

// find looks in the trees of the request's host. It gives no route but true where
// only the method did not match; q.refused are then the routes that stand there.
func (t *Table) find(q *query) (*route, bool) {
	if len(t.exact) > 0 || t.wild.beneath != nil {
		host := hostname(q.host)
		if n := t.exact[host]; n != nil {
			if rt, found := n.find(q); found {
				return rt, true
			}
		}
		if rt, found := t.wild.find(host, q); found {
			return rt, true
		}
	}
	return t.any.find(q)
}

// node is a segment of a prefix, and the root of a tree the empty prefix.
type node struct {
	children map[string]*node
	routes   []*route // whose prefix ends here; those with more headers first
}

// add puts rt where its prefix ends.
func (n *node) add(rt *route) {
	for rest := rt.prefix; rest != ""; {
		var segment string
		segment, rest = cutSegment(rest)
		if n.children == nil {
			n.children = map[string]*node{}
		}
		next := n.children[segment]
		if next == nil {
			next = &node{}
			n.children[segment] = next
		}
		n = next
	}
	n.routes = append(n.routes, rt)
	slices.SortStableFunc(n.routes, func(a, b *route) int { return len(b.headers) - len(a.headers) })
}

// find walks down the path as far as there are prefixes: a map lookup a segment,
// however many routes there are. The last match on the way is that of the longest prefix.
func (n *node) find(q *query) (best *route, found bool) {
	rest := q.path
	for {
		if len(n.routes) > 0 {
			if rt, ok := n.pick(q); ok {
				best, found = rt, true
			}
		}
		if rest == "" || n.children == nil {
			return best, found
		}
		var segment string
		segment, rest = cutSegment(rest)
		if n = n.children[segment]; n == nil {
			return best, found
		}
	}
}

// pick chooses among the routes of one prefix. It gives no route but true where
// only the method did not match.
func (n *node) pick(q *query) (*route, bool) {
	var refused []*route
	for _, rt := range n.routes {
		switch {
		case !rt.wants(q):
		case !rt.takes(q.method):
			refused = append(refused, rt)
		default:
			return rt, true
		}
	}
	if refused != nil {
		q.refused = refused
	}
	return nil, refused != nil
}

// cutSegment splits "/a/b" into "a" and "/b". s begins with '/'.
func cutSegment(s string) (segment, rest string) {
	if i := strings.IndexByte(s[1:], '/'); i >= 0 {
		return s[1 : 1+i], s[1+i:]
	}
	return s[1:], ""
}

// allowed is the value of Allow: every method that one of the routes takes.
func allowed(routes []*route) string {
	var all []string
	for _, rt := range routes {
		all = append(all, rt.methods...)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// hostname is the host of a Host header as names are compared: without port and
// final dot, in lower case.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// target splits a request target into path and query as they were sent: the
// path begins with '/', and the query, if there is one, with '?'. What follows the
// authority of an absolute target ("http://host/path", RFC 9112 section 3.2.2) is
// its path. Targets without a path ("*", the "host:port" of CONNECT) give false.
func target(uri string) (path, query string, ok bool) {
	if !strings.HasPrefix(uri, "/") {
		_, rest, absolute := strings.Cut(uri, "://")
		if !absolute {
			return "", "", false
		}
		i := strings.IndexAny(rest, "/?")
		if i < 0 {
			return "/", "", true
		}
		if uri = rest[i:]; uri[0] == '?' {
			return "/", uri, true
		}
	}
	if i := strings.IndexByte(uri, '?'); i >= 0 {
		return uri[:i], uri[i:], true
	}
	return uri, "", true
}
