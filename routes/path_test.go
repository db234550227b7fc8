package routes

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

func stripped(r *schema.Route) { r.StripPrefix = true }

// told answers with what the handler is told of the target.
func told(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintf(w, "%s path=%s raw=%s query=%s prefix=%s host=%s", r.RequestURI, r.URL.Path, r.URL.RawPath,
		r.URL.RawQuery, strings.Join(r.Header["X-Forwarded-Prefix"], ";"), r.URL.Host)
}

// sent sends a request line with a target as it is and gives the response's body.
func (f *front) sent(target, headers string) string {
	f.t.Helper()
	all := f.exchange("GET " + target + " HTTP/1.1\r\nHost: h\r\n" + headers + "Connection: close\r\n\r\n")
	_, body, _ := strings.Cut(all, "\r\n\r\n")
	return body
}

func TestThePathReachesTheHandlerAsItWasSent(t *testing.T) {
	f := serve(t, entry("root", told, func(r *schema.Route) { r.Path = "/" }))
	for _, path := range []string{"/a%2Fb", "//", "//a//b", "/./", "/../", "/a/../../b", "/%2e%2e/x", "/a%2fb?x=%zz;&y", "/?", "/a;b=c", "/%7Euser", "/a+b%20c"} {
		if got := f.sent(path, ""); !strings.HasPrefix(got, path+" ") {
			t.Errorf(`%s: got %s, want strings.HasPrefix(got, path+" ")`, path, got)
		}
	}
	if got := f.sent("http://other/a%2Fb/../c?d", ""); !strings.HasPrefix(got, "http://other/a%2Fb/../c?d ") && !strings.HasPrefix(got, "/a%2Fb/../c?d ") {
		t.Errorf("an absolute target came as %s", got)
	} else if !strings.HasSuffix(got, "host=") {
		t.Errorf("an absolute target's URL still has a host: got %s, want %q at its end", got, "host=")
	}
}

func TestWhatFollowsThePrefixIsHandedOnAsItWasSent(t *testing.T) {
	f := serve(t, entry("api", told, stripped),
		entry("v1", told, stripped, func(r *schema.Route) { r.Path = "/api/v1/" }),
		entry("caf", told, stripped, func(r *schema.Route) { r.Path = "/caf%C3%A9" }),
		entry("kept", told))
	for target, want := range map[string]string{
		"/api":                      "/ path=/ raw= query= prefix=/api host=",
		"/api/":                     "/ path=/ raw= query= prefix=/api host=",
		"/api?":                     "/? path=/ raw= query= prefix=/api host=",
		"/api?a=b%zz":               "/?a=b%zz path=/ raw= query=a=b%zz prefix=/api host=",
		"/api/x/y?q":                "/x/y?q path=/x/y raw= query=q prefix=/api host=",
		"/api//x":                   "//x path=//x raw= query= prefix=/api host=",
		"/api/a%2Fb":                "/a%2Fb path=/a/b raw=/a%2Fb query= prefix=/api host=",
		"/api/../x":                 "/../x path=/../x raw= query= prefix=/api host=",
		"/api/%2e%2e/x":             "/%2e%2e/x path=/../x raw=/%2e%2e/x query= prefix=/api host=",
		"/api/./":                   "/./ path=/./ raw= query= prefix=/api host=",
		"/api/v1":                   "/ path=/ raw= query= prefix=/api/v1 host=",
		"/api/v1/x":                 "/x path=/x raw= query= prefix=/api/v1 host=",
		"/caf%C3%A9/x":              "/x path=/x raw= query= prefix=/caf%C3%A9 host=",
		"http://other:1/api/x%2f?q": "/x%2f?q path=/x/ raw=/x%2f query=q prefix=/api host=",
		"HTTP://other/api":          "/ path=/ raw= query= prefix=/api host=",
		"/kept/x":                   "/kept/x path=/kept/x raw= query= prefix= host=",
	} {
		if got := f.sent(target, ""); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", target, got, want)
		}
	}
	if got := f.sent("/api/x", "X-Forwarded-Prefix: /lie\r\n"); !strings.Contains(got, "prefix=/api ") {
		t.Errorf("a prefix that the caller made up: got %s, want %q in it", got, "prefix=/api ")
	}
	if got := f.sent("/kept/x", "X-Forwarded-Prefix: /lie\r\n"); !strings.Contains(got, "prefix= ") {
		t.Errorf("a prefix that the caller made up: got %s, want %q in it", got, "prefix= ")
	}
}

func TestNoRouteIs404AndTheWrongMethod405WithAllow(t *testing.T) {
	f := serve(t, entry("a", hello("a"), func(r *schema.Route) { r.Methods = schema.Strings{"GET", "POST"} }))
	if resp, _ := f.get("/b"); resp.StatusCode != 404 {
		t.Errorf("got %v, want 404", resp.StatusCode)
	}
	resp, _ := f.do(f.request("DELETE", "/a", nil))
	if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, POST" {
		t.Errorf("got %d %q, want 405 %q", resp.StatusCode, resp.Header.Get("Allow"), "GET, POST")
	}
	if line := f.log.requests(t, 2)[1]; line["route"] != "a" || line["status"] != 405.0 {
		t.Errorf("got %v %v %v, want a and 405.0", line, line["route"], line["status"])
	}
}

func TestARequestForARouteByItsName(t *testing.T) {
	f := serve(t, entry("api", told, stripped, func(r *schema.Route) { r.Host = "only.test"; r.Methods = schema.Strings{"PUT"} }), entry("kept", told))
	call := func(name, target string) string {
		w := &recorder{header: http.Header{}}
		r := f.request("GET", "/", nil)
		r.RequestURI, r.RemoteAddr, r.Body = target, "", http.NoBody
		f.live.ServeNamed(w, r, name)
		return fmt.Sprint(w.status, " ", w.body.String())
	}
	for _, c := range [][3]string{
		{"api", "/x%2fy?q", "200 /x%2fy?q path=/x/y raw=/x%2fy query=q prefix=/api host="},
		{"api", "/", "200 / path=/ raw= query= prefix=/api host="},
		{"kept", "/x", "200 /kept/x path=/kept/x raw= query= prefix= host="},
		{"none", "/x", "404 404  no route is called none"},
	} {
		if got := call(c[0], c[1]); got != c[2] {
			t.Errorf("%s %s: got %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

// recorder is a small ResponseWriter that is none of net/http's.
type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(200)
	return w.body.Write(p)
}
