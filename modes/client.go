package modes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// client is what http mode uses to speak HTTP/1.1 to one upstream: a set of
// connections, each used by one call at a time. It is synchronous: a call writes its
// request and reads the response in its own goroutine (a request body, which may
// still be on its way while the response comes, has one of its own), and a connection
// that nobody uses costs a descriptor and nothing else.
//
// The parts are in files of their own: request.go writes, response.go parses heads,
// body.go finds where a body ends, exchange.go puts them together.
type client struct {
	network, address string

	hasty atomic.Int64 // when a connection was found closed that had been used just before and was said to be kept; in nanoseconds of Unix

	mu     sync.Mutex
	idle   []*conn // the longest idle first
	closed bool
	sweep  *time.Timer // runs while a connection is idle
}

const (
	dialTimeout = 10 * time.Second
	// idleTimeout is how long a connection may wait for its next call; upstreams
	// that close theirs earlier may say so by Keep-Alive.
	idleTimeout = 60 * time.Second
	// freshness is how recently a connection must have been used to carry a request
	// that cannot be sent twice. Upstreams close connections that were idle for some
	// seconds, and a request that crosses that close on its way is lost.
	freshness = time.Second
	// wary is how long an upstream that was seen to close a fresh connection, without
	// having said so, gets such requests on new connections only.
	wary = time.Minute
	// crowding is how long a new connection waits for its first answer before
	// connections that are idle for as long are suspected to be in its way.
	crowding = 100 * time.Millisecond
)

func newClient(network, address string) *client {
	return &client{network: network, address: address}
}

// idleConn takes the connection that was used last, if one was used within maxIdle
// and is still good.
func (cl *client) idleConn(maxIdle time.Duration) *conn {
	for {
		cl.mu.Lock()
		last := len(cl.idle) - 1
		if last < 0 {
			cl.mu.Unlock()
			return nil
		}
		c := cl.idle[last]
		now := time.Now()
		if now.Sub(c.idleSince) > maxIdle {
			cl.mu.Unlock()
			cl.closeIdle(maxIdle) // and the others are older; see makeRoom
			return nil
		}
		cl.idle[last] = nil
		cl.idle = cl.idle[:last]
		cl.mu.Unlock()
		if now.Before(c.expires) && c.quiet() {
			c.reused = true
			c.borrow()
			return c
		}
		cl.lost(c)
		c.close()
	}
}

// lost notes that the upstream has closed an idle connection by the time it is used.
func (cl *client) lost(c *conn) {
	if now := time.Now(); now.Before(c.expires) && now.Sub(c.idleSince) < freshness {
		cl.hasty.Store(now.UnixNano())
	}
}

// keeps reports whether the upstream keeps connections for as long as it says.
func (cl *client) keeps() bool {
	at := cl.hasty.Load()
	return at == 0 || time.Since(time.Unix(0, at)) > wary
}

// makeRoom closes idle connections for as long as c waits for its first answer: a
// server that attends to one connection at a time, as small ones do, waits for the next
// request on an idle one and never looks at c. The function that it returns ends that.
func (cl *client) makeRoom(c *conn) (stop func()) {
	var again *time.Timer
	made := make(chan struct{})
	again = time.AfterFunc(crowding, func() {
		<-made
		if !c.answered.Load() {
			cl.closeIdle(crowding)
			again.Reset(crowding)
		}
	})
	close(made)
	return func() {
		c.answered.Store(true) // if it is being seen to just now
		again.Stop()
	}
}

// closeIdle closes the connections that were idle for longer than that.
func (cl *client) closeIdle(longer time.Duration) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.keepIdle(func(c *conn) bool { return time.Since(c.idleSince) <= longer })
}

// keepIdle closes the idle connections that keep does not want.
func (cl *client) keepIdle(keep func(*conn) bool) {
	cl.idle = slices.DeleteFunc(cl.idle, func(c *conn) bool {
		if keep(c) {
			return false
		}
		c.close()
		return true
	})
}

// dial makes a new connection. It fails when ctx ends.
func (cl *client) dial(ctx context.Context) (*conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.DialContext(ctx, cl.network, cl.address)
	if err != nil {
		return nil, err
	}
	c, err := newConn(nc)
	if err != nil {
		_ = nc.Close() // it was never used
		return nil, err
	}
	return c, nil
}

// put gives back a connection on which the last call ended cleanly. keep is how long
// the upstream said it keeps it, or 0.
func (cl *client) put(c *conn, keep time.Duration) {
	c.release()
	c.idleSince = time.Now()
	if keep <= 0 || keep > idleTimeout {
		keep = idleTimeout
	} else {
		keep = keep * 3 / 4 // its clock started earlier, and it may close while we send
	}
	c.expires = c.idleSince.Add(keep)

	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.closed {
		c.close()
		return
	}
	cl.idle = append(cl.idle, c)
	if cl.sweep == nil {
		cl.sweep = time.AfterFunc(idleTimeout, cl.closeExpired)
	} else if len(cl.idle) == 1 {
		cl.sweep.Reset(idleTimeout)
	}
}

// closeExpired closes the idle connections whose time is over, and comes again while
// there are others.
func (cl *client) closeExpired() {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	now := time.Now()
	cl.keepIdle(func(c *conn) bool { return now.Before(c.expires) })
	if len(cl.idle) > 0 {
		cl.sweep.Reset(idleTimeout / 4)
	}
}

