package client

import (
	"errors"
	"io"
	"slices"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// Body reads the body of one response from the connection's buffer, without a copy and
// without waiting longer than it must.
type Body struct {
	http1.Body
	c *Conn
}

// Start makes b the body that follows the head h, of the response to a request with this method.
func (b *Body) Start(c *Conn, h *http1.Response, method string) {
	b.c = c
	switch {
	case h.Bodiless(method):
		b.None()
	case h.Chunked:
		b.Chunks(false)
	case h.Length >= 0:
		b.Sized(h.Length)
	default:
		b.ToTheEnd()
	}
}

// Next returns the next bytes of the body; they are good until the following call. The error
// is io.EOF after the last, ErrNotYet when wait is false and nothing is there, and
// io.ErrUnexpectedEOF when the upstream closed before the end. Trailer is then complete, less
// the fields that may not be forwarded.
func (b *Body) Next(wait bool) ([]byte, error) {
	c := b.c
	for !b.Ended() {
		if most := b.Content(); most > 0 {
			if n := min(int64(c.w-c.r), most); n > 0 {
				p := c.buf[c.r : c.r+int(n)]
				c.r += int(n)
				b.Took(n)
				return p, nil
			}
		} else {
			n, err := b.Line(c.buf[c.r:c.w])
			if err != nil {
				return nil, err
			}
			if c.r += n; n > 0 {
				continue
			}
		}
		if err := b.fill(wait); err != nil {
			return nil, err
		}
	}
	b.Trailer = slices.DeleteFunc(b.Trailer, func(f http1.Field) bool { return !http1.ValidTrailer(f.Name) })
	return nil, io.EOF
}

// fill reads more. Only a body without a length ends with the connection.
func (b *Body) fill(wait bool) error {
	if !b.c.room(http1.MaxTrailer) {
		return errors.New("a line of a chunked body is too long")
	}
	err := b.c.fill(wait)
	switch {
	case err == io.EOF && b.Endless():
		b.End()
		return nil
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}

// Rest is how many bytes of a body with a length are not yet in the buffer, and can be taken
// past it; 0 for others. Whoever takes n of them calls Took.
func (b *Body) Rest() int64 {
	if b.c.r < b.c.w {
		return 0
	}
	return b.Body.Rest()
}

// Conn is the connection that b is read from.
func (b *Body) Conn() *Conn { return b.c }

// Free lets go of what the body holds, but for memory for the next one.
func (b *Body) Free() {
	clear(b.Trailer)
	*b = Body{Body: http1.Body{Trailer: b.Trailer[:0]}}
}
