package server

import (
	"bufio"
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
)

func TestMain(m *testing.M) {
	code := m.Run()
	err := goleak.Find()
	for end := time.Now().Add(patience); err != nil && time.Now().Before(end); err = goleak.Find() {
		runtime.Gosched() // a connection that is closed lingers
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const (
	patience = 30 * time.Second // bounds every wait of the tests
	short    = 50 * time.Millisecond
)

// front is a server on a port of its own.
type front struct {
	t       *testing.T
	server  *Server
	network string
	address string
	log     *logbook
	done    chan error // what Serve gave
}

// serve serves h until the end of the test.
func serve(t *testing.T, h http.HandlerFunc, change ...func(*Server)) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, h, change...)
}

func serveOn(t *testing.T, l net.Listener, h http.HandlerFunc, change ...func(*Server)) *front {
	t.Helper()
	f := &front{t: t, network: l.Addr().Network(), address: l.Addr().String(), log: &logbook{}, done: make(chan error, 1)}
	f.server = &Server{Handler: h, Refuse: refuse, Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, c := range change {
		c(f.server)
	}
	go func() { f.done <- f.server.Serve(l) }() // until Close
	t.Cleanup(func() {
		_ = f.server.Close()
		if err := <-f.done; err != http.ErrServerClosed {
			t.Errorf("Serve gave %v", err)
		}
		eventually(t, "the connections are gone", func() bool { return f.connections() == 0 })
	})
	return f
}

// connections is the number of those that the server knows.
func (f *front) connections() int {
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	return len(f.server.conns)
}

// states gives the number of connections in a state.
func (f *front) states(state int32) (n int) {
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	for c := range f.server.conns {
		if c.state.Load() == state {
			n++
		}
	}
	return n
}

func refuse(w http.ResponseWriter, _ *http.Request, why *Refusal) {
	status := http.StatusBadRequest
	if why.TooLarge {
		status = http.StatusRequestHeaderFieldsTooLarge
	}
	w.Header().Set("Refused", "yes")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, why.Detail)
}

// dial opens a connection and sends raw.
func (f *front) dial(raw string) *client {
	f.t.Helper()
	nc, err := net.Dial(f.network, f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	c := &client{f.t, nc, bufio.NewReader(nc)}
	c.send(raw)
	return c
}

// client is the other end of a connection.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (c *client) send(raw string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, raw); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads the response to a request of method, and its body.
func (c *client) answer(method string) (*http.Response, string) {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return res, ""
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res, string(body)
}

// want reads a response of status and body.
func (c *client) want(status int, body string) *http.Response {
	c.t.Helper()
	res, got := c.answer("GET")
	if res.StatusCode != status || got != body {
		c.t.Fatalf("%d %q, want %d %q", res.StatusCode, got, status, body)
	}
	return res
}

// rest gives all that comes until the server closes.
func (c *client) rest() string {
	c.t.Helper()
	all, err := io.ReadAll(c.r)
	if err != nil {
		c.t.Fatalf("%v after %q", err, all)
	}
	return string(all)
}

// exchange sends raw, and gives all that comes until the server closes.
func (f *front) exchange(raw string) string {
	f.t.Helper()
	return f.dial(raw).rest()
}

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// hello answers with the method, the target and the body.
func hello(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, err.Error())
		return
	}
	_, _ = io.WriteString(w, r.Method+" "+r.RequestURI+" "+string(body))
}

// eventually waits until ok gives true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// wait waits for c.
func wait(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain: %s", what)
	}
}

// logbook is what was logged.
type logbook struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}
