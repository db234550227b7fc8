package server

import (
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// response is the http.ResponseWriter of a request. It is also an http.Flusher,
// http.Hijacker, io.ReaderFrom and io.StringWriter, and has the methods that
// http.ResponseController looks for. Gone reports whether the client has left.
//
// A response without a Content-Length gets one if all of it is written before the
// handler returns, it was never flushed and it is short; else it is chunked, or for HTTP/1.0
// ends with the connection.
type response struct {
	c      *conn
	header http.Header

	status  int    // of the head that was written; 0 is none
	framed  framed // how the body ends
	length  int64  // of bySize
	written int64  // bytes of the body
	close   bool   // the connection ends with the response
	failed  error  // of the connection
	trailed bool   // fields are to follow the body

	out  []byte // what is to be sent
	head int    // while undecided: where the head ends that lacks its framing
}

// framed is how a response's body ends.
type framed uint8

const (
	undecided framed = iota
	bySize
	byChunks
	byClose
	bodiless
)

// outSize is how much is gathered before it is sent; what does not fit is not copied.
const outSize = 4 << 10

// begin makes w the response to c.request.
func (w *response) begin() {
	w.status, w.framed, w.length, w.written, w.failed, w.head = 0, undecided, -1, 0, nil, 0
	w.close = w.c.request.Close
	w.trailed, w.out = false, w.c.out[:0]
	w.c.trailer = w.c.trailer[:0]
}

// end puts the memory back.
func (w *response) end() {
	w.header = cleared(w.header)
	w.failed, w.out = errOver, nil
}

var errOver = errors.New("the response is over: its handler has returned")

// Header returns the headers that WriteHeader will send.
func (w *response) Header() http.Header {
	if w.header == nil { // the response is over
		return http.Header{}
	}
	return w.header
}

// WriteHeader makes the head. It is sent with what follows: by Flush, with a large
// part of the body, or at the end. Informational ones (1xx) are sent at once.
func (w *response) WriteHeader(status int) { w.writeHead(status, nil) }

// WriteHead is WriteHeader for a response that is forwarded: see http1.HeadWriter.
func (w *response) WriteHead(p *http1.Response) { w.writeHead(p.Status, p) }

// writeHead makes the head of the header and of the fields of p, if there is one.
func (w *response) writeHead(status int, p *http1.Response) {
	if w.status != 0 || w.c.hijacked {
		return
	}
	if status < 100 || status > 999 {
		panic("http1: not a valid status: " + strconv.Itoa(status))
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.inform(status)
		return
	}
	w.status = status
	c := w.c
	waiting := c.body.answered()
	w.close = w.close || c.server.leaving.Load() || c.body.leaves(waiting)
	w.appendStatus(status)
	w.decide(p)
	w.appendHeader(p)
	if w.close || c.request.ProtoMinor == 0 {
		w.appendConnection()
	}
	if w.framed == undecided {
		w.head = len(w.out)
	} else {
		w.out = append(w.out, http1.CRLF...)
	}
}

func (w *response) appendStatus(status int) {
	if status == http.StatusOK {
		w.out = append(w.out, "HTTP/1.1 200 OK\r\n"...)
		return
	}
	w.out = append(w.out, "HTTP/1.1 "...)
	w.out = strconv.AppendInt(w.out, int64(status), 10)
	w.out = append(w.out, ' ')
	w.out = append(w.out, http.StatusText(status)...)
	w.out = append(w.out, http1.CRLF...)
}

// decide says how the body ends, as far as the header says.
func (w *response) decide(p *http1.Response) {
	if p != nil {
		w.length = p.Length
	} else if values := w.header["Content-Length"]; len(values) > 0 {
		if n, err := strconv.ParseInt(values[0], 10, 64); err == nil && n >= 0 && len(values) == 1 && http1.Digits(values[0]) {
			w.length = n
		}
	}
	switch {
	case w.status < 200 || w.status == http.StatusNoContent || w.status == http.StatusNotModified || w.c.request.Method == http.MethodHead:
		w.framed = bodiless
	case w.length >= 0:
		w.framed = bySize
	}
}

// appendHeader appends the fields of the header and of p, but for those that say how the body
// ends.
func (w *response) appendHeader(p *http1.Response) {
	dated := false
	for name, values := range w.header {
		switch name {
		case "Content-Length":
			if w.length < 0 || !w.mayHaveLength() || p != nil {
				continue
			}
		case "Transfer-Encoding":
			continue
		case "Connection":
			if http1.HasToken(values, "close") {
				w.close = true
				continue
			}
			if w.status != http.StatusSwitchingProtocols && http1.HasToken(values, "keep-alive") {
				continue // that is for us to say
			}
		case "Trailer":
			w.announce(values)
			continue
		case "Date":
			dated = true
		}
		if !http1.ValidName(name) {
			w.trailed = w.trailed || strings.HasPrefix(name, http.TrailerPrefix)
			continue
		}
		if p != nil {
			if _, replaced := p.Forwarded(name); replaced {
				continue
			}
		}
		for _, value := range values {
			w.appendField(name, value)
		}
	}
	if p != nil {
		dated = w.appendForwarded(p) || dated
	}
	if !dated {
		w.out = append(w.out, "Date: "...)
		w.out = append(w.out, now()...)
		w.out = append(w.out, http1.CRLF...)
	}
}

// appendForwarded appends the fields of p, which were valid when they were parsed. It reports
// whether Date is one of them.
func (w *response) appendForwarded(p *http1.Response) (dated bool) {
	p.Each(func(name, value string) {
		dated = dated || name == "Date"
		w.out = http1.AppendField(w.out, name, value)
	})
	if p.Length >= 0 && w.mayHaveLength() {
		w.out = append(w.out, "Content-Length: "...)
		w.out = strconv.AppendInt(w.out, p.Length, 10)
		w.out = append(w.out, http1.CRLF...)
	}
	return dated
}

// mayHaveLength reports whether the response may have a Content-Length (RFC 9110, 8.6).
func (w *response) mayHaveLength() bool {
	return w.framed != bodiless || w.status >= 200 && w.status != http.StatusNoContent
}

// appendField appends a field. No value becomes another field.
func (w *response) appendField(name, value string) {
	if !http1.ValidValue(value) {
		clean := []byte(value)
		for i := range clean {
			if !http1.ValidValue(value[i : i+1]) {
				clean[i] = ' '
			}
		}
		value = string(clean)
	}
	w.out = http1.AppendField(w.out, name, value)
}

// announce notes which fields follow the body.
func (w *response) announce(values []string) {
	seen := map[string]bool{}
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			name = http.CanonicalHeaderKey(strings.Trim(name, " \t"))
			if !http1.FramingTrailer(name) && http1.ValidName(name) && !seen[name] && len(seen) < http1.MaxFields {
				seen[name] = true // or the field would be sent as often as it is named
				w.c.trailer, w.trailed = append(w.c.trailer, name), true
				w.appendField("Trailer", name)
			}
		}
	}
}

