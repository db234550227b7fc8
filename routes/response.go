package routes

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// response is the http.ResponseWriter that a mode is given. Besides, it is an
// http.Flusher, http.Hijacker, io.ReaderFrom and io.StringWriter, and has four
// faces that a mode may look for: SetInstance, AddQueueWait, Touch and SentPath; two
// more, SetError and Untimed, are for who answers failures. It is good until the handler returns.
type response struct {
	w      http.ResponseWriter
	call   *call
	body   *body  // of the request
	ours   bool   // nobody but the call ends its context
	noBody bool   // the request is a HEAD
	path   string // as it was sent

	duration []string // where the value of X-Duration-Seconds goes

	status   int // of the head that was sent; 0 is none yet
	bytes    int64
	instance string
	reason   string
	upgrade  *upgrade // the connection that was taken over
	request  *http.Request
	proxied  bool // it came by way of another proxy
	untimed  bool
	events   bool // an event stream

	concludes atomic.Bool // a call that is ended has an end that its caller understands
	concluded bool        // and has come to it
}

// Header gives the headers that WriteHeader will send.
func (w *response) Header() http.Header { return w.w.Header() }

// WriteHeader sends the head. Informational ones (1xx) may come before it.
func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.head(status)
	}
	w.w.WriteHeader(status)
	if w.events && status >= 200 {
		w.call.streams()
	}
}

func (w *response) head(status int) {
	w.status = status
	h := w.w.Header()
	if w.call.route.timed && !w.untimed {
		w.duration[0] = strconv.FormatFloat(time.Since(w.call.began).Seconds(), 'f', 6, 64)
		h["X-Duration-Seconds"] = w.duration
	}
	kind, typed := h["Content-Type"]
	if !typed {
		h["Content-Type"] = nil // net/http shall not guess one
	}
	if w.body.lost() && w.body.http1 {
		h["Connection"] = closing // what follows is the rest of that body
	}
	w.call.head(status == http.StatusSwitchingProtocols || len(kind) > 0 && stream(kind[0]))
	if len(kind) > 0 && eventStream(kind[0]) {
		w.events = true // and the call is told when the head is written
	}
}

func eventStream(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return len(kind) >= len("text/event-stream") && strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}

// closing is the value of Connection that makes a response the last.
var closing = []string{"close"}

// stream reports whether a response of this type is one of events, without an end in sight.
func stream(contentType string) bool {
	switch contentType {
	case "text/event-stream", "application/x-ndjson":
		return true
	case "application/json", "text/html", "text/plain", "":
		return false
	}
	kind, _, _ := strings.Cut(contentType, ";")
	kind = strings.TrimSpace(kind)
	return strings.EqualFold(kind, "text/event-stream") || strings.EqualFold(kind, "application/x-ndjson")
}

// Write sends a part of the body, after the head of a 200 if none was sent.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.w.Write(p)
	w.sent(int64(n))
	return n, err
}

// WriteString is Write.
func (w *response) WriteString(s string) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := io.WriteString(w.w, s)
	w.sent(int64(n))
	return n, err
}

func (w *response) sent(n int64) {
	if !w.noBody {
		w.bytes += n
	}
	w.call.touch()
}

// ReadFrom sends src as a part of the body. Where the kernel can move it from one
// socket or file to the other, it does; not under timeouts.idle, since nobody would
// see whether something moves.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	to, ok := w.w.(io.ReaderFrom)
	if !ok || w.call.idle > 0 || !movable(src) {
		return copyPooled(w, src)
	}
	n, err := to.ReadFrom(src)
	w.sent(n)
	return n, err
}

// movable reports whether the kernel can read src by itself: splice(2), sendfile(2).
func movable(src io.Reader) bool {
	if l, ok := src.(*io.LimitedReader); ok {
		src = l.R
	}
	switch src.(type) {
	case *net.TCPConn, *net.UnixConn, *os.File:
		return true
	}
	return false
}

