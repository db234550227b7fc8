package modes

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/http1/server"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// TestALateBodyIsNotTheNextResponse has an upstream send a body that no response has, once
// the next call is on its way.
func TestALateBodyIsNotTheNextResponse(t *testing.T) {
	const stray = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
	for _, c := range []struct{ name, method, head string }{
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 52\r\n\r\n"},
		{"HEAD, chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{"HEAD without a length", "HEAD", "HTTP/1.1 200 OK\r\n\r\n"},
		{"204", "POST", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\n\r\n"},
	} {
		next := make(chan struct{})
		up := testkit.Upstream(t, func(n int, p *testkit.Conn) {
			p.Head()
			if n > 0 {
				close(next)
				p.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				p.Head()
				return
			}
			p.Send(c.head)
			if p.Head() != "" { // the next call is on this connection
				p.Send(stray)
			}
		})
		front := proxyTo(t, up)
		ask(t, front, c.method+" / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		if answer := ask(t, front, get); !strings.HasSuffix(answer, "ok") {
			t.Errorf("%s: got %q, want an answer that ends in ok", c.name, answer)
		}
		testkit.Await(t, "the next", next)
	}
}

// BenchmarkHead is a call whose connection may not carry the next one at once.
func BenchmarkHead(b *testing.B) {
	for _, method := range []string{"GET", "HEAD"} {
		b.Run(method, func(b *testing.B) {
			up := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") })}
			l := testkit.Listen(b)
			done := make(chan struct{})
			go func() { defer close(done); _ = up.Serve(l) }()
			h, err := New(&schema.Route{Name: "api", Mode: schema.HTTP, Upstream: upstreamAt(l.Addr().String())}, Deps{Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			fl := testkit.Listen(b)
			s := &server.Server{Handler: h, Log: slog.New(slog.DiscardHandler)}
			served := make(chan struct{})
			go func() { defer close(served); _ = s.Serve(fl) }()
			defer func() {
				_ = h.(io.Closer).Close()
				_ = s.Close()
				_ = up.Close()
				<-done
				<-served
			}()
			client, err := net.Dial("tcp", fl.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			request, answer := []byte(method+" / HTTP/1.1\r\nHost: h\r\n\r\n"), make([]byte, 4096)
			for b.Loop() {
				_, _ = client.Write(request)
				if _, err := client.Read(answer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestATrailerThatComesTooLateEndsNoOtherCall sends trailers to a server that has
// answered already, which takes them for a breach of HTTP/2 and closes the connection.
func TestATrailerThatComesTooLateEndsNoOtherCall(t *testing.T) {
	waiting, leave := make(chan struct{}), make(chan struct{})
	up := h2cUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			close(waiting)
			<-leave
			_, _ = io.WriteString(w, "ok")
			return
		}
		w.WriteHeader(401)
	})
	front := proxyTo(t, up)
	other := make(chan string, 1)
	go func() { other <- ask(t, front, "GET /wait HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n") }()
	testkit.Await(t, "a waiting call", waiting)
	for range 30 {
		answer := ask(t, front, "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 401") {
			t.Errorf("got %.40q, want 401", answer)
		}
	}
	close(leave)
	if answer := testkit.Await(t, "the other connection", other); !strings.HasSuffix(answer, "ok") {
		t.Errorf("the call that shares the upstream: got %.100q, want ok", answer)
	}
}

// TestAWorkersLateBodyIsNotTheNextResponse has a worker print a body behind a 204, once the
// next call may be on its way.
func TestAWorkersLateBodyIsNotTheNextResponse(t *testing.T) {
	s := serveWorkers(t, "worker", "")
	s.handler.(*afterburn).settling = testkit.Patience // the body comes before it is over
	makeFIFO(t, s.dir, "late")
	for range 3 {
		if resp, _ := s.do(t, "GET", "/late", nil); resp.StatusCode != 204 {
			t.Errorf("got %d, want 204", resp.StatusCode)
		}
		next := make(chan string, 1)
		go func() {
			_, body := s.do(t, "GET", "/pid", nil)
			next <- body
		}()
		say(t, s.dir, "late", "")
		if body := testkit.Await(t, "the next answer", next); !strings.HasSuffix(body, " 1") {
			t.Errorf("got %q, want the first answer of another worker", body)
		}
	}
}
