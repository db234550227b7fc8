package routes

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/listen"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// What net/http refuses before any handler is answered by Respond, and counted.
func TestAMalformedRequestIsRefusedWithAProblem(t *testing.T) {
	logged := &logbook{}
	log := slog.New(slog.NewJSONHandler(logged, nil))
	metrics := metrics.New(metrics.Options{RouteLabel: true})
	respond := func(w http.ResponseWriter, _ *http.Request, err error) {
		f := failure.Of(err)
		status := map[failure.Kind]int{failure.Malformed: 400, failure.HeaderTooLarge: 431}[f.Kind]
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Content-Length", fmt.Sprint(len(f.Detail)))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, f.Detail)
	}
	live := &Live{Respond: respond}
	live.Swap(NewTable(nil, Options{Log: log, Access: LogLines(log), Metrics: metrics, Respond: respond}))
	l, err := listen.Open("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(schema.Server{MaxHeader: 4 << 10}, live, log)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }() // until Close
	defer func() { _ = server.Close(); <-done }()

	for _, test := range []struct {
		request string
		status  int
		detail  string
	}{
		{"GET without-a-slash\r\n\r\n", 400, "the request line is malformed"},
		{"GET / HTTP/1.1\r\nFoo : x\r\nHost: a\r\n\r\n", 400, "a header field's name is malformed"},
		{"GET / HTTP/1.1\r\n\r\n", 400, "missing required Host header"},
		{"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 16<<10) + "\r\n\r\n", 431, "server.max_header"},
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(testkit.Patience))
		_, _ = io.WriteString(c, test.request) // a refusal may come before all is sent
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%.30q: %v", test.request, err)
			continue
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != test.status || !strings.Contains(string(body), test.detail) || r.Header.Get("Content-Type") != "application/problem+json" || !r.Close {
			t.Errorf("%.30q: got %d %v %q (%v), want %d, a problem with %q and the end of the connection", test.request, r.StatusCode, r.Header, body, err, test.status, test.detail)
		}
		_ = c.Close() // answered
	}
	if n := len(logged.requests(t, 4)); n != 4 {
		t.Errorf("%d lines were logged", n)
	}
	var exposed strings.Builder
	metrics.WritePrometheus(&exposed)
	for _, want := range []string{`http_requests_total{code="400",method="unknown"} 3`, `code="431"`} {
		if !strings.Contains(exposed.String(), want) {
			t.Errorf("no %s in\n%s", want, exposed.String())
		}
	}
}
