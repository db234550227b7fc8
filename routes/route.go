package routes

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/routes/alexa"
	"github.com/watchdogd/watchdogd/routes/auth"
	"github.com/watchdogd/watchdogd/schema"
)

// route is one route of a table, prepared: all that a call of it needs is here,
// and nothing is looked up during a request.
type route struct {
	name    string
	host    string // in lower case; empty is any
	prefix  string // without a final '/'; empty is the root
	strip   bool
	methods []string // none is all
	headers []header
	mode    schema.Mode
	timed   bool // its responses bear X-Duration-Seconds

	timeouts schema.Timeouts
	body     int64 // limits.body
	rate     *rateLimit
	limiter  *limiter

	function function // the route as one of the gateway

	spec   *schema.Route // as the file has it
	wary   bool          // around is asked
	static bool          // it answers with files

	sameOrigin bool // cross_origin: refuse

	auth    *auth.Check
	handler http.Handler
	fielder bool // the handler takes a request without a Header
	count   *metrics.Route
}

// header is one that a request must have.
type header struct{ key, value string }

func newRoute(s *schema.Route, h http.Handler, m *metrics.Registry) *route {
	rt := &route{
		spec:     s,
		name:     s.Name,
		host:     strings.ToLower(s.Host),
		prefix:   strings.TrimSuffix(s.Path, "/"),
		methods:  s.Methods,
		mode:     s.Mode,
		timed:    !s.FProcess.Empty(),
		timeouts: s.Timeouts,
		body:     int64(s.Limits.Body),
		rate:     newRateLimit(s.Limits.Rate),
		limiter:  newLimiter(s.Limits),
		handler:  h,
		fielder:  takesFields(h),
		count:    m.Route(s.Name),
	}
	rt.sameOrigin = s.CrossOrigin == "refuse"
	rt.strip = s.StripPrefix && rt.prefix != ""
	rt.function.strip = s.StripPrefix
	if s.Auth.HMAC != nil && rt.timeouts.Read == 0 {
		rt.timeouts.Read = schema.Duration(auth.SignedRead)
	}
	for key, value := range s.Headers {
		rt.headers = append(rt.headers, header{textproto.CanonicalMIMEHeaderKey(key), value})
	}
	return rt
}

// aim is the route of a request, and what its process sees of the request's path.
type aim struct {
	route    *route
	prefix   string            // in front of inner: the route's, or what names it at the gateway
	stripped bool              // inner does not have the prefix
	inner    string            // the path that the process sees; empty is "/"
	function *metrics.Function // counts it as a call through the gateway; nil is none
	ahead    *alexa.Body       // what the gateway has read of the body; nil is nothing
}

// at is the aim of a request for a path that begins with the route's prefix.
func (rt *route) at(path string) aim {
	to := aim{route: rt, prefix: rt.prefix, stripped: rt.strip, inner: path}
	if rt.strip {
		to.inner = path[len(rt.prefix):]
	}
	return to
}

// query is what a route is found by.
type query struct {
	method, host, path string
	fields             *http1.Fields

	refused []*route // matched all but the method, at the longest prefix so far
}

// takes reports whether the route answers a method.
func (rt *route) takes(method string) bool {
	return len(rt.methods) == 0 || slices.Contains(rt.methods, method)
}

// wants reports whether the request has the headers that the route asks for: each
// with its value, exactly, once at least.
func (rt *route) wants(q *query) bool {
	for _, h := range rt.headers {
		if h.key == "Host" { // net/http keeps it apart
			if q.host != h.value {
				return false
			}
		} else if !q.fields.HasValue(h.key, h.value) {
			return false
		}
	}
	return true
}

func takesFields(h http.Handler) bool {
	_, ok := h.(http1.Fielder)
	return ok
}
