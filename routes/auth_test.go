package routes

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/routes/auth"
	"github.com/watchdogd/watchdogd/schema"
)

// withKeys has a route ask for the key of a user.
func withKeys(t testing.TB, e *Entry, user, key string) {
	t.Helper()
	e.Route.Auth.Keys = &schema.KeysAuth{Keys: map[string]schema.Secret{user: schema.Secret(key)}}
	check, err := auth.New(e.Route, auth.NewShared(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	e.Auth = check
	t.Cleanup(func() { _ = check.Close() })
}

// caller answers with what it is told of the caller.
func caller(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var seen []string
		for key, values := range r.Header {
			if strings.Contains(strings.ToLower(strings.ReplaceAll(key, "_", "-")), "auth") || key == "X-Api-Key" {
				seen = append(seen, fmt.Sprintf("%s=%v", key, values))
			}
		}
		_, _ = fmt.Fprintf(w, "%s %v", name, seen)
	}
}

func TestACallWithoutItsKeyTakesNoPlaceAndNoRate(t *testing.T) {
	e := entry("api", caller("api"), func(r *schema.Route) {
		r.Path = "/"
		r.Limits.Rate = schema.Rate{PerSecond: 0.001, Burst: 1}
	})
	withKeys(t, &e, "ci", "secret-key")
	f := serve(t, e)
	for range 3 {
		if resp, _ := f.get("/"); resp.StatusCode != 401 || resp.Header.Get("Www-Authenticate") != `Bearer realm="api"` {
			t.Fatalf("got %d and the challenge %q, want 401 and one of Bearer", resp.StatusCode, resp.Header.Get("Www-Authenticate"))
		}
	}
	r := f.request("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer secret-key")
	if resp, body := f.do(r); resp.StatusCode != 200 || body != "api [X-Auth-User=[ci]]" {
		t.Errorf("got %d %q, want 200 with the user and without the key", resp.StatusCode, body)
	}
	if resp, _ := f.do(r); resp.StatusCode != 429 {
		t.Errorf("got %d for the second call with the key, want 429", resp.StatusCode)
	}
	if line := f.log.requests(t, 5)[3]; line["user"] != "ci" || line["status"] != 200.0 {
		t.Errorf("got the access line %v, want the user in it", line)
	}
	if got, want := f.series(), `reason="auth"`; !strings.Contains(got, want) {
		t.Errorf("the metrics: got no %s in %s, want %q in it", want, got, want)
	}
	if strings.Contains(f.log.String(), "secret-key") {
		t.Errorf("got the key in the log, want it nowhere: %s", f.log)
	}
}

// spoofs are ways to send X-Auth-User: a program that reads its header from variables cannot tell
// them apart.
var spoofs = []string{"X-Auth-User", "x-auth-user", "X-AUTH-USER", "X_Auth_User", "x_auth_user", "X-Auth_User", "X_AUTH-USER", "x-auth_uSer"}

func TestAClientCannotNameItself(t *testing.T) {
	open := entry("open", caller("open"), func(r *schema.Route) { r.Path = "/open" })
	guarded := entry("guarded", caller("guarded"), func(r *schema.Route) { r.Path = "/guarded" })
	withKeys(t, &guarded, "ci", "secret-key")
	f := serve(t, open, guarded)
	for _, name := range spoofs {
		for _, send := range []string{
			"GET /%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-key\r\n" + name + ": admin\r\nConnection: close\r\n\r\n",
			"GET /%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-key\r\n" + name + ": admin\r\nConnection: close, X-Auth-User\r\n\r\n",
			"GET /%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-key\r\n" + name + ": a\r\n" + name + ": admin\r\nConnection: close\r\n\r\n",
			"POST /%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-key\r\nTransfer-Encoding: chunked\r\nTrailer: " + name + "\r\nConnection: close\r\n\r\n0\r\n" + name + ": admin\r\n\r\n",
		} {
			for route, want := range map[string]string{"open": "open [Authorization=[Bearer secret-key]]", "guarded": "guarded [X-Auth-User=[ci]]"} {
				c := testkit.Dial(t, f.address)
				c.Send(fmt.Sprintf(send, route))
				if got := c.Rest(); !strings.Contains(got, want) && !strings.Contains(got, " 400 ") {
					t.Errorf("%s to %s: got %q, want %q", name, route, got, want)
				} else if strings.Contains(got, "admin") {
					t.Errorf("%s to %s: got the client's name in %q", name, route, got)
				}
			}
		}
	}
}

// tricks are ways to write /admin/secret that a router, a file system or a program could read as
// that path, with where they lead: nothing is the guarded route, which asks for its key.
var tricks = []string{
	"/admin/secret", "/admin", "/admin/", "//admin/secret", "///admin", "/%61dmin/secret", "/%61%64%6d%69%6e/secret", "/admin%2fsecret", "/admin%2Fsecret",
	"/./admin/secret", "/open/../admin/secret", "/open/%2e%2e/admin/secret", "/open/..%2fadmin/secret", "/%2e/admin", "/a/../admin", "/a/%2e%2e/admin", "/.//admin",
	"/ADMIN/secret", "/Admin/secret", "/aDmIn", "/%41dmin/secret", "//Admin/secret", "/./ADMIN", "/open/../ADMIN",
	"/\\admin/secret", "\\admin", "/open\\..\\admin", "/admin\\secret", "/%5cadmin", "/;x/admin", "/admin;x/secret", "/admin;x=1", "/open/..;/admin/secret", "/admin%3bx",
	"/admin%00", "/admin%00/secret", "/%00/../admin", "/admin%3f", "/admin%23x", "/admin?x", "/admin#x", "/%2561dmin/secret", "/%252e/admin",
	"http://x/admin/secret", "http://other/admin/secret", "HTTP://X//admin", "http://x/./admin", "http://x/ADMIN/secret", "http://x/%61dmin", "http://u:p@x/admin",
}

func TestNoPathLeadsAroundTheAuthOfARoute(t *testing.T) {
	// The wide route is a program that reads a path as loosely as any does.
	wide := entry("wide", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "around")
	}), func(r *schema.Route) { r.Path = "/" })
	admin := entry("admin", caller("admin"), func(r *schema.Route) { r.Path = "/admin" })
	withKeys(t, &admin, "ci", "secret-key")
	f := serve(t, wide, admin)
	for _, target := range tricks {
		for _, method := range []string{"GET", "OPTIONS", "HEAD", "POST", "PROPFIND"} {
			c := testkit.Dial(t, f.address)
			c.Send(method + " " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			got := c.Rest()
			status := ""
			if len(got) > 12 {
				status = got[9:12]
			}
			if status != "401" && status != "400" {
				t.Errorf("%s %s: got %.40q, want 401 or 400", method, target, got)
			}
		}
	}
	for target, want := range map[string]string{"/": "around", "/administrator": "around", "/open/admin": "around", "/x/ADMIN": "around", "/Other": "around"} {
		if resp, body := f.get(target); resp.StatusCode != 200 || body != want {
			t.Errorf("%s: got %d %q, want it to reach the wide route", target, resp.StatusCode, body)
		}
	}
}

