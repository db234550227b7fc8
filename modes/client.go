package modes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/buffers"
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
	log              *slog.Logger

	hasty   atomic.Int64 // when a connection was found closed that had been used just before and was said to be kept; in nanoseconds of Unix
	unasked atomic.Int64 // when bytes that no request had asked for were found on a connection; in nanoseconds of Unix
	cramped atomic.Bool  // connections that settled were in the way of another one

	mu     sync.Mutex
	idle   []*conn // the longest idle first
	aside  []*conn // the same; not used before they have been quiet for settling
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
	// settling is how long a connection stays unused after a response whose end the
	// upstream may see elsewhere: the body of a HEAD, or one behind a 204, would be
	// taken for the next call's answer. What comes in this time ends the connection.
	settling = time.Second
	// distrust is how long an upstream that sent bytes that no request had asked for
	// has each connection settle after each response, and none of them reused where a
	// body may follow.
	distrust = time.Minute
	// mostAside is how many connections of one upstream may settle at a time; others
	// are closed.
	mostAside = 128
)

func newClient(network, address string, log *slog.Logger) *client {
	return &client{network: network, address: address, log: log}
}

// idleConn takes the connection that was used last, if one was used within maxIdle
// and is still good.
func (cl *client) idleConn(maxIdle time.Duration) *conn {
	for {
		cl.mu.Lock()
		if len(cl.aside) > 0 {
			cl.settle(time.Now())
		}
		last := len(cl.idle) - 1
		if last < 0 {
			cl.mu.Unlock()
			return nil
		}
		c := cl.idle[last]
		now := time.Now()
		if now.Sub(c.usable) > maxIdle {
			cl.mu.Unlock()
			cl.closeIdle(maxIdle) // and the others are older; see makeRoom
			return nil
		}
		cl.idle[last] = nil
		cl.idle = cl.idle[:last]
		cl.mu.Unlock()
		good := now.Before(c.expires)
		if good {
			var sent bool
			if good, sent = c.quiet(); sent {
				cl.wasSentUnasked()
			}
		}
		if good {
			c.reused = true
			c.borrow()
			return c
		}
		cl.lost(c)
		c.close()
	}
}

// settle moves the connections that have been quiet for long enough to the idle ones,
// which are in the order in which they could be used. It is called with cl.mu held.
func (cl *client) settle(now time.Time) {
	n := 0
	for _, c := range cl.aside {
		if now.Before(c.usable) {
			break
		}
		at, _ := slices.BinarySearchFunc(cl.idle, c.usable, func(c *conn, t time.Time) int { return c.usable.Compare(t) })
		cl.idle = slices.Insert(cl.idle, at, c)
		n++
	}
	cl.aside = slices.Delete(cl.aside, 0, n)
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
			cl.clear(crowding)
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
	cl.keepIdle(func(c *conn) bool { return time.Since(c.usable) <= longer })
}

// clear closes the connections that were without a call for longer than that, also
// those that settle.
func (cl *client) clear(longer time.Duration) {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	settled := len(cl.aside)
	cl.keepIdle(func(c *conn) bool { return time.Since(c.idleSince) <= longer })
	if len(cl.aside) < settled {
		cl.cramped.Store(true)
	}
}

// keepIdle closes the connections without a call that keep does not want.
func (cl *client) keepIdle(keep func(*conn) bool) {
	leave := func(c *conn) bool {
		if keep(c) {
			return false
		}
		c.close()
		return true
	}
	cl.idle = slices.DeleteFunc(cl.idle, leave)
	cl.aside = slices.DeleteFunc(cl.aside, leave)
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
// the upstream said it keeps it, or 0. doubtful is one on which more may follow.
func (cl *client) put(c *conn, keep time.Duration, doubtful bool) {
	c.release()
	c.idleSince = time.Now()
	c.usable = c.idleSince
	if keep <= 0 || keep > idleTimeout {
		keep = idleTimeout
	} else {
		keep = keep * 3 / 4 // its clock started earlier, and it may close while we send
	}
	c.expires = c.idleSince.Add(keep)
	suspect := cl.suspect()

	cl.mu.Lock()
	defer cl.mu.Unlock()
	switch {
	case cl.closed:
		c.close()
		return
	case !doubtful && !suspect:
		cl.idle = append(cl.idle, c)
	case doubtful && suspect, cl.cramped.Load(), keep <= settling, len(cl.aside) == mostAside:
		c.abort()
		return
	default:
		c.usable = c.idleSince.Add(settling)
		cl.aside = append(cl.aside, c)
	}
	if cl.sweep == nil {
		cl.sweep = time.AfterFunc(idleTimeout, cl.closeExpired)
	} else if len(cl.idle)+len(cl.aside) == 1 {
		cl.sweep.Reset(idleTimeout)
	}
}

// wasSentUnasked notes that the upstream sent what no request had asked for.
func (cl *client) wasSentUnasked() {
	known := cl.suspect()
	cl.unasked.Store(time.Now().UnixNano())
	if !known {
		cl.log.Warn("upstream sent bytes that belong to no response: the connection was closed, and for a minute others are reused only after a pause",
			slog.String("upstream", cl.address))
	}
}

// suspect reports whether the upstream has lately sent what no request had asked for.
func (cl *client) suspect() bool {
	at := cl.unasked.Load()
	return at != 0 && time.Since(time.Unix(0, at)) <= distrust
}

// closeExpired closes the idle connections whose time is over, and comes again while
// there are others.
func (cl *client) closeExpired() {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	now := time.Now()
	cl.keepIdle(func(c *conn) bool { return now.Before(c.expires) })
	cl.settle(now)
	if len(cl.idle)+len(cl.aside) > 0 {
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
	usable    time.Time // from when on it may carry the next call
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
		if err := c.fillTo(c.w+max(headRead, c.w-c.r), true); err != nil { // as much again as a large one has by now
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
// read. What comes between two calls belongs to neither; sent says that something came.
func (c *conn) quiet() (good, sent bool) {
	n, err := c.readNow(c.try.one[:])
	return err == errNotYet, n > 0
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
	c.pooled = buffers.Get()
	c.buf = *c.pooled
}

func (c *conn) release() {
	buffers.Put(c.pooled)
	c.pooled, c.buf, c.r, c.w = nil, nil, 0, 0
}

// close ends the connection. Whether the upstream took note does not matter any more.
func (c *conn) close() {
	_ = c.Conn.Close()
	if c.buf != nil {
		c.release()
	}
}

// abort is close for a connection whose last response is complete and that others of its
// kind may follow at a high rate: a reset leaves no port waiting (TIME_WAIT).
func (c *conn) abort() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it fails only on a closed connection
	}
	c.close()
}

// aLongTimeAgo is a deadline that makes reads and writes return at once.
var aLongTimeAgo = time.Unix(1, 0)
