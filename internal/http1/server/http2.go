package server

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// http2 is net/http's server, for the connections that speak HTTP/2. They are
// handed to it by a listener that listens to nothing.
type http2 struct {
	server *http.Server
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	done   chan struct{} // its Serve has returned
}

// handshake reports whether the connection was given to HTTP/2; c.tls is nil when the
// connection has ended.
func (c *conn) handshake(t *tls.Conn) (handedOver bool) {
	_ = t.SetDeadline(c.deadline(c.server.Header))
	if err := t.Handshake(); err != nil {
		if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok && plain.Conn != nil && http1.ValidName(string(plain.RecordHeader[:3])) {
			c.server.mu.Lock()
			c.nc = plain.Conn
			c.server.mu.Unlock()
			c.refuse(&Refusal{Detail: "the client does not speak TLS, and this address does"})
			return false
		}
		c.server.debug(c, "the TLS handshake failed", err)
		return false
	}
	_ = t.SetDeadline(time.Time{})
	state := t.ConnectionState()
	c.tls = &state
	if state.NegotiatedProtocol == "h2" {
		c.server.handOver(t, nil)
		return true
	}
	return false
}

// preface begins every HTTP/2 connection (RFC 9113, 3.4); read as HTTP/1 it is a whole head.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// handOver hands a connection to net/http, with the bytes that were read from it.
func (s *Server) handOver(nc net.Conn, read []byte) {
	two := s.serveHTTP2()
	if len(read) > 0 {
		nc = &readConn{Conn: nc, read: string(read)}
	}
	if _, secure := nc.(*tls.Conn); !secure { // net/http looks for this type
		nc = &settingsConn{Conn: nc, left: len(preface)}
	}
	select {
	case two.conns <- nc:
	case <-two.closed:
		_ = nc.Close() // the server is closed
	}
}

// serveHTTP2 returns the server of HTTP/2, which runs from the first use on until the end.
func (s *Server) serveHTTP2() *http2 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http2 != nil {
		return s.http2
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	two := &http2{conns: make(chan net.Conn), closed: make(chan struct{}), done: make(chan struct{})}
	two.server = &http.Server{
		Handler:                      http.HandlerFunc(s.serveStream),
		Protocols:                    protocols,
		TLSConfig:                    s.TLSConfig.Clone(),
		ReadHeaderTimeout:            none(s.Header),
		ReadTimeout:                  s.Read,
		WriteTimeout:                 s.Write,
		IdleTimeout:                  none(s.Idle),
		MaxHeaderBytes:               s.maxHeader() + max(s.maxHeader(), excessHeader),
		HTTP2:                        &http.HTTP2Config{MaxReadFrameSize: maxFrame},
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     debugLog(s.Log),
	}
	two.server.SetKeepAlivesEnabled(!s.leaving.Load())
	s.http2 = two
	go func() {
		defer close(two.done)
		_ = two.server.Serve(two) // ended by close
	}()
	if s.closed {
		_ = two.server.Close()
		two.once.Do(func() { close(two.closed) })
	}
	return two
}

// maxFrame is the size of the largest frame that is read, the smallest that RFC 9113, 4.2
// allows to ask for: as much memory as a connection has for one.
const maxFrame = 16 << 10

// excessHeader is how much larger than allowed a head may be and still be refused in our
// words; for one that is larger still, net/http ends the connection.
const excessHeader = 64 << 10

// serveStream serves one request of HTTP/2.
func (s *Server) serveStream(w http.ResponseWriter, r *http.Request) {
	if err := s.checkStream(r); err != nil {
		bare := &http.Request{Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor, Header: http.Header{}, URL: &url.URL{},
			Body: http.NoBody, RemoteAddr: r.RemoteAddr, TLS: r.TLS}
		refusal, _ := errors.AsType[*Refusal](err)
		r.Header, r.Trailer = http.Header{}, nil // a client may take its time to read the answer
		s.Refuse(w, bare.WithContext(r.Context()), refusal)
		return
	}
	delete(r.Header, "Host") // it is r.Host, as in HTTP/1
	s.Handler.ServeHTTP(w, r)
}

// checkStream holds a request of HTTP/2 to what one of HTTP/1.1 is held to, where
// net/http does not. Its error is a *Refusal.
func (s *Server) checkStream(r *http.Request) error {
	size, fields := headSize(r)
	hosts := r.Header["Host"]
	switch {
	case size > s.maxHeader():
		return tooLarge
	case fields > http1.MaxFields, len(r.Trailer) > http1.MaxFields:
		return tooManyFields
	case !http1.ValidTarget(r.RequestURI):
		return malformed("the :path has a character that it may not have")
	case r.Method != http.MethodConnect && r.RequestURI[0] != '/' && r.RequestURI != "*":
		return malformed("the :path is not a path") // RFC 9113, 8.3.1
	case !http1.ValidHost(r.Host):
		return malformed("the :authority is not host or host:port")
	case len(hosts) > 1 || len(hosts) == 1 && !strings.EqualFold(hosts[0], r.Host):
		return malformed("the Host header is not the :authority")
	case len(r.Header["Content-Length"]) > 1: // net/http takes the first
		return malformed("there is more than one Content-Length")
	}
	if err := http1.CheckTarget(r.Method, r.RequestURI); err != nil {
		return malformed(err.Error())
	}
	return nil
}

// headSize is what the head of r would be over HTTP/1.1, about, and how many fields it has.
func headSize(r *http.Request) (size, fields int) {
	size = len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		fields += len(values)
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	return size, fields
}

// close ends the goroutine of a server that is shut down or closed.
func (t *http2) close() {
	_ = t.Close()
	<-t.done
}

// Accept returns the next connection that was handed over.
func (t *http2) Accept() (net.Conn, error) {
	select {
	case c := <-t.conns:
		return c, nil
	case <-t.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (t *http2) Close() error {
	t.once.Do(func() { close(t.closed) })
	return nil
}

// Addr is of nothing.
func (t *http2) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "http2"} }

// readConn is a connection of which some was read.
type readConn struct {
	net.Conn
	read string
}

func (c *readConn) Read(p []byte) (int, error) {
	if c.read != "" {
		n := copy(p, c.read)
		c.read = c.read[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// CloseWrite ends the sending half.
func (c *readConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// isPreface reports whether a connection that began with p speaks HTTP/2, or may do
// so: then more of it is to be read.
func isPreface(p []byte) (is, may bool) {
	if len(p) >= len(preface) {
		return string(p[:len(preface)]) == preface, false
	}
	return false, strings.HasPrefix(preface, string(p))
}

var _ io.Reader = (*readConn)(nil)

// none is d as net/http has it, for which 0 is another bound.
func none(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

func debugLog(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }
