package routes

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// serve takes a request all the way to the route that matches it, or to named if that
// is not nil. Its caller has counted it in t.inflight.
func (t *Table) serve(w http.ResponseWriter, r *http.Request, named *route) {
	s := servings.Get().(*serving)
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
	s.begin(t, rt, w, r)
	s.accept(w, r, path)
	defer s.finish()

	switch {
	case refusal != nil:
		s.response.proxied = relayed(s.request.Header)
		s.refuse(refusal)
	case rt == t.none: // OPTIONS *: of the server, not of a route (RFC 9110 section 9.3.7)
		w.Header().Set("Content-Length", "0")
		s.response.WriteHeader(http.StatusOK)
	default:
		s.response.proxied = forward(s.request, rt, t.opt.Trusted, s.values)
		readdress(s.request, rt, path, query)
		if err := checkOrigin(rt, s.request); err != nil {
			s.refuse(err)
			return
		}
		if rt.auth != nil {
			if err := rt.auth.check(s.Context(), s.request.Header); err != nil {
				err.Route = rt.name
				s.refuse(err)
				return
			}
		}
		s.arm(s.request.Header)
		if err := s.admit(r.ContentLength); err != nil {
			s.refuse(err)
			return
		}
		rt.handler.ServeHTTP(&s.response, s.request)
	}
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

// dropUnsound removes the fields that a trailer must not have.
func dropUnsound(trailer http.Header) {
	for key := range trailer {
		if !inTrailer(key) {
			delete(trailer, key)
		}
	}
}
