package admin

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"strings"
)

// Relay returns what passes the requests of a browser on to the page of the daemon, as requests
// of this program: whoever serves it has to know that they come from its own page.
func (a Client) Relay(faults *log.Logger) http.Handler {
	return &httputil.ReverseProxy{
		Transport:     a.transport(),
		FlushInterval: -1,
		ErrorLog:      faults,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "localhost", "localhost"
			for name := range r.Out.Header {
				if strings.HasPrefix(name, "Sec-") || name == "Cookie" || name == "Origin" || name == "Referer" || name == "Accept-Language" || name == "Authorization" {
					delete(r.Out.Header, name)
				}
			}
			r.Out.Header.Set("User-Agent", "watchdogd ui")
			r.Out.Header.Set("Sec-Fetch-Site", "same-origin")
			a.authorize(r.Out.Header)
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			refuse(w, http.StatusBadGateway, fmt.Errorf("watchdogd cannot be reached: %w", err))
		},
	}
}
