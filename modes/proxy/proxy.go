// Package proxy is http mode: it forwards a call to an HTTP server, which is an instance of
// the route's process or is run elsewhere, and the response to the client.
//
// proxy.go chooses an instance and makes attempts; over HTTP/1.1 an attempt is an exchange
// (exchange.go), whose request is written by request.go and sent by sender.go, and which may
// become a tunnel (upgrade.go, websocket.go); over HTTP/2 without TLS it is net/http's
// (h2c.go).
package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/http1/client"
	"github.com/watchdogd/watchdogd/internal/spill"
	"github.com/watchdogd/watchdogd/modes/proxy/endpoint"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

// Deps are what the mode needs besides its route.
type Deps struct {
	Process    Process       // nil when the upstream is run elsewhere
	Tasks      Tasks         // of an upstream that an engine runs; nil is that it is reached by its addresses
	Resolver   *net.Resolver // of upstreams run elsewhere; nil is the system's
	Log        *slog.Logger
	SniffTypes bool // a response without a Content-Type gets one by the look of it

	// Fail answers a call that failed before the head of its response was sent.
	Fail func(http.ResponseWriter, *http.Request, error)
	// Concludes reports whether a response that has begun can still say that it failed, and
	// Conclude has it say so. Nil is that none can.
	Concludes func(*http.Request) bool
	Conclude  func(*call.Call, http.ResponseWriter, *failure.Error)
}

// Process is what the mode needs of a supervised process, and Instance of one life of it.
// See supervisor.Process and supervisor.Instance.
type (
	Process interface {
		AcquireFor(ctx context.Context, wait time.Duration, client supervisor.Client) (Instance, error)
	}
	Instance interface {
		Number() int
		Upstream() schema.Endpoint
		Done() <-chan struct{}
		Suspect(ctx context.Context) bool
		SuspectRefusal(ctx context.Context) bool
		Ending() string
		Keep(make func() io.Closer) io.Closer
		Kept() io.Closer
		Host
		Release()
	}
)

// Supervised returns p as a Process, and nil for nil.
func Supervised(p *supervisor.Process) Process {
	if p == nil {
		return nil
	}
	return supervised{p}
}

type supervised struct{ process *supervisor.Process }

func (s supervised) AcquireFor(ctx context.Context, wait time.Duration, client supervisor.Client) (Instance, error) {
	i, err := s.process.AcquireFor(ctx, wait, client)
	if err != nil {
		return nil, err // and no instance: a nil *Instance is not a nil Instance
	}
	return i, nil
}

// proxy is the handler. Nothing is added to what it forwards but what the next hop needs.
type proxy struct {
	Deps
	route     *schema.Route
	log       *slog.Logger
	elsewhere *endpoint.Set // the servers that are run elsewhere; nil when it is a process of ours
	unfollow  func()        // ends Tasks.Follow; nil is that it was not called
	splice    bool
}

// New returns the handler of a route. It is an io.Closer.
func New(route *schema.Route, d Deps) (http.Handler, error) {
	if d.Concludes == nil {
		d.Concludes = func(*http.Request) bool { return false }
	}
	p := &proxy{Deps: d, route: route, log: d.Log.With("route", route.Name)}
	// A body that is spliced shows no progress to the clock of timeouts.idle.
	p.splice = route.Timeouts.Idle == 0
	if d.Process == nil {
		if route.Upstream.Empty() {
			return nil, errors.New("mode http needs a process or an upstream")
		}
		p.elsewhere = newElsewhere(route, d, p.log)
		if d.Tasks != nil {
			p.unfollow = d.Tasks.Follow(p.elsewhere.Become)
		}
	}
	return p, nil
}

// Close closes the connections to an upstream that is run elsewhere. Those to an
// instance are closed with its life.
func (p *proxy) Close() error {
	if p.unfollow != nil {
		p.unfollow()
	}
	if p.elsewhere != nil {
		return p.elsewhere.Close()
	}
	return nil
}

// TakesFields says that requests may come without a Header: see call.NeedHeader.
func (p *proxy) TakesFields() {}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	one, r := call.Enter(w, r)
	defer one.Leave()
	c := attempts{proxy: p, call: one, w: w, r: r, upload: one.Body()}
	defer c.end()
	if err := c.run(); err != nil {
		c.fail(err)
	}
}

// attempts are what one call of http mode takes: as many as the request allows, each at one
// upstream.
type attempts struct {
	*proxy
	call     *call.Call
	w        http.ResponseWriter
	r        *http.Request
	upload   *call.Body  // the client's body, or nil
	held     *spill.Body // the same, read before it is sent
	patience time.Time   // the end of timeouts.queue; zero = never

	x     *exchange // nil until there is a connection, and over HTTP/2
	begun bool      // over HTTP/2: the client has got the head of the response
	tries int

	tried    []*endpoint.Endpoint // of an upstream run elsewhere
	failing  time.Time            // since when all tasks that were tried refuse; zero is not
	repeated bool                 // after an endpoint got the request and broke the connection

	// of the last attempt
	life     Instance // released; nil when the upstream is run elsewhere
	reused   bool     // the connection had carried a call before
	answered bool
	reached  bool
	cause    error // why the call ended before the attempt did; nil = it did not
}

