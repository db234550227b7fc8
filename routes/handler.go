package routes

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/routes/alexa"
	"github.com/watchdogd/watchdogd/routes/origin"
)

// serve takes a request all the way to the route that matches it, or to named if that
// is not nil. Its caller has counted it in t.inflight.
func (t *Table) serve(w http.ResponseWriter, r *http.Request, named *route) {
	s := servings.Get().(*serving)
	path, query, hasPath := target(r.RequestURI)
	s.take(w, r)
	to, refusal := aim{route: t.none}, (*failure.Error)(nil)
	switch {
	case named != nil:
		to = named.at(path)
	case hasPath:
		to, refusal = t.choose(w, r, s.fields, path)
	case r.Method != http.MethodOptions || r.RequestURI != "*":
		refusal = &failure.Error{Kind: failure.Malformed, Detail: "the request's target has no path"}
	}
	rt := to.route
	s.begin(t, &to, w, r)
	s.accept(w, r, path)
	defer s.finish()

	switch {
	case refusal != nil:
		s.response.proxied = origin.Relayed(s.fields)
		s.refuse(refusal)
	case rt == t.none: // OPTIONS *: of the server, not of a route (RFC 9110 section 9.3.7)
		w.Header().Set("Content-Length", "0")
		s.response.WriteHeader(http.StatusOK)
	default:
		stripped := ""
		if to.stripped {
			stripped = to.prefix
		}
		s.response.proxied = origin.Forward(s.request, s.fields, stripped, t.opt.Trusted)
		readdress(s.request, path, to.inner, query)
		if rt.sameOrigin && origin.CrossSite(s.request, s.fields) {
			s.refuse(&failure.Error{Kind: failure.Forbidden, Route: rt.name,
				Detail: "a browser sent this request for a page of another site; if such pages may call this route, write cross_origin: allow"})
			return
		}
		if !rt.fielder || rt.auth != nil || t.opt.Headers {
			s.NeedHeader(s.request)
		}
		if rt.auth != nil {
			if err := rt.auth.Check(&s.Call, s.request); err != nil {
				s.refuse(err)
				return
			}
		}
		s.arm()
		if err := s.admit(r.ContentLength); err != nil {
			s.refuse(err)
			return
		}
		if named != nil {
			if o, ok := w.(Observer); ok {
				o.Admitted(&s.Call)
			}
		}
		rt.handler.ServeHTTP(&s.response, s.request)
	}
}

// Observer is a writer that ServeNamed is given which wants to know the call: it may ask c
// until the handler has returned. So far c has waited for its place only.
type Observer interface{ Admitted(c *call.Call) }

// choose finds where a request goes: by the gateway, or by its path.
func (t *Table) choose(w http.ResponseWriter, r *http.Request, f *http1.Fields, path string) (aim, *failure.Error) {
	var read *alexa.Body
	if t.gateway != nil {
		to, refusal, found := t.gateway.find(t, w, r, f, path)
		if found {
			return to, refusal
		}
		read = to.ahead
	}
	rt, refusal := t.match(r.Method, r.Host, path, f)
	to := rt.at(path)
	to.ahead = read
	return to, refusal
}

// readdress makes the request's target what the process is to see: inner in place of the
// path as it was sent.
func readdress(r *http.Request, path, inner, query string) {
	if inner == path && r.URL.Host == "" {
		return // as net/http made it
	}
	if inner == "" {
		inner = "/"
	}
	u := *r.URL
	u.Scheme, u.Host, u.User = "", "", nil // of an absolute target
	if inner != path {
		u.RawPath = inner
		u.Path, _ = url.PathUnescape(inner) // net/http has unescaped it before
		if u.RawPath == u.Path {
			u.RawPath = ""
		}
	}
	r.URL = &u
	if tail := r.RequestURI[len(r.RequestURI)-min(len(r.RequestURI), len(inner)+len(query)):]; strings.HasPrefix(tail, inner) {
		r.RequestURI = tail
	} else {
		r.RequestURI = inner + query // a "/" that was not sent
	}
}
