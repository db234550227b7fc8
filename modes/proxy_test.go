package modes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1/server"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// upstreamAt parses an upstream that a test has made.
func upstreamAt(text string) schema.Upstream {
	u, err := schema.ParseUpstream(schema.Text(text))
	if err != nil {
		panic(err)
	}
	return u
}

// proxyTo serves http mode in front of an upstream that is run elsewhere, and gives
// the address. change may change the route.
func proxyTo(t *testing.T, upstream string, change ...func(*schema.Route)) string {
	t.Helper()
	route := &schema.Route{Name: "api", Mode: schema.HTTP, Upstream: upstreamAt(upstream)}
	for _, f := range change {
		f(route)
	}
	h, err := New(route, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.(io.Closer).Close() })
	return serve(t, h)
}

// serve serves h as watchdogd does, over HTTP/1.1 and HTTP/2 by prior knowledge. Who
// leaves ends the context of his call, as in routes.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := &server.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancelCause(r.Context())
			defer cancel(nil)
			defer watch(w, cancel)()
			h.ServeHTTP(w, r.WithContext(ctx))
		}),
		Refuse: func(w http.ResponseWriter, _ *http.Request, err *server.Refusal) {
			http.Error(w, err.Detail, http.StatusBadRequest)
		},
		Log: slog.New(slog.DiscardHandler),
	}
	return testkit.Serve(t, s)
}

// watch calls gone when the caller has left, until stop is called.
func watch(w http.ResponseWriter, gone context.CancelCauseFunc) (stop func()) {
	c, ok := w.(interface{ Gone() bool })
	if !ok {
		return func() {}
	}
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				if c.Gone() {
					gone(io.ErrClosedPipe)
					_ = http.NewResponseController(w).SetReadDeadline(aLongTimeAgo)
					return
				}
			}
		}
	}()
	return func() { close(over); <-done }
}

// answering is an upstream that gives each request on every connection the same
// answer, byte for byte. It reads bodies by Content-Length.
func answering(t *testing.T, answer string) string {
	return testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		for {
			r, err := http.ReadRequest(p.Reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			p.Send(answer)
		}
	})
}

// ask sends one request as it is written and gives the whole answer of the connection,
// which is asked to close after it.
func ask(t *testing.T, address, request string) string {
	t.Helper()
	p := testkit.Dial(t, address)
	p.Send(request)
	return p.Tail()
}

const get = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

func TestARequestReachesTheUpstreamByteForByte(t *testing.T) {
	heads := make(chan string, 1)
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		heads <- p.Head()
		p.Send("HTTP/1.1 204 No Content\r\n\r\n")
	})
	front := proxyTo(t, up)
	for _, path := range []string{"/", "/a%2Fb", "//x//y", "/./a/../b", "/?a=%zz;b&c", "/%00?", "/a?b?c", "/\"<>"} {
		ask(t, front, "GET "+path+" HTTP/1.1\r\nHost: example.org:81\r\nConnection: close\r\n\r\n")
		want := "GET " + path + " HTTP/1.1\r\nHost: example.org:81\r\n\r\n"
		if got := testkit.Await(t, "a request", heads); got != want {
			t.Errorf("got\n%q, want\n%q", got, want)
		}
	}
}

func TestAnAbsoluteTargetIsForwardedAsItsPath(t *testing.T) {
	heads := make(chan string, 1)
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		heads <- p.Head()
		p.Send("HTTP/1.1 204 No Content\r\n\r\n")
	})
	front := proxyTo(t, up)
	for target, path := range map[string]string{"http://h/a%2F?b": "/a%2F?b", "http://h": "/", "http://h?q": "/?q"} {
		ask(t, front, "GET "+target+" HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n")
		if got := testkit.Await(t, "a request", heads); !strings.HasPrefix(got, "GET "+path+" HTTP/1.1\r\nHost: h\r\n") {
			t.Errorf(`%s: got %q, want strings.HasPrefix(got, "GET "+path+" HTTP/1.1\r\nHost: h\r\n")`, target, got)
		}
	}
}

