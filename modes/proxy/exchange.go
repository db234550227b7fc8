package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/http1/client"
)

// exchange is one call over HTTP/1.1: its request, the connection that carries it
// now, and how far the response has come. It may make several attempts.
type exchange struct {
	call    *call.Call
	w       http.ResponseWriter
	r       *http.Request
	control http.ResponseController
	splice  bool // a large body may pass without anybody seeing its progress
	guess   bool // a body without a type gets one by the look of it

	guest   Guest // of the instance that has the call
	request request
	upload  *call.Body // the client's body; nil when there is none, or it was read before
	head    http1.Response
	body    client.Body

	sender   *sender // of the attempt; nil without a body
	answered bool    // a byte of a response came
	reached  bool    // the upstream may have seen something of the request
	keep     bool    // the connection is as good as before
	doubtful bool    // the upstream may send more than the response has
	unasked  bool    // and has done so
	cause    error   // why the call ended before the attempt did; nil = it did not

	interrupts  func()     // interrupt, made once
	mu          sync.Mutex // for c and interrupted: the call's end may come at any time
	c           *client.Conn
	interrupted bool
	begun       bool // the client has got the head of the response
}

// newExchange returns an exchange whose request is not prepared yet, and end takes it
// back, when interrupt is not called any more.
func newExchange(c *call.Call, w http.ResponseWriter, r *http.Request) *exchange {
	x := exchanges.Get().(*exchange)
	x.call, x.w, x.r, x.control = c, w, r, *http.NewResponseController(w)
	return x
}

func (x *exchange) end() {
	x.request.release()
	x.head.Fields.Forget(mostFields)
	x.body.Free()
	*x = exchange{interrupts: x.interrupts, head: http1.Response{Head: http1.Head{Fields: x.head.Fields}, Text: x.head.Text}, body: x.body}
	exchanges.Put(x)
}

// mostFields is how many fields of a response are worth memory that is kept.
const mostFields = 64

// exchanges keeps the memory of exchanges that are over for those to come.
var exchanges = sync.Pool{New: func() any {
	x := new(exchange)
	x.interrupts = x.interrupt
	return x
}}

// errInterrupted says that the call ended; context.Cause knows why.
var errInterrupted = errors.New("the call has ended")

// goneError says that the client did not take the response.
type goneError struct{ err error }

func (e goneError) Error() string { return "writing the response: " + e.err.Error() }
func (e goneError) Unwrap() error { return e.err }

// attempt sends the request over c and passes the response to the client. After an
// error, begun says whether the client has seen something of it. c is as good as
// before when keep is set, and is to be closed when not.
func (x *exchange) attempt(c *client.Conn) error {
	x.sender, x.answered, x.reached, x.keep, x.doubtful, x.unasked, x.cause = nil, false, false, false, false, false, nil
	if !x.use(c) {
		return errInterrupted
	}
	defer x.use(nil)
	if !x.request.complete(x.upload) {
		return x.converse(c)
	}
	write := c.Write
	if c.Reused {
		write = c.Send
	}
	if x.call.Saturated {
		runtime.Gosched()
	}
	n, err := write(x.request.out)
	if x.reached = n > 0; err != nil && n == 0 {
		return err
	}
	return x.answer(c) // an answer to a part of a large head, perhaps
}

// headDelay is how long the sending of a request may take before somebody looks for
// its response; and how long a head waits for the first bytes of its body, to leave
// together with them.
const headDelay = 10 * time.Millisecond

// converse sends a request with a body and passes on the response, which may begin
// before the request is sent, or make the rest of it needless. Most requests are sent
// long before a response can be there, and one goroutine is enough.
func (x *exchange) converse(c *client.Conn) error {
	s := newSender(&x.request, c)
	x.sender = s
	wait := headDelay
	if x.request.expect {
		wait = 0
	}
	answered := make(chan error, 1)
	meanwhile := time.AfterFunc(wait, func() {
		_ = s.sendHead() // if it fails, so does what follows
		answered <- x.answer(c)
	})
	s.run()
	if meanwhile.Stop() {
		return x.answer(c)
	}
	return <-answered
}

