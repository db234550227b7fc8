package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// conn is one connection and its goroutine. Requests on it come one after the other,
// and all that a request needs is here and used again for the next.
type conn struct {
	server *Server
	nc     net.Conn
	raw    syscall.RawConn // nil over TLS
	tls    *tls.ConnectionState
	remote string

	state atomic.Int32
	late  atomic.Int64 // for how long it may be as it is, unless it is active; see lateAfter
	first bool         // no request was served yet

	*room     // nil while idle
	r, w  int // buf[r:w] is not yet used

	body     body
	response response

	fd         int  // the descriptor, if it was parked
	parked     bool // it waits without a goroutine; server.mu guards it
	unparkable bool // that could not be
	waits      bool // it is one of server.waiting

	limited  atomic.Bool // the connection has a deadline
	hijacked bool

	try struct { // of wait: kept here so that it allocates nothing
		read func(fd uintptr) bool
		n    int
		err  error
	}
}

// The states of a connection. To close one that is not active, its state is changed to
// ended first, so that no request that has come is lost.
const (
	fresh  = int32(iota) // nothing has come yet
	idle                 // nothing has come since the last response
	inHead               // some of a head has come
	active               // a request is served
	ending               // its handler has returned
	ended
)

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, nc: nc, first: true}
	if addr := nc.RemoteAddr(); addr != nil {
		c.remote = addr.String()
	}
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			c.raw, c.try.read = raw, c.tryRead
		}
	}
	c.body.c = c
	c.response.c = c
	noticeLoss(nc)
	c.lateAfter(s.Header)
	return c
}

// serve serves the connection until its end.
func (c *conn) serve() {
	keep, parked := false, false // it is closed elsewhere, and so is what is parked
	defer func() {
		p := recover()
		if !parked { // another goroutine may have it by now
			c.over(p, keep)
		}
	}()
	if t, ok := c.nc.(*tls.Conn); ok {
		if keep = c.handshake(t); keep || c.tls == nil {
			return
		}
	}
	for {
		head, err := c.readHead()
		if err == errPark {
			if parked = c.server.park(c); parked {
				return
			}
			c.unparkable = true // readHead finds out if it is closed
			continue
		}
		if err == errHTTP2 {
			keep = true
			c.server.handOver(c.nc, c.buf[c.r:c.w])
			return
		}
		if err == nil {
			err = c.parse(head)
		}
		if refusal, ok := errors.AsType[*Refusal](err); ok {
			c.refuse(refusal)
			return
		}
		if err != nil {
			if err != io.EOF { // between two requests
				c.server.debug(c, "a connection ended in a request's head", err)
			}
			return
		}
		if c.state.Swap(active) == ended {
			return // its time was over
		}
		c.lateAfter(0)
		c.limit()
		c.response.begin()
		c.server.Handler.ServeHTTP(&c.response, &c.request)
		if c.hijacked || !c.finish() {
			return
		}
	}
}

// over ends what the server does for the connection. p is what a handler panicked with, or
// nil; with keep the connection is another's.
func (c *conn) over(p any, keep bool) {
	if p != nil && p != http.ErrAbortHandler {
		c.server.Log.Error("a handler panicked", "peer", c.remote, "panic", p, "stack", string(debug.Stack()))
	}
	if !c.hijacked && p != nil && c.response.framed == byClose {
		c.reset()
	}
	c.state.Store(ended)
	if !keep && !c.hijacked {
		_ = c.nc.Close() // it is over either way
	}
	c.release()
	c.server.leave(c)
}

// errHTTP2 says that the connection speaks HTTP/2.
var errHTTP2 = errors.New("HTTP/2")

// readHead reads the next head, without what may follow it. Between two requests it
// holds no buffer.
func (c *conn) readHead() (string, error) {
	if c.r == c.w {
		if err := c.wait(); err != nil {
			return "", err
		}
	}
	c.lateAfter(c.server.Header) // before the state, or watch takes the time of the one for the other's
	if !c.become(inHead) {
		return "", net.ErrClosed
	}
	if c.server.Read > 0 {
		_ = c.nc.SetReadDeadline(time.Now().Add(c.server.Read))
		c.limited.Store(true)
	}
	seen := 0 // bytes from c.r on in which there is no end of a head
	for {
		p := c.buf[c.r:c.w]
		for len(p) > 1 && p[0] == '\r' && p[1] == '\n' { // RFC 9112, 2.2
			c.r += 2
			p = p[2:]
		}
		if c.first && c.tls == nil && len(p) > 0 && p[0] == 'P' { // over TLS it is negotiated (RFC 9113, 3.3)
			if is, may := isPreface(p); is || may && len(p) < len(preface) {
				if is {
					return "", errHTTP2
				}
				if err := c.more(); err != nil {
					return "", err
				}
				continue
			}
		}
		if c.first && c.tls == nil && len(p) > 0 && p[0] == 0x16 { // a TLS record (RFC 8446, 5.1)
			return "", &Refusal{Detail: "the client speaks TLS, and this address does not"}
		}
		if end := http1.HeadEnd(p, seen); end > 0 {
			if end > c.server.maxHeader() {
				return "", tooLarge
			}
			c.r += end
			c.first, c.arrived = false, time.Now()
			head := c.text.Keep(p[:end])
			c.shrink()
			return head, nil
		}
		if seen = len(p); seen > c.server.maxHeader() {
			return "", tooLarge
		}
		if err := c.more(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
	}
}

// become changes the state, and reports false when the connection was closed.
func (c *conn) become(state int32) bool {
	for {
		now := c.state.Load()
		if now == ended {
			return false
		}
		if c.state.CompareAndSwap(now, state) {
			return true
		}
	}
}

// closeUnless closes the connection when it is in another state.
func (c *conn) closeUnless(state int32) {
	for {
		now := c.state.Load()
		if now == state || now == ended {
			return
		}
		if c.state.CompareAndSwap(now, ended) {
			c.cut()
			return
		}
	}
}

// cut closes the connection while others read or write, and never waits: Close of one
// over TLS may, for a client that takes nothing any more. server.mu is held.
func (c *conn) cut() {
	nc := c.nc
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	_ = nc.Close() // it is over either way
	if c.parked {
		c.server.unparked(c)
	}
}

// reset ends the connection so that a response that would have ended with it, of
// HTTP/1.0, does not look whole: the client learns it only from a reset.
func (c *conn) reset() {
	nc := c.nc
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn() // an end without TLS's own is noticed as well
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // or it is gone already
	}
	_ = nc.Close()
}

