package modes

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/http1/server"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// hop is http mode between a client and an upstream that cost nothing themselves.
type hop struct {
	client  net.Conn
	request []byte
	answer  []byte
}

func newHop(tb testing.TB, request, body string, content int) *hop {
	tb.Helper()
	upstream := fmt.Sprintf("HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", content, strings.Repeat("x", content))
	up := fixedServer(tb, len(body), []byte(upstream))
	h, err := New(&schema.Route{Name: "api", Mode: schema.HTTP, Upstream: upstreamAt(up)}, Deps{})
	if err != nil {
		tb.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &server.Server{Handler: h, Log: slog.New(slog.DiscardHandler)}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = client.Close()
		_ = s.Close()
		<-done
		_ = h.(io.Closer).Close()
	})
	x := &hop{client: client, request: []byte(request + body), answer: make([]byte, 1<<20)}
	_, _ = client.Write(x.request)
	n := 0
	for n < content || !bytes.HasSuffix(x.answer[:n], []byte(upstream[len(upstream)-content-4:])) {
		more, err := client.Read(x.answer[n:])
		if n += more; err != nil {
			tb.Fatal(err)
		}
	}
	x.answer = x.answer[:n]
	return x
}

func (x *hop) call(tb testing.TB) {
	if _, err := x.client.Write(x.request); err != nil {
		tb.Fatal(err)
	}
	if _, err := io.ReadFull(x.client, x.answer); err != nil {
		tb.Fatal(err)
	}
}

// fixedServer answers each request, which has a body of some size, by the same bytes.
func fixedServer(tb testing.TB, size int, answer []byte) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		buf, n := make([]byte, 64<<10), 0
		for {
			more, err := c.Read(buf[n:])
			if err != nil {
				return
			}
			n += more
			if end := bytes.Index(buf[:n], []byte("\r\n\r\n")); end >= 0 && n >= end+4+size {
				n = 0
				if _, err := c.Write(answer); err != nil {
					return
				}
			}
		}
	}()
	tb.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

const (
	plainGet  = "GET /a HTTP/1.1\r\nHost: example.org\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
	plainPost = "POST /a HTTP/1.1\r\nHost: example.org\r\nUser-Agent: bench\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n"
)

func TestACallIsCheapInAllocations(t *testing.T) {
	most := 4.0 // the call, its context and request, which routes have ready
	if racing {
		most = 400 // pools forget under the race detector
	}
	for name, x := range map[string]*hop{
		"GET":  newHop(t, plainGet, "", 1024),
		"POST": newHop(t, plainPost, strings.Repeat("x", 1024), 1024),
	} {
		if n := testkit.Allocs(200, most, func() { x.call(t) }); n > most {
			t.Errorf("%s: got %.0f allocations, want at most %v", name, n, most)
		} else {
			t.Logf("%s: %.0f allocations", name, n)
		}
	}
}

func BenchmarkHTTP(b *testing.B) {
	for _, c := range []struct {
		name, request, body string
		content             int
	}{
		{"GET 0B", plainGet, "", 0},
		{"GET 1KiB", plainGet, "", 1 << 10},
		{"GET 100KiB", plainGet, "", 100 << 10},
		{"POST 1KiB", plainPost, strings.Repeat("x", 1<<10), 2},
	} {
		b.Run(c.name, func(b *testing.B) {
			x := newHop(b, c.request, c.body, c.content)
			b.ReportAllocs()
			for b.Loop() {
				x.call(b)
			}
		})
	}
}
