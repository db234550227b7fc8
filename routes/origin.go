package routes

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// origins tells requests that a page of another site made a browser send from all others.
var origins http.CrossOriginProtection

// checkOrigin refuses what a browser sends for a page of another site, unless the method is
// safe: such a page cannot read the response, but the program would have run. Requests
// that open a connection to talk on (WebSocket) are not safe by their method: there
// the page may read, too. forward has been called: the host is that of a trusted proxy's
// client.
func checkOrigin(rt *route, r *http.Request) *failure.Error {
	if !rt.sameOrigin || r.Header["Origin"] == nil && r.Header["Sec-Fetch-Site"] == nil {
		return nil // not a browser: Check would let it pass, too
	}
	upgrade := r.Header["Upgrade"] != nil
	if !upgrade && (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions) {
		return nil
	}
	asked := http.Request{Method: http.MethodPost, Header: r.Header, Host: r.Host, URL: &url.URL{}}
	if hosts := r.Header["X-Forwarded-Host"]; len(hosts) > 0 {
		host, _, _ := strings.Cut(hosts[0], ",") // of several proxies, the first
		asked.Host = strings.TrimSpace(host)
	}
	if origins.Check(&asked) == nil {
		return nil
	}
	return &failure.Error{Kind: failure.Forbidden, Route: rt.name,
		Detail: "a browser sent this request for a page of another site; if such pages may call this route, write cross_origin: allow"}
}
