package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// body is the body of a request, as its handler reads it. One goroutine reads it at a
// time, and another may write the response meanwhile.
type body struct {
	http1.Body
	c      *conn
	length int64 // as announced
	err    error // what ended it

	begun  atomic.Bool // some of it was taken, or was to be
	whole  atomic.Bool // the end was read
	expect bool        // the client waits for 100 Continue

	toTheEnd bool // the handler has said that it reads all of it

	mu    sync.Mutex // guards what follows, where expect is set
	asked bool       // 100 Continue was sent, or the response has begun
}

// begin makes b a new body, of so many bytes if they are announced.
func (b *body) begin(length int64) {
	b.length, b.err, b.expect, b.asked, b.toTheEnd = length, nil, false, false, false
	b.begun.Store(false)
	b.whole.Store(b.Ended())
}

// Read returns what comes: io.EOF at the end, io.ErrUnexpectedEOF when the connection
// ended before it, the connection's own errors, and for what is malformed an error that
// is neither.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	b.Begin()
	if b.expect {
		if err := b.ask(); err != nil {
			return 0, err
		}
	}
	n, err := b.read(p)
	if err != nil {
		if err == io.EOF && !b.Ended() {
			err = io.ErrUnexpectedEOF
		}
		if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
			b.err = err // a deadline may be lifted
		}
	}
	return n, err
}

// Begin says that the body is being read, by who may stop anywhere: see leaves. Read does so.
func (b *body) Begin() {
	if !b.begun.Load() {
		b.begun.Store(true)
	}
}

// Buffered is how many bytes of a body with a length can be read without waiting.
func (b *body) Buffered() int64 {
	if b.expect {
		return 0
	}
	return min(b.Rest(), int64(b.c.w-b.c.r))
}

// Socket returns the connection from which the rest of a body with a length, so many bytes,
// can be taken past Read, and nil when it cannot. Took is then told how many were, and returns
// what Read would: io.EOF after the last.
func (b *body) Socket() (net.Conn, int64) {
	if b.Rest() == 0 || b.expect || b.err != nil || b.c.r < b.c.w || b.c.raw == nil {
		return nil, 0
	}
	b.Begin()
	return b.c.nc, b.Rest()
}

// Took is told of what was taken from Socket, and of the error that ended it:
// os.ErrDeadlineExceeded where whoever took it wants no more.
func (b *body) Took(n int64, err error) error {
	b.passed(n)
	switch {
	case b.Ended():
		err = io.EOF
	case err == nil:
		err = io.ErrUnexpectedEOF
	}
	b.err = err
	return err
}

// Close does nothing: what is left is read or given up when the handler returns.
func (b *body) Close() error { return nil }

func (b *body) read(p []byte) (int, error) {
	c := b.c
	for !b.Ended() {
		most := b.Content()
		if most == 0 {
			ok, err := b.line()
			if err == nil && !ok {
				err = c.more()
			}
			if err != nil {
				return 0, err
			}
			continue
		}
		p = p[:min(int64(len(p)), most)]
		n, err := 0, error(nil)
		if c.r < c.w {
			n = copy(p, c.buf[c.r:c.w])
			c.r += n
		} else {
			n, err = c.nc.Read(p)
		}
		b.passed(int64(n))
		if n > 0 {
			err = b.settle() // an error of the connection comes again
		}
		return n, err
	}
	return 0, io.EOF
}

// settle takes the lines behind a chunk that are there already, so that the end of a
// body comes with its last bytes.
func (b *body) settle() error {
	for !b.Ended() && b.Content() == 0 {
		if ok, err := b.line(); !ok || err != nil {
			return err
		}
	}
	if b.Ended() {
		return io.EOF
	}
	return nil
}

// passed notes that n bytes were read.
func (b *body) passed(n int64) {
	b.Body.Took(n)
	if b.Ended() {
		b.whole.Store(true)
	}
}

// line takes a line between the chunks, and reports whether it is all there.
func (b *body) line() (ok bool, err error) {
	c := b.c
	n, err := b.Line(c.buf[c.r:c.w])
	if err != nil {
		return false, err
	}
	c.r += n
	if b.Ended() {
		return true, b.end()
	}
	return n > 0, nil
}

// end hands over the trailer.
func (b *body) end() error {
	r := &b.c.request
	for _, f := range b.Trailer {
		if http1.FramingTrailer(f.Name) {
			return errors.New("the trailer has " + f.Name + ", which cannot come after the body")
		}
		if r.Trailer == nil {
			r.Trailer = http.Header{}
		}
		r.Trailer[f.Name] = append(r.Trailer[f.Name], f.Value)
	}
	b.whole.Store(true)
	return nil
}

// ask sends 100 Continue to a client that waits for it, unless the response has begun:
// then nothing of the body may come.
func (b *body) ask() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.asked {
		return nil
	}
	b.asked = true
	_, err := io.WriteString(b.c.nc, "HTTP/1.1 100 Continue\r\n\r\n")
	return err
}

// answered notes that the response begins, and reports whether the client still
// waits to be asked for the body.
func (b *body) answered() (waiting bool) {
	if !b.expect {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	waiting = !b.asked
	b.asked = true
	return waiting
}

// leaves reports, when the response begins, whether what is left of the body ends the
// connection. A handler that answers in the middle of a body may stop reading anywhere, and a
// client could have put there what looks like a request. A body that it has not looked at is
// read to its end, unless that is far, or the client waits to be asked for it.
func (b *body) leaves(waiting bool) bool {
	return !b.whole.Load() && (waiting || b.length > drainBytes || b.begun.Load() && !b.toTheEnd)
}

// drainBytes is how much is read of a body that its handler did not want, for the
// connection's sake: another costs as much.
const drainBytes = 256 << 10

// drain reads what is left of the body, and reports whether that was little.
func (b *body) drain() bool {
	if b.whole.Load() {
		return true
	}
	if b.err != nil || b.length > drainBytes {
		return false
	}
	_ = b.c.nc.SetReadDeadline(time.Now().Add(lingering))
	b.c.limited.Store(true)
	buf := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buf)
	for read := 0; read < drainBytes; {
		n, err := b.Read(buf[:])
		if read += n; err != nil {
			return err == io.EOF
		}
	}
	return false
}

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}
