package routes

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

func TestForwardedHeadersThroughAServer(t *testing.T) {
	headers := func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(r.Header) }
	for name, trusted := range map[string][]netip.Prefix{"untrusted": nil, "trusted": {netip.MustParsePrefix("127.0.0.0/8")}} {
		t.Run(name, func(t *testing.T) {
			f := serveWith(t, schema.Server{TrustedProxies: trusted}, entry("a", headers))
			r := f.request("GET", "/a", nil)
			r.Header.Set("X-Forwarded-For", "1.1.1.1")
			r.Header.Set("X-Forwarded-Proto", "https")
			_, body := f.do(r)
			got := http.Header{}
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			want := [3]string{"127.0.0.1", "http", f.address}
			if trusted != nil {
				want[0], want[1] = "1.1.1.1, 127.0.0.1", "https"
			}
			if have := [3]string{got.Get("X-Forwarded-For"), got.Get("X-Forwarded-Proto"), got.Get("X-Forwarded-Host")}; have != want {
				t.Errorf("got %q, want %q", have, want)
			}
		})
	}
}

func TestATrailerCannotForgeTheClient(t *testing.T) {
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		announced := http.Header{}
		for name := range r.Trailer {
			announced[name] = []string{"announced"}
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = json.NewEncoder(w).Encode([]http.Header{announced, r.Trailer})
	}))
	const lies = "X-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nX-Request-Id: evil\r\nX-Call-Id: evil\r\nX-Auth-User: evil\r\nX_Forwarded_For: 1.1.1.1\r\n" +
		"X_Auth_User: evil\r\nx_request-id: evil\r\nAuthorization: evil\r\nCookie: evil\r\n"
	for _, test := range []struct{ announce, announced string }{
		{"Trailer: X-Forwarded-For, Checksum, x-auth-user, X_Forwarded_For", `{"Checksum":["announced"]}`},
		{"Trailer: X-Forwarded-For", `{}`},
		{"A: b", `{}`},
	} {
		all := f.exchange("POST /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n" + test.announce + "\r\n\r\n2\r\nhi\r\n0\r\n" + lies + "Checksum: 7\r\n\r\n")
		if want := `[` + test.announced + `,{"Checksum":["7"]}]`; !strings.Contains(all, want) {
			t.Errorf("%s: got %q, want %s", test.announce, all, want)
		}
	}
}

func TestANotFoundNamesTheRoutesToADeveloperOnly(t *testing.T) {
	f := serve(t, entry("api", told), entry("shop", told, func(r *schema.Route) { r.Host, r.Path = "shop.localhost", "/" }))
	local := func(raw string) (said string) {
		f.live.Swap(NewTable([]Entry{entry("api", told), entry("shop", told, func(r *schema.Route) { r.Host, r.Path = "shop.localhost", "/" })}, Options{
			Log: f.options.Log, Metrics: f.metrics, Respond: func(w http.ResponseWriter, r *http.Request, err error) {
				if call.From(r.Context()).Local() {
					said = failure.Of(err).Local
				}
				respond(w, r, err)
			}}))
		f.exchange(raw)
		return said
	}
	const want = "the routes are /api (api), shop.localhost/ (shop)"
	if got := local("GET /none HTTP/1.1\r\nHost: localhost:8080\r\nConnection: close\r\n\r\n"); got != want {
		t.Errorf("on this machine: got %q, want %q", got, want)
	}
	for _, raw := range []string{"Host: shop.example\r\n", "Host: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n", "Host: localhost\r\nVia: 1.1 x\r\n"} {
		if got := local("GET /none HTTP/1.1\r\n" + raw + "Connection: close\r\n\r\n"); got != "" {
			t.Errorf("by way of a proxy (%q): got %q, want nothing", raw, got)
		}
	}
}
