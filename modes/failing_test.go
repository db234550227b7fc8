package modes

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1/http1test"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// leaving is how an upstream ends a connection.
type leaving struct {
	name  string
	leave func(p *testkit.Conn)
}

var leavings = []leaving{
	{"closes", func(p *testkit.Conn) {}},
	{"resets", func(p *testkit.Conn) { _ = p.Conn.(*net.TCPConn).SetLinger(0) }},
	{"closes its half", func(p *testkit.Conn) {
		_ = p.Conn.(*net.TCPConn).CloseWrite()
		p.Tail()
	}},
}

func TestAnUpstreamThatFailsAtAnyPointOfItsResponseIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		response string
		body     string
		endless  bool // its end is the connection's
	}{
		"length":     {response: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", body: "hello"},
		"chunked":    {response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", body: "hello"},
		"to the end": {response: "HTTP/1.1 200 OK\r\n\r\nhello", body: "hello", endless: true},
	} {
		head := strings.Index(c.response, "\r\n\r\n") + 4
		for _, l := range leavings {
			var upto atomic.Int32
			up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
				if p.Head() != "" {
					p.Send(c.response[:upto.Load()])
					l.leave(p)
				}
			})
			front := proxyTo(t, up)
			for n := range len(c.response) {
				where := fmt.Sprintf("%s, %s after %q", name, l.name, c.response[:n])
				upto.Store(int32(n))
				client := testkit.Dial(t, front)
				client.Send(get)
				res, err := http.ReadResponse(client.Reader, nil)
				if err != nil && n < head {
					t.Errorf("%s: %v", where, err)
				}
				if err != nil {
					continue // cut before anything of it was sent on
				}
				body, err := io.ReadAll(res.Body)
				switch reset := l.name == "resets"; {
				case n < head:
					if res.StatusCode != 502 || err != nil {
						t.Errorf("%s: got %d %v, want 502 and no error", where, res.StatusCode, err)
					}
				case c.endless && !reset:
					if err != nil || string(body) != c.response[head:n] {
						t.Errorf("%s: got %q, %v, want %q and no error", where, body, err, c.response[head:n])
					}
				case res.StatusCode == 502 && reset: // the reset came before we had read the head
				case err == nil:
					t.Errorf("%s: a whole response of %d with %q", where, res.StatusCode, body)
				case !strings.HasPrefix(c.body, string(body)):
					t.Errorf("%s: got %q, want the body or its beginning", where, body)
				}
				_ = client.Close()
			}
		}
	}
}

func TestAnUpstreamThatRefusesIsBad(t *testing.T) {
	nobody := testkit.FreeAddress(t)
	for _, up := range []string{nobody, "unix:" + t.TempDir() + "/none", "h2c://" + nobody} {
		for _, request := range []string{get, "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"} {
			if answer := ask(t, proxyTo(t, up), request); !strings.HasPrefix(answer, "HTTP/1.1 502") || !strings.Contains(answer, "application/problem+json") {
				t.Errorf("%s: got %q, want %q at its start and %q in it", up, answer, "HTTP/1.1 502", "application/problem+json")
			}
		}
	}
}

func TestNonsenseIsBad(t *testing.T) {
	for name, answer := range http1test.MalformedResponses {
		if name == "more than a head" {
			continue // a body without framing
		}
		up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
			p.Head()
			p.Send(answer)
		})
		if got := ask(t, proxyTo(t, up), get); !strings.HasPrefix(got, "HTTP/1.1 502") {
			t.Errorf("%s: got %q, want %q at its start", name, got, "HTTP/1.1 502")
		}
	}
}

func TestNonsenseIsNotWaitedForToEnd(t *testing.T) {
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		p.Head()
		p.Send("SSH-2.0-OpenSSH_9.2")
		p.Tail()
	})
	if got := ask(t, proxyTo(t, up), get); !strings.HasPrefix(got, "HTTP/1.1 502") {
		t.Errorf("got %q, want %q at its start", got, "HTTP/1.1 502")
	}
}

func TestAnIdleConnectionThatClosedFailsNoCall(t *testing.T) {
	for name, request := range map[string]string{
		"GET":  "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
	} {
		closed := make(chan struct{}, 100)
		up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
			r, err := http.ReadRequest(p.Reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			p.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			_ = p.Close()
			closed <- struct{}{}
		})
		client := testkit.Dial(t, proxyTo(t, up))
		for range 20 {
			client.Send(request)
			res, err := http.ReadResponse(client.Reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 {
				t.Fatalf("%s: got %d %s, want 200", name, res.StatusCode, body)
			}
			testkit.Await(t, "the end of the connection", closed)
		}
	}
}

