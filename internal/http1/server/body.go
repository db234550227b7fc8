package server

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// body is the body of a request, as its handler reads it. One goroutine reads it at a
// time, and another may write the response meanwhile.
type body struct {
	c      *conn
	state  bodyState
	left   int64 // sized: of the body; inChunk: of the chunk
	length int64 // as announced
	size   int   // bytes of the trailer so far
	fields int   // of the trailer so far
	excess int64 // bytes between the chunks, beyond what chunks of a sensible size need
	err    error // what ended it

	whole  atomic.Bool // the end was read
	expect bool        // the caller waits for 100 Continue

	mu    sync.Mutex // guards what follows, where expect is set
	asked bool       // 100 Continue was sent, or the response has begun
}

type bodyState uint8

const (
	noBody     bodyState = iota
	sized                // left bytes are to come
	inSize               // the line with a chunk's size
	inChunk              // left bytes of a chunk
	afterChunk           // the CRLF behind it
	inTrailer            // lines up to the empty one
)

const (
	mostSizeLine = 4 << 10
	mostTrailer  = 64 << 10
	mostExcess   = 16 << 10
)

func (b *body) reset(state bodyState, length int64) {
	b.state, b.left, b.length, b.size, b.fields, b.excess, b.err, b.expect, b.asked = state, length, length, 0, 0, 0, nil, false, false
	b.whole.Store(state == noBody)
}

// Read gives what comes: io.EOF at the end, io.ErrUnexpectedEOF when the connection
// ended before it, the connection's own errors, and for what is malformed an error that
// is neither.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.expect {
		if err := b.ask(); err != nil {
			return 0, err
		}
	}
	n, err := b.read(p)
	if err != nil {
		if err == io.EOF && b.state != noBody {
			err = io.ErrUnexpectedEOF
		}
		if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
			b.err = err // a deadline may be lifted
		}
	}
	return n, err
}

// Buffered is how many bytes of a body with a length can be read without waiting.
func (b *body) Buffered() int64 {
	if b.state != sized || b.expect {
		return 0
	}
	return min(b.left, int64(b.c.w-b.c.r))
}

// Socket gives the connection from which the rest of a body with a length, so many bytes,
// can be taken past Read, and nil when it cannot. Took tells how many were, and gives
// what Read would: io.EOF after the last.
func (b *body) Socket() (net.Conn, int64) {
	if b.state != sized || b.expect || b.err != nil || b.c.r < b.c.w || b.c.raw == nil {
		return nil, 0
	}
	return b.c.nc, b.left
}

// Took is told of what was taken from Socket, and of the error that ended it:
// os.ErrDeadlineExceeded where whoever took it wants no more.
func (b *body) Took(n int64, err error) error {
	b.passed(n)
	switch {
	case b.state == noBody:
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
	for {
		switch b.state {
		case noBody:
			return 0, io.EOF
		case sized, inChunk:
			p = p[:min(int64(len(p)), b.left)]
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
		line, err := b.line()
		if err != nil {
			return 0, err
		}
		if err := b.take(line); err != nil {
			return 0, err
		}
	}
}

// settle takes the lines behind a chunk that are there already, so that the end of a
// body comes with its last bytes.
func (b *body) settle() error {
	for b.state != sized && b.state != inChunk && b.state != noBody && bytes.IndexByte(b.c.buf[b.c.r:b.c.w], '\n') >= 0 {
		line, err := b.line()
		if err == nil {
			err = b.take(line)
		}
		if err != nil {
			return err
		}
	}
	if b.state == noBody {
		return io.EOF
	}
	return nil
}

// passed notes that n bytes were read.
func (b *body) passed(n int64) {
	if b.left -= n; b.left > 0 {
		return
	}
	switch b.state {
	case sized:
		b.end()
	case inChunk:
		b.state = afterChunk
	}
}

func (b *body) end() {
	b.state = noBody
	b.whole.Store(true)
}

// take does what a line between the chunks says.
func (b *body) take(line string) error {
	switch b.state {
	case inSize:
		n, ok := http1.ChunkSize([]byte(line))
		if !ok {
			return errors.New("a chunk's size is malformed")
		}
		if b.excess = max(0, b.excess+int64(len(line))-16-2*n); b.excess > mostExcess {
			return errors.New("the chunks have more around them than in them")
		}
		b.left, b.state = n, inChunk
		if n == 0 {
			b.state = inTrailer
		}
	case afterChunk:
		if line != "" {
			return errors.New("a chunk is longer than its size")
		}
		b.state = inSize
	case inTrailer:
		if line == "" {
			b.end()
			return nil
		}
		b.size += len(line)
		if b.fields++; b.size > mostTrailer || b.fields > http1.MaxFields {
			return errors.New("the trailer is too long")
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !http1.ValidName(name) || !http1.ValidValue(value) {
			return errors.New("the trailer is malformed")
		}
		name = textproto.CanonicalMIMEHeaderKey(name)
		switch name {
		case "Content-Length", "Transfer-Encoding", "Trailer", "Host":
			return errors.New("the trailer has " + name + ", which cannot come after the body")
		}
		r := &b.c.request
		if r.Trailer == nil {
			r.Trailer = http.Header{}
		}
		r.Trailer[name] = append(r.Trailer[name], value)
	}
	return nil
}

// line reads a line that ends in CRLF, without it.
func (b *body) line() (string, error) {
	c := b.c
	most := mostSizeLine
	if b.state == inTrailer {
		most = mostTrailer
	}
	for at := 0; ; {
		p := c.buf[c.r:c.w]
		for i := at; i < len(p); i++ {
			if p[i] != '\n' {
				continue
			}
			if i == 0 || p[i-1] != '\r' {
				return "", errors.New("a line of a chunked body does not end in CRLF")
			}
			c.r += i + 1
			return string(p[:i-1]), nil
		}
		if at = len(p); at > most {
			return "", errors.New("a line of a chunked body is too long")
		}
		if err := c.more(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
	}
}

// ask sends 100 Continue to a caller who waits for it, unless the response has begun:
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

// answered notes that the response begins, and reports whether the caller still
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
