package origin

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// origins tells requests that a page of another site made a browser send from all others.
var origins http.CrossOriginProtection

// CrossSite reports whether a browser sends a request for a page of another site, unless the
// method is safe: such a page cannot read the response, but the program would have run. Requests
// that open a connection to talk on (WebSocket) are not safe by their method: there
// the page may read, too. Forward has been called: the host is that of a trusted proxy's
// client.
func CrossSite(r *http.Request, f *http1.Fields) bool {
	if !f.Has("Origin") && !f.Has("Sec-Fetch-Site") {
		return false // not a browser: Check would let it pass, too
	}
	upgrade := f.Has("Upgrade")
	if !upgrade && (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions) {
		return false
	}
	header := http.Header{}
	for _, name := range []string{"Origin", "Sec-Fetch-Site"} {
		if f.Has(name) {
			header[name] = []string{f.Get(name)}
		}
	}
	asked := http.Request{Method: http.MethodPost, Header: header, Host: r.Host, URL: &url.URL{}}
	if f.Has("X-Forwarded-Host") {
		host, _, _ := strings.Cut(f.Get("X-Forwarded-Host"), ",") // of several proxies, the first
		asked.Host = strings.TrimSpace(host)
	}
	return origins.Check(&asked) != nil
}
