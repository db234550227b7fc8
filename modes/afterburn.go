package modes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/http1/client"
	"github.com/watchdogd/watchdogd/internal/spill"
	"github.com/watchdogd/watchdogd/modes/proxy"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

// afterburn answers calls by long-lived workers that read HTTP requests from standard
// input and write the responses to standard output, one at a time each.
//
// Both are the two ends of one socket. A worker gets the head and the body of a
// request in one write, because the known client libraries want them in one read, with
// Content-Length always and never chunked. It is trusted with the next request only
// while it keeps to the protocol: one that prints outside of a response, sends no
// length, answers without having read its request or overruns the call's time is
// replaced, and the others go on. One that ended by itself is left to the policy of
// restart, which counts its end.
//
// Requests and responses are held as a whole, above 1 MiB in temporary files: no slow
// client keeps a worker busy. Only an event stream is passed on as it comes.
type afterburn struct {
	route   *schema.Route
	process *supervisor.Process
	log     *slog.Logger
	respond func(http.ResponseWriter, *http.Request, error)
	spoke   atomic.Bool // a worker has answered by an HTTP response

	settling time.Duration // workerSettling
}

// muteAfter is how long the first answer may take before mute or holding is logged.
const muteAfter = 1500 * time.Millisecond

func newAfterburn(route *schema.Route, d Deps) (http.Handler, error) {
	if d.Process == nil {
		return nil, errors.New("mode afterburn needs a process: set fprocess")
	}
	return &afterburn{route: route, process: d.Process, log: d.Log.With("route", route.Name), respond: Responder(d.Errors, route), settling: workerSettling}, nil
}

func (a *afterburn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	one, r := call.Enter(w, r)
	defer one.Leave()
	c := &burning{a: a, call: one, w: w, r: r, upload: one.Body(), request: spill.New(0), response: spill.New(int64(a.route.Limits.Response))}
	defer c.request.Free()
	defer c.response.Free()
	err := c.read()
	if err == nil {
		err = c.run()
	}
	if err == nil && !c.begun {
		err = c.send()
	}
	if err == nil {
		return
	}
	e := call.Outcome(r.Context(), a.route.Name, err)
	switch spoke := a.spoke.Load(); {
	case c.pid == 0:
	case e.Kind == failure.Timeout && c.held:
		e.Detail += "; " + heldBack(spoke)
	case !spoke && (e.Kind == failure.BadUpstream || e.Kind == failure.Timeout):
		e.Detail += "; " + mute
	}
	switch e.Kind {
	case failure.NoRoom:
		a.log.Warn(event.NoRoom, "error", e.Error())
	case failure.BadUpstream, failure.ResponseTooBig, failure.Internal:
		a.log.Warn(event.WorkerRefused, "instance", c.instance, "pid", c.pid, "error", e.Error())
	}
	if c.begun || e.Kind == failure.Gone {
		one.Fail(e)
		panic(http.ErrAbortHandler)
	}
	a.respond(w, r, e)
	c.upload.Drop()
}

// burning is one call of a worker.
type burning struct {
	a        *afterburn
	call     *call.Call
	w        http.ResponseWriter
	r        *http.Request
	upload   *call.Body
	request  *spill.Body // its body
	response *spill.Body // its body
	head     http1.Response
	body     client.Body
	begun    bool        // the head is on its way to the client
	unsent   error       // why the worker was not sent all of the request
	sent     atomic.Bool // all of it was
	answered bool        // the worker has printed a head
	held     bool        // the call ended after the worker had read all of the request, before it answered
	instance string      // NAME/NUMBER
	pid      int
	guest    proxy.Guest
}

// read takes the whole body of the request before a worker is taken for it.
func (c *burning) read() error {
	if c.upload == nil {
		return nil
	}
	return c.request.Fill(c.upload)
}

// mostWorkers is how many workers a call tries that turn out to be of no use before
// they have seen anything of it.
const mostWorkers = 3

// run finds a worker and has it answer.
func (c *burning) run() error {
	first, err := c.appendHead(nil)
	if err != nil {
		return err
	}
	body, held := c.request.Memory()
	if held {
		first = append(first, body...)
	}
	deadline := c.call.Patience(c.a.route.Timeouts.Queue.D())
	for n := 1; ; n++ {
		instance, err := c.acquire(deadline)
		if err != nil {
			return err
		}
		c.instance, c.pid = c.a.route.Name+"/"+strconv.Itoa(instance.Number()), instance.PID()
		c.call.SetInstance(c.instance)
		c.guest.Enter(instance, c.call, c.r)
		err = c.use(instance, first)
		c.guest.Leave(instance)
		instance.Release()
		if useless, ok := errors.AsType[uselessError](err); ok && n < mostWorkers {
			c.a.log.Warn("worker of no use, another is tried", "instance", c.instance, "pid", c.pid, "error", useless.Error())
			continue
		}
		return err
	}
}

