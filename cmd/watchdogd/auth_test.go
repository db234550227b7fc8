package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// authRoutes has a route of every way in which a program gets its request. KEYS stands for the
// file of keys, and UPSTREAM for a server that answers with the header that it got.
const authRoutes = `
server: {listen: "LISTEN"}
gateway: {}
defaults: {auth: {keys: {file: "KEYS"}}}
routes:
  - {name: http, upstream: "UPSTREAM"}
  - {name: h2c, upstream: "h2c://UPSTREAM"}
  - {name: streaming, mode: streaming, fprocess: env}
  - {name: classic, mode: serializing, environ: classic, fprocess: env}
  - {name: cgi, mode: serializing, environ: cgi, fprocess: env}
  - {name: json, mode: serializing, request: json, fprocess: cat}
  - {name: open, upstream: "UPSTREAM", auth: none}
  - {name: forks, mode: streaming, fprocess: env, auth: none}
`

// serveAuth starts watchdogd on authRoutes, with one key, of ci.
func serveAuth(t *testing.T) (d *daemonUnderTest, keys string) {
	t.Helper()
	echo := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for _, header := range []http.Header{r.Header, r.Trailer} {
			for name, values := range header {
				fmt.Fprintf(w, "%s: %s\n", name, values)
			}
		}
	}))
	echo.Config.Protocols = new(http.Protocols)
	echo.Config.Protocols.SetHTTP1(true)
	echo.Config.Protocols.SetUnencryptedHTTP2(true)
	echo.Start()
	t.Cleanup(echo.Close)
	keys = filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte("ci:a-secret-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d = serveFile(t, strings.NewReplacer("KEYS", keys, "UPSTREAM", strings.TrimPrefix(echo.URL, "http://")).Replace(authRoutes))
	return d.waitListening(), keys
}

func TestAProgramLearnsWhoCalledAndNoClientCanNameItself(t *testing.T) {
	d, _ := serveAuth(t)
	overHTTP2 := &http.Transport{Protocols: new(http.Protocols)}
	overHTTP2.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(overHTTP2.CloseIdleConnections)
	user := map[string]string{
		"http": "X-Auth-User: [ci]", "h2c": "X-Auth-User: [ci]", "streaming": "Http_X_Auth_User=ci\n", "classic": "Http_X_Auth_User=ci\n",
		"cgi": "REMOTE_USER=ci\n", "json": `"ci"`, "open": "", "forks": "",
	}
	for route, want := range user {
		for _, path := range []string{"/" + route, "/function/" + route} {
			for _, name := range []string{"X-Auth-User", "x_auth_user", "X-AUTH_User", "X_Auth-User"} {
				for what, send := range map[string]string{
					"header":   "GET %s HTTP/1.1\r\nHost: x\r\nX-API-Key: a-secret-key\r\n%s: spoofed\r\nConnection: close\r\n\r\n",
					"two":      "GET %s HTTP/1.1\r\nHost: x\r\nX-API-Key: a-secret-key\r\n%[2]s: spoofed\r\n%[2]s: spoofed\r\nConnection: close, %[2]s\r\n\r\n",
					"absolute": "GET http://x%s HTTP/1.1\r\nHost: x\r\nX-API-Key: a-secret-key\r\n%s: spoofed\r\nConnection: close\r\n\r\n",
					"upgrade":  "GET %s HTTP/1.1\r\nHost: x\r\nX-API-Key: a-secret-key\r\n%s: spoofed\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
					"trailer":  "POST %s HTTP/1.1\r\nHost: x\r\nX-API-Key: a-secret-key\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: %[2]s\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n%[2]s: spoofed\r\n\r\n",
				} {
					c := testkit.Dial(t, strings.TrimPrefix(d.base, "http://"))
					c.Send(fmt.Sprintf(send, path, name))
					var got string
					if what == "upgrade" { // the connection may go on after the answer
						resp, body := c.Response("GET")
						got = fmt.Sprint(resp.StatusCode, body)
					} else {
						got = c.Rest()
					}
					if strings.Contains(got, "spoofed") || !strings.Contains(got, want) || !strings.Contains(got, "200") {
						t.Errorf("%s of %s by %s: got %q, want 200 and %q", name, path, what, got, want)
					}
				}
				r, err := http.NewRequest("GET", d.base+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header = http.Header{"X-Api-Key": {"a-secret-key"}, name: {"spoofed"}}
				resp, err := overHTTP2.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if got := string(body); err != nil || resp.ProtoMajor != 2 || strings.Contains(got, "spoofed") || !strings.Contains(got, want) {
					t.Errorf("%s of %s by HTTP/2: got %d %q %v, want %q", name, path, resp.StatusCode, got, err, want)
				}
			}
		}
	}
	d.waitLog(`"user":"ci"`)
	if strings.Contains(d.logged(), "a-secret-key") {
		t.Error("got the key in the log, want it nowhere")
	}
}

func TestKeysAreReadAgainOnReload(t *testing.T) {
	d, keys := serveAuth(t)
	status := func(key string) int {
		r, err := http.NewRequest("GET", d.base+"/http", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	want := func(when string, old, fresh int) {
		t.Helper()
		if got := status("a-secret-key"); got != old {
			t.Errorf("%s: got %d for the first key, want %d", when, got, old)
		}
		if got := status("another-key"); got != fresh {
			t.Errorf("%s: got %d for the second key, want %d", when, got, fresh)
		}
	}
	reload := func(text, says string) {
		t.Helper()
		if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		d.signal(syscall.SIGHUP)
		d.waitLog(says)
	}
	want("at the start", 200, 401)
	reload("not a key\n", "keys:1:1: the line has no colon")
	if out, errOut, status := d.command("reload", "--dry-run"); status != 1 || !strings.Contains(errOut, "keys:1:1: the line has no colon") {
		t.Errorf("a dry run: got %d %q %q, want 1 and the mistake", status, out, errOut)
	}
	want("after a reload of a malformed file", 200, 401)
	reload("ci:another-key\n", `"msg":"reloaded"`)
	want("after a reload", 401, 200)
}