func (c *attempts) run() error {
	if c.route.BufferBody && c.upload != nil {
		c.held = spill.New(0) // limits.body is held by routes
		err := c.held.Fill(c.upload)
		if c.cause = endOf(c.r.Context()); err != nil {
			return err
		}
	}
	for {
		c.tries++
		err := c.attempt()
		if err == nil {
			return nil
		}
		if err = c.explained(err); !c.again(err) {
			return err
		}
	}
}

// attempt passes the call to one upstream.
func (c *attempts) attempt() error {
	c.life, c.reused, c.answered, c.reached, c.cause = nil, false, false, false, nil
	if c.Process == nil {
		return c.attemptElsewhere()
	}
	i, err := c.acquire()
	if err != nil {
		return err
	}
	defer i.Release()
	c.life = i
	up, ok := i.Kept().(*upstream)
	if !ok {
		up = c.keepUpstream(i)
	}
	return c.over(up)
}

// keepUpstream makes the upstream of an instance, and has that keep it.
func (p *proxy) keepUpstream(i Instance) *upstream {
	return i.Keep(func() io.Closer {
		return newUpstream(p.route.Name+"/"+strconv.Itoa(i.Number()), i.Upstream(), 0, p.log)
	}).(*upstream)
}

func (c *attempts) over(up *upstream) error {
	c.call.SetInstance(up.name)
	if up.h2c != nil {
		return c.overHTTP2(up)
	}
	return c.overHTTP1(up)
}

// acquire takes an instance, or waits for one as long as timeouts.queue allows. One
// that has just died is none, though the supervisor may not have been told yet.
func (c *attempts) acquire() (Instance, error) {
	began := time.Now()
	if queue := c.route.Timeouts.Queue.D(); queue > 0 && c.patience.IsZero() {
		c.patience = began.Add(queue - c.call.Waited())
	}
	for now := began; ; now = time.Now() {
		wait := time.Duration(math.MaxInt64)
		if !c.patience.IsZero() {
			wait = max(c.patience.Sub(now), 0)
		}
		i, err := c.Process.AcquireFor(c.r.Context(), wait, c.call)
		if err == nil {
			select {
			case <-i.Done():
				i.Release()
				err = &failure.Error{Kind: failure.NotReady, Detail: "the process ended and no other was ready in time", RetryAfter: time.Second, Timeout: "queue"}
				if wait > 0 && pause(c.r.Context(), time.Millisecond) {
					continue
				}
			default:
			}
		}
		c.call.WaitedSince(began, "wait for process")
		return i, err
	}
}

// overHTTP1 makes an attempt with our own client.
func (c *attempts) overHTTP1(up *upstream) error {
	if err := c.exchange(up); err != nil {
		return err
	}
	if c.life != nil {
		c.x.guest.Enter(c.life, c.call, c.r)
		defer c.x.guest.Leave(c.life)
	}
	var conn *client.Conn
	if c.tries == 1 { // what failed once on an old connection gets a new one
		switch {
		case http1.Idempotent(c.r.Method):
			conn = up.http1.Idle(client.MaxIdle)
		case up.http1.Keeps():
			conn = up.http1.Idle(client.Fresh)
		}
	}
	if conn == nil {
		var err error
		if conn, err = up.http1.Dial(c.r.Context()); err != nil {
			return err
		}
		defer up.http1.MakeRoom(conn)()
	}
	c.reused = conn.Reused
	err := c.x.attempt(conn)
	c.answered, c.reached, c.cause = c.x.answered, c.x.reached, c.x.cause
	if c.reused && !c.answered && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) {
		up.http1.Lost(conn)
	}
	if c.x.unasked {
		up.http1.SentUnasked()
	}
	if c.x.keep {
		up.http1.Put(conn, c.x.head.KeepAlive, c.x.doubtful)
	} else {
		_ = conn.Close() // it is of no use any more
	}
	return err
}

// exchange makes what all attempts share, once.
func (c *attempts) exchange(up *upstream) error {
	if c.x != nil {
		c.x.request.rewind()
		return nil
	}
	to, err := Target(c.r, up.BasePath)
	if err != nil {
		return err
	}
	c.x = newExchange(c.call, c.w, c.r)
	c.x.splice = c.splice && c.r.ProtoMajor == 1 && c.r.TLS == nil
	c.x.guess = c.SniffTypes
	if c.held == nil {
		c.x.upload = c.upload
	}
	if err := c.x.request.prepare(c.r, c.call.Fields(c.r), c.upload, c.held, to, up.Host); err != nil {
		return err
	}
	c.x.request.splice = c.x.splice
	c.call.OnEnd(c.x.interrupts)
	return nil
}

// endedError says that the process ended with the call in its hands.
type endedError struct {
	how string
	err error
}

func (e endedError) Error() string { return e.sentence() + ": " + e.err.Error() }
func (e endedError) Unwrap() error { return e.err }

func (e endedError) sentence() string { return "the process ended during this call: " + e.how }

