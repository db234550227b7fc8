package routes

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/routes/alexa"
	"github.com/watchdogd/watchdogd/schema"
)

// gateway finds routes by their names, as the gateway of OpenFaaS finds functions: the name
// is in the path, in a header or in an Alexa request. A call of /function/NAME/rest is the
// call of rest beneath the path of the route NAME, and meets all that this one would: auth,
// limits, timeouts, and the routes that lie beneath the same path. Only the host is not asked
// for. A nil gateway finds nothing.
type gateway struct {
	prefix string // of the paths that have a name, with a '/' at the end; empty is none
	header string // that has a name on "/", canonical; empty is none
	alexa  bool
	byName map[string]*route
	names  []string
	held   *atomic.Int64 // bytes of bodies that were read to find the name
}

// function is a route at the gateway.
type function struct {
	strip bool // strip_prefix, also of a route without a prefix
	count *metrics.Function
}

func newGateway(s *schema.Gateway, all []*route, m *metrics.Registry) *gateway {
	if s == nil {
		return nil
	}
	g := &gateway{header: http.CanonicalHeaderKey(s.Header), alexa: s.Alexa, byName: map[string]*route{}, held: new(atomic.Int64)}
	if s.Functions != "" {
		g.prefix = strings.TrimSuffix(s.Functions, "/") + "/"
	}
	for _, rt := range all {
		if g.byName[rt.name] != nil {
			continue
		}
		g.byName[rt.name] = rt
		g.names = append(g.names, rt.name)
		rt.function.count = m.Function(rt.name)
	}
	return g
}

// adopt goes on with what old holds.
func (g *gateway) adopt(old *gateway) {
	if g != nil && old != nil {
		g.held = old.held
	}
}

// find finds the route that a request names. Where it names none, the aim has at most what
// was read of the body to find that out.
func (g *gateway) find(t *Table, w http.ResponseWriter, r *http.Request, f *http1.Fields, path string) (to aim, refusal *failure.Error, found bool) {
	if name, rest, ok := g.split(path); ok {
		rt := g.route(t, name)
		if rt == nil {
			return aim{route: t.none, inner: path}, g.unknown(t, name), true
		}
		to, refusal = g.call(t, rt, r, f, path, rest)
		if rt.function.strip {
			to.prefix = path[:len(path)-len(rest)]
		}
		return to, refusal, true
	}
	if path != "/" {
		return aim{}, nil, false
	}
	name, refusal := g.inHeader(f)
	if refusal != nil {
		return aim{route: t.none, inner: path}, refusal, true
	}
	var read *alexa.Body
	if name == "" && g.alexa && alexa.Possible(r, f) {
		if read, refusal = alexa.Read(w, r, g.held); refusal != nil {
			return aim{route: t.none, inner: path}, refusal, true
		}
		name = strings.ToLower(read.Intent)
	}
	if name == "" {
		return aim{ahead: read}, nil, false
	}
	rt := g.route(t, name)
	if rt == nil {
		return aim{route: t.none, inner: path, ahead: read}, g.unknown(t, name), true
	}
	to, refusal = g.call(t, rt, r, f, path, "/")
	to.ahead = read
	if rt.function.strip {
		to.prefix = "" // nothing is in front of the path
	}
	return to, refusal, true
}

// route returns the route or the function of a name, or nil.
func (g *gateway) route(t *Table, name string) *route {
	if rt := g.byName[name]; rt != nil {
		return rt
	}
	return t.opt.Functions.named(name)
}

// split returns the name in a path and what follows it. The name is compared as it was sent.
func (g *gateway) split(path string) (name, rest string, ok bool) {
	if g == nil || g.prefix == "" || len(path) <= len(g.prefix) || path[:len(g.prefix)] != g.prefix {
		return "", "", false
	}
	name, rest = path[len(g.prefix):], ""
	if i := strings.IndexByte(name, '/'); i >= 0 {
		name, rest = name[:i], name[i:]
	}
	return name, rest, name != ""
}

// named returns the route that a path names, and nil for none.
func (g *gateway) named(path string) *route {
	if name, _, ok := g.split(path); ok {
		return g.byName[name]
	}
	return nil
}

// inHeader returns the name in the header, and "" without one.
func (g *gateway) inHeader(f *http1.Fields) (string, *failure.Error) {
	if g.header == "" {
		return "", nil
	}
	values := f.Values(nil, g.header)
	if len(values) == 0 {
		return "", nil
	}
	for _, v := range values[1:] {
		if v != values[0] {
			return "", &failure.Error{Kind: failure.Malformed, Detail: "the request has " + g.header + " more than once, with different names"}
		}
	}
	return values[0], nil
}

// call is the aim of a call of rt by its name, for rest, which is beneath the route's path.
func (g *gateway) call(t *Table, rt *route, r *http.Request, f *http1.Fields, sent, rest string) (aim, *failure.Error) {
	to := aim{route: rt, prefix: rt.prefix, stripped: rt.function.strip, inner: rest, function: rt.function.count}
	beneath := rt.prefix + rest
	if !rt.function.strip {
		to.inner = beneath
	}
	q := query{method: r.Method, host: r.Host, path: sent, fields: f}
	switch {
	case !rt.wants(&q):
		return to, &failure.Error{Kind: failure.NoRoute, Route: rt.name, Detail: "route " + rt.name + " takes only requests with " + rt.headerNames()}
	case !rt.takes(r.Method):
		return to, &failure.Error{Kind: failure.Method, Route: rt.name, Allow: allowed([]*route{rt}),
			Detail: "the route does not take the method " + r.Method}
	case !rt.wary:
		return to, nil
	}
	if err := t.around(rt, q); err != nil {
		return to, err
	}
	q.path = beneath
	if q.host = rt.hostLike(r.Host); q.host != r.Host {
		if err := t.leads(rt, q, false); err != nil {
			return to, err
		}
		q.host = r.Host // which the process sees
		return to, t.leads(rt, q, true)
	}
	return to, t.leads(rt, q, false)
}

// hostLike returns a host that rt is for: host if it is one.
func (rt *route) hostLike(host string) string {
	name := hostname(host)
	beneath, wild := strings.CutPrefix(rt.host, "*")
	switch {
	case rt.host == "" || rt.host == name || wild && len(name) > len(beneath) && strings.HasSuffix(name, beneath):
		return host
	case wild:
		return "any" + beneath
	}
	return rt.host
}

// headerNames names the headers that rt asks for.
func (rt *route) headerNames() string {
	var names []string
	for _, h := range rt.headers {
		names = append(names, h.key)
	}
	slices.Sort(names)
	return "the right " + strings.Join(names, " and ")
}

// unknown is the failure of a call of a name that no route has.
func (g *gateway) unknown(t *Table, name string) *failure.Error {
	if err := t.opt.Functions.unknown(); err != nil {
		return err
	}
	const most = 64 // of a name that was sent, in the answer
	detail := "no route is named " + strconv.Quote(name[:min(len(name), most)])
	if t.opt.Functions != nil {
		detail = "no route or function is named " + strconv.Quote(name[:min(len(name), most)])
	}
	if near := phrase.Nearest(name, append(t.opt.Functions.like(name), g.names...)); near != "" {
		detail += "; did you mean " + near + "?"
	}
	return &failure.Error{Kind: failure.NoRoute, Detail: detail}
}