// answer passes on the response, and sees to it that nothing more is sent.
func (x *exchange) answer(c *client.Conn) error {
	err := x.receive(c)
	x.cause = endOf(x.r.Context())
	if err == nil {
		x.call.OffEnd() // the response is complete
	}
	sent := x.endSender()
	x.keep = x.keep && err == nil && sent == nil
	if _, ok := errors.AsType[*failure.Error](sent); ok && err != nil {
		return sent // the client's body failed, and that stopped the reading
	}
	return err
}

// mostInterim is how many responses of 1xx may come before the final one.
const mostInterim = 100

// receive passes on what comes until the response is complete.
func (x *exchange) receive(c *client.Conn) error {
	for range mostInterim {
		err := c.ReadHead(&x.head)
		x.answered = x.answered || err == nil || len(c.Unread()) > 0
		switch {
		case err != nil:
			return err
		case x.head.Status == http.StatusContinue:
			if x.sender != nil {
				x.sender.decide(true) // the client gets a 100 of its own when its body is read
			}
		case x.head.Status == http.StatusSwitchingProtocols:
			return x.switchProtocols(c)
		case x.head.Status < 200:
			x.inform()
		default:
			return x.pass(c)
		}
	}
	return fmt.Errorf("%d interim responses and no final one", mostInterim)
}

// inform passes on an interim response such as 103 Early Hints.
func (x *exchange) inform() {
	if !x.r.ProtoAtLeast(1, 1) {
		return // RFC 9110, 15.2
	}
	header := x.w.Header()
	before := maps.Clone(header)
	x.head.Forward(header)
	x.w.WriteHeader(x.head.Status)
	clear(header)
	maps.Copy(header, before)
}

// pass passes on the final response.
func (x *exchange) pass(c *client.Conn) error {
	header, h := x.w.Header(), &x.head
	x.call.SetReason(h.Reason)
	if h.Status == http.StatusUpgradeRequired && h.Upgrade != "" && x.r.ProtoMajor == 1 {
		header["Connection"], header["Upgrade"] = []string{"Upgrade"}, []string{h.Upgrade} // RFC 9110, 15.5.22: what is required
	}
	bodiless := h.Bodiless(x.r.Method)
	if h.Chunked && !bodiless {
		announce(header, h.Trailer)
	}
	if x.uploading() {
		x.sender.decide(false)
	}
	x.body.Start(c, h, x.r.Method)
	var first []byte
	if x.guess && untyped(h) {
		var err error
		if first, err = x.body.Next(true); err != nil && err != io.EOF {
			return err
		}
		header["Content-Type"] = guessed(first)
	}
	if !x.begin() {
		return errInterrupted
	}
	http1.WriteHead(x.w, h)
	if len(first) > 0 {
		if _, err := x.w.Write(first); err != nil {
			return goneError{err}
		}
	}
	flushed, err := x.passBody()
	if err != nil {
		return err
	}
	if err := x.passTrailer(flushed); err != nil {
		return err
	}
	framed := h.Chunked || h.Length >= 0 || bodiless
	if h.Status == http.StatusNoContent && (h.Chunked || h.Length > 0) {
		framed = false // who says both may well send a body
	}
	x.keep = framed && !h.Closes() && len(c.Unread()) == 0
	x.doubtful, x.unasked = bodiless, len(c.Unread()) > 0
	return nil
}

// untyped reports whether a response has nothing from which its type could be known.
func untyped(h *http1.Response) bool {
	_, typed := h.Forwarded("Content-Type")
	_, coded := h.Forwarded("Content-Encoding")
	return !typed && !coded
}

// guessed is the type of a body that begins with first; an empty one has none.
func guessed(first []byte) []string {
	if len(first) == 0 {
		return nil
	}
	return []string{http.DetectContentType(first)}
}

// uploading reports whether the client still has something of the body to send.
func (x *exchange) uploading() bool {
	return x.upload != nil && x.sender != nil && !x.sender.allRead.Load()
}

// begin notes that the head goes to the client, unless the call has ended.
func (x *exchange) begin() bool {
	x.begun = x.call.Answer()
	return x.begun
}

