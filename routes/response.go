package routes

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// response is the http.ResponseWriter that a handler is given. Besides, it is an
// http.Flusher, http.Hijacker, io.ReaderFrom and io.StringWriter. It is good until the handler
// returns. What else a handler may want to say or know is in its call: see call.From.
type response struct {
	w       http.ResponseWriter
	serving *serving
	noBody  bool // the request is a HEAD
	proxied bool // it came by way of another proxy

	status  int // of the head that was sent; 0 is none yet
	bytes   int64
	upgrade *upgrade // the connection that was taken over
}

// Header returns the headers that WriteHeader will send.
func (w *response) Header() http.Header { return w.w.Header() }

// WriteHeader sends the head. Informational ones (1xx) may come before it.
func (w *response) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.w.WriteHeader(status)
		return
	}
	header := w.w.Header()
	if _, typed := header["Content-Type"]; !typed {
		header["Content-Type"] = nil // or net/http, for a client of HTTP/2, guesses one from the body
	}
	stream := http1.StreamOf(header)
	w.head(status, stream)
	w.w.WriteHeader(status)
	w.streams(stream)
}

// WriteHead is WriteHeader for a response that is forwarded: see http1.HeadWriter.
func (w *response) WriteHead(p *http1.Response) {
	if _, ok := w.w.(http1.HeadWriter); !ok || w.serving.table.opt.Headers {
		p.Forward(w.w.Header())
		w.WriteHeader(p.Status)
		return
	}
	if w.status == 0 {
		typ, _ := p.Forwarded("Content-Type")
		stream := http1.StreamType(typ)
		w.head(p.Status, stream)
		http1.WriteHead(w.w, p)
		w.streams(stream)
	}
}

// streams notes that the response, whose head is sent, is an event stream if it is one.
func (w *response) streams(stream http1.Stream) {
	if stream == http1.Events {
		w.serving.Streams()
		w.serving.endIfClosing()
	}
}

func (w *response) head(status int, stream http1.Stream) {
	w.status = status
	s, h := w.serving, w.w.Header()
	if s.route.timed && !s.Untimed() {
		s.values.duration[0] = strconv.FormatFloat(time.Since(s.Began()).Seconds(), 'f', 6, 64)
		h["X-Duration-Seconds"] = s.values.duration[:]
	}
	if f := s.Head(); f != nil && f.Kind.Closes() && s.request.ProtoMajor == 1 {
		h["Connection"] = closing
	}
	s.headSent(status == http.StatusSwitchingProtocols || stream != http1.NoStream)
}

// closing is the value of Connection that makes a response the last.
var closing = []string{"close"}

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
	w.serving.Touch()
}

// ReadFrom sends src as a part of the body. Where the kernel can move it from one
// socket or file to the other, it does; not under timeouts.idle, since nobody would
// see whether something moves.
func (w *response) ReadFrom(src io.Reader) (int64, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	to, ok := w.w.(io.ReaderFrom)
	if !ok || w.serving.idle > 0 || !movable(src) {
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
	w.serving.Touch()
	return http.NewResponseController(w.w).Flush() // w.w may stand before the server's own writer
}

// Hijack gives the connection to the mode. The mode has sent the head of a 101, or
// writes one itself. The call lasts until the connection is closed and the handler
// has returned. When the call is ended, its context is, and reads and writes of the connection fail.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.status != 0 && w.status != http.StatusSwitchingProtocols {
		return nil, nil, errHeadSent
	}
	c, rw, err := http.NewResponseController(w.w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.status = http.StatusSwitchingProtocols
	taken, u := newUpgrade(c)
	w.upgrade = u
	_ = w.serving.Head() // it is the handler's
	w.serving.headSent(true)
	w.serving.Took(c)
	w.serving.endIfClosing()
	return taken, rw, nil
}

var errHeadSent = errors.New("take over the connection: the head of a response that is not 101 was sent on it")

// Unwrap gives the server's own ResponseWriter, for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.w }
