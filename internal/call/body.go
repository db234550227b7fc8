package call

import (
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/spill"
)

// Body is the request's body as a handler reads it: it holds the limits of the route, ends
// when the call is stopped, and knows whether all of it was read. One goroutine reads it at
// a time, as every body of net/http; another may call Stop. It alone sets deadlines on the
// reading of the request.
type Body struct {
	from     io.ReadCloser // nil without a body
	original *http.Request // the server leaves the trailers here
	request  *http.Request // and the handler looks for them here
	call     *Call
	begin    uint64 // of the call

	http1 bool
	most  int64         // limits.body
	limit int64         // bytes that may still come; -1 is no limit
	read  time.Duration // timeouts.read; 0 is none
	spent time.Duration // waited for the sender so far, of read
	keeps func(name string) bool

	mu      sync.Mutex // guards what follows
	reading time.Time  // when the read began that is under way; zero is none
	timer   *time.Timer
	armed   bool
	whole   bool // the end was reached
	held    *spill.Body
	again   *io.SectionReader // what of held is still to be read again; nil is nothing
	broken  error             // why nothing more comes: our reason, or the connection's
	stopped bool              // the connection's reading was ended by force
	dropped bool              // by the handler
}

// Limits are those of a request's body.
type Limits struct {
	Size    int64                  // limits.body; 0 is none
	Read    time.Duration          // timeouts.read; 0 is none
	Trailer func(name string) bool // which fields of a trailer are passed on; nil is all
}

// ErrStopped is the error of a body's reader after Stop.
var ErrStopped = errors.New("the call is over")

// Receive makes the body of r, as the server got it, the body of the call and of request,
// which is what the handler gets.
func (c *Call) Receive(r, request *http.Request, l Limits) {
	b := &c.body
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.call == nil {
		b.call = c
	}
	b.begin = c.begin
	b.limit = -1
	b.from, b.original, b.request, b.http1 = r.Body, r, request, r.ProtoMajor == 1
	b.read, b.keeps = l.Read, l.Trailer
	if l.Size > 0 {
		b.most, b.limit = l.Size, l.Size
	}
	request.Body = b
}

// Body returns the body of the request, and nil when there is none.
func (c *Call) Body() *Body {
	if c.body.from == nil || c.body.request.ContentLength == 0 {
		return nil
	}
	return &c.body
}

// Lost reports whether something of the request's body will never be read. Then what follows
// on a connection of HTTP/1 is no request.
func (c *Call) Lost() bool {
	b := &c.body
	if b.from == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.whole && b.broken != nil
}

// Read reads from the request. Its errors but io.EOF and ErrStopped are *failure.Error.
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.again != nil && b.broken == nil {
		if n, err := b.again.Read(p); err != io.EOF {
			b.mu.Unlock()
			return n, err
		}
		b.again = nil
	}
	switch {
	case b.broken != nil:
		err := b.broken
		b.mu.Unlock()
		return 0, unreadable(err)
	case b.whole:
		b.mu.Unlock()
		return 0, io.EOF
	}
	if b.read > 0 {
		b.startClock()
	}
	b.mu.Unlock()

	if b.limit >= 0 && int64(len(p)) > b.limit+1 {
		p = p[:b.limit+1] // one more tells whether the limit is passed
	}
	n, err := b.from.Read(p)
	return b.took(n, err)
}

// took notes what a read returned, and returns what the reader is to know of it.
func (b *Body) took(n int, err error) (int, error) {
	b.mu.Lock()
	if b.read > 0 {
		b.stopClock()
	}
	n, err, left := b.passed(n, err)
	b.mu.Unlock()
	if left {
		b.call.Stop(ErrGone)
	}
	if f, ok := err.(*failure.Error); ok {
		b.call.Fail(f) // whoever answers it
	}
	return n, unreadable(err)
}

