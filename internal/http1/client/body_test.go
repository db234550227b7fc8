package client

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/http1/http1test"
)

// forwarded is what a client gets of the fields of a head.
func forwarded(h *http1.Response) http.Header {
	header := http.Header{}
	h.Forward(header)
	return header
}

func TestAHeadIsReadAsItWasSent(t *testing.T) {
	var h http1.Response
	err := h.Parse("HTTP/1.1 299 Odd But Fine\r\ncontent-type: text/plain\r\nX-Empty:\r\nset-cookie: a=1\r\nContent-Length: 007\r\n" +
		"Set-Cookie:\tb=2 \t\r\nKeep-Alive: timeout=5, max=7\r\nX-Obs: \xe4\xff\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if h.Status != 299 || h.Length != 7 || h.Chunked || h.Closes() || h.KeepAlive != 5*time.Second {
		t.Errorf("got %+v, want 299, a length of 7, no chunks, and a connection kept for 5s", h)
	}
	want := http.Header{"Content-Type": {"text/plain"}, "X-Empty": {""}, "Set-Cookie": {"a=1", "b=2"}, "X-Obs": {"\xe4\xff"}, "Content-Length": {"7"}}
	if got := forwarded(&h); !reflect.DeepEqual(got, want) {
		t.Errorf("got the fields %v, want %v", got, want)
	}
}

func TestWhatIsForTheConnectionIsNotPassedOn(t *testing.T) {
	var h http1.Response
	err := h.Parse("HTTP/1.1 200 OK\r\nX-Mine: 0\r\nConnection: X-Mine, close\r\nX-Mine: 1\r\nKeep-Alive: x\r\nProxy-Connection: a\r\nTe: trailers\r\n" +
		"Upgrade: h2c\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\nProxy-Authenticate: b\r\nX-Theirs: 2\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if !h.Closes() || !h.Chunked || h.Upgrade != "" {
		t.Errorf("got %+v, want a chunked response that closes and does not upgrade", h)
	}
	want := http.Header{"X-Theirs": {"2"}}
	if got := forwarded(&h); !reflect.DeepEqual(got, want) {
		t.Errorf("got the fields %v, want %v", got, want)
	}
}

func TestALineMayEndInABareLineFeed(t *testing.T) {
	var h http1.Response
	if err := h.Parse("HTTP/1.0 200\nX-A: b\n\n"); err != nil || h.Fields.Len() != 1 || !h.Closes() || !h.Loose {
		t.Errorf("got %+v and error %v, want one field and a connection that closes", h, err)
	}
}

func TestAMalformedHeadIsAnErrorAndNotAGuess(t *testing.T) {
	for name, s := range http1test.MalformedResponses {
		if err := new(http1.Response).Parse(s); err == nil {
			t.Errorf("%s is accepted: got %q (%v), want an error", name, s, err)
		}
	}
}

func TestTheEndOfAHeadIsFoundHoweverItArrives(t *testing.T) {
	for _, s := range []string{"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "HTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.1 200 OK\n\r\n", "HTTP/1.1 200\r\n\n"} {
		for seen := 0; seen < len(s); seen++ {
			if end := http1.HeadEnd([]byte(s[:seen]), 0); end != 0 {
				t.Errorf("%q: an end at %d after %d bytes, want 0", s, end, seen)
			}
			if end := http1.HeadEnd([]byte(s+"rest"), seen); end != len(s) {
				t.Errorf("%q: end at %d after having seen %d, want %d", s, end, seen, len(s))
			}
		}
	}
}

// pieces is a connection from which a message is read in pieces of some size: where
// the system has them, over a socket that keeps the borders of what was written. Its end is an
// empty piece: Linux takes a write and a close that come while a read finds nothing for a
// close alone, about once in 600,000 times.
func pieces(t testing.TB, message []byte, size int) *Conn {
	t.Helper()
	kind := syscall.SOCK_SEQPACKET
	if runtime.GOOS != "linux" {
		kind = syscall.SOCK_STREAM
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, kind, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range pair {
		file := os.NewFile(uintptr(fd), "pair")
		if ends[i], err = net.FileConn(file); err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
	}
	c, err := NewConn(ends[0])
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		for p := range slices.Chunk(message, min(size, headRead)) { // a read takes a whole piece, or loses its rest
			_, _ = ends[1].Write(p)
		}
		if kind == syscall.SOCK_SEQPACKET {
			sendEmpty(ends[1])
		} else {
			_ = ends[1].Close()
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-written
		_ = ends[1].Close()
	})
	return c
}

