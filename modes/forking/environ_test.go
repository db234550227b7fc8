package forking

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// variablesOf returns what a route's environ makes of r, by name.
func variablesOf(t *testing.T, route schema.Route, r *http.Request) map[string]string {
	t.Helper()
	c, r := call.Enter(httptest.NewRecorder(), r)
	defer c.Leave()
	c.Prefix, c.Stripped = strings.TrimSuffix(route.Path, "/"), route.StripPrefix && route.Path != "/"
	e := newEnviron(&route)
	list, err := e.of(r, sent(r))
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{}
	for _, v := range list {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			t.Errorf("%q is no variable", v)
		}
		if _, twice := vars[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		vars[name] = value
	}
	return vars
}

// request is one as a server would have read it.
func requestOf(t *testing.T, text string) *http.Request {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil) // for the context
	read, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	read.RemoteAddr = "192.0.2.7:4711"
	return read.WithContext(r.Context())
}

func expect(t *testing.T, vars map[string]string, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got, ok := vars[name]; !ok || got != value {
			t.Errorf("%s: got %q (there: %v), want %q", name, got, ok, value)
		}
	}
}

func expectNone(t *testing.T, vars map[string]string, names ...string) {
	t.Helper()
	for _, name := range names {
		if value, ok := vars[name]; ok {
			t.Errorf("%s is there, as %q", name, value)
		}
	}
}

func TestOpenFaaSVariablesAreThoseOfOfWatchdog(t *testing.T) {
	vars := variablesOf(t, schema.Route{Environ: "openfaas"}, requestOf(t, "POST /a%20b/c?q=1&r=%20 HTTP/1.1\r\nHost: shop.example:8080\r\n"+
		"Content-Type: text/plain\r\nContent-Length: 3\r\nX-Call-Id: 42\r\nX-Request-Id: 43\r\nUser-Agent: curl\r\nx_under: u\r\nAccept: a\r\nAccept: b\r\n"+
		"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\nabc"))
	expect(t, vars, map[string]string{
		"Http_Method": "POST", "Http_Path": "/a b/c", "Http_Query": "q=1&r=%20", "Http_Host": "shop.example:8080",
		"Http_Content_Type": "text/plain", "Http_Content_Length": "3", "Http_X_Call_Id": "42", "Http_X_Request_Id": "43",
		"Http_User_Agent": "curl", "Http_X_under": "u", "Http_Accept": "a",
		"TRACEPARENT": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	})
	expectNone(t, vars, "Http_Transfer_Encoding")
}

func TestClassicVariablesHaveTheLengthTwice(t *testing.T) {
	for head, want := range map[string]string{
		"POST /a%20b?q=1 HTTP/1.1\r\nHost: h:1\r\nContent-Length: 3\r\nContentlength: 9\r\nContent_length: 9\r\n\r\nabc": "3",
		"POST /a%20b?q=1 HTTP/1.1\r\nHost: h:1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":                           "-1",
		"GET /a%20b?q=1 HTTP/1.1\r\nHost: h:1\r\nQuery: evil\r\n\r\n":                                                    "0",
	} {
		vars := variablesOf(t, schema.Route{Environ: "classic"}, requestOf(t, head))
		expect(t, vars, map[string]string{"Http_ContentLength": want, "Http_Content_Length": want, "Http_Host": "h:1",
			"Http_Path": "/a b", "Http_Query": "q=1", "Http_Method": head[:strings.Index(head, " ")]})
		expectNone(t, vars, "Http_Contentlength", "Http_Content_length")
		if want == "-1" {
			expect(t, vars, map[string]string{"Http_Transfer_Encoding": "chunked"})
		} else {
			expectNone(t, vars, "Http_Transfer_Encoding")
		}
	}
}

