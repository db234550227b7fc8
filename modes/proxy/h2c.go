package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/http1/client"
	"github.com/watchdogd/watchdogd/schema"
)

// mostAhead is how much of a response is read from an HTTP/2 upstream ahead of a client
// that is slow to take it; net/http's own bound is 4 MiB. The connection as a whole has
// none that matters, so that no slow client holds up the calls that share it.
const mostAhead = 256 << 10

// newH2C makes what speaks to an upstream that takes HTTP/2 without TLS. It is
// net/http's: many calls share a connection there.
func newH2C(u schema.Endpoint, patience time.Duration) *http.Transport {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return client.NewDialer(patience).DialContext(ctx, u.Network, u.Address)
		},
		Protocols:              new(http.Protocols),
		DisableCompression:     true,
		IdleConnTimeout:        client.MaxIdle,
		ExpectContinueTimeout:  expectDelay,
		MaxResponseHeaderBytes: client.MaxHead,
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: mostAhead},
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// overHTTP2 makes an attempt with it.
func (c *attempts) overHTTP2(up *upstream) error {
	c.call.NeedHeader(c.r)
	to, err := Target(c.r, up.BasePath)
	if err != nil {
		return err
	}
	if c.life != nil {
		g := new(Guest)
		g.Enter(c.life, c.call, c.r)
		defer g.Leave(c.life)
	}
	body := &lentBody{ctx: c.r.Context(), upload: c.upload}
	interim := &interim{w: c.w, r: c.r}
	ctx := httptrace.WithClientTrace(c.r.Context(), &httptrace.ClientTrace{
		GotConn:        func(got httptrace.GotConnInfo) { interim.do(func() { interim.reused = got.Reused }) },
		WroteHeaders:   func() { interim.do(func() { interim.reached = true }) },
		Got1xxResponse: interim.pass,
	})
	out, transport := c.http2Request(ctx, up, to, body), up.h2c
	if out.Trailer != nil {
		// A server of Go ends the connection on which a trailer comes for a stream that
		// it has answered and forgotten: no other call may share it.
		transport = newH2C(up.Endpoint, up.patience)
		transport.DisableKeepAlives = true
		defer transport.CloseIdleConnections()
	}
	res, err := transport.RoundTrip(out)
	interim.end()
	c.reused, c.reached = interim.reused, interim.reached
	if err == nil {
		c.answered = true
		err = c.untilEnd(res)
	}
	ended := body.end()
	c.cause = body.cause
	if f, ok := errors.AsType[*failure.Error](endOf(c.r.Context())); ok && c.cause == nil {
		c.cause = f // a clock of ours, whatever became of the body
	}
	if res != nil {
		_ = res.Body.Close() // what is left of it is not wanted; it waits for who reads the request's
	}
	if !ended && c.r.ProtoMajor == 1 {
		c.upload.Linger(linger) // as in stopSender
	}
	return err
}

// untilEnd passes the response on, and stops when the call does: net/http does not, while
// it waits for more of the request's body.
func (c *attempts) untilEnd(res *http.Response) error {
	defer atEnd(c.r.Context(), func() { _ = res.Body.Close() })() // it may wait for who reads the request's body
	return c.passHTTP2(res)
}

// http2Request is the client's request as it goes to the upstream.
func (c *attempts) http2Request(ctx context.Context, up *upstream, to string, body *lentBody) *http.Request {
	r := c.r
	out := (&http.Request{
		Method: r.Method, Host: r.Host, Header: make(http.Header, len(r.Header)), ContentLength: r.ContentLength,
		URL: &url.URL{Scheme: "http", Host: up.Host, Opaque: to},
	}).WithContext(ctx)
	if out.Host == "" {
		out.Host = up.Host
	}
	if strings.HasPrefix(to, "//") {
		out.URL.Opaque = "//" + out.Host + to // url.URL would take the path for a host, and net/http takes both off again
	}
	switch {
	case c.held != nil:
		out.Body, out.ContentLength = body, c.held.Size()
		body.section = c.held.Section(0, c.held.Size())
	case c.upload != nil:
		out.Body, out.Trailer = body, r.Trailer
		c.upload.Begin()
	}
	hop := http1.HopOf(r.Header)
	for name, values := range r.Header {
		if !hop.Ends(name) {
			out.Header[name] = slices.Clone(values) // net/http may still be writing it when the call is over
		}
	}
	if wantsTrailers(r.Header["Te"]) {
		out.Header["Te"] = []string{"trailers"}
	}
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = nil // or net/http names itself
	}
	return out
}