func (w *response) appendConnection() {
	switch {
	case w.status == http.StatusSwitchingProtocols:
	case w.close:
		w.out = append(w.out, "Connection: close\r\n"...)
	case w.framed != undecided: // HTTP/1.0, and the client asked for it
		w.out = append(w.out, "Connection: keep-alive\r\n"...)
	}
}

// frame decides how a body ends that says nothing about it: length is -1 while more
// may come. It completes the head.
func (w *response) frame(length int64) {
	var line []byte
	var room [64]byte
	switch {
	case length >= 0:
		w.framed, w.length = bySize, length
		line = append(room[:0], "Content-Length: "...)
		line = strconv.AppendInt(line, length, 10)
		line = append(line, http1.CRLF...)
		if w.c.request.ProtoMinor == 0 && !w.close {
			line = append(line, "Connection: keep-alive\r\n"...)
		}
	case w.c.request.ProtoMinor == 0:
		w.framed = byClose
		if !w.close {
			line = append(room[:0], "Connection: close\r\n"...)
		}
		w.close = true
	default:
		w.framed = byChunks
		line = append(room[:0], "Transfer-Encoding: chunked\r\n"...)
	}
	line = append(line, http1.CRLF...)
	body := len(w.out) - w.head
	if w.framed == byChunks && body > 0 {
		line = strconv.AppendInt(line, int64(body), 16)
		line = append(line, http1.CRLF...)
	}
	w.out = append(w.out, line...) // room for it, and then the body behind it
	copy(w.out[w.head+len(line):], w.out[w.head:w.head+body])
	copy(w.out[w.head:], line)
	if w.framed == byChunks && body > 0 {
		w.out = append(w.out, http1.CRLF...)
	}
}

// Write sends a part of the body, sooner or later: see Flush.
func (w *response) Write(p []byte) (int, error) {
	if !w.ready() {
		return 0, w.refusal()
	}
	if w.framed == bodiless {
		return w.dropped(int64(len(p)))
	}
	n := len(p)
	if w.framed == undecided {
		if len(w.out)+n <= cap(w.out)-64 {
			w.out = append(w.out, p...)
			w.written += int64(n)
			return n, nil
		}
		w.frame(-1)
	}
	var over error
	if w.framed == bySize && w.written+int64(n) > w.length {
		p, over = p[:w.length-w.written], http.ErrContentLength
	}
	if len(p) == 0 {
		return 0, over
	}
	if err := w.append(p); err != nil {
		return 0, err
	}
	w.written += int64(len(p))
	return len(p), over
}

