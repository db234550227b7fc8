package modes

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzhttp"
	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/http1"
)

// compressed compresses the responses of a handler by zstd or gzip, for clients that
// accept one: text and the like, large enough to be worth it. It never compresses a part
// of something, what is compressed already or must not be changed, or a stream: a
// response that arrives as events, or in small pieces with pauses in between.
type compressed struct {
	next   http.Handler
	encode http.Handler // gzhttp around serve
}

// leastCompressed is the smallest body worth compressing. A response that pauses before
// this much of it has arrived is a stream.
const leastCompressed = 1 << 10

func newCompressed(next http.Handler) (*compressed, error) {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(leastCompressed), gzhttp.SetContentType(false))
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	c := &compressed{next: next}
	c.encode = wrap(http.HandlerFunc(c.serve))
	return c, nil
}

func (c *compressed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.encode.ServeHTTP(&encodedWriter{w: w, vary: w.Header()["Vary"]}, r)
}

// serve is called by gzhttp with its own writer around the encodedWriter.
func (c *compressed) serve(w http.ResponseWriter, r *http.Request) {
	below := w.(interface{ Unwrap() http.ResponseWriter }).Unwrap().(*encodedWriter)
	if delete(below.Header(), "Vary"); below.vary != nil { // gzhttp adds to it for every response
		below.Header()["Vary"] = below.vary
	}
	cw := &compressor{ResponseWriter: below.w, below: below}
	if r.Header["Range"] == nil {
		cw.encoder, _ = w.(*gzhttp.GzipResponseWriter)
	}
	below.cut = true
	defer func() { below.failed = below.cut }()
	c.next.ServeHTTP(cw, r)
	below.cut = false
}

// Close closes the handler.
func (c *compressed) Close() error {
	if closer, ok := c.next.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// compressor is the http.ResponseWriter of one response. What may be compressed goes
// through gzhttp, everything else straight to the writer behind.
type compressor struct {
	http.ResponseWriter
	encoder *gzhttp.GzipResponseWriter // nil: nothing is compressed
	below   *encodedWriter             // where encoder writes to

	began   bool
	known   bool // the length of the body
	written int  // to encoder
}

// WriteHeader sends the head, or lets the encoder keep it until it is known how much follows.
func (w *compressor) WriteHeader(status int) {
	switch {
	case w.began:
		return
	case status < 200 && status != http.StatusSwitchingProtocols:
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.began = true
	header := w.Header()
	length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	w.known = err == nil
	if compressible(status, header) {
		addVary(header, "Accept-Encoding")
	} else {
		w.encoder = nil
	}
	if w.encoder == nil || w.known && length < leastCompressed {
		w.encoder = nil
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.encoder.WriteHeader(status)
}

// Write sends a part of the body.
func (w *compressor) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.encoder == nil {
		return w.ResponseWriter.Write(p)
	}
	w.written += len(p)
	return w.encoder.Write(p)
}

// ReadFrom sends src, by the kernel where nothing is compressed.
func (w *compressor) ReadFrom(src io.Reader) (int64, error) {
	w.WriteHeader(http.StatusOK)
	if to, ok := w.ResponseWriter.(io.ReaderFrom); ok && w.encoder == nil {
		return to.ReadFrom(src)
	}
	buf := buffers.Get()
	defer buffers.Put(buf)
	return io.CopyBuffer(flushing{w}, struct{ io.Reader }{src}, *buf)
}

// flushing sends at once what is written: the rest may be long in coming.
type flushing struct{ w *compressor }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.w.FlushError()
	}
	return n, err
}

// Flush sends what was written.
func (w *compressor) Flush() { _ = w.FlushError() }

// FlushError is Flush, and returns its error. The head of what may be compressed waits
// for some of the body.
func (w *compressor) FlushError() error {
	w.WriteHeader(http.StatusOK)
	encoder := w.encoder
	if encoder == nil {
		return http.NewResponseController(w.ResponseWriter).Flush()
	}
	if !w.known && w.written > 0 && w.written < leastCompressed { // a stream
		w.Header()[gzhttp.HeaderNoCompression] = []string{"1"} // has encoder send what it holds as it is
		w.encoder = nil
	}
	encoder.Flush()
	return w.below.err
}

// Unwrap returns the writer behind, for http.ResponseController and face.
func (w *compressor) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// encodedWriter is the http.ResponseWriter that gzhttp writes one response to.
type encodedWriter struct {
	w      http.ResponseWriter
	vary   []string // as it was before gzhttp
	cut    bool     // by a panic, if it is still set when the handler is left
	failed bool     // the response was cut, and must not look whole
	err    error    // the first
}

// Header returns the header of the response.
func (w *encodedWriter) Header() http.Header { return w.w.Header() }

// WriteHeader sends the head. A compressed response is only equivalent to the original,
// so its entity tag becomes a weak one.
func (w *encodedWriter) WriteHeader(status int) {
	if w.failed {
		return
	}
	header := w.Header()
	if tag := header.Get("Etag"); tag != "" && header["Content-Encoding"] != nil && !strings.HasPrefix(tag, "W/") {
		header["Etag"] = []string{"W/" + tag}
	}
	w.w.WriteHeader(status)
}

func (w *encodedWriter) Write(p []byte) (int, error) {
	if w.failed {
		return 0, http.ErrAbortHandler
	}
	n, err := w.w.Write(p)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

// Flush sends what was written.
func (w *encodedWriter) Flush() {
	if err := http.NewResponseController(w.w).Flush(); w.err == nil {
		w.err = err
	}
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
	if http1.HasToken(header["Cache-Control"], "no-transform") {
		return false
	}
	return compressibleType(header.Get("Content-Type"))
}

func compressibleType(contentType string) bool {
	if http1.StreamType(contentType) != http1.NoStream {
		return false
	}
	kind, _, _ := strings.Cut(contentType, ";")
	switch kind = strings.ToLower(strings.TrimSpace(kind)); kind {
	case "application/stream+json":
		return false
	case "application/json", "application/javascript", "application/x-javascript", "application/xml", "application/wasm",
		"application/graphql", "application/yaml", "application/toml", "application/sql", "application/rtf",
		"application/vnd.ms-fontobject", "font/ttf", "font/otf", "font/collection", "image/bmp", "image/x-icon", "image/vnd.microsoft.icon":
		return true
	}
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml") || strings.HasSuffix(kind, "+yaml")
}

// addVary adds name to the request fields that the response depends on.
func addVary(header http.Header, name string) {
	if http1.HasToken(header["Vary"], name) || http1.HasToken(header["Vary"], "*") {
		return
	}
	header["Vary"] = append(header["Vary"], name)
}
