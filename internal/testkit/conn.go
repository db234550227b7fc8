package testkit

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Conn is one end of a connection that a test drives by hand. Reads are buffered. Everything
// on it ends after Patience.
type Conn struct {
	net.Conn
	*bufio.Reader
	t testing.TB
}

// NewConn makes a Conn of nc.
func NewConn(t testing.TB, nc net.Conn) *Conn {
	_ = nc.SetDeadline(time.Now().Add(Patience))
	return &Conn{Conn: nc, Reader: bufio.NewReader(nc), t: t}
}

// Dial connects to a TCP address. The connection is closed when the test ends.
func Dial(t testing.TB, address string) *Conn {
	t.Helper()
	return DialNetwork(t, "tcp", address)
}

// DialNetwork is Dial for another network, such as "unix".
func DialNetwork(t testing.TB, network, address string) *Conn {
	t.Helper()
	nc, err := net.DialTimeout(network, address, Patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return NewConn(t, nc)
}

// Read reads what is buffered before the connection.
func (c *Conn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

// Send writes s. That the other side has closed shows in what is read next.
func (c *Conn) Send(s string) { _, _ = io.WriteString(c.Conn, s) }

// Head reads to the empty line that ends a head, and returns it all; less when the connection
// ends before that.
func (c *Conn) Head() string {
	var b strings.Builder
	for {
		line, err := c.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String()
		}
	}
}

// Take reads n bytes; less when the connection ends before that.
func (c *Conn) Take(n int) string {
	b := make([]byte, n)
	n, _ = io.ReadFull(c.Reader, b)
	return string(b[:n])
}

// Rest returns all that comes until the other side closes. A reset fails the test.
func (c *Conn) Rest() string {
	c.t.Helper()
	all, err := io.ReadAll(c.Reader)
	if err != nil {
		c.t.Fatalf("got %v after %q, want the end of the connection", err, all)
	}
	return string(all)
}

// Tail returns all that comes until the connection ends in whatever way.
func (c *Conn) Tail() string {
	all, _ := io.ReadAll(c.Reader)
	return string(all)
}

// Response reads the response to a request of method, and its body.
func (c *Conn) Response(method string) (*http.Response, string) {
	c.t.Helper()
	res, err := http.ReadResponse(c.Reader, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("got %v, want a response", err)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return res, ""
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("got %v after %q, want the whole body", err, body)
	}
	return res, string(body)
}

// Want reads the response to a GET or the like, and checks its status and its body.
func (c *Conn) Want(status int, body string) *http.Response {
	c.t.Helper()
	res, got := c.Response("GET")
	if res.StatusCode != status || got != body {
		c.t.Fatalf("got %d %q, want %d %q", res.StatusCode, got, status, body)
	}
	return res
}