func TestHeadersForOneHopStayThere(t *testing.T) {
	heads := make(chan string, 1)
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		heads <- p.Head()
		p.Send("HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\nUpgrade: x\r\nX-End: 2\r\nProxy-Authenticate: b\r\nContent-Length: 0\r\n\r\n")
	})
	answer := ask(t, proxyTo(t, up), "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-Mine, X-Forwarded-For, X-Request-Id\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n"+
		"Proxy-Connection: keep-alive\r\nProxy-Authorization: secret\r\nTE: gzip;q=1, trailers\r\nUpgrade: h2c\r\nX-Forwarded-For: 1.2.3.4\r\nX-Request-Id: i\r\nAccept: */*\r\n\r\n")
	wantFields(t, testkit.Await(t, "a request", heads), "GET / HTTP/1.1", "Host: h", "X-Forwarded-For: 1.2.3.4", "X-Request-Id: i", "Accept: */*", "Te: trailers", "Connection: TE")
	wantFields(t, answer, "HTTP/1.1 200 OK", "X-End: 2", "Content-Length: 0", "Date: *", "Connection: close")
}

// wantFields checks that a head has these lines after the first in any order, and no
// others; a value of * is any.
func wantFields(t *testing.T, head string, want ...string) {
	t.Helper()
	head, _, _ = strings.Cut(head, "\r\n\r\n")
	got := strings.Split(head, "\r\n")
	for i, line := range got {
		if name, _, ok := strings.Cut(line, ": "); ok && slices.Contains(want, name+": *") {
			got[i] = name + ": *"
		}
	}
	if len(got) > 1 && len(want) > 1 {
		slices.Sort(got[1:])
		slices.Sort(want[1:])
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestNothingIsAddedOrGuessed(t *testing.T) {
	heads := make(chan string, 1)
	const body = "<html>\x1f\x8b"
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		heads <- p.Head()
		p.Send("HTTP/1.1 200 OK\r\nDate: yesterday\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\nset-cookie: a\r\nSET-COOKIE: b\r\n\r\n" + body)
	})
	answer := ask(t, proxyTo(t, up), get)
	wantFields(t, testkit.Await(t, "a request", heads), "GET / HTTP/1.1", "Host: h")
	wantFields(t, answer, "HTTP/1.1 200 OK", "Date: yesterday", "Content-Encoding: gzip", "Content-Length: 8", "Set-Cookie: a", "Set-Cookie: b", "Connection: close")
	if !strings.HasSuffix(answer, "\r\n\r\n"+body) {
		t.Errorf("body changed: got %q, want %q at its end", answer, "\r\n\r\n"+body)
	}

	up = answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
	if answer := ask(t, proxyTo(t, up), get); strings.Contains(answer, "Content-Type") {
		t.Errorf("a type was guessed: got %q, want no %q in it", answer, "Content-Type")
	}
}