func TestARouteOfTheSamePathAnswersPreflights(t *testing.T) {
	preflights := entry("preflights", caller("preflights"), func(r *schema.Route) { r.Path, r.Methods = "/api", schema.Strings{"OPTIONS"} })
	api := entry("api", caller("api"), func(r *schema.Route) { r.Path, r.Methods = "/api", schema.Strings{"GET", "POST"} })
	withKeys(t, &api, "ci", "secret-key")
	f := serve(t, preflights, api)
	r := f.request("OPTIONS", "/api/x", nil)
	r.Header.Set("Origin", "https://app.example.org")
	r.Header.Set("Access-Control-Request-Method", "POST")
	if resp, body := f.do(r); resp.StatusCode != 200 || body != "preflights []" {
		t.Errorf("the preflight: got %d %q, want 200 from its own route", resp.StatusCode, body)
	}
	if resp, _ := f.get("/api/x"); resp.StatusCode != 401 {
		t.Errorf("a call without a key: got %d, want 401", resp.StatusCode)
	}
}

// Until a body is complete and its signature is checked it is a stranger's, who could send it
// for ever.
func TestASignedBodyHasATimeLimitOfItsOwn(t *testing.T) {
	signed := schema.Auth{HMAC: &schema.HMACAuth{Header: "X-Signature", Secret: "s"}}
	for _, c := range []struct {
		auth schema.Auth
		read time.Duration
		want time.Duration
	}{{signed, 0, auth.SignedRead}, {signed, time.Second, time.Second}, {signed, time.Hour, time.Hour}, {schema.Auth{}, 0, 0}} {
		r := &schema.Route{Name: "hook", Path: "/", Auth: c.auth, Timeouts: schema.Timeouts{Read: schema.Duration(c.read)}}
		if got := newRoute(r, nil, metrics.New(metrics.Options{})).timeouts.Read.D(); got != c.want {
			t.Errorf("timeouts.read %v, hmac %v: got %v, want %v", c.read, c.auth.HMAC != nil, got, c.want)
		}
	}
}

func TestASlowSignedBodyTakesNoPlaceAndIs408(t *testing.T) {
	e := entry("hook", func(http.ResponseWriter, *http.Request) { t.Error("the handler is called, want it not to be") }, func(r *schema.Route) {
		r.Path = "/hook"
		r.Limits.Inflight = 1
		r.Timeouts.Read = schema.Duration(50 * time.Millisecond)
		r.Auth.HMAC = &schema.HMACAuth{Header: "X-Signature", Secret: "s"}
	})
	check, err := auth.New(e.Route, auth.NewShared(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	e.Auth = check
	f := serve(t, e)
	c := testkit.Dial(t, f.address)
	c.Send("POST /hook HTTP/1.1\r\nHost: x\r\nX-Signature: sha256=" + strings.Repeat("0", 64) + "\r\nContent-Length: 100\r\n\r\nslow")
	if got := c.Tail(); !strings.Contains(got, " 408 ") {
		t.Errorf("got %q, want 408", got)
	}
}
