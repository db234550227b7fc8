package server

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const short = 50 * time.Millisecond

// front is a server on a port of its own.
type front struct {
	t       *testing.T
	server  *Server
	network string
	address string
	log     *testkit.Log
	done    chan error // what Serve gave
}

// serve serves h until the end of the test.
func serve(t *testing.T, h http.HandlerFunc, change ...func(*Server)) *front {
	t.Helper()
	return serveOn(t, testkit.Listen(t), h, change...)
}

func serveOn(t *testing.T, l net.Listener, h http.HandlerFunc, change ...func(*Server)) *front {
	t.Helper()
	f := &front{t: t, network: l.Addr().Network(), address: l.Addr().String(), log: &testkit.Log{}, done: make(chan error, 1)}
	f.server = &Server{Handler: h, Refuse: refuse, Log: slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, c := range change {
		c(f.server)
	}
	go func() { f.done <- f.server.Serve(l) }() // until Close
	t.Cleanup(func() {
		_ = f.server.Close()
		if err := <-f.done; err != http.ErrServerClosed {
			t.Errorf("Serve: got %v, want %v", err, http.ErrServerClosed)
		}
		testkit.Eventually(t, "the connections are gone", func() bool { return f.connections() == 0 })
	})
	return f
}

// connections is the number of those that the server knows.
func (f *front) connections() int {
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	return len(f.server.conns)
}

// states returns the number of connections in a state.
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
func (f *front) dial(raw string) *testkit.Conn {
	f.t.Helper()
	c := testkit.DialNetwork(f.t, f.network, f.address)
	c.Send(raw)
	return c
}

// exchange sends raw, and gives all that comes until the server closes.
func (f *front) exchange(raw string) string {
	f.t.Helper()
	return f.dial(raw).Rest()
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