// copyPooled is io.Copy by Read and Write, through a buffer that is not made anew.
func copyPooled(dst io.Writer, src io.Reader) (int64, error) {
	buf := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, buf[:])
}

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// Flush sends what is buffered.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError is Flush, and tells whether it could.
func (w *response) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.call.touch()
	switch f := w.w.(type) {
	case interface{ FlushError() error }:
		return f.FlushError()
	case http.Flusher:
		f.Flush()
		return nil
	}
	return http.ErrNotSupported
}

// Hijack gives the connection to the mode. The mode has sent the head of a 101, or
// writes one itself. The call lasts until the connection is closed and the handler
// has returned. When the call is ended, its context is, and reads and writes of the connection fail.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h, ok := w.w.(http.Hijacker)
	if !ok {
		return nil, nil, http.ErrNotSupported
	}
	if w.status != 0 && w.status != http.StatusSwitchingProtocols {
		return nil, nil, errHeadSent
	}
	c, rw, err := h.Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.status = http.StatusSwitchingProtocols
	taken, u := newUpgrade(c)
	w.call.upgrade(func() { w.upgrade = u })
	return taken, rw, nil
}

var errHeadSent = errors.New("take over the connection: the head of a response that is not 101 was sent on it")

// Unwrap gives the server's own ResponseWriter, for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.w }

// SentPath is the path as the caller sent it, with the prefix that may be stripped.
func (w *response) SentPath() string { return w.path }

// OnEnd has f called, in a goroutine of its own, when the call's context ends before
// OffEnd, which reports whether f was not called and will not be: context.AfterFunc,
// for less. There is one f at a time. OnEnd reports false where the context may end
// without our doing.
func (w *response) OnEnd(f *func()) bool {
	if !w.ours {
		return false
	}
	w.call.onEnd.Store(f)
	if w.call.ctx.Err() != nil && w.OffEnd() {
		go (*f)()
	}
	return true
}

// OffEnd ends what OnEnd began.
func (w *response) OffEnd() bool { return w.call.onEnd.Swap(nil) != nil }

// SetInstance says which instance answers, for the access line.
func (w *response) SetInstance(name string) { w.instance = name }

// SetReason sets the reason phrase of the access line, where it is not the usual one.
func (w *response) SetReason(phrase string) { w.reason = phrase }

// AddQueueWait says that the call waited for an instance.
func (w *response) AddQueueWait(d time.Duration) { w.call.queue += d }

// Waited is how long the call has waited so far, for a place too.
func (w *response) Waited() time.Duration { return w.call.queue }

// Local reports whether the client is on this machine, as far as can be seen: it may be
// told what strangers should not.
func (w *response) Local() bool { return w.request != nil && onThisMachine(w.request, w.proxied) }

// Touch says that something moved inside an upgraded connection or a stream.
func (w *response) Touch() { w.call.touch() }

// Concludes says that the mode ends a response that has begun, when the call is ended, in
// a way that the client understands as a failure. It has a second for that.
func (w *response) Concludes() { w.concludes.Store(true) }

// Concluded says that it has.
func (w *response) Concluded() { w.concluded = true }

// SetError says why the call is answered with a failure, for the access line and the counters.
func (w *response) SetError(err error) { w.call.fail(err) }

// EndStream ends the call if it is an event stream or an upgraded connection, or as soon as
// it becomes one, and reports whether it is: its process is leaving. It does not wait.
func (w *response) EndStream() bool { return w.call.endStream() }

// Cut ends the call, for the reason why. It does not wait.
func (w *response) Cut(why error) { w.call.cut(failure.Of(why)) }

// OnFarewell says how the connection that was taken over is ended as its protocol
// provides. f must not wait, and may be called more than once.
func (w *response) OnFarewell(f func()) {
	w.call.mu.Lock()
	defer w.call.mu.Unlock()
	w.call.farewell = f
}

// SetWriteDeadline is the server's own, but for a stream that was ended: what remains of
// it is still to be written.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.call.mu.Lock()
	whole := w.call.whole
	w.call.mu.Unlock()
	if whole {
		return nil
	}
	return http.NewResponseController(w.w).SetWriteDeadline(t)
}

// Untimed says that the response does not bear X-Duration-Seconds, though the route's do.
func (w *response) Untimed() { w.untimed = true }