// passHTTP2 passes the response to the client, each frame as it comes.
func (c *attempts) passHTTP2(res *http.Response) error {
	if n := len(res.Header); n > http1.MaxFields {
		return fmt.Errorf("a head of more than %d fields", http1.MaxFields)
	}
	header, hop := c.w.Header(), http1.Hop{} // HTTP/2 has no Connection
	for name, values := range res.Header {
		if !hop.Ends(name) {
			header[name] = values
		}
	}
	announced := maps.Clone(res.Trailer)
	if len(announced) > 0 && c.r.ProtoMajor == 1 {
		delete(header, "Content-Length") // HTTP/1 has no place for a trailer behind a body with a length
	}
	announce(header, slices.Collect(maps.Keys(announced)))
	if c.Concludes(c.r) {
		c.call.Concludes()
	}
	if !c.call.Answer() {
		return errInterrupted
	}
	c.begun = true
	c.w.WriteHeader(res.StatusCode)
	if err := c.copyHTTP2(res); err != nil {
		return err
	}
	for name, values := range res.Trailer {
		if _, ok := announced[name]; !ok {
			name = http.TrailerPrefix + name
		}
		header[name] = values
	}
	return nil
}

// copyHTTP2 passes the body on. Nothing is sent ahead of a body that may be empty: a head
// that is all of a response stays that, with the end of the stream in it, as the clients
// of gRPC want it.
func (c *attempts) copyHTTP2(res *http.Response) error {
	control := http.NewResponseController(c.w)
	buf := buffers.Get()
	defer buffers.Put(buf)
	wait := res.ContentLength == 0 || c.r.Method == http.MethodHead
	for {
		if !wait {
			if err := control.Flush(); err != nil {
				return goneError{err}
			}
		}
		n, err := res.Body.Read(*buf)
		if n > 0 {
			if _, err := c.w.Write((*buf)[:n]); err != nil {
				return goneError{err}
			}
		}
		if err == io.EOF {
			if wait && len(res.Trailer) > 0 {
				_ = control.Flush() // or HTTP/1 gets a length, and has no place for the trailer; an error comes again
			}
			return nil
		}
		if err != nil {
			return err
		}
		wait = false
	}
}

// interim passes on responses of 1xx, and notes how the request got on its way. net/http
// reports that from a goroutine of its own, which may be late: nothing is done after end.
type interim struct {
	w http.ResponseWriter
	r *http.Request

	mu      sync.Mutex
	over    bool
	reused  bool // the connection
	reached bool // the upstream may have the request
}

func (i *interim) do(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.over {
		f()
	}
}

func (i *interim) pass(code int, fields textproto.MIMEHeader) error {
	if code == http.StatusContinue || !i.r.ProtoAtLeast(1, 1) {
		return nil // a 100 goes to the client when the body is read
	}
	i.do(func() {
		header := i.w.Header()
		before := maps.Clone(header)
		maps.Copy(header, http.Header(fields))
		i.w.WriteHeader(code)
		clear(header)
		maps.Copy(header, before)
	})
	return nil
}

func (i *interim) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
}

// lentBody lends the client's body to net/http, which may still be reading it after
// the response is complete, and takes it back.
type lentBody struct {
	ctx     context.Context // of the call
	upload  *call.Body
	section io.Reader // of what was read before, instead

	mu   sync.Mutex // held while it is read
	over bool

	once  sync.Once // end
	alone bool      // it ended by itself
	cause error     // why the call had ended by then; nil = it had not
}

func (b *lentBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.over:
		return 0, call.ErrStopped
	case b.section != nil:
		return b.section.Read(p)
	}
	return b.upload.Read(p)
}

// Close is called when net/http wants no more of the body: it passes on nothing of the
// response's end before who reads the request has returned.
func (b *lentBody) Close() error {
	b.end()
	return nil
}

// end waits until the body is not read any more, and reports whether that ended by itself.
func (b *lentBody) end() bool {
	b.once.Do(b.stop)
	return b.alone
}

func (b *lentBody) stop() {
	b.cause = endOf(b.ctx) // afterwards the context only says that reading was stopped
	b.alone = true
	if b.mu.TryLock() {
		defer b.mu.Unlock()
		b.over = true
		return
	}
	done := make(chan struct{})
	go func() { // ends with the read that it waits for
		defer close(done)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.over = true
	}()
	if b.section == nil {
		b.upload.Stop()
		b.alone = false
	}
	<-done
}

// atEnd has f called when ctx ends, unless done was called before. done returns when f has
// returned.
func atEnd(ctx context.Context, f func()) (done func()) {
	returned := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(returned)
		f()
	})
	return func() {
		if !stop() {
			<-returned
		}
	}
}
