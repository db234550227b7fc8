package routes

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// conn is an accepted connection that remembers what net/http forgets and what
// makes one request look like two to others on the way: that a head bore a
// Content-Length beside its Transfer-Encoding, or a Transfer-Encoding in HTTP/1.0
// (RFC 9112, section 6.1, has the connection closed after them), and that it had
// a line that was folded or that ended without CR.
//
// It looks at the lines that pass and counts those that begin with either name. A
// line of a body that does so counts too: at worst a connection is closed that need
// not be. Large pieces of bodies are not looked at, since net/http reads them past
// the buffer of 4 KiB that heads come through. How lines end is looked at in heads
// only, and not in one that came together with the end of the request before it.
type conn struct {
	net.Conn
	lengths, codings atomic.Int32 // lines seen, less those that a request has accounted for
	loose            atomic.Bool  // a line of the head was folded, or ended without CR
	next             atomic.Bool  // the request is over: what comes is a head
	watched          bool         // it carries HTTP/1 in the clear

	// restate gives net/http's own refusals in our words; nil leaves them.
	restate func(p []byte, peer net.Addr) []byte

	// of those who read, of whom there is one at a time
	inBody bool
	width  int    // of the current line so far
	last   byte   // of it
	name   string // what it may yet become: what is left of a name
}

// headRoom is more than the largest read that may hold a part of a head.
const headRoom = 16 << 10

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.watched && len(p) <= headRoom {
		c.look(p[:n])
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	if len(p) < mostPlain && c.restate != nil {
		if ours := c.restate(p, c.RemoteAddr()); ours != nil {
			_, err := c.Conn.Write(ours)
			return len(p), err
		}
	}
	return c.Conn.Write(p)
}

const (
	lengthName = "content-length"
	codingName = "transfer-encoding"
)

// look follows the lines in p, which goes on where the last p ended.
func (c *conn) look(p []byte) {
	if c.next.Load() {
		c.next.Store(false)
		c.inBody, c.width = false, 0
	}
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			c.piece(p)
			return
		}
		c.piece(p[:i])
		c.endLine()
		p = p[i+1:]
	}
}

// piece looks at a part of a line.
func (c *conn) piece(p []byte) {
	if len(p) == 0 {
		return
	}
	if c.width == 0 {
		switch p[0] | 0x20 {
		case lengthName[0]:
			c.name = lengthName
		case codingName[0]:
			c.name = codingName
		default:
			c.name = ""
		}
		if !c.inBody && (p[0] == ' ' || p[0] == '\t') {
			c.loose.Store(true)
		}
	}
	for i := 0; i < len(p) && c.name != ""; i++ {
		b := p[i] | 0x20 // lower case; a byte that is no letter may pass for another that is none
		if b != c.name[0] {
			c.name = ""
			break
		}
		if c.name = c.name[1:]; c.name == "" {
			c.count(b)
		}
	}
	c.width += len(p)
	c.last = p[len(p)-1]
}

func (c *conn) endLine() {
	if !c.inBody {
		whole := c.width > 0 && c.last == '\r'
		if !whole {
			c.loose.Store(true)
		}
		c.inBody = c.width == 0 || whole && c.width == 1
	}
	c.width, c.last, c.name = 0, 0, ""
}

// count counts a line whose name ended with last.
func (c *conn) count(last byte) {
	if last == lengthName[len(lengthName)-1] {
		c.lengths.Add(1)
	} else {
		c.codings.Add(1)
	}
}

// CloseWrite ends the sending half: net/http does so before it closes a connection
// on which more may come.
func (c *conn) CloseWrite() error { return closeWrite(c.Conn) }

// NetConn gives the connection itself.
func (c *conn) NetConn() net.Conn { return c.Conn }

// tcpConn is a conn into which the kernel can move bytes from another socket.
type tcpConn struct{ conn }

func (c *tcpConn) ReadFrom(src io.Reader) (int64, error) {
	return c.Conn.(*net.TCPConn).ReadFrom(src)
}

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return http.ErrNotSupported
}

// connKey is where a request's context holds the accepted connection.
type connKey struct{}

// withConn is the ConnContext of NewServer.
func withConn(ctx context.Context, c net.Conn, restate func([]byte, net.Addr) []byte) context.Context {
	if own := watching(c); own != nil {
		own.watched, own.restate = true, restate
	}
	return context.WithValue(ctx, connKey{}, c)
}

// watching gives c as one of ours, nil if it is not.
func watching(c net.Conn) *conn {
	switch c := c.(type) {
	case *conn:
		return c
	case *tcpConn:
		return &c.conn
	}
	return nil
}

// connOf gives the connection that a request came on, nil if it is none of ours.
func connOf(ctx context.Context) *conn {
	accepted, _ := ctx.Value(connKey{}).(net.Conn)
	return watching(accepted)
}

// ambiguous reports whether an HTTP/1 request, which came on c, may have been framed
// in two ways: the connection must not serve another after it. Where the lines could not
// be seen, on TLS and in servers that are not NewServer's, c is nil, and that is said of
// every chunked request and of every one of HTTP/1.0.
func ambiguous(r *http.Request, c *conn) bool {
	_, sized := r.Header["Content-Length"]
	chunked, old := len(r.TransferEncoding) > 0, !r.ProtoAtLeast(1, 1)
	if c == nil {
		return chunked || old
	}
	if c.loose.Load() {
		c.loose.Store(false)
		return true
	}
	if sized {
		c.lengths.Add(-1)
	}
	if chunked {
		c.codings.Add(-1)
	}
	return chunked && c.lengths.Load() > 0 || old && c.codings.Load() > 0
}

// peerGone reports whether the peer of r's connection has closed it, as far as the
// system can tell without reading.
func peerGone(ctx context.Context) bool {
	c, _ := ctx.Value(connKey{}).(net.Conn)
	sc, ok := plain(c)
	return ok && hungUp(sc)
}

// plain gives the system's own connection beneath c; none beneath TLS has the
// bytes that c has.
func plain(c net.Conn) (net.Conn, bool) {
	for c != nil {
		switch t := c.(type) {
		case *net.TCPConn, *net.UnixConn:
			return c, true
		case interface{ NetConn() net.Conn }:
			c = t.NetConn()
		default:
			return nil, false
		}
	}
	return nil, false
}
