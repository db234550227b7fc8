package server

import (
	"io"
	"net"
	"os"
	"syscall"

	"github.com/watchdogd/watchdogd/internal/socket"
)

// wait waits for the first bytes of a head; nothing is in the buffer.
func (c *conn) wait() error {
	if c.raw == nil {
		c.release()
		return c.more()
	}
	err := c.raw.Read(c.try.read)
	if c.waits {
		c.waits = false
		c.server.waiting.Add(-1)
	}
	if err != nil {
		return err
	}
	c.r, c.w = 0, c.try.n
	return c.try.err
}

// tryRead is what wait does when there may be something to read. While it looks, the
// connection is not idle, so that it is not closed with a request in its hands.
func (c *conn) tryRead(fd uintptr) bool {
	before := c.state.Load()
	if before == ended || !c.state.CompareAndSwap(before, inHead) {
		c.try.n, c.try.err = 0, net.ErrClosed
		return true
	}
	c.take()
	n, err := socket.Read(fd, c.buf)
	switch {
	case n > 0:
		c.try.n, c.try.err = n, nil
	case err == syscall.EAGAIN:
		c.release()
		c.state.CompareAndSwap(inHead, before)
		if before != idle || !c.server.leaving.Load() || hasInput(c.raw) {
			if c.waits || c.unparkable || c.server.mayWait() {
				c.waits = !c.unparkable
				return false
			}
			c.fd, c.try.n, c.try.err = int(fd), 0, errPark
			return true
		}
		c.try.n, c.try.err = 0, net.ErrClosed // it was not idle when the idle ones were closed
	case err != nil:
		c.try.n, c.try.err = 0, os.NewSyscallError("read", err)
	default:
		c.try.n, c.try.err = 0, io.EOF
	}
	return true
}

// write writes p. What is small leaves in one system call that the scheduler is not told of.
func (c *conn) write(p []byte) error {
	n := 0
	if c.raw != nil && c.room != nil && len(p) <= socket.Most {
		c.put.p, c.put.n, c.put.err = p, 0, nil
		err := c.raw.Write(c.put.write)
		c.put.p = nil
		if err == nil {
			err = c.put.err
		}
		if n = c.put.n; n == len(p) || err != nil {
			return err
		}
	}
	_, err := c.nc.Write(p[n:]) // it waits
	return err
}

// put is the part of write that has the descriptor. It is kept so that a write allocates nothing.
type put struct {
	write func(fd uintptr) bool // try
	p     []byte
	n     int // of p that was written
	err   error
}

func (w *put) try(fd uintptr) bool {
	n, err := socket.Write(fd, w.p)
	if w.n = n; err != nil && err != syscall.EAGAIN {
		w.err = os.NewSyscallError("write", err)
	}
	return true
}

// more reads behind what is in the buffer, and makes room for it.
func (c *conn) more() error {
	c.take()
	switch {
	case c.r == c.w:
		c.r, c.w = 0, 0
	case c.w < len(c.buf):
	case c.r > 0:
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	default:
		bigger := make([]byte, 2*len(c.buf))
		c.w = copy(bigger, c.buf)
		c.buf = bigger
	}
	n, err := c.nc.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	return err
}

// ReadFrom sends src. Where it is a socket or a file, and the body has a length, the
// kernel moves it.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	if !w.ready() {
		return 0, w.refusal()
	}
	to, ok := w.c.nc.(io.ReaderFrom)
	if !ok || w.framed != bySize && w.framed != byClose {
		buf := copyBuffers.Get().(*[32 << 10]byte)
		defer copyBuffers.Put(buf)
		return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{src}, buf[:])
	}
	if err := w.send(); err != nil {
		return 0, err
	}
	if w.framed == byClose {
		n, err := to.ReadFrom(src)
		w.written += n
		return n, err
	}
	limited, ok := src.(*io.LimitedReader)
	room := w.length - w.written
	if !ok || limited.N > room {
		limited = &io.LimitedReader{R: src, N: room}
	}
	n, err := to.ReadFrom(limited)
	w.written += n
	if err != nil {
		w.failed = err // or the reader's: the response is short either way
	}
	return n, err
}