func TestAChunkedRequestHasItsTransferEncodingVariable(t *testing.T) {
	vars := variablesOf(t, schema.Route{Environ: "openfaas"}, requestOf(t, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
	expect(t, vars, map[string]string{"Http_Transfer_Encoding": "chunked"})
	expectNone(t, vars, "Http_Content_Length", "Http_Query")
}

func TestHeadersCannotPlayTheRequestLine(t *testing.T) {
	vars := variablesOf(t, schema.Route{Environ: "openfaas"}, requestOf(t, "GET /real HTTP/1.1\r\nHost: h\r\nQuery: evil\r\nPath: /evil\r\nMethod: EVIL\r\n"+
		"Transfer_Encoding: evil\r\nTransfer-encoding_: x\r\nProxy: http://evil\r\nTraceparent: $(evil)\r\nX-1a: first\r\nX_1a: second\r\n\r\n"))
	expect(t, vars, map[string]string{"Http_Method": "GET", "Http_Path": "/real", "Http_Host": "h", "Http_X_1a": "first"})
	expectNone(t, vars, "Http_Query", "Http_Transfer_Encoding", "Http_Transfer_encoding", "Http_Proxy", "HTTP_PROXY", "TRACEPARENT")
}

func TestEnvironNoneSetsNothing(t *testing.T) {
	if vars := variablesOf(t, schema.Route{Environ: "none"}, requestOf(t, "GET /x?y HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n")); len(vars) > 0 {
		t.Errorf("there are variables: got %v, want none", vars)
	}
}

func TestCGIVariablesAreThoseOfTheRFC(t *testing.T) {
	r := requestOf(t, "POST /shop/cart/a%20b?x=1+2 HTTP/1.1\r\nHost: shop.example:8443\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"+
		"Cookie: a=1\r\nCookie: b=2\r\nAccept: x\r\nAccept: y\r\nAuthorization: Basic dTpw\r\nProxy: evil\r\nX_Under: evil\r\nX-Under: good\r\nX.Dot: evil\r\n\r\nabc")
	r.TLS = &tls.ConnectionState{}
	vars := variablesOf(t, schema.Route{Environ: "cgi", Path: "/shop", Process: schema.Process{Dir: "/srv"}}, r)
	expect(t, vars, map[string]string{
		"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "watchdogd", "SERVER_PROTOCOL": "HTTP/1.1",
		"SERVER_NAME": "shop.example", "SERVER_PORT": "8443", "REQUEST_METHOD": "POST", "REQUEST_URI": "/shop/cart/a%20b?x=1+2",
		"SCRIPT_NAME": "/shop", "PATH_INFO": "/cart/a b", "PATH_TRANSLATED": "/srv/cart/a b", "QUERY_STRING": "x=1+2",
		"CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "3", "REMOTE_ADDR": "192.0.2.7", "REMOTE_HOST": "192.0.2.7", "REMOTE_PORT": "4711",
		"HTTPS": "on", "HTTP_HOST": "shop.example:8443", "HTTP_COOKIE": "a=1; b=2", "HTTP_ACCEPT": "x, y", "HTTP_X_UNDER": "good",
		"HTTP_AUTHORIZATION": "Basic dTpw",
	})
	expectNone(t, vars, "HTTP_PROXY", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "AUTH_TYPE", "REMOTE_USER", "HTTP_X.DOT")
	for name := range vars {
		if strings.HasPrefix(name, "REDIRECT") {
			t.Errorf("%s is there", name)
		}
	}
}

func TestCGIPathsAreRelativeToTheRoute(t *testing.T) {
	for _, c := range []struct {
		name                string
		route               schema.Route
		uri, prefix         string
		script, info, whole string
	}{
		{"kept prefix", schema.Route{Path: "/git"}, "/git/repo.git/info", "", "/git", "/repo.git/info", "/git/repo.git/info"},
		{"stripped prefix", schema.Route{Path: "/git", StripPrefix: true}, "/repo.git/info?a", "/git", "/git", "/repo.git/info", "/git/repo.git/info?a"},
		{"a prefix that is not in the path", schema.Route{Path: "/git", StripPrefix: true}, "/repo.git", "", "/git", "/repo.git", "/git/repo.git"},
		{"the prefix alone", schema.Route{Path: "/git"}, "/git", "", "/git", "", "/git"},
		{"the root", schema.Route{Path: "/"}, "/a/b", "", "", "/a/b", "/a/b"},
		{"behind a proxy's prefix", schema.Route{Path: "/git"}, "/git/x", "/outer", "/outer/git", "/x", "/outer/git/x"},
		{"through the gateway", schema.Route{Path: "/git"}, "/x", "/function/git", "/function/git", "/x", "/function/git/x"},
		{"no segment border", schema.Route{Path: "/git"}, "/github/x", "", "", "/github/x", "/github/x"},
		{"dots", schema.Route{Path: "/git"}, "/git/..%2f../x", "", "/git", "/../../x", "/git/..%2f../x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := requestOf(t, "GET "+c.uri+" HTTP/1.1\r\nHost: h\r\n\r\n")
			if c.prefix != "" {
				r.Header.Set("X-Forwarded-Prefix", c.prefix)
			}
			c.route.Environ, c.route.Dir = "cgi", "/srv"
			vars := variablesOf(t, c.route, r)
			expect(t, vars, map[string]string{"SCRIPT_NAME": c.script, "PATH_INFO": c.info, "REQUEST_URI": c.whole})
			if translated, ok := vars["PATH_TRANSLATED"]; ok && translated != "/srv" && !strings.HasPrefix(translated, "/srv/") {
				t.Errorf("PATH_TRANSLATED %q is outside of the directory", translated)
			}
		})
	}
}

func TestCGIServerIsWhatTheClientNamed(t *testing.T) {
	for _, c := range []struct{ host, proto, name, port string }{
		{"example.org", "", "example.org", "80"},
		{"example.org", "https", "example.org", "443"},
		{"example.org:81", "http", "example.org", "81"},
		{"[::1]:8080", "", "[::1]", "8080"},
		{"[::1]", "", "[::1]", "80"},
	} {
		r := requestOf(t, "GET / HTTP/1.1\r\nHost: "+c.host+"\r\n\r\n")
		if c.proto != "" {
			r.Header.Set("X-Forwarded-Proto", c.proto)
		}
		vars := variablesOf(t, schema.Route{Environ: "cgi", Path: "/"}, r)
		expect(t, vars, map[string]string{"SERVER_NAME": c.name, "SERVER_PORT": c.port})
		if _, on := vars["HTTPS"]; on != (c.proto == "https") {
			t.Errorf("%v: HTTPS is there: got %v, want %v", c, on, (c.proto == "https"))
		}
	}
	r := requestOf(t, "GET / HTTP/1.0\r\n\r\n")
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 99}))
	r.RemoteAddr = "@"
	expect(t, variablesOf(t, schema.Route{Environ: "cgi", Path: "/"}, r), map[string]string{"SERVER_NAME": "127.0.0.1", "SERVER_PORT": "99", "REMOTE_ADDR": "unix:"})
}

