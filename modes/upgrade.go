package modes

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// switchProtocols answers 101 to a caller who asked for it, and then carries what both
// sides say until both have said all, the call ends, or one of them fails.
func (x *exchange) switchProtocols(c *conn) error {
	h := &x.head
	switch {
	case x.request.upgrade == "":
		return errors.New("101 Switching Protocols, and nobody asked for it")
	case h.upgrade == "" || !named(appendList(nil, x.request.upgrade), h.upgrade):
		return fmt.Errorf("switched to %s, and was asked for %s", quoted(h.upgrade), quoted(x.request.upgrade))
	}
	if s := x.sender; s != nil {
		<-s.done // the body comes before what follows
		if s.err != nil {
			return s.err
		}
	}
	header := x.w.Header()
	h.writeTo(header)
	delete(header, "Content-Length")
	header["Connection"] = []string{"Upgrade"}
	header["Upgrade"] = []string{h.upgrade}
	if !x.begin() {
		return errInterrupted
	}
	x.w.WriteHeader(http.StatusSwitchingProtocols)
	if err := x.control.Flush(); err != nil { // a hijacked connection forgets what was not flushed
		return goneError{err}
	}
	down, ahead, err := x.control.Hijack()
	if err != nil {
		return goneError{err}
	}
	defer func() { _ = down.Close() }() // after all was written, or was given up
	x.useHijacked(down)
	early, err := ahead.Reader.Peek(ahead.Reader.Buffered())
	if err != nil {
		return goneError{err}
	}
	t := tunnel{down: down, up: c.Conn, touch: func() {}}
	if clock, ok := x.w.(toucher); ok {
		t.touch = clock.Touch
	}
	late := bytes.Clone(c.buf[c.r:c.w])
	c.release()
	x.request.release() // it may be long before the call's end
	t.run(early, late)
	return nil
}

// useHijacked makes interrupt end what is carried over the caller's connection.
func (x *exchange) useHijacked(down net.Conn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.hijacked = down
	if x.interrupted {
		_ = down.SetDeadline(aLongTimeAgo) // it fails only on a closed connection
	}
}

// tunnel carries bytes both ways between a caller and an upstream. Each way ends with
// its own end of stream, which is passed on; an error ends both.
type tunnel struct {
	down, up net.Conn
	touch    func() // called for every sign of life
}

// run returns when both ways have ended. early came from the caller and late from the
// upstream before.
func (t *tunnel) run(early, late []byte) {
	var way sync.WaitGroup
	way.Go(func() { t.carry(t.up, t.down, early) })
	t.carry(t.down, t.up, late)
	way.Wait()
}

func (t *tunnel) carry(to, from net.Conn, first []byte) {
	err := t.pass(to, first)
	for err == nil {
		err = t.more(to, from)
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == io.EOF {
		if half.CloseWrite() == nil {
			return
		}
	}
	_ = t.down.SetDeadline(aLongTimeAgo) // these fail only on closed connections
	_ = t.up.SetDeadline(aLongTimeAgo)
}

// more passes on what the next read gives. Where it can, it takes memory only when
// there is something to read: most connections are silent most of the time.
func (t *tunnel) more(to, from net.Conn) error {
	sc, ok := from.(syscall.Conn)
	if !ok {
		buf := make([]byte, 4<<10) // TLS
		n, err := from.Read(buf)
		return cmp.Or(t.pass(to, buf[:n]), err)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var buf *[]byte
	var n int
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		buf = getBuffer()
		n, failed = readFD(fd, *buf)
		if failed != errNotYet {
			return true
		}
		putBuffer(buf)
		buf = nil
		return false
	})
	if buf == nil {
		return err
	}
	defer putBuffer(buf)
	return cmp.Or(t.pass(to, (*buf)[:n]), failed, err)
}

func (t *tunnel) pass(to net.Conn, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	t.touch()
	_, err := to.Write(p)
	return err
}
