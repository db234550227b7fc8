package origin

import (
	"net/http"
	"net/url"
	"strings"
)

// origins tells requests that a page of another site made a browser send from all others.
var origins http.CrossOriginProtection

// CrossSite reports whether a browser sends a request for a page of another site, unless the
// method is safe: such a page cannot read the response, but the program would have run. Requests
// that open a connection to talk on (WebSocket) are not safe by their method: there
// the page may read, too. Forward has been called: the host is that of a trusted proxy's
// client.
func CrossSite(r *http.Request) bool {
	if r.Header["Origin"] == nil && r.Header["Sec-Fetch-Site"] == nil {
		return false // not a browser: Check would let it pass, too
	}
	upgrade := r.Header["Upgrade"] != nil
	if !upgrade && (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions) {
		return false
	}
	asked := http.Request{Method: http.MethodPost, Header: r.Header, Host: r.Host, URL: &url.URL{}}
	if hosts := r.Header["X-Forwarded-Host"]; len(hosts) > 0 {
		host, _, _ := strings.Cut(hosts[0], ",") // of several proxies, the first
		asked.Host = strings.TrimSpace(host)
	}
	return origins.Check(&asked) != nil
}