func TestARequestAndItsBodyLeaveInOneWrite(t *testing.T) {
	reads := make(chan string, 1)
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		b := make([]byte, 8<<10)
		n, _ := p.Conn.Read(b)
		reads <- string(b[:n])
		p.Send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	})
	front := proxyTo(t, up)
	ask(t, front, "POST /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
	if got, want := testkit.Await(t, "a request", reads), "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	ask(t, front, "POST /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	if got, want := testkit.Await(t, "a request", reads), "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n000005\r\nhello\r\n0\r\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	ask(t, front, "POST /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	if got, want := testkit.Await(t, "a request", reads), "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	conns := make(chan int, 10)
	up := testkit.Upstream(t, func(n int, p *testkit.Conn) {
		for {
			r, err := http.ReadRequest(p.Reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			conns <- n
			switch r.URL.Path {
			case "/length":
				p.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			case "/chunked":
				p.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
			case "/204":
				p.Send("HTTP/1.1 204 No Content\r\n\r\n")
			case "/304":
				p.Send("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n")
			case "/head":
				p.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
			}
		}
	})
	client := testkit.Dial(t, proxyTo(t, up))
	on := 0 // the connection that is free
	for _, request := range []string{"GET /length", "GET /chunked", "GET /204", "GET /304", "HEAD /head", "GET /length", "GET /length"} {
		client.Send(request + " HTTP/1.1\r\nHost: h\r\n\r\n")
		method, _, _ := strings.Cut(request, " ")
		res, err := http.ReadResponse(client.Reader, &http.Request{Method: method})
		if err != nil {
			t.Fatal(request, err)
		}
		body, err := io.ReadAll(res.Body)
		if want := map[bool]string{true: "ok"}[res.StatusCode == 200 && method == "GET"]; err != nil || string(body) != want {
			t.Errorf("%s: got %q, %v, want %q and no error", request, body, err, want)
		}
		if request == "HEAD /head" && res.ContentLength != 2 {
			t.Errorf(`HEAD without its Content-Length: got %v, want request != "HEAD /head" || res.ContentLength == 2`, res.Header)
		}
		if n := testkit.Await(t, "a connection", conns); n != on {
			t.Errorf("%s came on connection %d, want %d", request, n, on)
		}
		if request != "GET /length" && request != "GET /chunked" {
			on++ // a body could still come there
		}
	}
}

func TestAConnectionIsNotUsedAgainWhenItMayBeOutOfStep(t *testing.T) {
	for name, answer := range map[string]string{
		"close":         "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.0":      "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"more":          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 Smuggled\r\nContent-Length: 0\r\n\r\n",
		"204 with body": "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
	} {
		conns := make(chan int, 10)
		up := testkit.Upstream(t, func(n int, p *testkit.Conn) {
			for p.Head() != "" {
				conns <- n
				p.Send(answer)
			}
		})
		front := proxyTo(t, up)
		for want := range 3 {
			if answer := ask(t, front, get); !strings.HasPrefix(answer, "HTTP/1.1 20") {
				t.Errorf("%s: got %q, want %q at its start", name, answer, "HTTP/1.1 20")
			}
			if n := testkit.Await(t, "a connection", conns); n != want {
				t.Errorf("%s: request %d came on connection %d", name, want, n)
			}
		}
	}
}

func TestABodyWithoutAnyFramingEndsWithItsConnection(t *testing.T) {
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		p.Head()
		p.Send("HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nall ")
		p.Send("of it")
	})
	res, err := http.Get("http://" + proxyTo(t, up))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "all of it" || res.Header.Get("X-A") != "b" {
		t.Errorf(`got %q %v %v, want "all of it", no error and X-A b`, body, err, res.Header)
	}
}

func TestAnUpstreamMayListenOnASocketInTheFileSystem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("0123456789abcdef", 64<<10)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(big)))
		_, _ = io.WriteString(w, big)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	defer func() { _ = s.Close(); <-done }()
	front := proxyTo(t, "unix:"+path)
	for range 3 {
		if _, body, _ := strings.Cut(ask(t, front, get), "\r\n\r\n"); body != big {
			t.Errorf("%d bytes of body, want %d", len(body), len(big))
		}
	}
}

