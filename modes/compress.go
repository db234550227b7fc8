package modes

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compressed compresses what a handler answers, for callers who accept zstd or gzip:
// text and the like, of a size that makes it worth it. Never a part of something, nor
// what is compressed already or must not be changed, nor a stream: what comes as
// events, or comes in small pieces with pauses in between.
type compressed struct{ next http.Handler }

func (c compressed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cw := &compressor{ResponseWriter: w, r: r}
	if r.Method != http.MethodHead && r.Header["Range"] == nil {
		cw.coding = preferred(r.Header["Accept-Encoding"])
	}
	c.next.ServeHTTP(cw, r)
	cw.finish() // not after a panic: what is cut must not look whole
}

// Close closes the handler.
func (c compressed) Close() error {
	if closer, ok := c.next.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// leastCompressed is the size from which on compressing is worth the work. A response
// that pauses before so much of it has come is a stream.
const leastCompressed = 1 << 10

// compressor is the http.ResponseWriter of one response that may be compressed.
type compressor struct {
	http.ResponseWriter
	r      *http.Request
	coding string // that the caller prefers; empty = none

	state   compressing
	status  int
	held    []byte // of the body, while undecided
	encoder encoder
	fresh   bool // something was written to it since the last flush
}

type compressing uint8

const (
	noHead    compressing = iota
	undecided             // the head waits for enough of the body
	asItIs
	encoded
)

// WriteHeader sends the head, or keeps it until it is known how much follows.
func (w *compressor) WriteHeader(status int) {
	switch {
	case w.state != noHead:
		return
	case status < 200 && status != http.StatusSwitchingProtocols:
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.status = status
	header := w.Header()
	if !compressible(status, header) {
		w.plain()
		return
	}
	addVary(header, "Accept-Encoding")
	length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	switch {
	case w.coding == "" || err == nil && length < leastCompressed:
		w.plain()
	case err == nil:
		w.encode()
	default:
		w.state = undecided
	}
}

// plain sends the head and what is held as they are.
func (w *compressor) plain() {
	w.state = asItIs
	w.ResponseWriter.WriteHeader(w.status)
}

// encode sends the head of what is compressed from now on.
func (w *compressor) encode() {
	w.state = encoded
	header := w.Header()
	header["Content-Encoding"] = []string{w.coding}
	delete(header, "Content-Length")
	delete(header, "Accept-Ranges") // they would be of other bytes
	if tag := header.Get("Etag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		header["Etag"] = []string{"W/" + tag}
	}
	w.ResponseWriter.WriteHeader(w.status)
	w.encoder = encoders[w.coding].Get().(encoder)
	w.encoder.Reset(w.ResponseWriter)
}

// Write sends a part of the body.
func (w *compressor) Write(p []byte) (int, error) {
	if w.state == noHead {
		w.WriteHeader(http.StatusOK)
	}
	switch w.state {
	case asItIs:
		return w.ResponseWriter.Write(p)
	case encoded:
		w.fresh = true
		return w.encoder.Write(p)
	}
	if len(w.held)+len(p) < leastCompressed {
		w.held = append(w.held, p...)
		return len(p), nil
	}
	w.encode()
	w.fresh = true
	if _, err := w.encoder.Write(w.held); err != nil {
		return 0, err
	}
	w.held = nil
	return w.encoder.Write(p)
}

// ReadFrom sends src, by the kernel if nothing has to be compressed.
func (w *compressor) ReadFrom(src io.Reader) (n int64, err error) {
	if w.state == noHead {
		w.WriteHeader(http.StatusOK)
	}
	if to, ok := w.ResponseWriter.(io.ReaderFrom); ok && w.state == asItIs {
		return to.ReadFrom(src)
	}
	buf := getBuffer()
	defer putBuffer(buf)
	for {
		read, err := src.Read(*buf)
		if read > 0 {
			n += int64(read)
			if _, err := w.Write((*buf)[:read]); err != nil {
				return n, err
			}
		}
		switch {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		case read < len(*buf): // more may be long in coming
			if err := w.FlushError(); err != nil {
				return n, err
			}
		}
	}
}

// Flush sends what was written.
func (w *compressor) Flush() { _ = w.FlushError() }

// FlushError is Flush, and tells whether it could. While nothing of the body has come
// the head waits for some of it.
func (w *compressor) FlushError() error {
	if w.state == noHead {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.state == undecided && len(w.held) == 0:
		return nil
	case w.state == undecided:
		if err := w.sendHeld(); err != nil {
			return err
		}
	case w.state == encoded && w.fresh:
		w.fresh = false
		if err := w.encoder.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *compressor) sendHeld() error {
	w.plain()
	_, err := w.ResponseWriter.Write(w.held)
	w.held = nil
	return err
}

// finish ends the response.
func (w *compressor) finish() {
	switch w.state {
	case undecided:
		_ = w.sendHeld() // a caller who does not take it has gone
	case encoded:
		_ = w.encoder.Close() // likewise
		w.encoder.Reset(nil)
		encoders[w.coding].Put(w.encoder)
	}
}

// Unwrap gives the writer behind, for http.ResponseController.
func (w *compressor) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// SetInstance, AddQueueWait, Waited, Touch, SetError, Untimed, Local and SentPath are those of the writer behind.
func (w *compressor) SetInstance(name string) {
	if to, ok := w.ResponseWriter.(instanceSetter); ok {
		to.SetInstance(name)
	}
}

// SetReason: see SetInstance.
func (w *compressor) SetReason(phrase string) {
	if to, ok := w.ResponseWriter.(reasonSetter); ok {
		to.SetReason(phrase)
	}
}

// AddQueueWait: see SetInstance.
func (w *compressor) AddQueueWait(d time.Duration) {
	if to, ok := w.ResponseWriter.(queueWaiter); ok {
		to.AddQueueWait(d)
	}
}

// Waited: see SetInstance.
func (w *compressor) Waited() time.Duration {
	if to, ok := w.ResponseWriter.(queueWaiter); ok {
		return to.Waited()
	}
	return 0
}

// Touch: see SetInstance.
func (w *compressor) Touch() {
	if to, ok := w.ResponseWriter.(toucher); ok {
		to.Touch()
	}
}

// SetError: see SetInstance.
func (w *compressor) SetError(err error) {
	if to, ok := w.ResponseWriter.(errorSetter); ok {
		to.SetError(err)
	}
}

// Untimed: see SetInstance.
func (w *compressor) Untimed() {
	if to, ok := w.ResponseWriter.(untimed); ok {
		to.Untimed()
	}
}

// Local: see SetInstance.
func (w *compressor) Local() bool {
	to, ok := w.ResponseWriter.(localTeller)
	return ok && to.Local()
}

// SentPath: see SetInstance.
func (w *compressor) SentPath() string {
	if to, ok := w.ResponseWriter.(pathTeller); ok {
		return to.SentPath()
	}
	return w.r.URL.EscapedPath()
}

// encoder is what gzip.Writer and zstd.Encoder have in common.
type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// encoders keeps the encoders that are not in use, by coding.
var encoders = map[string]*sync.Pool{
	"gzip": {New: func() any { return gzip.NewWriter(nil) }},
	"zstd": {New: func() any {
		// One goroutine and a small window: many responses are compressed at once.
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // the options are wrong
		}
		return e
	}},
}

// compressible reports whether a response may be compressed at all.
func compressible(status int, header http.Header) bool {
	switch status {
	case http.StatusSwitchingProtocols, http.StatusNoContent, http.StatusResetContent, http.StatusPartialContent, http.StatusNotModified:
		return false
	}
	for _, name := range [...]string{"Content-Encoding", "Content-Range", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest"} {
		if header[name] != nil {
			return false
		}
	}
	for _, value := range header["Cache-Control"] {
		if named(appendList(nil, value), "no-transform") {
			return false
		}
	}
	return compressibleType(header.Get("Content-Type"))
}

func compressibleType(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	switch kind = strings.ToLower(strings.TrimSpace(kind)); kind {
	case "text/event-stream", "application/stream+json":
		return false
	case "application/json", "application/javascript", "application/x-javascript", "application/xml", "application/wasm",
		"application/graphql", "application/yaml", "application/toml", "application/sql", "application/rtf",
		"application/vnd.ms-fontobject", "font/ttf", "font/otf", "font/collection", "image/bmp", "image/x-icon", "image/vnd.microsoft.icon":
		return true
	}
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml") || strings.HasSuffix(kind, "+yaml")
}

// addVary says that the response depends on a request's field.
func addVary(header http.Header, name string) {
	for _, value := range header["Vary"] {
		if list := appendList(nil, value); named(list, name) || named(list, "*") {
			return
		}
	}
	header["Vary"] = append(header["Vary"], name)
}

// preferred gives the coding that Accept-Encoding prefers (RFC 9110, 12.5.3), zstd
// among equals; empty is none.
func preferred(values []string) string {
	gzip, zstd, identity, other := -1.0, -1.0, -1.0, -1.0
	for _, value := range values {
		for _, element := range appendList(nil, value) {
			name, parameter, _ := strings.Cut(element, ";")
			q := quality(parameter)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip":
				gzip = q
			case "zstd":
				zstd = q
			case "identity":
				identity = q
			case "*":
				other = q
			}
		}
	}
	if gzip < 0 {
		gzip = other
	}
	if zstd < 0 {
		zstd = other
	}
	switch {
	case zstd > 0 && zstd >= gzip && zstd >= identity:
		return "zstd"
	case gzip > 0 && gzip >= identity:
		return "gzip"
	}
	return ""
}

// quality reads "q=0.5". What is no quality is none at all: 0.
func quality(parameter string) float64 {
	if strings.TrimSpace(parameter) == "" {
		return 1
	}
	name, value, _ := strings.Cut(parameter, "=")
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if !strings.EqualFold(strings.TrimSpace(name), "q") || err != nil || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}
