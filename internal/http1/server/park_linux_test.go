package server

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// parkedIn is how many connections of a server wait without a goroutine.
func parkedIn(s *Server) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.parked {
			n++
		}
	}
	return n
}

// crowd opens more connections than wait with a goroutine each, and has one request answered
// on each.
func (f *front) crowd(t *testing.T, more int) []*testkit.Conn {
	t.Helper()
	all := make([]*testkit.Conn, parkAbove+more)
	for i := range all {
		all[i] = f.dial(get)
		all[i].Want(200, "GET / ")
	}
	testkit.Eventually(t, "those above the bound wait without a goroutine", func() bool { return parkedIn(f.server) >= more })
	return all
}

func TestManyIdleConnectionsCostNoGoroutine(t *testing.T) {
	const more = 100
	before := runtime.NumGoroutine()
	f := serve(t, hello)
	all := f.crowd(t, more)
	// With a goroutine for each connection there would be more of them than connections.
	testkit.Eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine()-before <= parkAbove+10 })
	for range 2 {
		for _, c := range all {
			c.Send(get)
		}
		for _, c := range all {
			c.Want(200, "GET / ")
		}
	}
	whole := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
	last := all[len(all)-1]
	for i := range whole { // byte by byte, each of which may find it parked
		last.Send(whole[i : i+1])
	}
	last.Want(200, "POST / hello")
	done := make(chan error, 1)
	go func() { done <- f.server.Shutdown(context.Background()) }() // when the idle ones are closed
	for _, c := range all {
		if rest := c.Rest(); rest != "" {
			t.Fatalf(`after Shutdown: got %q, want ""`, rest)
		}
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown: got %v, want nil", err)
	}
}

func TestParkedConnectionsAreClosedWhenTheirTimeIsOver(t *testing.T) {
	f := serve(t, hello, func(s *Server) { s.Idle = time.Hour })
	all := f.crowd(t, 20)
	f.server.mu.Lock()
	for c := range f.server.conns {
		c.lateAfter(time.Nanosecond)
	}
	f.server.mu.Unlock()
	f.server.watch() // from now on the time counts
	f.server.watch()
	for _, c := range all {
		if rest := c.Rest(); rest != "" {
			t.Fatalf(`got %q, want ""`, rest)
		}
	}
	testkit.Eventually(t, "none is left", func() bool { return f.connections() == 0 })
}

func TestTheEndOfAClientIsSeenOnAParkedConnection(t *testing.T) {
	f := serve(t, hello)
	for _, c := range f.crowd(t, 20) {
		_ = c.Close()
	}
	testkit.Eventually(t, "none is left", func() bool { return f.connections() == 0 })
}

func TestCloseCutsParkedConnections(t *testing.T) {
	f := serve(t, hello)
	all := f.crowd(t, 20)
	_ = f.server.Close()
	for _, c := range all {
		if tail := c.Tail(); strings.TrimSpace(tail) != "" {
			t.Fatalf(`got %q, want ""`, tail)
		}
	}
	testkit.Eventually(t, "none is left", func() bool { return f.connections() == 0 })
}
