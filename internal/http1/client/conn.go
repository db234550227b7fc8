package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/socket"
)

// Conn is one connection to an upstream and what was read from it ahead.
type Conn struct {
	net.Conn // *net.TCPConn or *net.UnixConn itself, for splice
	raw      syscall.RawConn
	pooled   *[]byte // what buf was at first; nil while idle
	buf      []byte
	r, w     int // buf[r:w] is read and not yet used

	Reused    bool        // it carried a call before this one
	answered  atomic.Bool // something was read from it
	cut       atomic.Bool // by Interrupt
	idleSince time.Time
	usable    time.Time // from when on it may carry the next call
	expires   time.Time

	try struct { // of ReadNow: kept here so that a call allocates nothing
		read func(fd uintptr) bool
		p    []byte
		n    int
		err  error
	}
	send struct { // of Send, as well
		step func(fd uintptr) bool
		p    []byte // nil once it was written
		n    int
		err  error
	}
	early error // what ended Send's wait, for the next read

	look struct { // of quiet, as well
		at         func(fd uintptr)
		good, sent bool
		one        [1]byte
	}
}

// ErrNotYet says that a read would have to wait.
var ErrNotYet = errors.New("nothing to read yet")

// NewConn returns a connection with a buffer. nc must have a descriptor.
func NewConn(nc net.Conn) (*Conn, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("a connection of type %T has no descriptor", nc)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: nc, raw: raw}
	c.try.read, c.look.at, c.send.step = c.tryRead, c.lookAt, c.sendStep
	c.Borrow()
	return c, nil
}

// fill reads more into the buffer; with wait false it returns ErrNotYet instead of
// waiting. The end of the stream is io.EOF. The buffer must have room: see room.
func (c *Conn) fill(wait bool) error { return c.fillTo(len(c.buf), wait) }

// fillTo is fill that reads up to most bytes into the buffer.
func (c *Conn) fillTo(most int, wait bool) error {
	if err := c.early; err != nil {
		c.early = nil
		return err
	}
	read := c.ReadNow
	if wait {
		read = c.Conn.Read
	}
	n, err := read(c.buf[c.w:min(max(most, c.w+1), len(c.buf))])
	if n > 0 {
		c.came(n)
		return nil
	}
	return err
}

// came notes that n bytes were read into the buffer.
func (c *Conn) came(n int) {
	c.w += n
	if !c.answered.Load() {
		c.answered.Store(true)
	}
}

// Send writes p, a whole request, on a connection that Idle returned, and waits for the first
// bytes of the response, which it leaves for ReadHead. It returns how much was written, and
// why not all of it. A read that comes right after a write finds nothing most of the time, so
// that it is left to the poller to say when to read. The poller tells of what comes from the
// beginning of raw.Read on, and therefore the write is inside of it. Nothing had come before,
// as Idle has seen.
func (c *Conn) Send(p []byte) (int, error) {
	c.send.p, c.send.n, c.send.err = p, 0, nil
	waited := c.raw.Read(c.send.step)
	n, err := c.send.n, c.send.err
	switch {
	case c.send.p != nil:
		c.send.p = nil
		return 0, waited // the deadline had passed, or the connection was closed
	case err != nil:
		return n, err
	case n < len(p):
		more, err := c.Conn.Write(p[n:])
		return n + more, err
	}
	if waited != nil {
		c.early = waited
	}
	return n, nil
}

// sendStep is the part of Send that has the descriptor. It reports false to be called again
// when something has come.
func (c *Conn) sendStep(fd uintptr) bool {
	if p := c.send.p; p != nil {
		c.send.p = nil
		n, err := socket.Write(fd, p[:min(len(p), socket.Most)])
		if c.send.n = n; err != nil && err != syscall.EAGAIN {
			c.send.err = os.NewSyscallError("write", err)
		}
		return n < len(p)
	}
	n, err := ReadFD(fd, c.buf[c.w:min(c.w+headRead, len(c.buf))])
	switch {
	case err == ErrNotYet:
		return false
	case err != nil:
		c.early = err
	default:
		c.came(n)
	}
	return true
}

// headRead is how much is read where a head is expected: what comes with it of the
// body is copied, and the rest of a large one is not.
const headRead = 4 << 10

// MaxHead is how large the head of a response may be.
const MaxHead = 1 << 20