func TestCGIUserIsTheOneThatAuthFound(t *testing.T) {
	r := requestOf(t, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\nRemote-User: evil\r\n\r\n")
	one, r := call.Enter(httptest.NewRecorder(), r)
	defer one.Leave()
	one.User, one.AuthType = "ann", "Basic" // as routes does
	vars := variablesOf(t, schema.Route{Environ: "cgi", Path: "/", Auth: schema.Auth{Basic: &schema.BasicAuth{}}}, r)
	expect(t, vars, map[string]string{"AUTH_TYPE": "Basic", "REMOTE_USER": "ann", "HTTP_REMOTE_USER": "evil"})
	expectNone(t, vars, "HTTP_AUTHORIZATION")
}

func TestHeadTooLargeForTheEnvironmentIsRefused(t *testing.T) {
	for _, kind := range []string{"openfaas", "cgi"} {
		route := schema.Route{Environ: kind, Path: "/"}
		e := newEnviron(&route)
		r := requestOf(t, "GET / HTTP/1.1\r\nHost: h\r\nX-Long: "+strings.Repeat("x", 200<<10)+"\r\n\r\n")
		_, err := e.of(r, sent(r))
		if f, ok := errors.AsType[*failure.Error](err); !ok || f.Kind != failure.HeaderTooLarge {
			t.Errorf("%s: got %v, want ok true and f.Kind %v", kind, err, failure.HeaderTooLarge)
		}
		// One byte less than the limit can be given to a program.
		name := map[string]string{"openfaas": "Http_X=", "cgi": "HTTP_X="}[kind]
		r = requestOf(t, "GET / HTTP/1.1\r\nHost: h\r\nX: "+strings.Repeat("x", maxVar-1-len(name))+"\r\n\r\n")
		vars, err := e.of(r, sent(r))
		if err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		cmd := exec.Command("/bin/true")
		cmd.Env = vars
		if err := cmd.Run(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestNULNeverReachesTheEnvironment(t *testing.T) {
	for _, kind := range []string{"openfaas", "cgi"} {
		route := schema.Route{Environ: kind, Path: "/"}
		e := newEnviron(&route)
		r := requestOf(t, "GET /a%00b HTTP/1.1\r\nHost: h\r\n\r\n")
		_, err := e.of(r, sent(r))
		if f, ok := errors.AsType[*failure.Error](err); !ok || f.Kind != failure.Malformed {
			t.Errorf("%s: got %v, want ok true and f.Kind %v", kind, err, failure.Malformed)
		}
	}
}

func TestOnlyALargeHeadIsTheClientsFault(t *testing.T) {
	tooBig := fmt.Errorf("start /x: %w", syscall.E2BIG)
	if e := startFailure(tooBig, []string{strings.Repeat("x", 100<<10)}); e.Kind != failure.HeaderTooLarge {
		t.Errorf("got kind %d, want %d", e.Kind, failure.HeaderTooLarge)
	}
	if e := startFailure(tooBig, []string{"a=b"}); e.Kind != failure.StartFailed {
		t.Errorf("got kind %d, want %d", e.Kind, failure.StartFailed)
	}
}

func FuzzEnviron(f *testing.F) {
	f.Add("/a%20b?c=d", "X-Name", "value")
	f.Add("/%00", "Proxy", "evil")
	f.Add("//..%2f", "Http_Path", "=")
	f.Fuzz(func(t *testing.T, uri, name, value string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + uri + " HTTP/1.1\r\nHost: h\r\n" + name + ": " + value + "\r\n\r\n")))
		if err != nil {
			t.Skip()
		}
		for _, kind := range []string{"openfaas", "classic", "cgi"} {
			route := schema.Route{Environ: kind, Path: "/a", Process: schema.Process{Dir: "/srv"}}
			e := newEnviron(&route)
			vars, err := e.of(r, sent(r))
			if err != nil {
				continue
			}
			var names []string
			for _, v := range vars {
				name, _, ok := strings.Cut(v, "=")
				if !ok || name == "" || strings.IndexByte(v, 0) >= 0 || slices.Contains(names, name) || strings.EqualFold(name, "http_proxy") {
					t.Fatalf("got %q in %q, want NAME=value with a name that is there once", v, vars)
				}
				names = append(names, name)
			}
		}
	})
}
