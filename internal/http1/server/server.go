// Package server is the server side of HTTP/1.1 (RFC 9112) and 1.0 for handlers that
// forward bytes: net/http's interfaces, with less between them and the socket.
//
//	server := &server.Server{Handler: h, Refuse: refuse, MaxHeader: 1 << 20, Header: 10 * time.Second}
//	err := server.Serve(listener) // until Shutdown or Close
//
// What is different from net/http's server:
//
//   - A head is read strictly. What could be framed in two ways is refused, and Refuse
//     says how; a head whose lines end in a bare LF is served, and its connection closed.
//   - A connection costs one goroutine, and no buffer while it is idle; on Linux, where
//     there are many, no goroutine either. Nothing
//     is read ahead while a handler runs, so a caller's leaving ends no context: the
//     ResponseWriter tells it when asked, by Gone.
//   - An answer may begin before the request's body has ended; what is left of a body
//     when the handler returns is read for a moment, or the connection is closed.
//   - A Request, its Header, its URL and its Body are good until the handler returns,
//     and no longer. Its context is the background: cancelling is the handler's business.
//
// HTTP/2, by prior knowledge or as TLS negotiated it, is net/http's.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// Server serves connections. Set its fields before the first Serve. Durations of 0
// are no bound, and they are held to a quarter of themselves.
type Server struct {
	Handler http.Handler

	// Refuse answers what is no request. Nothing of r is set but its protocol, where it
	// came from and its header, which is empty. The connection is closed after it.
	Refuse func(w http.ResponseWriter, r *http.Request, err *Refusal)

	TLSConfig *tls.Config // of the TLS listeners among those that are served, for HTTP/2
	MaxHeader int         // bytes of a head; 0 is 1 MiB
	Header    time.Duration
	Idle      time.Duration // between two requests; and for a response that its handler has left, to be taken
	Read      time.Duration // a whole request
	Write     time.Duration // from the end of a head to the end of the response
	Log       *slog.Logger  // what goes wrong on connections, at level debug

	clock time.Time // what now is counted from

	mu        sync.Mutex
	listeners map[net.Listener]bool
	conns     map[*conn]bool
	closed    bool
	empty     chan struct{} // closed when the last connection is gone and closed is set
	watching  bool          // watch runs
	parking   *parking      // nil until there are many connections
	http2     *http2        // nil until somebody speaks it
	load      cpuLoad

	leaving   atomic.Bool  // responses say that their connection is closed
	waiting   atomic.Int64 // connections that wait with a goroutine
	saturated atomic.Bool  // see cpuLoad
}

// Refusal is why something is no request that can be served.
type Refusal struct {
	TooLarge bool   // the head is over MaxHeader or has more than http1.MaxFields fields; else it is malformed
	Detail   string // a clause for the caller
}

func (r *Refusal) Error() string { return r.Detail }

var (
	tooLarge      = &Refusal{TooLarge: true, Detail: "the request's head is larger than server.max_header"}
	tooManyFields = &Refusal{TooLarge: true, Detail: "the request's head has more than " + strconv.Itoa(http1.MaxFields) + " fields"}
)

// Serve serves the connections of l, which speak TLS if they are of package tls, until l
// or the server is closed; then it returns http.ErrServerClosed or l's error. Connections
// go on until they are idle.
func (s *Server) Serve(l net.Listener) error {
	if !s.add(l) {
		_ = l.Close() // nobody is served
		return http.ErrServerClosed
	}
	defer s.forget(l)
	pause := time.Duration(0)
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.isClosed() {
				return http.ErrServerClosed
			}
			if passing, ok := errors.AsType[interface {
				error
				Temporary() bool
			}](err); ok && passing.Temporary() { // no descriptors are left, say
				pause = min(max(2*pause, 5*time.Millisecond), time.Second)
				s.Log.Warn("connections cannot be accepted", "error", err.Error(), "next_try", pause.String())
				time.Sleep(pause)
				continue
			}
			return err
		}
		pause = 0
		c := newConn(s, nc)
		if !s.enter(c) {
			_ = nc.Close() // the server is closed
			continue
		}
		go c.serve() // until the connection ends; Shutdown waits for it
	}
}