// ReadHead reads the next head. The error is io.EOF when the upstream closed without
// a byte of one, and io.ErrUnexpectedEOF when it closed inside of it.
func (c *Conn) ReadHead(h *http1.Response) error {
	seen := 0 // bytes from c.r on in which there is no end of a head
	for {
		p := c.buf[c.r:c.w]
		if prefix := "HTTP/1."; string(p[:min(len(p), len(prefix))]) != prefix[:min(len(p), len(prefix))] {
			return fmt.Errorf("not an HTTP/1 response: %s", http1.Quoted(string(p)))
		}
		if end := http1.HeadEnd(p, seen); end > 0 {
			c.r += end
			return h.Parse(h.Text.Keep(p[:end]))
		}
		seen = len(p)
		if !c.room(MaxHead) {
			return fmt.Errorf("the head has more than %d bytes", MaxHead)
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
func (c *Conn) room(limit int) bool {
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

// Unread is what was read and not used, until the next read.
func (c *Conn) Unread() []byte { return c.buf[c.r:c.w] }

// Free is the part of the buffer in which nothing is, until the next read.
func (c *Conn) Free() []byte { return c.buf[c.w:] }

// Control calls f with the descriptor, as syscall.RawConn has it.
func (c *Conn) Control(f func(fd uintptr)) error { return c.raw.Control(f) }

// ReadNow reads what is there without waiting: ErrNotYet when that is nothing.
func (c *Conn) ReadNow(p []byte) (int, error) {
	c.try.p = p
	err := c.raw.Read(c.try.read)
	c.try.p = nil
	if err != nil {
		return 0, err // the deadline has passed, or the connection is closed
	}
	return c.try.n, c.try.err
}

func (c *Conn) tryRead(fd uintptr) bool {
	c.try.n, c.try.err = ReadFD(fd, c.try.p)
	return true
}

// ReadFD is one read of a socket that does not wait: ErrNotYet when there is nothing, io.EOF
// at the end.
func ReadFD(fd uintptr, p []byte) (int, error) {
	n, err := socket.Read(fd, p)
	switch {
	case n > 0:
		return n, nil
	case err == syscall.EAGAIN:
		return 0, ErrNotYet
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	}
	return 0, io.EOF
}

// quiet reports whether an idle connection is as it should be: open, with nothing to
// read. What comes between two calls belongs to neither; sent says that something came.
func (c *Conn) quiet() (good, sent bool) {
	if err := c.raw.Control(c.look.at); err != nil {
		return false, false
	}
	return c.look.good, c.look.sent
}

// lookAt is the part of quiet that has the descriptor. No request may pass without it, also
// none that could be sent again: an upstream that once answers twice would give each call the
// response of the one before.
func (c *Conn) lookAt(fd uintptr) {
	n, err := socket.Read(fd, c.look.one[:])
	c.look.good, c.look.sent = err == syscall.EAGAIN, n > 0
}

// Interrupt makes reads and writes fail from now on, also those that wait. Any goroutine may
// call it. The connection is not kept.
func (c *Conn) Interrupt() {
	c.cut.Store(true)
	_ = c.SetDeadline(aLongTimeAgo) // it fails only on a closed connection
}

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// Broken reports whether the connection has failed, as far as the system can tell
// without reading or writing.
func (c *Conn) Broken() bool {
	failed := false
	err := c.raw.Control(func(fd uintptr) {
		set := []unix.PollFd{{Fd: int32(fd)}} // errors are told unasked
		n, err := unix.Poll(set, 0)
		failed = err == nil && n > 0
	})
	return failed || err != nil
}

// Borrow takes a buffer. A connection without a call needs none: see Release.
func (c *Conn) Borrow() {
	c.pooled = buffers.Get()
	c.buf = *c.pooled
}

// Release puts the buffer back, with what is left in it.
func (c *Conn) Release() {
	buffers.Put(c.pooled)
	c.pooled, c.buf, c.r, c.w = nil, nil, 0, 0
}

// Close ends the connection.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	if c.buf != nil {
		c.Release()
	}
	return err
}

// abort is Close for a connection whose last response is complete and that others of its
// kind may follow at a high rate: a reset leaves no port waiting (TIME_WAIT).
func (c *Conn) abort() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it fails only on a closed connection
	}
	_ = c.Close() // it is over either way
}