// Close closes the idle connections, and from then on each one that is given back.
// Calls that are under way go on.
func (cl *client) Close() error {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.closed = true
	if cl.sweep != nil {
		cl.sweep.Stop()
	}
	cl.keepIdle(func(*conn) bool { return false })
	return nil
}

// conn is one connection to an upstream and what was read from it ahead.
type conn struct {
	net.Conn // *net.TCPConn or *net.UnixConn itself, for splice
	raw      syscall.RawConn
	pooled   *[]byte // what buf was at first; nil while idle
	buf      []byte
	r, w     int // buf[r:w] is read and not yet used

	reused    bool        // it carried a call before this one
	answered  atomic.Bool // something was read from it
	idleSince time.Time
	expires   time.Time

	try struct { // of readNow: kept here so that a call allocates nothing
		read func(fd uintptr) bool
		p    []byte
		n    int
		err  error
		one  [1]byte
	}
}

// errNotYet says that a read would have to wait.
var errNotYet = errors.New("nothing to read yet")

func newConn(nc net.Conn) (*conn, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("a connection of type %T has no descriptor", nc)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, raw: raw}
	c.try.read = c.tryRead
	c.borrow()
	return c, nil
}

// fill reads more into the buffer; with wait false it gives errNotYet instead of
// waiting. The end of the stream is io.EOF. The buffer must have room: see room.
func (c *conn) fill(wait bool) error { return c.fillTo(len(c.buf), wait) }

// fillTo is fill that reads up to most bytes into the buffer.
func (c *conn) fillTo(most int, wait bool) error {
	read := c.readNow
	if wait {
		read = c.Conn.Read
	}
	n, err := read(c.buf[c.w:min(max(most, c.w+1), len(c.buf))])
	c.w += n
	if n > 0 {
		if !c.answered.Load() {
			c.answered.Store(true)
		}
		return nil
	}
	return err
}

// headRead is how much is read where a head is expected: what comes with it of the
// body is copied, and the rest of a large one is not.
const headRead = 4 << 10

// mostHead is how large the head of a response may be.
const mostHead = 1 << 20

// readHead reads the next head. The error is io.EOF when the upstream closed without
// a byte of one, and io.ErrUnexpectedEOF when it closed inside of it.
func (c *conn) readHead(h *head) error {
	seen := 0 // bytes from c.r on in which there is no end of a head
	for {
		p := c.buf[c.r:c.w]
		if prefix := "HTTP/1."; string(p[:min(len(p), len(prefix))]) != prefix[:min(len(p), len(prefix))] {
			return fmt.Errorf("no HTTP/1 response: %s", quoted(string(p)))
		}
		if end := http1.HeadEnd(p, seen); end > 0 {
			c.r += end
			return h.parse(string(p[:end]))
		}
		seen = len(p)
		if !c.room(mostHead) {
			return fmt.Errorf("a head of more than %d bytes", mostHead)
		}
		if err := c.fillTo(headRead, true); err != nil {
			if err == io.EOF && len(p) > 0 {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
}

// room makes place in the buffer for at least one more byte and at most a buffer of
// limit bytes. It reports whether there is any.
func (c *conn) room(limit int) bool {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	if c.w < len(c.buf) {
		return true
	}
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
		return true
	}
	if len(c.buf) >= limit {
		return false
	}
	bigger := make([]byte, min(2*len(c.buf), limit))
	c.w = copy(bigger, c.buf[:c.w])
	c.buf = bigger
	return true
}

// readNow reads what is there without waiting: errNotYet when that is nothing.
func (c *conn) readNow(p []byte) (int, error) {
	c.try.p = p
	err := c.raw.Read(c.try.read)
	c.try.p = nil
	if err != nil {
		return 0, err // the deadline has passed, or the connection is closed
	}
	return c.try.n, c.try.err
}

func (c *conn) tryRead(fd uintptr) bool {
	c.try.n, c.try.err = readFD(fd, c.try.p)
	return true
}

// readFD is one read(2) that does not wait: errNotYet when there is nothing, io.EOF at
// the end.
func readFD(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		switch {
		case n > 0:
			return n, nil
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return 0, errNotYet
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		default:
			return 0, io.EOF
		}
	}
}

// quiet reports whether an idle connection is as it should be: open, with nothing to
// read. What comes between two calls belongs to neither.
func (c *conn) quiet() bool {
	_, err := c.readNow(c.try.one[:])
	return err == errNotYet
}

// broken reports whether the connection has failed, as far as the system can tell
// without reading or writing.
func (c *conn) broken() bool {
	failed := false
	err := c.raw.Control(func(fd uintptr) {
		set := []unix.PollFd{{Fd: int32(fd)}} // errors are told unasked
		n, err := unix.Poll(set, 0)
		failed = err == nil && n > 0
	})
	return failed || err != nil
}

// borrow and release take a buffer and give it back: an idle connection has none.
func (c *conn) borrow() {
	c.pooled = getBuffer()
	c.buf = *c.pooled
}

func (c *conn) release() {
	putBuffer(c.pooled)
	c.pooled, c.buf, c.r, c.w = nil, nil, 0, 0
}

// close ends the connection. Whether the upstream took note does not matter any more.
func (c *conn) close() {
	_ = c.Conn.Close()
	if c.buf != nil {
		c.release()
	}
}

// aLongTimeAgo is a deadline that makes reads and writes return at once.
var aLongTimeAgo = time.Unix(1, 0)
