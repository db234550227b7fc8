package routes

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// body is the request's body as a mode reads it: it holds limits.body and
// timeouts.read, ends when the call is ended, and knows whether all of it was read.
// It is read by one goroutine at a time, as every body of net/http.
type body struct {
	from     io.ReadCloser
	original *http.Request // the server leaves the trailers here
	request  *http.Request // and the mode looks for them here
	route    *route
	call     *call
	w        http.ResponseWriter // whose connection it comes on

	http1 bool
	limit int64         // bytes that may still come; -1 is no limit
	most  time.Duration // timeouts.read; 0 is none
	spent time.Duration // waited for the sender so far, of most

	mu      sync.Mutex // guards what follows
	reading time.Time  // when the read began that is under way; zero is none
	timer   *time.Timer
	armed   bool
	whole   bool  // the end was reached
	broken  error // why nothing more comes: our reason, or the connection's
	stopped bool  // the connection's reading was ended by force
}

// Read reads from the request. What ends it early is a *failure.Error where it is
// for us to say: SlowBody, BodyTooLarge, or why the call was ended.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.read(p)
	if f, ok := err.(*failure.Error); ok {
		b.call.fail(f) // whoever answers it
	}
	return n, err
}

func (b *body) read(p []byte) (int, error) {
	b.mu.Lock()
	switch {
	case b.broken != nil:
		err := b.broken
		b.mu.Unlock()
		return 0, err
	case b.whole:
		b.mu.Unlock()
		return 0, io.EOF
	}
	if b.most > 0 {
		b.startClock()
	}
	b.mu.Unlock()

	if b.limit >= 0 && int64(len(p)) > b.limit+1 {
		p = p[:b.limit+1] // one more tells whether the limit is passed
	}
	n, err := b.from.Read(p)

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.most > 0 {
		b.stopClock()
	}
	return b.passed(n, err)
}

// passed notes what a read gave, and gives what the mode is to know of it. b.mu is held.
func (b *body) passed(n int, err error) (int, error) {
	if b.broken != nil {
		return 0, b.broken
	}
	if b.limit >= 0 {
		if int64(n) > b.limit {
			b.broken = bodyError(b.route)
			return int(b.limit), b.broken
		}
		b.limit -= int64(n)
	}
	switch {
	case err == io.EOF && !soundTrailer(b.original.Trailer):
		b.broken = &failure.Error{Kind: failure.Malformed, Route: b.route.name, Detail: "the request's trailer is malformed"}
		err = b.broken
	case err == io.EOF:
		b.whole = true
		dropUnsound(b.original.Trailer)
		if b.request.Trailer == nil {
			b.request.Trailer = b.original.Trailer
		}
	case err != nil:
		b.broken = err
		switch {
		case !b.http1: // HTTP/2 says by itself that a caller has gone
		case malformed(err):
			b.broken = &failure.Error{Kind: failure.Malformed, Route: b.route.name,
				Detail: "the request's body is malformed", Cause: err}
			err = b.broken
		case !errors.Is(err, os.ErrDeadlineExceeded):
			b.call.endContext(errGone)
		}
	}
	return n, err
}

// Buffered is how many bytes can be read without waiting, as far as that is known.
func (b *body) Buffered() int64 {
	if from, ok := b.from.(interface{ Buffered() int64 }); ok {
		return from.Buffered()
	}
	return 0
}

// splicer is what a body may have from which the kernel can take bytes by itself.
type splicer interface {
	Socket() (net.Conn, int64)
	Took(n int64, err error) error
}

// Socket gives the connection from which the rest of the body, so many bytes, can be
// taken past Read, and nil when it cannot: not under timeouts.read, since nobody
// would see who is slow. Took is told how many bytes were, and what ended it.
func (b *body) Socket() (net.Conn, int64) {
	from, ok := b.from.(splicer)
	if !ok || b.most > 0 {
		return nil, 0
	}
	return from.Socket()
}