// passed is took while b.mu is held. left reports whether the client has left.
func (b *Body) passed(n int, err error) (passed int, _ error, left bool) {
	if b.broken != nil {
		return 0, b.broken, false
	}
	if b.limit >= 0 {
		if int64(n) > b.limit {
			b.broken = b.call.TooLarge(b.most)
			return int(b.limit), b.broken, false
		}
		b.limit -= int64(n)
	}
	switch {
	case err == nil:
	case err == io.EOF && !soundTrailer(b.original.Trailer):
		b.broken = b.call.malformed("the request's trailer is malformed", nil)
		return n, b.broken, false
	case err == io.EOF:
		b.whole = true
		if b.keeps != nil {
			maps.DeleteFunc(b.original.Trailer, func(name string, _ []string) bool { return !b.keeps(name) })
		}
		if b.request.Trailer == nil {
			b.request.Trailer = b.original.Trailer
		}
	case isFailure(err): // of a body that was limited before it came to us
		b.broken = err
	case b.http1 && malformed(err):
		b.broken = b.call.malformed("the request's body is malformed", err)
		return n, b.broken, false
	default:
		b.broken = err
		left = b.http1 && !errors.Is(err, os.ErrDeadlineExceeded) // HTTP/2 says by itself that a client has gone
	}
	return n, err, left
}

// unreadable says why a body cannot be read, if those who limit it have not said so.
func unreadable(err error) error {
	if err == nil || err == io.EOF || err == ErrStopped {
		return err
	}
	if isFailure(err) {
		return err
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return &failure.Error{Kind: failure.SlowBody, Detail: "the request's body came too slowly", Cause: err}
	}
	return &failure.Error{Kind: failure.Malformed, Detail: "the request's body cannot be read", Cause: err}
}

func isFailure(err error) bool {
	_, ok := errors.AsType[*failure.Error](err)
	return ok
}

// Unread has Read return what is in held first, and then what is left of the request: for a
// front that looks into a body before the handler gets it. held is freed when the call ends. The
// bytes of held are not counted against limits.body again.
func (b *Body) Unread(held *spill.Body) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held != nil {
		b.held.Free()
	}
	b.held, b.again = held, held.Section(0, held.Size())
}

// Begin is called before the body is given to another goroutine, which reads it sooner or later:
// the server then knows that a response may come in the middle of it.
func (b *Body) Begin() {
	if from, ok := b.from.(interface{ Begin() }); ok {
		from.Begin()
	}
}

// Has reports whether n bytes can be read without waiting.
func (b *Body) Has(n int64) bool {
	if left, ok := b.unread(); ok {
		return left >= n || b.Whole()
	}
	from, ok := b.from.(interface{ Buffered() int64 })
	return ok && from.Buffered() >= n
}

// unread returns how much is to be read again before the rest; ok is false if nothing is.
func (b *Body) unread() (left int64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.again == nil {
		return 0, false
	}
	at, _ := b.again.Seek(0, io.SeekCurrent) // it cannot fail
	return b.again.Size() - at, true
}

// Splice moves the n bytes that are left of b to an upstream within the kernel, where the
// server can; else tried is false. Under timeouts.read it cannot: nobody would see who is
// slow. The error is io.EOF when all is moved, what Read would have returned, or else the
// upstream's, where broken says that it is the upstream's.
func (b *Body) Splice(to io.ReaderFrom, n int64, broken func() bool) (tried bool, err error) {
	from, ok := b.from.(interface {
		Socket() (net.Conn, int64)
		Took(n int64, err error) error
	})
	if _, held := b.unread(); held || !ok || b.read > 0 || b.isStopped() {
		return false, nil
	}
	socket, left := from.Socket()
	if socket == nil || left != n {
		return false, nil
	}
	moved, err := to.ReadFrom(&io.LimitedReader{R: socket, N: n})
	if err != nil && broken() {
		_, _ = b.took(int(moved), from.Took(moved, os.ErrDeadlineExceeded)) // nothing is wrong with the client: it is we who read no more
		return true, err
	}
	_, err = b.took(int(moved), from.Took(moved, err))
	return true, err
}

// Close does nothing: what is left of the body is dealt with when the call is over.
func (b *Body) Close() error { return nil }

// Whole reports whether the body was read to its end.
func (b *Body) Whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.whole
}

// Stopped reports whether the handler has called Stop.
func (b *Body) Stopped() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}

func (b *Body) isStopped() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopped
}