func TestABasePathComesBeforeThePathAndIsNeverLeft(t *testing.T) {
	heads := make(chan string, 1)
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		heads <- p.Head()
		p.Send("HTTP/1.1 204 No Content\r\n\r\n")
	})
	front := proxyTo(t, "http://"+up+"/base/")
	for _, path := range []string{"/", "/a/..", "/a/./../b?x=/../..", "/a%2F..", "/...", "/a//b", "/%2e", "/..a", "/%"} {
		answer := ask(t, front, "GET "+path+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 204") {
			if path == "/%" {
				continue // net/http's to refuse
			}
			t.Fatalf("%s: got %q, want %q at its start", path, answer, "HTTP/1.1 204")
		}
		if got := testkit.Await(t, "a request", heads); !strings.HasPrefix(got, "GET /base"+path+" HTTP/1.1\r\n") {
			t.Errorf("%s: got %q, want %q at its start", path, got, "GET /base"+path+" HTTP/1.1\r\n")
		}
	}
	for _, path := range []string{"/..", "/../", "/a/../../b", "/%2e%2e/", "/.%2E", "/%2e.", "/a/%2e%2e/..", "/..%2f", "/..\\x", "/..%5cx", "/a//../..", "/..;x/", "/a%2f..%2f.."} {
		answer := ask(t, front, "GET "+path+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 400") {
			t.Errorf("%s: got %q, want %q at its start", path, answer, "HTTP/1.1 400")
		}
	}
}

func TestABufferedBodyIsSentWithItsLength(t *testing.T) {
	heads := make(chan string, 1)
	bodies := make(chan string, 1)
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		heads <- p.Head()
		bodies <- p.Take(5)
		p.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	front := proxyTo(t, up, func(r *schema.Route) { r.BufferBody = true })
	answer := ask(t, front, "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\nExpect: 100-continue\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n")
	wantFields(t, testkit.Await(t, "a request", heads), "POST / HTTP/1.1", "Host: h", "Content-Length: 5")
	if got := testkit.Await(t, "a body", bodies); got != "hello" {
		t.Errorf(`got body %q, want "hello"`, got)
	}
	if !strings.Contains(answer, "HTTP/1.1 200 OK") {
		t.Errorf("got %q, want %q in it", answer, "HTTP/1.1 200 OK")
	}
}

func TestALargeBufferedBodyArrivesWhole(t *testing.T) {
	sum := make(chan [32]byte, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, _ := io.Copy(h, r.Body)
		if n != r.ContentLength {
			t.Errorf("got %d bytes of %d, want all", n, r.ContentLength)
		}
		sum <- [32]byte(h.Sum(nil))
	}))
	defer s.Close()
	front := proxyTo(t, s.URL, func(r *schema.Route) { r.BufferBody = true })
	body := randomBytes(3 << 20)
	res, err := http.Post("http://"+front, "", io.MultiReader(bytes.NewReader(body))) // no length: chunked
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if got := testkit.Await(t, "the sum", sum); got != sha256.Sum256(body) {
		t.Error("the body changed on the way")
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestWhatComesBetweenTwoCallsBelongsToNeither(t *testing.T) {
	stray, said := make(chan struct{}), make(chan struct{})
	up := testkit.Upstream(t, func(n int, p *testkit.Conn) {
		for p.Head() != "" {
			p.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			if n == 0 {
				<-stray
				p.Send("HTTP/1.1 500 Stray\r\nContent-Length: 0\r\n\r\n")
				close(said)
			}
		}
	})
	client := testkit.Dial(t, proxyTo(t, up))
	for range 2 {
		client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		res, err := http.ReadResponse(client.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 || string(body) != "ok" {
			t.Errorf(`got %d %q, want 200 "ok"`, res.StatusCode, body)
		}
		if stray != nil {
			close(stray)
			testkit.Await(t, "what was sent", said)
			stray = nil
		}
	}
}

func TestALargeBodyThatBreaksOffIsCut(t *testing.T) {
	for _, l := range leavings {
		up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
			p.Head()
			p.Send("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + strings.Repeat("x", 5000000))
			l.leave(p)
		})
		client := testkit.Dial(t, proxyTo(t, up))
		client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		res, err := http.ReadResponse(client.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err == nil || n > 5000000 {
			t.Errorf("%s: got %d bytes, %v, want at most 5000000 and an error", l.name, n, err)
		}
		_ = client.Close()
	}
}