func (s *Server) add(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.listeners == nil {
		s.listeners, s.conns, s.empty = map[net.Listener]bool{}, map[*conn]bool{}, make(chan struct{})
		s.clock = time.Now()
	}
	s.listeners[l] = true
	return true
}

func (s *Server) forget(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = true
	if !s.watching && s.tick() > 0 {
		s.watching = true
		time.AfterFunc(s.tick(), s.watch)
	}
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(c)
}

// drop is leave while s.mu is held.
func (s *Server) drop(c *conn) {
	delete(s.conns, c)
	s.tellIfEmpty()
}

// tellIfEmpty closes s.empty when nobody is left. s.mu is held.
func (s *Server) tellIfEmpty() {
	if s.closed && len(s.conns) == 0 && s.empty != nil {
		select {
		case <-s.empty:
		default:
			close(s.empty)
		}
	}
}

// tick is how often it is looked for connections whose time is over; 0 is never.
func (s *Server) tick() time.Duration {
	least := time.Duration(0)
	for _, d := range []time.Duration{s.Header, s.Idle} {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	if least == 0 {
		return 0
	}
	return min(max(least/8, 5*time.Millisecond), time.Second)
}

// watch closes the connections that wait for a head for too long. One look at all
// of them now and then is much cheaper than a deadline for each request. It comes again
// while there are connections.
func (s *Server) watch() {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.isLate(now) {
			c.closeUnless(active)
		}
	}
	if s.watching = len(s.conns) > 0; s.watching {
		time.AfterFunc(s.lookAtLoad(s.tick()), s.watch)
	} else {
		s.saturated.Store(false)
	}
}

// now is the time on the server's clock.
func (s *Server) now() int64 { return int64(time.Since(s.clock)) }

// SetKeepAlivesEnabled says whether connections serve more than one request. Without,
// those that are idle are closed.
func (s *Server) SetKeepAlivesEnabled(enabled bool) {
	s.leaving.Store(!enabled)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http2 != nil {
		s.http2.server.SetKeepAlivesEnabled(enabled)
	}
	if !enabled {
		s.closeIdle()
	}
}

// closeIdle closes the connections that wait between two requests. One whose next
// request has come, unread, is served once more. s.mu is held.
func (s *Server) closeIdle() {
	for c := range s.conns {
		if c.state.Load() == idle && !c.readable() && c.state.CompareAndSwap(idle, ended) {
			c.cut()
		}
	}
}

// Shutdown closes the listeners and the idle connections, and waits until every other
// one has had its response, or until ctx ends, whose error it then returns.
func (s *Server) Shutdown(ctx context.Context) error {
	s.leaving.Store(true)
	s.closeListeners()
	s.mu.Lock()
	s.closeIdle()
	two, left := s.http2, len(s.conns)
	s.mu.Unlock()
	var err error
	if two != nil {
		err = two.server.Shutdown(ctx)
		two.close()
	}
	if left > 0 {
		select {
		case <-s.empty:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.stopParking()
	return err
}

// Close closes the listeners and all connections.
func (s *Server) Close() error {
	s.leaving.Store(true)
	s.closeListeners()
	s.mu.Lock()
	for c := range s.conns {
		c.cut() // whatever is under way ends with an error
	}
	two := s.http2
	s.mu.Unlock()
	if two != nil {
		_ = two.server.Close()
		two.close()
	}
	s.stopParking()
	return nil
}

func (s *Server) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close() // its Serve returns
	}
	s.tellIfEmpty()
}

func (s *Server) maxHeader() int {
	if s.MaxHeader == 0 {
		return http.DefaultMaxHeaderBytes
	}
	return s.MaxHeader
}

func (s *Server) debug(c *conn, what string, err any) {
	s.Log.Debug(what, "peer", c.remote, "error", fmt.Sprint(err))
}
