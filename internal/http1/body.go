package http1

import (
	"bytes"
	"errors"
	"math"
)

// Body follows the body of one message through the bytes of its connection: which of them
// are content, and which are the lines between the chunks and of the trailer. It reads
// nothing itself. The zero Body has ended.
//
//	for !b.Ended() {
//		if most := b.Content(); most > 0 {
//			// take n bytes, at most so many
//			b.Took(n)
//			continue
//		}
//		n, err := b.Line(buffered) // n bytes are used; 0 is: read more
//	}
type Body struct {
	Trailer []Field // complete at the end; its memory is used again

	state  bodyState
	left   int64 // sized: of the body; inChunk: of the chunk
	seen   int   // bytes of a line that is not whole yet
	size   int   // bytes of the trailer so far
	fields int   // lines of it
	excess int64 // bytes between the chunks, beyond what chunks of a sensible size need
	frugal bool
}

type bodyState uint8

const (
	ended      bodyState = iota
	sized                // left bytes are to come
	toTheEnd             // until the connection ends
	atSize               // the line with a chunk's size
	inChunk              // left bytes of a chunk
	afterChunk           // the CRLF behind it
	inTrailer            // lines up to the empty one
)

const (
	// MaxSizeLine is how long the line before a chunk may be.
	MaxSizeLine = 4 << 10
	// MaxTrailer is how large a trailer may be.
	MaxTrailer = 64 << 10
	maxExcess  = 16 << 10
)

// None, Sized, Chunks and ToTheEnd begin a body: without content, with n bytes, in chunks, or
// up to the end of the connection.
func (b *Body) None() { *b = Body{Trailer: b.Trailer[:0]} }

// Sized: see None.
func (b *Body) Sized(n int64) {
	b.None()
	if n > 0 {
		b.state, b.left = sized, n
	}
}

// Chunks: see None. Of a sender who is not to be trusted, frugal refuses chunks that have
// more around them than in them.
func (b *Body) Chunks(frugal bool) {
	b.None()
	b.state, b.frugal = atSize, frugal
}

// ToTheEnd: see None.
func (b *Body) ToTheEnd() {
	b.None()
	b.state = toTheEnd
}

// Ended reports whether the last byte of the body, and of its trailer, was taken.
func (b *Body) Ended() bool { return b.state == ended }

// End ends a body. One that goes on to the end of the connection ends there.
func (b *Body) End() { b.state = ended }

// Endless reports whether the body goes on to the end of the connection.
func (b *Body) Endless() bool { return b.state == toTheEnd }

// Content is how many bytes of content come next, at most; 0 where a line comes.
func (b *Body) Content() int64 {
	switch b.state {
	case sized, inChunk:
		return b.left
	case toTheEnd:
		return math.MaxInt64
	}
	return 0
}

// Rest is how many bytes are left of a body whose length was announced, and 0 of others.
func (b *Body) Rest() int64 {
	if b.state != sized {
		return 0
	}
	return b.left
}

// Took notes that n bytes of content were taken.
func (b *Body) Took(n int64) {
	if b.state == toTheEnd {
		return
	}
	if b.left -= n; b.left > 0 {
		return
	}
	switch b.state {
	case sized:
		b.state = ended
	case inChunk:
		b.state = afterChunk
	}
}

// Line takes the next line, if p has the whole of it, and returns its length with its end.
// It may only be called where Content is 0 and the body has not ended. p begins with the same
// bytes each time until then.
func (b *Body) Line(p []byte) (n int, err error) {
	most := MaxSizeLine
	switch b.state {
	case afterChunk:
		most = len(CRLF)
	case inTrailer:
		most = MaxTrailer
	}
	end := bytes.IndexByte(p[b.seen:], '\n')
	if end < 0 {
		if b.seen = len(p); b.seen > most {
			return 0, errLongLine
		}
		return 0, nil
	}
	end, b.seen = b.seen+end, 0
	switch {
	case end > most:
		return 0, errLongLine
	case end == 0 || p[end-1] != '\r':
		return 0, errors.New("a line of a chunked body does not end in CRLF")
	}
	return end + 1, b.take(p[:end-1])
}

var errLongLine = errors.New("a line of a chunked body is too long")

// take does what a line says.
func (b *Body) take(line []byte) error {
	switch b.state {
	case atSize:
		n, ok := ChunkSize(line)
		if !ok {
			return malformed("the size of a chunk is malformed", string(line))
		}
		if b.excess = max(0, b.excess+int64(len(line))-16-2*n); b.frugal && b.excess > maxExcess {
			return errors.New("the chunks have more around them than in them")
		}
		b.left, b.state = n, inChunk
		if n == 0 {
			b.state = inTrailer
		}
	case afterChunk:
		if len(line) > 0 {
			return errors.New("a chunk is longer than its size")
		}
		b.state = atSize
	case inTrailer:
		if len(line) == 0 {
			b.state = ended
			return nil
		}
		b.size, b.fields = b.size+len(line), b.fields+1
		if b.size > MaxTrailer || b.fields > MaxFields {
			return errors.New("the trailer is too long")
		}
		f, err := ParseField(string(line))
		if err != nil {
			return err
		}
		b.Trailer = append(b.Trailer, f)
	}
	return nil
}

// FramingTrailer reports whether a field of this canonical name says where a message ends or
// whom it is for. It never comes behind a body (RFC 9110, 6.5.1).
func FramingTrailer(name string) bool {
	switch name {
	case "Content-Length", "Transfer-Encoding", "Trailer", "Host":
		return true
	}
	return false
}

// ValidTrailer reports whether a field of this canonical name is forwarded behind a body. One
// that others act on before they have the body, or that is for one connection only, is not.
func ValidTrailer(name string) bool {
	switch name {
	case "Content-Encoding", "Content-Type", "Content-Range", "Authorization", "Cookie", "Set-Cookie",
		"Expect", "Max-Forwards", "Cache-Control":
		return false
	}
	return !FramingTrailer(name) && !hopByHop(name) && ValidName(name)
}
