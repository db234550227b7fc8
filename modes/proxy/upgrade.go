package proxy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/http1/client"
)

// switchProtocols answers 101 to a client that asked for it, and then carries what both
// sides say until both have said all, the call ends, or one of them fails.
func (x *exchange) switchProtocols(c *client.Conn) error {
	h := &x.head
	switch {
	case x.request.upgrade == "":
		return errors.New("101 Switching Protocols, which the request did not ask for")
	case h.Upgrade == "" || !http1.HasToken([]string{x.request.upgrade}, h.Upgrade):
		return fmt.Errorf("switched to %s, and was asked for %s", http1.Quoted(h.Upgrade), http1.Quoted(x.request.upgrade))
	}
	if s := x.sender; s != nil {
		<-s.done // the body comes before what follows
		if s.err != nil {
			return s.err
		}
	}
	header := x.w.Header()
	h.Forward(header)
	delete(header, "Content-Length")
	header["Connection"] = []string{"Upgrade"}
	header["Upgrade"] = []string{h.Upgrade}
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
	x.call.Took(down)
	early, err := ahead.Reader.Peek(ahead.Reader.Buffered())
	if err != nil {
		return goneError{err}
	}
	t := tunnel{down: down, up: c.Conn, touch: x.call.Touch, webSocket: strings.EqualFold(h.Upgrade, "websocket")}
	x.call.OnFarewell(t.leave)
	late := bytes.Clone(c.Unread())
	c.Release()
	x.request.release() // it may be long before the call's end
	t.run(early, late)
	return nil
}

// tunnel carries bytes both ways between a client and an upstream. Each way ends with
// its own end of stream, which is passed on; an error ends both.
type tunnel struct {
	down, up  net.Conn
	touch     func() // called for every sign of life
	webSocket bool
	leaving   atomic.Bool // the upstream's process is about to end
}

// farewell is how long the two ends of a WebSocket have to answer our close frames.
const farewell = time.Second

// leave ends the tunnel: a WebSocket by a close frame to both sides, anything else at
// once. It does not wait.
func (t *tunnel) leave() {
	if t.leaving.Swap(true) {
		return
	}
	last := aLongTimeAgo
	if t.webSocket {
		last = time.Now().Add(farewell)
	}
	for _, c := range []net.Conn{t.down, t.up} {
		_ = c.SetReadDeadline(aLongTimeAgo) // these fail only on closed connections
		_ = c.SetWriteDeadline(last)
	}
}

// run returns when both ways have ended. early came from the client and late from the
// upstream before.
func (t *tunnel) run(early, late []byte) {
	var way sync.WaitGroup
	way.Go(func() { t.carry(t.up, t.down, early) })
	t.carry(t.down, t.up, late)
	way.Wait()
}

func (t *tunnel) carry(to, from net.Conn, first []byte) {
	var f frames
	err := t.pass(to, first, &f)
	src := newSource(from)
	for err == nil {
		var p []byte
		p, err = src.next()
		err = cmp.Or(t.pass(to, p, &f), err)
		src.release()
	}
	if t.webSocket && t.leaving.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
		err = t.sayFarewell(to, from, src, &f)
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == io.EOF {
		if half.CloseWrite() == nil {
			return
		}
	}
	_ = t.down.SetDeadline(aLongTimeAgo) // these fail only on closed connections
	_ = t.up.SetDeadline(aLongTimeAgo)
}

// sayFarewell ends one way of a WebSocket: the frame that is on its way is completed, a
// close frame follows, and what comes after that is not passed on any more. It returns
// io.EOF when the other side has closed too.
func (t *tunnel) sayFarewell(to, from net.Conn, src *source, f *frames) (err error) {
	if err := from.SetReadDeadline(time.Now().Add(farewell)); err != nil {
		return err
	}
	said := false
	say := func() (err error) {
		if !said && f.between() && !f.closed {
			said = true
			_, err = to.Write(closeFrame(to == t.up))
		}
		return err
	}
	for err = say(); err == nil && !f.closed; {
		var p []byte
		p, err = src.next()
		for len(p) > 0 && err == nil {
			n := f.next(p)
			if !said {
				_, err = to.Write(p[:n])
				err = cmp.Or(err, say())
			}
			p = p[n:]
		}
		src.release()
	}
	if err == nil {
		err = io.EOF // both have said that they close
	}
	return err
}

func (t *tunnel) pass(to net.Conn, p []byte, f *frames) error {
	if len(p) == 0 {
		return nil
	}
	t.touch()
	if t.webSocket {
		for rest := p; len(rest) > 0; {
			rest = rest[f.next(rest):]
		}
	}
	_, err := to.Write(p)
	return err
}

// source reads a connection that may say nothing for long. Where it can, it takes a
// buffer only when there is something to read.
type source struct {
	conn net.Conn
	raw  syscall.RawConn // nil for TLS
	read func(fd uintptr) bool
	buf  *[]byte
	own  []byte // for TLS
	n    int
	err  error
}

func newSource(c net.Conn) *source {
	s := &source{conn: c}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw, s.read = raw, s.tryRead
			return s
		}
	}
	s.own = make([]byte, 4<<10)
	return s
}

// next waits for bytes, which are good until release.
func (s *source) next() ([]byte, error) {
	if s.raw == nil {
		n, err := s.conn.Read(s.own)
		return s.own[:n], err
	}
	s.n, s.err = 0, nil
	if err := s.raw.Read(s.read); err != nil {
		return nil, err
	}
	return (*s.buf)[:s.n], s.err
}

func (s *source) tryRead(fd uintptr) bool {
	s.buf = buffers.Get()
	s.n, s.err = client.ReadFD(fd, *s.buf)
	if s.err == client.ErrNotYet {
		s.release()
		return false
	}
	return true
}

func (s *source) release() {
	if s.buf != nil {
		buffers.Put(s.buf)
		s.buf = nil
	}
}

// aLongTimeAgo is a deadline that makes reads and writes return at once.
var aLongTimeAgo = time.Unix(1, 0)
