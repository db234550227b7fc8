package routes

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

func TestABrowserCannotRunAProgramForAPageOfAnotherSite(t *testing.T) {
	refusing := func(r *schema.Route) { r.CrossOrigin = "refuse" }
	f := serveWith(t, schema.Server{MaxHeader: 1 << 20, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}},
		entry("refuse", hello("refuse"), refusing),
		entry("allow", hello("allow"), func(r *schema.Route) { r.CrossOrigin = "allow" }))
	for _, test := range []struct {
		request, headers string
		want             int
	}{
		{"POST /refuse", "", 200}, // curl
		{"POST /refuse", "Sec-Fetch-Site: same-origin\r\nOrigin: http://h:1\r\n", 200},
		{"POST /refuse", "Sec-Fetch-Site: none\r\n", 200},
		{"POST /refuse", "Origin: http://h:1\r\n", 200},
		{"POST /refuse", "Sec-Fetch-Site: cross-site\r\n", 403},
		{"POST /refuse", "Sec-Fetch-Site: same-site\r\n", 403},
		{"POST /refuse", "Origin: http://evil.example\r\n", 403},
		{"POST /refuse", "Origin: http://h:2\r\n", 403},
		{"POST /refuse", "Origin: null\r\n", 403},
		{"POST /refuse", "Origin: http://evil.example\r\nX-Forwarded-Host: evil.example\r\n", 403}, // of a peer that is not trusted
		{"DELETE /refuse", "Origin: http://evil.example\r\n", 403},
		{"BREW /refuse", "Origin: http://evil.example\r\n", 403},
		{"GET /refuse", "Sec-Fetch-Site: cross-site\r\n", 200},
		{"HEAD /refuse", "Sec-Fetch-Site: cross-site\r\n", 200},
		{"OPTIONS /refuse", "Origin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n", 200},
		{"GET /refuse", "Origin: http://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", 403},
		{"GET /refuse", "Sec-Fetch-Site: cross-site\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", 403},
		{"GET /refuse", "Origin: http://h:1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", 200},
		{"POST /allow", "Sec-Fetch-Site: cross-site\r\nOrigin: http://evil.example\r\n", 200},
		{"GET /allow", "Origin: http://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", 200},
	} {
		all := f.exchange(test.request + " HTTP/1.1\r\nHost: h:1\r\n" + test.headers + "Connection: close\r\n\r\n")
		if got := fmt.Sprint("HTTP/1.1 ", test.want, " "); !strings.HasPrefix(all, got) || test.want == 403 && !strings.Contains(all, "cross_origin: allow") {
			t.Errorf("%s %q: got %q, want %d", test.request, test.headers, all, test.want)
		}
	}
}