// acquire takes a worker, or waits for one until deadline.
func (c *burning) acquire(deadline time.Time) (*supervisor.Instance, error) {
	began := time.Now()
	wait := time.Duration(math.MaxInt64)
	if !deadline.IsZero() {
		wait = max(deadline.Sub(began), 0)
	}
	instance, err := c.a.process.Acquire(c.r.Context(), wait)
	c.call.WaitedSince(began, "wait for process")
	return instance, err
}

// use has one worker answer the call, and sees to it that the worker is replaced if
// it must not answer another.
func (c *burning) use(instance *supervisor.Instance, first []byte) error {
	w, ok := instance.Keep(func() io.Closer { return newWorker(instance.Conn()) }).(*worker)
	if !ok || w.Conn == nil {
		part(instance, "its socket cannot be used", false)
		return uselessError{errors.New("its socket cannot be used")}
	}
	w.Borrow()
	defer w.Release()
	fault := w.idleFault()
	if fault == nil {
		fault = w.settle()
	}
	if fault != nil {
		part(instance, fault.Error(), fault == errClosed)
		return uselessError{fault}
	}
	mayEnd := true                                        // a worker that failed may be about to end
	c.call.OnEnd(func() { _ = w.SetDeadline(c.limit()) }) // it fails when the worker is gone, as will all else
	err := c.exchange(instance, w, first)
	if c.call.OffEnd() {
		if err == nil {
			fault = w.SetDeadline(time.Time{})
		} else if e := call.Outcome(c.r.Context(), "", err); e.Kind == failure.Timeout {
			c.held = !c.answered && c.consumed(w)
			fault, mayEnd = overran(e.Timeout, c.held), false
		}
	}
	if fault == nil {
		fault = err
	}
	if fault == nil {
		fault, mayEnd = c.afterFault(w), c.head.Closes()
	}
	if e, ok := errors.AsType[*failure.Error](fault); ok && (e.Kind == failure.ResponseTooBig || e.Kind == failure.NoRoom) {
		mayEnd = false
	}
	if c.head.Bodiless(c.r.Method) {
		w.settled = time.Now().Add(c.a.settling)
	}
	if fault != nil && part(instance, fault.Error(), mayEnd) {
		return endedWorker(err, instance.Ending())
	}
	return err
}

// consumed reports whether it is known that the worker has read all of the request.
func (c *burning) consumed(w *worker) bool { return knowsUnread && c.sent.Load() && !w.unread() }

// limit is until when a call that is over may still keep its worker. When it ran out
// of time that is now; when only the client has left, an answer that comes soon saves
// the worker.
func (c *burning) limit() time.Time {
	if _, ok := errors.AsType[*failure.Error](context.Cause(c.r.Context())); ok {
		return aLongTimeAgo
	}
	return time.Now().Add(c.a.route.Stop.Grace.D())
}

// remarker is an instance, as far as ps says something of it.
type remarker interface{ Remark(text string) }

// exchange sends the request to the worker of an instance and takes the response.
func (c *burning) exchange(instance remarker, w *worker, first []byte) error {
	stopWriting, err := c.write(w, first)
	if err != nil {
		return err
	}
	defer stopWriting()
	if !c.a.spoke.Load() {
		t := time.AfterFunc(muteAfter, func() {
			why := mute
			if c.consumed(w) {
				why = heldBack(false)
			}
			c.a.log.Warn("worker is silent", "instance", c.instance, "pid", c.pid, "why", why)
			instance.Remark(why)
			if c.a.spoke.Load() { // it answers just now
				instance.Remark("")
			}
		})
		defer t.Stop()
	}
	for {
		if err := w.ReadHead(&c.head); err != nil {
			return broken("the worker did not answer with an HTTP response", err)
		}
		c.answered = true
		if !c.a.spoke.Load() {
			c.a.spoke.Store(true)
			instance.Remark("")
		}
		if c.head.Status >= 200 {
			break
		}
		if c.head.Status == http.StatusSwitchingProtocols {
			return broken("the worker wants to switch protocols", nil)
		}
	}
	h := &c.head
	if !h.Bodiless(c.r.Method) && h.Length < 0 && !h.Chunked && !h.Closes() {
		return broken("the worker's response says neither its length nor that it ends with the connection", nil)
	}
	if limit := int64(c.a.route.Limits.Response); limit > 0 && h.Length > limit && !h.Bodiless(c.r.Method) {
		return c.tooBig()
	}
	method := c.r.Method
	if method == http.MethodHead && h.Length > 0 && len(w.Unread()) > 0 {
		method = http.MethodGet // a worker that knows nothing of HEAD has sent the body too
	}
	c.body.Start(w.Conn, h, method)
	if http1.StreamType(h.Fields.Get("Content-Type")) != http1.NoStream {
		return c.passEvents()
	}
	return c.collect()
}

// collect reads the body of the response into c.response.
func (c *burning) collect() error {
	for {
		p, err := c.body.Next(true)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return broken("the worker's response ended early or broke its framing", err)
		}
		if _, err := c.response.Write(p); err != nil {
			if err == spill.ErrTooLong {
				return c.tooBig()
			}
			return err
		}
	}
}