// lateAfter has the connection closed after d unless it is active then; 0 is never. The time
// begins when watch looks next, so that no request needs to read the clock for it: watch puts
// minus the time that it is over in place of d.
func (c *conn) lateAfter(d time.Duration) { c.late.Store(int64(max(d, 0))) }

// isLate reports whether the time of lateAfter is over at now, on the server's clock.
func (c *conn) isLate(now int64) bool {
	late := c.late.Load()
	if late > 0 {
		c.late.CompareAndSwap(late, -(now + late))
	}
	return late < 0 && now > -late
}

func (c *conn) deadline(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// limit sets the deadline of the response, where one is asked for.
func (c *conn) limit() {
	if c.server.Write > 0 {
		_ = c.nc.SetWriteDeadline(c.arrived.Add(c.server.Write))
		c.limited.Store(true)
	}
}

// refuse answers what is not a request.
func (c *conn) refuse(why *Refusal) {
	if !c.become(active) {
		return
	}
	c.lateAfter(0)
	c.take()
	c.arrived = time.Now()
	c.limit()
	c.request = http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, URL: &url.URL{},
		Body: http.NoBody, RemoteAddr: c.remote, TLS: c.tls, Close: true}
	c.head.Fields.Reset() // there may be some of its beginning
	c.body.None()
	c.body.begin(0)
	c.response.begin()
	c.server.Refuse(&c.response, &c.request, why)
	c.become(ending)
	c.lateAfter(c.server.Idle)
	if c.response.finish() == nil {
		c.linger()
	}
}

// finish ends a request whose handler has returned. It reports whether another may follow.
func (c *conn) finish() bool {
	c.lateAfter(c.server.Idle)
	c.become(ending)
	if err := c.response.finish(); err != nil {
		return false // the client has gone, or the response is short and must look so
	}
	if c.response.close {
		if !c.body.whole.Load() || c.w > c.r {
			c.linger()
		}
		return false
	}
	if !c.body.drain() {
		c.linger()
		return false
	}
	if c.limited.Swap(false) {
		_ = c.nc.SetDeadline(time.Time{}) // of a handler's, or ours
	}
	c.header = cleared(c.header)
	if c.r < c.w {
		return true // the next one has come
	}
	return c.become(idle) && (!c.server.leaving.Load() || c.readable())
}

// A client may go on sending for a while after its request was answered: closed at once,
// the connection would be reset, and the response in it lost.
const (
	lingering     = 500 * time.Millisecond // of silence
	mostLingering = 5 * time.Second
)

// linger closes the sending half and reads for a moment what still comes.
func (c *conn) linger() {
	if closeWrite(c.nc) != nil {
		return
	}
	c.take()
	end := time.Now().Add(mostLingering)
	for read := 0; read < 64*drainBytes && time.Now().Before(end); {
		_ = c.nc.SetReadDeadline(time.Now().Add(lingering))
		n, err := c.nc.Read(c.buf)
		if read += n; err != nil {
			return
		}
	}
}

// gone reports whether the client has closed the connection, or the half that it
// sends on, as far as the system can tell without reading.
func (c *conn) gone() bool {
	raw := c.socket()
	return raw != nil && hungUp(raw)
}

// readable reports whether something has come and was not read, as far as the
// system can tell.
func (c *conn) readable() bool {
	raw := c.socket()
	return raw != nil && hasInput(raw)
}

// socket returns the connection's socket, beneath TLS too, or nil if it has none.
func (c *conn) socket() syscall.RawConn {
	if c.raw != nil {
		return c.raw
	}
	if t, ok := c.nc.(*tls.Conn); ok {
		if sc, ok := t.NetConn().(syscall.Conn); ok {
			if raw, err := sc.SyscallConn(); err == nil {
				return raw
			}
		}
	}
	return nil
}
