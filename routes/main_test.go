package routes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1/server"
	"github.com/watchdogd/watchdogd/internal/listen"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/schema"
)

func TestMain(m *testing.M) {
	code := m.Run()
	err := goleak.Find()
	for end := time.Now().Add(patience); err != nil && time.Now().Before(end); err = goleak.Find() {
		runtime.Gosched() // net/http lingers half a second on what it closes
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// patience bounds every wait of the tests.
const patience = 30 * time.Second

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
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, table := range f.live.tables() {
			if err := table.Drain(ctx); err != nil {
				t.Errorf("a call is left when the server is closed: %d", table.Inflight())
			}
		}
		if n := f.live.Inflight(); n != 0 {
			t.Errorf("in flight after the end: %d", n)
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
func (f *front) dial(raw string) net.Conn {
	f.t.Helper()
	c, err := net.Dial("tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, raw); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// exchange sends raw and gives all that comes until the server closes.
func (f *front) exchange(raw string) string {
	f.t.Helper()
	c := f.dial(raw)
	all, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		f.t.Fatalf("%v after %q", err, all)
	}
	return string(all)
}

func (f *front) series() string {
	var b bytes.Buffer
	f.metrics.WritePrometheus(&b)
	return b.String()
}

// eventually waits until ok gives true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// logbook keeps JSON lines.
type logbook struct {
	mu    sync.Mutex
	lines []map[string]any
}

func (l *logbook) Write(p []byte) (int, error) {
	var line map[string]any
	if err := json.Unmarshal(p, &line); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return len(p), nil
}

// requests gives the access lines.
func (l *logbook) requests() (lines []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if line["msg"] == "request" {
			lines = append(lines, line)
		}
	}
	return lines
}

// request waits for the one access line and gives it.
func (l *logbook) request(t *testing.T) map[string]any {
	t.Helper()
	eventually(t, "an access line", func() bool { return len(l.requests()) > 0 })
	return l.requests()[0]
}

// String is all lines.
func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text, _ := json.Marshal(l.lines) // they were JSON
	return string(text)
}

func (l *logbook) has(msg string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if line["msg"] == msg {
			return true
		}
	}
	return false
}

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
