package routes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1/server"
	"github.com/watchdogd/watchdogd/internal/listen"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// front is a server with a table, as cmd puts it together.
type front struct {
	t       *testing.T
	live    *Live
	metrics *metrics.Registry
	options Options
	address string
	server  *server.Server
	log     *logbook
}

// serve starts a front with entries on a port of its own.
func serve(t *testing.T, entries ...Entry) *front {
	t.Helper()
	return serveWith(t, schema.Server{MaxHeader: 1 << 20}, entries...)
}

func serveWith(t *testing.T, config schema.Server, entries ...Entry) *front {
	t.Helper()
	f := &front{t: t, log: &logbook{}, metrics: metrics.New(metrics.Options{RouteLabel: true})}
	log := slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.options = Options{Log: log, Access: LogLines(log), Metrics: f.metrics, Respond: respond, Trusted: config.TrustedProxies}
	f.live = &Live{Respond: respond, Health: Health{
		Live:  func() error { return nil },
		Ready: func(string) error { return nil },
	}}
	f.live.Swap(NewTable(entries, f.options))
	f.server = NewServer(config, f.live, log)
	l, err := listen.Open("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- f.server.Serve(l) }()
	t.Cleanup(func() {
		_ = f.server.Close()
		<-done
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
		defer cancel()
		for _, table := range f.live.tables() {
			if err := table.Drain(ctx); err != nil {
				t.Errorf("a call is left when the server is closed: got %d, want no error", table.Inflight())
			}
		}
		if n := f.live.Inflight(); n != 0 {
			t.Errorf("in flight after the end: got %d, want 0", n)
		}
	})
	return f
}

// respond is a small modes.Respond: "KIND timeout detail".
func respond(w http.ResponseWriter, r *http.Request, err error) {
	f := failure.Of(err)
	if f.Kind == failure.Gone {
		return
	}
	status := map[failure.Kind]int{
		failure.Internal: 500, failure.Malformed: 400, failure.Unauthorized: 401, failure.Forbidden: 403, failure.NoRoute: 404, failure.Method: 405, failure.SlowBody: 408,
		failure.BodyTooLarge: 413, failure.HeaderTooLarge: 431, failure.RateLimited: 429, failure.Full: 429, failure.NotReady: 503,
		failure.QueueTimeout: 503, failure.Draining: 503, failure.Timeout: 504,
	}[f.Kind]
	if f.Allow != "" {
		w.Header().Set("Allow", f.Allow)
	}
	if f.Challenge != "" {
		w.Header().Set("Www-Authenticate", f.Challenge)
	}
	if status == 429 || status == 503 {
		w.Header().Set("Retry-After", fmt.Sprint(int64((f.RetryAfter+time.Second-1)/time.Second)))
	}
	body := fmt.Sprintf("%d %s %s", status, f.Timeout, f.Detail)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// obey answers as a mode must: Respond with the cause before the head, a panic after it.
func obey(w http.ResponseWriter, r *http.Request, sent bool) {
	if sent {
		panic(http.ErrAbortHandler)
	}
	cause := context.Cause(r.Context())
	if failure.Of(cause).Kind == failure.Internal {
		cause = &failure.Error{Kind: failure.Gone}
	}
	respond(w, r, cause)
}

func (f *front) url(path string) string { return "http://" + f.address + path }

func (f *front) get(path string) (*http.Response, string) {
	f.t.Helper()
	return f.do(f.request("GET", path, nil))
}

func (f *front) request(method, path string, body io.Reader) *http.Request {
	f.t.Helper()
	r, err := http.NewRequest(method, f.url(path), body)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

func (f *front) do(r *http.Request) (*http.Response, string) {
	f.t.Helper()
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp, string(body)
}

// dial opens a connection and sends raw.
func (f *front) dial(raw string) *testkit.Conn {
	f.t.Helper()
	c := testkit.Dial(f.t, f.address)
	c.Send(raw)
	return c
}

// exchange sends raw and returns all that comes until the connection ends.
func (f *front) exchange(raw string) string {
	f.t.Helper()
	return f.dial(raw).Tail()
}

func (f *front) series() string {
	var b bytes.Buffer
	f.metrics.WritePrometheus(&b)
	return b.String()
}

// logbook keeps JSON lines.
type logbook struct{ testkit.Log }

// lines returns the lines with a message.
func (l *logbook) lines(msg string) (lines []map[string]any) { return linesOf(l.String(), msg) }

func linesOf(all, msg string) (lines []map[string]any) {
	for text := range strings.Lines(all) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			panic(fmt.Sprintf("a line of the log is not JSON: %q: %v", text, err))
		}
		if line["msg"] == msg {
			lines = append(lines, line)
		}
	}
	return lines
}

// requests waits for n access lines, and returns those that there are.
func (l *logbook) requests(t *testing.T, n int) []map[string]any {
	t.Helper()
	all := l.AwaitThat(t, fmt.Sprintf("%d access lines", n), func(all string) bool { return len(linesOf(all, "request")) >= n })
	return linesOf(all, "request")
}

// request waits for the one access line and returns it.
func (l *logbook) request(t *testing.T) map[string]any {
	t.Helper()
	return l.requests(t, 1)[0]
}

func (l *logbook) has(msg string) bool { return len(l.lines(msg)) > 0 }

// route is an entry at /NAME.
func entry(name string, h http.HandlerFunc, change ...func(*schema.Route)) Entry {
	r := &schema.Route{Name: name, Path: "/" + name}
	for _, c := range change {
		c(r)
	}
	return Entry{Route: r, Handler: h}
}

// hello answers with the route's name.
func hello(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, name) }
}