// spliceLeast is the size of the rest of a body that is worth a pipe in the kernel.
const spliceLeast = 64 << 10

// passBody passes the body on as it comes: before waiting for more of it, what is
// there is on its way to the client. It reports whether the client has got all that
// was written.
func (x *exchange) passBody() (flushed bool, err error) {
	for {
		if n := x.body.Rest(); x.splice && n >= spliceLeast {
			// Before: who waits for the rest sees that something comes.
			if err := x.control.Flush(); err != nil {
				return false, goneError{err}
			}
			if err := x.spliceBody(n); err != nil {
				return true, err
			}
			flushed = true
		}
		p, err := x.body.Next(false)
		if err == client.ErrNotYet {
			if !flushed {
				if err := x.control.Flush(); err != nil {
					return false, goneError{err}
				}
				flushed = true
			}
			p, err = x.body.Next(true)
		}
		if len(p) > 0 {
			if _, err := x.w.Write(p); err != nil {
				return false, goneError{err}
			}
			flushed = false
		}
		if err == io.EOF {
			return flushed, nil
		}
		if err != nil {
			return flushed, err
		}
	}
}

// spliceBody passes n bytes on by splice(2), if both ends are sockets: the reader
// must be the connection itself for that.
func (x *exchange) spliceBody(n int64) error {
	to, ok := x.w.(io.ReaderFrom)
	if !ok {
		x.splice = false
		return nil
	}
	from := io.LimitedReader{R: x.body.Conn().Conn, N: n}
	_, err := to.ReadFrom(&from)
	x.body.Took(n - from.N)
	if err == nil && from.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// announce says which fields come behind the body.
func announce(header http.Header, names []string) {
	if list := trailerNames(names); list != "" {
		header["Trailer"] = []string{list}
	}
}

// passTrailer passes on the fields behind the body, also those that were not announced.
func (x *exchange) passTrailer(flushed bool) error {
	if len(x.body.Trailer) == 0 {
		return nil
	}
	if !flushed {
		// Or a short body gets a Content-Length, which has no trailer.
		if err := x.control.Flush(); err != nil {
			return goneError{err}
		}
	}
	header := x.w.Header()
	announced := make(map[string]bool, len(x.head.Trailer))
	for _, name := range x.head.Trailer {
		announced[http.CanonicalHeaderKey(name)] = true
	}
	for _, f := range x.body.Trailer {
		name := f.Name
		if !announced[name] {
			name = http.TrailerPrefix + name
		}
		header[name] = append(header[name], f.Value)
	}
	return nil
}

const (
	// senderGrace is for a sender that only has to notice that all is sent.
	senderGrace = 50 * time.Millisecond
	// linger is how long a client whose body nobody wants any more may go on sending
	// it and still read the response; a connection closed at once would take that away.
	linger = time.Second
)

// endSender waits until the request is sent, and gives its error. One that is not
// when the response is complete has to stop.
func (x *exchange) endSender() error {
	s := x.sender
	if s == nil {
		return nil
	}
	select {
	case <-s.done:
	default:
		x.stopSender(s)
	}
	x.reached = x.reached || s.reached
	return s.err
}

// stopSender ends an upload that nobody waits for. After it the call's context says
// nothing: the front ends it, too, when a read of the body meets its deadline.
func (x *exchange) stopSender(s *sender) {
	if s.allRead.Load() {
		grace := time.NewTimer(senderGrace)
		defer grace.Stop()
		select {
		case <-s.done:
			return
		case <-grace.C:
		}
	}
	s.decide(false)
	s.c.Interrupt()
	if !x.uploading() {
		<-s.done
		return
	}
	x.upload.Stop()
	<-s.done
	x.upload.Linger(linger)
}

// endOf returns the cause when ctx has ended, and nil before.
func endOf(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}

// use makes c the connection that interrupt interrupts. It reports false when that
// has happened already.
func (x *exchange) use(c *client.Conn) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.c = c
	return !x.interrupted
}

// interrupt ends what the call waits for at the upstream. It is called when the call is
// stopped.
func (x *exchange) interrupt() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.interrupted = true
	if x.c != nil {
		x.c.Interrupt()
	}
}