func TestOnlyWhatCanBeSentTwiceIsSentTwice(t *testing.T) {
	big := "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000)
	for _, c := range []struct {
		request string
		sent    int32 // how often, when a connection that was used before closes without an answer
	}{
		{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 2},
		{"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n", 2},
		{"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 2},
		{"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 2},
		{"PUT / HTTP/1.1\r\nHost: h\r\n" + big, 1},
		{"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 1},
		{"POST / HTTP/1.1\r\nHost: h\r\n\r\n", 1},
		{"PATCH / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 1},
		{"FOO / HTTP/1.1\r\nHost: h\r\n\r\n", 1},
	} {
		name := c.request[:min(len(c.request), 40)]
		var seen atomic.Int32
		up := testkit.Upstream(t, func(n int, p *testkit.Conn) {
			for {
				r, err := http.ReadRequest(p.Reader)
				if err != nil {
					return
				}
				if r.URL.Path != "/warm" {
					_, _ = io.Copy(io.Discard, r.Body)
					seen.Add(1)
					if n == 0 {
						return // without an answer
					}
				}
				p.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		})
		client := testkit.Dial(t, proxyTo(t, up))
		client.Send("GET /warm HTTP/1.1\r\nHost: h\r\n\r\n")
		if res, err := http.ReadResponse(client.Reader, nil); err != nil {
			t.Fatal(err)
		} else {
			_, _ = io.ReadAll(res.Body)
		}
		client.Send(c.request)
		res, err := http.ReadResponse(client.Reader, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := map[int32]int{1: 502, 2: 200}[c.sent]; res.StatusCode != want || seen.Load() != c.sent {
			t.Errorf("%s: status %d, sent %d times; want %d and %d", name, res.StatusCode, seen.Load(), want, c.sent)
		}
		_ = client.Close()
	}
}

// An upstream that closes after each answer and does not say so loses what crosses the
// close on its way: once.
func TestAnUpstreamThatClosesUnannouncedGetsItsPostsOnNewConnections(t *testing.T) {
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		r, err := http.ReadRequest(p.Reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		p.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = p.Peek(1) // the next one is lost
	})
	client := testkit.Dial(t, proxyTo(t, up))
	for i := range 10 {
		client.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello")
		res, err := http.ReadResponse(client.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(res.Body)
		if want := map[bool]int{true: 502, false: 200}[i == 1]; res.StatusCode != want {
			t.Errorf("the %d. call: %d and not %d", i+1, res.StatusCode, want)
		}
	}
}

func TestARequestThatANewConnectionFailsIsNotSentAgain(t *testing.T) {
	var seen atomic.Int32
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		if p.Head() != "" {
			seen.Add(1)
		}
	})
	if answer := ask(t, proxyTo(t, up), get); !strings.HasPrefix(answer, "HTTP/1.1 502") || seen.Load() != 1 {
		t.Errorf("sent %d times: got %q, want 1 and %q at its start", seen.Load(), answer, "HTTP/1.1 502")
	}
}

func TestNothingIsSentAgainAfterAByteOfAnAnswer(t *testing.T) {
	var seen atomic.Int32
	up := testkit.Upstream(t, func(n int, p *testkit.Conn) {
		for {
			r, err := http.ReadRequest(p.Reader)
			if err != nil {
				return
			}
			if r.URL.Path != "/warm" {
				seen.Add(1)
				p.Send("H")
				return
			}
			p.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	client := testkit.Dial(t, proxyTo(t, up))
	client.Send("GET /warm HTTP/1.1\r\nHost: h\r\n\r\n")
	if res, err := http.ReadResponse(client.Reader, nil); err != nil {
		t.Fatal(err)
	} else {
		_, _ = io.ReadAll(res.Body)
	}
	client.Send(get)
	if answer := client.Tail(); !strings.HasPrefix(answer, "HTTP/1.1 502") || seen.Load() != 1 {
		t.Errorf("sent %d times: got %q, want 1 and %q at its start", seen.Load(), answer, "HTTP/1.1 502")
	}
}

func TestAnAnswerBeforeAResetIsPassedOn(t *testing.T) {
	// The upstream answers and leaves without reading the rest: writing to it fails while its answer waits to be read.
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		p.Head()
		p.Send("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
		_ = p.Conn.(*net.TCPConn).CloseWrite()
		_, _ = p.Discard(1 << 20)
	})
	client := testkit.Dial(t, proxyTo(t, up))
	client.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n")
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		block := randomBytes(1 << 16)
		for range 1 << 14 {
			if _, err := client.Write(block); err != nil {
				return
			}
		}
	}()
	if head := client.Head(); !strings.HasPrefix(head, "HTTP/1.1 413") {
		t.Errorf("got %q, want %q at its start", head, "HTTP/1.1 413")
	}
	if body := client.Take(2); body != "no" {
		t.Errorf(`got %q, want "no"`, body)
	}
	_ = client.Close()
	<-stop
}

func TestASlowUpstreamIsWaitedFor(t *testing.T) {
	const response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		p.Head()
		for i := range len(response) {
			p.Send(response[i : i+1])
			time.Sleep(time.Millisecond) // it is slow; this paces the upstream, and no test
		}
	})
	client := testkit.Dial(t, proxyTo(t, up))
	client.Send(get)
	res, err := http.ReadResponse(client.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "hello" {
		t.Errorf(`got %q %v, want "hello" and no error`, body, err)
	}
}

func TestAServerMayAttendToOneConnectionAtATime(t *testing.T) {
	l := testkit.Listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			for p := testkit.NewConn(t, c); ; {
				r, err := http.ReadRequest(p.Reader)
				if err != nil {
					break
				}
				_, _ = io.Copy(io.Discard, r.Body)
				p.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
			_ = c.Close()
		}
	}()
	defer func() { _ = l.Close(); <-done }()
	h, err := New(&schema.Route{Name: "api", Mode: schema.HTTP, Upstream: upstreamAt(l.Addr().String())}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.(io.Closer).Close() }() // or the last connection keeps the server
	front := serve(t, h)
	var all sync.WaitGroup
	for _, method := range []string{"GET", "POST", "GET", "POST"} {
		all.Go(func() {
			for range 3 {
				if got := fetch(t, front, method, "/", strings.NewReader("hello"), nil); got.status != 200 {
					t.Errorf("%s: got %d %s, want 200", method, got.status, got.body)
				}
			}
		})
	}
	all.Wait()
}

func TestARouteWithoutAProcessNeedsAnUpstream(t *testing.T) {
	if _, err := New(&schema.Route{Name: "api", Mode: schema.HTTP}, Deps{}); err == nil {
		t.Error("got no error, want one")
	}
}
