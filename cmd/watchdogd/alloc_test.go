package main

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
)

// answering is an upstream that sends each request, which has so many bytes, the same
// response, and allocates nothing.
func answering(size int, response []byte) func(int, *testkit.Conn) {
	return func(_ int, c *testkit.Conn) {
		buf, n := make([]byte, 64<<10), 0
		for {
			more, err := c.Conn.Read(buf[n:])
			if err != nil {
				return
			}
			n += more
			if end := bytes.Index(buf[:n], []byte("\r\n\r\n")); end >= 0 && n >= end+4+size {
				n = 0
				if _, err := c.Conn.Write(response); err != nil {
					return
				}
			}
		}
	}
}

// TestAllocationsOfACall takes plain calls through the server, the routes and http mode, with
// access log and counters: once all of it has its memory, a call needs no more.
func TestAllocationsOfACall(t *testing.T) {
	const get = "GET /items/42?x=y HTTP/1.1\r\nHost: example.org\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n"
	const post = "POST /items HTTP/1.1\r\nHost: example.org\r\nUser-Agent: test\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n"
	response := "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024)
	for _, c := range []struct{ name, head, body string }{
		{"GET", get, ""},
		{"POST", post, strings.Repeat("x", 1024)},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := testkit.Dial(t, served(t, testkit.Upstream(t, answering(len(c.body), []byte(response)))))
			request, answer, end := []byte(c.head+c.body), make([]byte, 64<<10), []byte("\r\n\r\n"+strings.Repeat("x", 1024))
			call := func() {
				if _, err := client.Conn.Write(request); err != nil {
					t.Fatal(err)
				}
				for n := 0; n < len(end) || !bytes.HasSuffix(answer[:n], end); {
					more, err := client.Conn.Read(answer[n:])
					if n += more; err != nil {
						t.Fatal(err)
					}
				}
			}
			if n := testing.AllocsPerRun(500, call); n > 0 && !racing {
				t.Errorf("got %v allocations for a call, want 0", n)
			}
		})
	}
}

// served is the address of a server whose only route forwards to upstream.
func served(t *testing.T, upstream string) string {
	log := slog.New(slog.DiscardHandler)
	to, err := schema.ParseUpstream(schema.Text(upstream))
	if err != nil {
		t.Fatal(err)
	}
	route := &schema.Route{Name: "api", Path: "/", Mode: schema.HTTP, Upstream: to,
		Limits: schema.Limits{Body: 1 << 20}, Timeouts: schema.Timeouts{Exec: 30e9, Queue: 10e9}}
	handler, err := modes.New(route, modes.Deps{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	live := &routes.Live{Respond: modes.Respond}
	live.Swap(routes.NewTable([]routes.Entry{{Route: route, Handler: handler}}, routes.Options{
		Log: log, Access: routes.JSONLines(logwriter.New(io.Discard)), Metrics: metrics.New(metrics.Options{RouteLabel: true}), Respond: modes.Respond,
	}))
	t.Cleanup(func() { _ = handler.(io.Closer).Close() })
	return testkit.Serve(t, routes.NewServer(schema.Server{}, live, log))
}
