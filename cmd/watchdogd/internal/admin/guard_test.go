package admin

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/page"
	"github.com/watchdogd/watchdogd/schema"
)

func TestTheAdminAPIOverTCPAnswersNoBrowser(t *testing.T) {
	var passed http.Header
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { passed = r.Header })
	ask := func(token, host, method string, header http.Header) int {
		r := httptest.NewRequest(method, "http://"+host+"/v1/call/api", nil)
		r.Header = header
		w := httptest.NewRecorder()
		guard(next, schema.Admin{Listen: "127.0.0.1:9", Token: schema.Secret(token)}).ServeHTTP(w, r)
		return w.Code
	}
	for name, header := range map[string]http.Header{
		"an image":        {"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}},
		"the same site":   {"Sec-Fetch-Site": {"same-site"}},
		"the address bar": {"Sec-Fetch-Site": {"none"}, "Sec-Fetch-Mode": {"navigate"}},
		"a script":        {"Origin": {"https://evil.example"}},
		"a sandbox":       {"Origin": {"null"}},
		"an old browser":  {"User-Agent": {"Mozilla/5.0 (X11)"}},
		"a link":          {"Referer": {"https://evil.example/"}},
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
			if status := ask("", "127.0.0.1:9", method, header.Clone()); status != 403 {
				t.Errorf("%s, %s: got %d, want 403", name, method, status)
			}
			if status := ask("t", "127.0.0.1:9", method, header.Clone()); status != 401 {
				t.Errorf("%s, %s, where there is a token: got %d, want 401", name, method, status)
			}
		}
	}
	for host, want := range map[string]int{"127.0.0.1:9": 200, "localhost:9": 200, "[::1]:9": 200, "rebound.example:9": 403, "127.0.0.1.example": 403} {
		if status := ask("", host, "GET", http.Header{"User-Agent": {"curl/8"}}); status != want {
			t.Errorf("host %s: got %d, want %d", host, status, want)
		}
	}
	if status := ask("t", "host", "GET", http.Header{"Authorization": {"Bearer t"}, callAuthorization: {"Basic x"}}); status != 200 || passed.Get("Authorization") != "Basic x" || passed[callAuthorization] != nil {
		t.Errorf("with the token: got %d, and passed on %v, want 200 and the call's own Authorization", status, passed)
	}
	if status := ask("t", "host", "GET", http.Header{"Authorization": {"Bearer t"}}); status != 200 || passed["Authorization"] != nil {
		t.Errorf("with the token: got %d, and passed on %v, want 200 and no token", status, passed)
	}
}

// A page whose name was made to resolve to this machine must not read its metrics.
func TestTheMetricsAnswerNoReboundPage(t *testing.T) {
	h := unrebound(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	firefox, prometheus := http.Header{"Accept-Language": {"en"}, "User-Agent": {"Prometheus/3"}}, http.Header{"User-Agent": {"Prometheus/3"}}
	chrome := http.Header{"User-Agent": {"Mozilla/5.0"}}
	for _, c := range []struct {
		local, host string
		header      http.Header
		want        int
	}{
		{"127.0.0.1:8081", "rebound.example:8081", chrome, 403},
		{"127.0.0.1:8081", "rebound.example:8081", firefox, 403},
		{"[::1]:8081", "127.0.0.1.example", chrome, 403},
		{"127.0.0.1:8081", "localhost:8081", chrome, 200},
		{"127.0.0.1:8081", "127.0.0.1:8081", chrome, 200},
		{"127.0.0.1:8081", "[::1]", chrome, 200},
		{"127.0.0.1:8081", "host.docker.internal:8081", prometheus, 200},
		{"192.0.2.1:8081", "metrics.example:8081", chrome, 200},
	} {
		r := httptest.NewRequest("GET", "http://"+c.host+"/metrics", nil)
		r.Header = c.header
		local, err := net.ResolveTCPAddr("tcp", c.local)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local)))
		if w.Code != c.want {
			t.Errorf("%s asked at %s with %v: got %d, want %d", c.host, c.local, c.header, w.Code, c.want)
		}
	}
}

func TestThePageIsForThoseWhoMayUseTheAdminAPI(t *testing.T) {
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	browser := func(site string) http.Header {
		return http.Header{"User-Agent": {"Mozilla/5.0"}, "Sec-Fetch-Site": {site}}
	}
	for _, c := range []struct {
		name, listen, token, method, host, path string
		header                                  http.Header
		want                                    int
	}{
		{"a socket", "", "", "POST", "localhost", "/_/stop/api", browser("same-origin"), 200},
		{"a page of another site at a socket", "", "", "POST", "localhost", "/_/stop/api", browser("cross-site"), 403},
		{"the address bar", "127.0.0.1:9", "", "GET", "127.0.0.1:9", "/_/", browser("none"), 200},
		{"its own page", "127.0.0.1:9", "", "POST", "localhost:9", "/_/stop/api", browser("same-origin"), 200},
		{"another site", "127.0.0.1:9", "", "GET", "localhost:9", "/_/events", browser("cross-site"), 403},
		{"another port", "127.0.0.1:9", "", "POST", "localhost:9", "/_/stop/api", browser("same-site"), 403},
		{"a rebound name", "127.0.0.1:9", "", "GET", "evil.example:9", "/_/", browser("same-origin"), 403},
		{"an old browser", "127.0.0.1:9", "", "GET", "localhost:9", "/_/", http.Header{"User-Agent": {"Mozilla/5.0"}}, 403},
		{"curl", "127.0.0.1:9", "", "GET", "localhost:9", "/_/ps/api", http.Header{"User-Agent": {"curl/8"}}, 200},
		{"the login", "0.0.0.0:9", "t", "GET", "host:9", "/_/", browser("none"), 401},
		{"a wrong token", "0.0.0.0:9", "t", "GET", "host:9", "/_/events", http.Header{"Authorization": {"Bearer T"}}, 401},
		{"the token", "0.0.0.0:9", "t", "GET", "host:9", "/_/events", http.Header{"Authorization": {"Bearer t"}}, 200},
		{"a login from another site", "0.0.0.0:9", "t", "POST", "host:9", "/_/login", http.Header{"Origin": {"http://evil.example"}}, 403},
		{"no token", "0.0.0.0:9", "t", "POST", "host:9", "/_/stop/api", http.Header{"Origin": {"http://host:9"}}, 401},
		{"a cookie that is none", "0.0.0.0:9", "t", "GET", "host:9", "/_/events", http.Header{"Cookie": {"watchdogd_page=9999999999.00"}}, 401},
	} {
		r := httptest.NewRequest(c.method, "http://"+c.host+c.path, nil)
		r.Header = c.header
		w := httptest.NewRecorder()
		guardPage(next, &page.Page{Name: "shop"}, schema.Admin{Listen: c.listen, Token: schema.Secret(c.token)}).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: got %d %s, want %d", c.name, w.Code, w.Body, c.want)
		}
	}
}