// WriteString is Write.
func (w *response) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// ready makes the head of a 200 if there is none, and reports whether a body may follow.
func (w *response) ready() bool {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.failed == nil && !w.c.hijacked
}

func (w *response) refusal() error {
	if w.c.hijacked {
		return http.ErrHijacked
	}
	return w.failed
}

// dropped is what becomes of a body that cannot be sent.
func (w *response) dropped(n int64) (int, error) {
	if w.c.request.Method == http.MethodHead {
		return int(n), nil
	}
	return 0, http.ErrBodyNotAllowed
}

// append sends p, together with what waits, or lets it wait if both are small.
func (w *response) append(p []byte) error {
	const chunkEnds = 20 // the size, and twice CRLF
	if len(w.out)+len(p)+chunkEnds <= cap(w.out) {
		if w.framed == byChunks {
			w.out = strconv.AppendInt(w.out, int64(len(p)), 16)
			w.out = append(w.out, http1.CRLF...)
			w.out = append(w.out, p...)
			w.out = append(w.out, http1.CRLF...)
		} else {
			w.out = append(w.out, p...)
		}
		return nil
	}
	w.c.pieces = w.c.vector[:0]
	if w.framed == byChunks {
		w.out = strconv.AppendInt(w.out, int64(len(p)), 16)
		w.out = append(w.out, http1.CRLF...)
		w.c.pieces = append(w.c.pieces, w.out, p, crlf)
	} else {
		if len(w.out) > 0 {
			w.c.pieces = append(w.c.pieces, w.out)
		}
		w.c.pieces = append(w.c.pieces, p)
	}
	_, err := w.c.pieces.WriteTo(w.c.nc)
	clear(w.c.vector[:])
	w.out = w.c.out[:0]
	w.failed = err
	return err
}

var crlf = []byte(http1.CRLF)

// send sends what waits.
func (w *response) send() error {
	if w.failed != nil || len(w.out) == 0 {
		return w.failed
	}
	w.failed = w.c.write(w.out)
	w.out = w.out[:0]
	return w.failed
}

// FlushError sends what waits, and the head if it is not sent.
func (w *response) FlushError() error {
	if !w.ready() {
		return w.refusal()
	}
	if w.framed == undecided {
		w.frame(-1)
	}
	return w.send()
}

// Flush is FlushError.
func (w *response) Flush() { _ = w.FlushError() }

// inform sends an informational response.
func (w *response) inform(status int) {
	if w.c.request.ProtoMinor == 0 {
		return // RFC 9110, 15.2
	}
	if status == http.StatusContinue {
		if w.c.body.expect {
			_ = w.c.body.ask() // who reads the body is told
		}
		return
	}
	w.appendStatus(status)
	for name, values := range w.header {
		if name != "Content-Length" && name != "Transfer-Encoding" && http1.ValidName(name) {
			for _, value := range values {
				w.appendField(name, value)
			}
		}
	}
	w.out = append(w.out, http1.CRLF...)
	_ = w.send() // the final response meets the same error
}

// finish ends the response. An error says that the connection is of no use any more,
// and is to be closed at once.
func (w *response) finish() error {
	defer w.end()
	if !w.ready() {
		return w.refusal()
	}
	if w.framed == undecided {
		length := w.written
		if w.trailed && w.c.request.ProtoMinor > 0 {
			length = -1 // only chunks have something behind them
		}
		w.frame(length)
	}
	switch w.framed {
	case bySize:
		if w.written < w.length {
			_ = w.send() // as far as it goes
			return errors.New("the response is shorter than its Content-Length")
		}
	case byChunks:
		w.out = append(w.out, "0\r\n"...)
		w.appendTrailer()
		w.out = append(w.out, http1.CRLF...)
	}
	if w.Saturated() {
		runtime.Gosched()
	}
	return w.send()
}

// appendTrailer appends the fields that were announced, and those with
// http.TrailerPrefix.
func (w *response) appendTrailer() {
	for _, name := range w.c.trailer {
		for _, value := range w.header[name] {
			w.appendField(name, value)
		}
	}
	for name, values := range w.header {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok && http1.ValidName(name) {
			for _, value := range values {
				w.appendField(name, value)
			}
		}
	}
}