// sendEmpty sends a piece without a byte, which a reader takes for the end.
func sendEmpty(conn net.Conn) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Write(func(fd uintptr) bool { return unix.Sendmsg(int(fd), nil, nil, nil, 0) != syscall.EAGAIN }) // the reader may have left
}

// readAll reads a whole response with our client.
func readAll(c *Conn, method string) (h http1.Response, content []byte, trailer []http1.Field, err error) {
	if err = c.ReadHead(&h); err != nil {
		return h, nil, nil, err
	}
	var b Body
	b.Start(c, &h, method)
	for {
		p, err := b.Next(true)
		content = append(content, p...)
		if err == io.EOF {
			return h, content, b.Trailer, nil
		}
		if err != nil {
			return h, content, nil, err
		}
	}
}

func TestABodyIsReadWhereItsHeadSaysThatItEnds(t *testing.T) {
	for name, c := range map[string]struct{ method, message, body string }{
		"length":      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP", "abc"},
		"length of 0": {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP", ""},
		"chunked":     {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\n\r\nHTTP", "ab0123456789"},
		"to the end":  {"GET", "HTTP/1.1 200 OK\r\n\r\nall of it", "all of it"},
		"HEAD":        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP", ""},
		"HEAD chunks": {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHTTP", ""},
		"204":         {"GET", "HTTP/1.1 204 No Content\r\n\r\nHTTP", ""},
		"304":         {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\nHTTP", ""},
		"103":         {"GET", "HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\nHTTP", ""},
	} {
		for _, size := range []int{1, 7, 16 << 10} {
			_, content, _, err := readAll(pieces(t, []byte(c.message), size), c.method)
			if err != nil || string(content) != c.body {
				t.Errorf("%s in pieces of %d: got %q, %v, want %q and no error", name, size, content, err, c.body)
			}
		}
	}
}

func TestTrailersAreReadAndWhatMayNotBeThereIsDropped(t *testing.T) {
	_, content, trailer, err := readAll(pieces(t, []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\nContent-Length: 9\r\nX-Sum: 2\r\n\r\n"), 3), "GET")
	if err != nil || string(content) != "a" || !slices.Equal(trailer, []http1.Field{{Name: "X-Sum", Value: "1"}, {Name: "X-Sum", Value: "2"}}) {
		t.Errorf(`got %q %v %v, want "a", %v and no error`, content, trailer, err, []http1.Field{{Name: "X-Sum", Value: "1"}, {Name: "X-Sum", Value: "2"}})
	}
}

func TestABodyThatBreaksItsFramingIsAnError(t *testing.T) {
	chunks := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, message := range map[string]string{
		"short":                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
		"no last chunk":            chunks + "3\r\nabc\r\n",
		"no end of trailer":        chunks + "0\r\n",
		"no chunk size":            chunks + "\r\nabc\r\n0\r\n\r\n",
		"a size that is no number": chunks + "g\r\nabc\r\n0\r\n\r\n",
		"a size with a sign":       chunks + "+3\r\nabc\r\n0\r\n\r\n",
		"a size with 0x":           chunks + "0x3\r\nabc\r\n0\r\n\r\n",
		"a space before the size":  chunks + " 3\r\nabc\r\n0\r\n\r\n",
		"a huge size":              chunks + "ffffffffffffffff\r\nabc\r\n0\r\n\r\n",
		"a bare line feed":         chunks + "3\nabc\r\n0\r\n\r\n",
		"CR inside a size line":    chunks + "3;a\rb\r\nabc\r\n0\r\n\r\n",
		"a longer chunk":           chunks + "3\r\nabcd\r\n0\r\n\r\n",
		"a chunk without its end":  chunks + "3\r\nabc0\r\n\r\n",
		"a chunk that ends in LF":  chunks + "3\r\nabc\n0\r\n\r\n",
		"a folded trailer":         chunks + "0\r\nX-A: b\r\n c\r\n\r\n",
		"a trailer without colon":  chunks + "0\r\nX-A\r\n\r\n",
		"an endless size line":     chunks + "3;" + strings.Repeat("x", http1.MaxSizeLine+10),
		"an endless trailer":       chunks + "0\r\n" + strings.Repeat("X-A: "+strings.Repeat("x", 1000)+"\r\n", http1.MaxTrailer/1000+1) + "\r\n",
		"an endless trailer line":  chunks + "0\r\nX-A: " + strings.Repeat("x", http1.MaxTrailer),
		"a head without end":       "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("x", MaxHead),
		"a head that stops":        "HTTP/1.1 200 OK\r\nX-A: b",
		"garbage without an end":   "SSH-2.0-OpenSSH_9.2",
	} {
		if _, content, _, err := readAll(pieces(t, []byte(message), 4<<10), "GET"); err == nil {
			t.Errorf("%s is accepted: got %q (%v), want an error", name, content, err)
		}
	}
}

// FuzzResponse holds our reader of responses against net/http's: what ours accepts,
// net/http accepts as well, and reads as the same message; how it is cut into pieces
// makes no difference; and nothing panics.
func FuzzResponse(f *testing.F) {
	for _, s := range http1test.MalformedResponses {
		f.Add([]byte(s), false)
	}
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3;e=1\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
		"HTTP/1.0 200 OK\r\nA: b\r\n\r\nto the end",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
		"HTTP/1.1 204\nX: y\n\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\nA: "+strings.Repeat("v", headRead)+"\r\nContent-Length: 3\r\n\r\nabc"), false)
	f.Fuzz(func(t *testing.T, message []byte, isHead bool) {
		if len(message) > 8<<10 {
			return
		}
		method := "GET"
		if isHead {
			method = "HEAD"
		}
		h, content, trailer, err := readAll(pieces(t, message, 16<<10), method)
		_, again, _, errAgain := readAll(pieces(t, message, 5), method)
		if (err == nil) != (errAgain == nil) || err == nil && !bytes.Equal(content, again) {
			t.Fatalf("in one piece %q, %v; in many %q, %v", content, err, again, errAgain)
		}
		if err != nil {
			return
		}
		res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(message)), &http.Request{Method: method})
		if err != nil {
			t.Fatalf("ours accepts what net/http does not: %v", err)
		}
		theirs, err := io.ReadAll(res.Body)
		if err != nil || !bytes.Equal(content, theirs) {
			t.Fatalf("body %q; net/http: got %q, %v, want no error, and bytes.Equal(content, theirs)", content, theirs, err)
		}
		if h.Status != res.StatusCode || h.Chunked != (len(res.TransferEncoding) > 0) && !h.Bodiless(method) {
			t.Fatalf("%+v; net/http: got %+v, want h.Status == res.StatusCode && (h.Chunked == (len(res.TransferEncoding) > 0) || h.Bodiless(method))", h, res)
		}
		header := http.Header{}
		h.Forward(header)
		for name, values := range header {
			if name == "Content-Length" || values == nil {
				continue
			}
			if !slices.Equal(values, res.Header[name]) {
				t.Fatalf("%s: got %q; net/http: %q, want slices.Equal(values, res.Header[name])", name, values, res.Header[name])
			}
		}
		for _, f := range trailer {
			if !slices.Contains(res.Trailer[textproto.CanonicalMIMEHeaderKey(f.Name)], f.Value) {
				t.Fatalf("trailer %v; net/http: got %v, want slices.Contains(res.Trailer[textproto.CanonicalMIMEHeaderKey(f.Name)], f.Value)", f, res.Trailer)
			}
		}
	})
}