// explained is err, which says that the process ended where it did. That may become
// known only after the connection broke.
func (c *attempts) explained(err error) error {
	if _, ok := errors.AsType[*failure.Error](err); ok || c.life == nil || !c.reached || c.ended() != nil {
		return err
	}
	if _, ok := errors.AsType[goneError](err); ok || !c.life.Suspect(context.WithoutCancel(c.r.Context())) {
		return err
	}
	return endedError{c.life.Ending(), err}
}

// again reports whether the failed attempt may be followed by another: when nothing of
// the request reached an upstream, or when an idle connection may have been closed while
// it was on its way and it does no harm to send it twice. A request in whose hands its
// process ended is not sent again: it may be the reason.
func (c *attempts) again(err error) bool {
	if _, ok := errors.AsType[*failure.Error](err); ok || c.ended() != nil {
		return false
	}
	begun, replayable := c.begun, c.upload == nil || c.held != nil
	if c.x != nil {
		begun, replayable = c.x.begun, c.x.request.replayable()
	}
	if begun || c.answered || !replayable || c.stopped() {
		return false
	}
	stale := c.reused && c.tries == 1
	if c.elsewhere != nil && c.againElsewhere() {
		return true
	}
	if c.reached {
		_, ended := errors.AsType[endedError](err)
		return stale && !ended && http1.Idempotent(c.r.Method)
	}
	// A call that finds its process dead is held for the next one.
	return stale || c.life != nil && c.life.SuspectRefusal(c.r.Context())
}

// ended returns the reason for which the call has ended, or nil. Once reading the body
// was stopped, the context only says that it was.
func (c *attempts) ended() error {
	if c.stopped() {
		return c.cause
	}
	return endOf(c.r.Context())
}

// stopped reports whether the body cannot be read any more.
func (c *attempts) stopped() bool { return c.upload != nil && c.held == nil && c.upload.Stopped() }

// fail ends a call that failed: by an answer of our own if there was none, else so
// that the client can tell.
func (c *attempts) fail(err error) {
	f := c.failure(err)
	c.call.NeedHeader(c.r)
	begun := c.begun || c.x != nil && c.x.begun
	if f.Kind == failure.BadUpstream {
		c.log.LogAttrs(c.r.Context(), slog.LevelWarn, event.UpstreamFailed, slog.String("id", c.call.ID),
			slog.String("method", c.r.Method), slog.Bool("cut", begun), slog.Any("error", err))
	}
	if f.Kind == failure.NoRoom {
		c.log.LogAttrs(c.r.Context(), slog.LevelWarn, event.NoRoom, slog.Any("error", f))
	}
	if begun {
		c.call.Fail(f)
		if f.Kind != failure.Gone {
			_ = http.NewResponseController(c.w).Flush() // what came before the failure; the cut follows anyway
			if c.Concludes(c.r) {
				c.Conclude(c.call, c.w, f)
				return
			}
		}
		cut(c.upload)
	}
	c.Fail(c.w, c.r, f)
	if f.Kind == failure.Gone {
		cut(c.upload) // whoever may still be there must not get an empty success
	}
}

// cut ends a response in its middle.
func cut(body *call.Body) {
	body.Drop()
	panic(http.ErrAbortHandler)
}

// failure says what an error means to the client.
func (c *attempts) failure(err error) *failure.Error {
	f, known := errors.AsType[*failure.Error](err)
	if cause := c.ended(); cause != nil {
		if f, known = errors.AsType[*failure.Error](cause); !known {
			f, known = &failure.Error{Kind: failure.Gone, Detail: "the client went away", Cause: cause}, true
		}
	}
	if gone, ok := errors.AsType[goneError](err); ok && !known {
		f, known = &failure.Error{Kind: failure.Gone, Detail: "the client did not take the response", Cause: gone.err}, true
	}
	if !known {
		f = &failure.Error{Kind: failure.BadUpstream, Detail: upstreamFault(err), Cause: err}
	}
	if f.Route == "" {
		named := *f
		named.Route = c.route.Name
		f = &named
	}
	return f
}

// upstreamFault is a sentence about an upstream's failure, without its address.
func upstreamFault(err error) string {
	if ended, ok := errors.AsType[endedError](err); ok {
		return ended.sentence()
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the upstream refuses connections"
	case errors.Is(err, os.ErrNotExist):
		return "the upstream's socket does not exist"
	case errors.Is(err, io.EOF):
		return "the upstream closed the connection without a response"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the upstream closed the connection before its response was complete"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the upstream reset the connection"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "the upstream did not accept a connection in time"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		what := "the connection to the upstream failed"
		if op.Op == "dial" {
			what = "the upstream cannot be reached"
		}
		if errno, ok := errors.AsType[syscall.Errno](op.Err); ok { // no address is in it
			what += ": " + errno.Error()
		}
		return what
	}
	return "the upstream sent an invalid HTTP response"
}

// end returns back what the call holds.
func (c *attempts) end() {
	if c.x != nil {
		c.call.OffEnd()
		c.x.end()
	}
	if c.held != nil {
		c.held.Free()
	}
}

// pause waits for d, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