// Took gives what Read would: io.EOF after the last byte. An error that is not
// os.ErrDeadlineExceeded is the caller's leaving.
func (b *body) Took(n int64, err error) error {
	err = b.from.(splicer).Took(n, err)
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err = b.passed(int(n), err)
	return err
}

// Close does nothing: what is left of the body is dealt with when the call is over.
func (b *body) Close() error { return nil }

// stop ends a read that waits, and all that follow, with why. What was read to its
// end stays read.
func (b *body) stop(why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopLocked(why)
}

func (b *body) stopLocked(why error) {
	if b.whole || b.stopped {
		return
	}
	if b.broken == nil {
		b.broken = why
	}
	b.stopped = true
	b.deadline(longAgo)
}

// startClock counts the time that a read waits, and no other, against
// timeouts.read: a mode that reads slowly is not the sender's fault. b.mu is held.
func (b *body) startClock() {
	b.reading = time.Now()
	if b.armed {
		return // it finds out when it fires
	}
	b.armed = true
	if left := b.most - b.spent; b.timer == nil {
		b.timer = time.AfterFunc(left, b.fire)
	} else {
		b.timer.Reset(left)
	}
}

func (b *body) stopClock() {
	b.spent += time.Since(b.reading)
	b.reading = time.Time{}
}

// fire ends a read that has waited too long.
func (b *body) fire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = false
	if b.reading.IsZero() {
		return // the next read arms it
	}
	if left := b.most - b.spent - time.Since(b.reading); left > 0 {
		b.armed = true
		b.timer.Reset(left)
		return
	}
	slow := &failure.Error{Kind: failure.SlowBody, Route: b.route.name, Timeout: "read",
		Detail: "the request's body did not come within timeouts.read (" + b.most.String() + ")"}
	// HTTP/2's server takes the deadline for the caller's leaving and ends the context:
	// the reason must be there before.
	b.call.endContext(slow)
	b.stopLocked(slow)
}

// deadline sets the deadline of the connection's reading.
func (b *body) deadline(t time.Time) {
	if d, ok := b.w.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = d.SetReadDeadline(t) // the connection may be gone
	}
}

// reset makes b an empty body.
func (b *body) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.from, b.original, b.request, b.route, b.call, b.w = nil, nil, nil, nil, nil, nil
	b.limit, b.most, b.spent = -1, 0, 0
	b.reading, b.whole, b.broken, b.stopped = time.Time{}, false, nil, false
	if b.armed && b.timer.Stop() {
		b.armed = false // else fire is about to run, and finds that out
	}
}

// lost reports whether something of the body will never be read.
func (b *body) lost() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.from != nil && !b.whole && b.broken != nil
}

// malformed tells a body that breaks the protocol from a connection that broke:
// a server's own errors are plain values, a network's are net.Errors or ends of file.
func malformed(err error) bool {
	var network interface{ Timeout() bool }
	return !errors.As(err, &network) && !errors.Is(err, io.ErrUnexpectedEOF)
}

// dropUnsound removes the fields that a trailer must not have.
func dropUnsound(trailer http.Header) {
	for key := range trailer {
		if !inTrailer(key) {
			delete(trailer, key)
		}
	}
}

// soundTrailer reports whether a trailer may be passed on. net/http looks at its
// form only, and not at names that frame or address a message.
func soundTrailer(trailer http.Header) bool {
	for key, values := range trailer {
		switch key {
		case "Content-Length", "Transfer-Encoding", "Trailer", "Host":
			return false
		}
		bad := func(value string) bool { return !httpguts.ValidHeaderFieldValue(value) }
		if !httpguts.ValidHeaderFieldName(key) || slices.ContainsFunc(values, bad) {
			return false
		}
	}
	return true
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

func bodyError(rt *route) *failure.Error {
	return &failure.Error{Kind: failure.BodyTooLarge, Route: rt.name,
		Detail: "the request's body is larger than limits.body (" + itoa(int(rt.body)) + " bytes)"}
}
