package modes

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// body reads the body of one response from the connection's buffer, without a copy
// and without waiting longer than it must.
type body struct {
	c       *conn
	state   bodyState
	left    int64   // inSized: of the body; inChunk: of the chunk
	trailer []field // complete at the end
	size    int     // bytes of trailer so far
	fields  int     // lines of it
	seen    int     // bytes of a line that is not whole yet
}

type bodyState uint8

const (
	ended      bodyState = iota
	inSized              // left bytes are to come
	toTheEnd             // until the upstream closes
	atSize               // the line with a chunk's size
	inChunk              // left bytes of a chunk
	afterChunk           // the CRLF behind it
	inTrailer            // lines up to the empty one
)

const (
	mostChunkLine = 4 << 10
	mostTrailer   = 64 << 10
)

// start sets b to the beginning of the body that follows h.
func (b *body) start(c *conn, h *head, method string) {
	*b = body{c: c, trailer: b.trailer[:0]}
	switch {
	case h.bodiless(method):
	case h.chunked:
		b.state = atSize
	case h.length > 0:
		b.state, b.left = inSized, h.length
	case h.length < 0:
		b.state = toTheEnd
	}
}

// next gives the next bytes of the body; they are good until the following call.
// It returns io.EOF after the last, errNotYet when wait is false and nothing is there,
// and io.ErrUnexpectedEOF when the upstream closed before the end.
func (b *body) next(wait bool) ([]byte, error) {
	for {
		switch b.state {
		case ended:
			return nil, io.EOF
		case inSized, inChunk, toTheEnd:
			if p := b.take(); len(p) > 0 {
				return p, nil
			}
		case atSize:
			line, ok, err := b.line(mostChunkLine)
			if err != nil {
				return nil, err
			}
			if ok {
				if b.left, ok = http1.ChunkSize(line); !ok {
					return nil, fmt.Errorf("malformed chunk size: %s", quoted(string(line)))
				}
				b.state = inChunk
				if b.left == 0 {
					b.state = inTrailer
				}
				continue
			}
		case afterChunk:
			line, ok, err := b.line(len(crlf))
			if err != nil {
				return nil, err
			}
			if ok {
				if len(line) > 0 {
					return nil, errors.New("a chunk longer than its size")
				}
				b.state = atSize
				continue
			}
		case inTrailer:
			line, ok, err := b.line(mostTrailer)
			if err != nil {
				return nil, err
			}
			if ok {
				if err := b.takeTrailer(line); err != nil {
					return nil, err
				}
				continue
			}
		}
		if err := b.fill(wait); err != nil {
			return nil, err
		}
	}
}

const crlf = "\r\n"

// fill reads more. Only a body without a length ends with the connection.
func (b *body) fill(wait bool) error {
	if !b.c.room(mostTrailer) {
		return errors.New("a line that is too long")
	}
	err := b.c.fill(wait)
	if err == io.EOF {
		if b.state != toTheEnd {
			return io.ErrUnexpectedEOF
		}
		b.state = ended
		return nil
	}
	return err
}

// take gives what is in the buffer of the bytes that the state is in.
func (b *body) take() []byte {
	n := b.c.w - b.c.r
	if b.state != toTheEnd {
		n = int(min(int64(n), b.left))
		b.left -= int64(n)
	}
	p := b.c.buf[b.c.r : b.c.r+n]
	b.c.r += n
	b.moved()
	return p
}

// moved changes the state when the bytes that it is in are all taken.
func (b *body) moved() {
	if b.left > 0 {
		return
	}
	switch b.state {
	case inSized:
		b.state = ended
	case inChunk:
		b.state = afterChunk
	}
}

// line takes a whole line that ends in CRLF from the buffer, without it; ok is false
// while it is not all there.
func (b *body) line(most int) (line []byte, ok bool, err error) {
	p := b.c.buf[b.c.r:b.c.w]
	end := bytes.IndexByte(p[b.seen:], '\n')
	if end < 0 {
		if b.seen = len(p); b.seen > most {
			return nil, false, errors.New("a line in a chunked body that is too long")
		}
		return nil, false, nil
	}
	end, b.seen = b.seen+end, 0
	switch {
	case end > most:
		return nil, false, errors.New("a line in a chunked body that is too long")
	case end == 0 || p[end-1] != '\r':
		return nil, false, errors.New("a line in a chunked body that does not end in CRLF")
	}
	b.c.r += end + 1
	return p[:end-1], true, nil
}

// takeTrailer takes one line after the last chunk. Fields that say where a message
// ends, or that routing depends on, are not what a trailer may change (RFC 9110, 6.5.1).
func (b *body) takeTrailer(line []byte) error {
	if len(line) == 0 {
		b.state = ended
		return nil
	}
	b.size, b.fields = b.size+len(line), b.fields+1
	if b.size > mostTrailer || b.fields > http1.MaxFields {
		return errors.New("a trailer that is too long")
	}
	f, err := parseField(string(line))
	if err != nil {
		return err
	}
	if validTrailer(f.name) {
		b.trailer = append(b.trailer, f)
	}
	return nil
}

// validTrailer reports whether a field of this canonical name may come after a body.
func validTrailer(name string) bool {
	switch name {
	case "Content-Length", "Transfer-Encoding", "Trailer", "Host", "Connection", "Keep-Alive", "Upgrade", "Te",
		"Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Content-Encoding", "Content-Type",
		"Content-Range", "Authorization", "Cookie", "Set-Cookie", "Expect", "Max-Forwards", "Cache-Control":
		return false
	}
	return http1.ValidName(name)
}

// rest is how many bytes of a body with a length are not yet taken from the buffer;
// 0 for others. skip says that n of them were read past the buffer.
func (b *body) rest() int64 {
	if b.state != inSized || b.c.r < b.c.w {
		return 0
	}
	return b.left
}

func (b *body) skip(n int64) {
	b.left -= n
	b.moved()
}