// inline is how much of a request is written before anything is read. A worker that
// answers while it reads could otherwise be waiting for us to read, and we for it.
const inline = 64 << 10

// write writes the request: the head and all of the body that is in memory at once.
// After it stop is called, which ends what is still being written.
func (c *burning) write(w *worker, first []byte) (stop func(), err error) {
	if _, whole := c.request.Memory(); whole && len(first) <= inline {
		n, err := w.Write(first)
		if err != nil && n == 0 && c.r.Context().Err() == nil {
			return nil, uselessError{fmt.Errorf("it does not read: %w", err)}
		}
		if err != nil {
			return nil, broken("the worker did not read the request", err)
		}
		c.sent.Store(true)
		return func() {}, nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.unsent = c.writeAll(w, first) // the worker's answer, or its absence, says more
		c.sent.Store(c.unsent == nil)
	}()
	return func() {
		select {
		case <-done: // at once, when the worker has read what it answered
		case <-time.After(100 * time.Millisecond):
			_ = w.SetWriteDeadline(aLongTimeAgo) // as in use
			<-done
		}
	}, nil
}

// writeAll writes first and, when the body is in a file, the body behind it.
func (c *burning) writeAll(w io.Writer, first []byte) error {
	if _, whole := c.request.Memory(); whole {
		_, err := w.Write(first)
		return err
	}
	buf := buffers.Get()
	defer buffers.Put(buf)
	body := c.request.Section(0, c.request.Size())
	for b := append((*buf)[:0], first...); ; b = (*buf)[:0] {
		n, err := body.Read(b[len(b):cap(b)])
		if _, err := w.Write(b[:len(b)+n]); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// appendHead appends the head of the request as workers read it: canonical names, one
// space behind the colon, Content-Length always.
func (c *burning) appendHead(b []byte) ([]byte, error) {
	r := c.r
	uri, err := proxy.Target(r, "")
	if err != nil {
		return nil, err
	}
	if !http1.ValidName(r.Method) || !http1.ValidTarget(uri) {
		return nil, malformed("the method or the path has a character that it may not have")
	}
	b = append(b, r.Method+" "+uri+" HTTP/1.1\r\nHost: "+r.Host+http1.CRLF...)
	if agent := r.Header.Get("User-Agent"); agent != "" {
		b = append(b, "User-Agent: "+agent+http1.CRLF...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, c.request.Size(), 10)
	b = append(b, http1.CRLF...)
	hop := http1.HopOf(r.Header)
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		switch name {
		case "Host", "User-Agent", "Content-Length", "Expect":
			continue
		}
		if http1.ValidName(name) && !hop.Ends(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range r.Header[name] {
			if !http1.ValidValue(value) {
				return nil, malformed("the header field " + name + " has a character that it may not have")
			}
			b = append(b, name+": "+value+http1.CRLF...)
		}
	}
	return append(b, http1.CRLF...), nil
}

// passEvents passes the response on as it comes.
func (c *burning) passEvents() error {
	if !c.call.Answer() {
		return c.r.Context().Err()
	}
	control := http.NewResponseController(c.w)
	c.begun = true
	c.head.Forward(c.w.Header())
	c.call.SetReason(c.head.Reason)
	c.w.WriteHeader(c.head.Status)
	if err := control.Flush(); err != nil {
		return call.Gone(err)
	}
	for {
		p, err := c.body.Next(true)
		if err == io.EOF {
			return c.r.Context().Err()
		}
		if err != nil {
			return broken("the worker's response ended early or broke its framing", err)
		}
		if _, err := c.w.Write(p); err != nil {
			return call.Gone(err)
		}
		if err := control.Flush(); err != nil {
			return call.Gone(err)
		}
	}
}

// send sends the response that was held.
func (c *burning) send() error {
	h := &c.head
	h.Forward(c.w.Header())
	c.call.SetReason(h.Reason)
	if !h.Bodiless(c.r.Method) {
		c.w.Header()["Content-Length"] = []string{strconv.FormatInt(c.response.Size(), 10)}
	}
	if !c.call.Answer() {
		return context.Cause(c.r.Context())
	}
	c.begun = true
	c.w.WriteHeader(h.Status)
	var err error
	if !h.Bodiless(c.r.Method) {
		err = c.response.CopyTo(c.w, c.response.Size())
	}
	if err == nil {
		err = context.Cause(c.r.Context()) // what the server still holds will not leave
	}
	return err
}

func (c *burning) tooBig() error {
	return &failure.Error{Kind: failure.ResponseTooBig,
		Detail: fmt.Sprintf("the worker's response is larger than limits.response, which is %d bytes", c.a.route.Limits.Response)}
}

// afterFault is what is wrong with a worker that has answered, or nil.
func (c *burning) afterFault(w *worker) error {
	switch {
	case c.head.Closes():
		return errors.New("it ended its answer with its output")
	case len(w.Unread()) > 0:
		return errors.New("it printed more than its answer")
	case c.unsent != nil, w.unread():
		return errors.New("it answered without reading the whole request")
	}
	return nil
}