// Stop makes Read fail, also one that waits: neither a program that has ended nor a response
// that is complete waits for the rest of an upload. What was read to its end stays read.
func (b *Body) Stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropped = true
	b.stopLocked(ErrStopped)
}

// Linger lets the server read for so long what the client still sends after Stop, so that
// the client comes to read the response.
func (b *Body) Linger(d time.Duration) { _ = b.deadline(time.Now().Add(d)) }

// Drop gives up what was not read of the body, once the response is written: or the server
// would wait a moment for the rest of it. b may be nil.
func (b *Body) Drop() {
	if b != nil {
		b.stop(ErrStopped)
	}
}

// stop ends a read that waits, and all that follow, with why.
func (b *Body) stop(why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopLocked(why)
}

func (b *Body) stopLocked(why error) {
	if b.from == nil || b.whole || b.stopped {
		return
	}
	if b.broken == nil {
		b.broken = why
	}
	b.stopped = true
	if b.deadline(aLongTimeAgo) != nil {
		_ = b.from.Close() // no connection is behind it that could be waited for
	}
}

// startClock counts the time that a read waits, and no other, against timeouts.read: a
// handler that reads slowly is not the sender's fault. b.mu is held.
func (b *Body) startClock() {
	b.reading = time.Now()
	if b.armed {
		return // it finds out when it fires
	}
	b.armed = true
	if left := b.read - b.spent; b.timer == nil {
		b.timer = time.AfterFunc(left, b.fire)
	} else {
		b.timer.Reset(left)
	}
}

func (b *Body) stopClock() {
	b.spent += time.Since(b.reading)
	b.reading = time.Time{}
}

// fire stops a call whose client is too slow.
func (b *Body) fire() {
	if begin, slow := b.late(); slow != nil {
		b.call.stopIn(begin, slow, false)
	}
}

// late reports whether a read has waited too long: by why the call is to be stopped, and
// which call that is.
func (b *Body) late() (begin uint64, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed = false
	if b.reading.IsZero() || b.from == nil {
		return 0, nil // the next read arms it
	}
	if left := b.read - b.spent - time.Since(b.reading); left > 0 {
		b.armed = true
		b.timer.Reset(left)
		return 0, nil
	}
	if b.broken != nil {
		return 0, nil
	}
	b.broken = &failure.Error{Kind: failure.SlowBody, Route: b.call.Route, Timeout: "read",
		Detail: "the request's body did not come within timeouts.read (" + b.read.String() + ")"}
	return b.begin, b.broken
}

// deadline sets the deadline of the connection's reading.
func (b *Body) deadline(t time.Time) error {
	return http.NewResponseController(b.call.w).SetReadDeadline(t)
}

// reset makes b an empty body.
func (b *Body) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.from, b.original, b.request, b.keeps = nil, nil, nil, nil
	b.most, b.limit, b.read, b.spent = 0, -1, 0, 0
	if b.again = nil; b.held != nil {
		b.held.Free()
		b.held = nil
	}
	b.reading, b.whole, b.broken, b.stopped, b.dropped = time.Time{}, false, nil, false, false
	if b.armed && b.timer.Stop() {
		b.armed = false // else fire is about to run, and finds that out
	}
}

// TooLarge is the failure of a request whose body is larger than limit, which is
// limits.body.
func (c *Call) TooLarge(limit int64) *failure.Error {
	return &failure.Error{Kind: failure.BodyTooLarge, Route: c.Route,
		Detail: "the request's body is larger than limits.body (" + strconv.FormatInt(limit, 10) + " bytes)"}
}

func (c *Call) malformed(detail string, cause error) *failure.Error {
	return &failure.Error{Kind: failure.Malformed, Route: c.Route, Detail: detail, Cause: cause}
}

// malformed tells a body that breaks the protocol from a connection that broke: a server's
// own errors are plain values, a network's are net.Errors or ends of file.
func malformed(err error) bool {
	var network interface{ Timeout() bool }
	return !errors.As(err, &network) && !errors.Is(err, io.ErrUnexpectedEOF)
}

// soundTrailer reports whether a trailer may be passed on. net/http looks at its form only,
// and not at names that frame or address a message.
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
