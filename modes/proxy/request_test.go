package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/http1/http1test"
)

// FuzzRequest holds what we write against net/http's reader: whatever is in a
// request, it is refused or it is read as the one request that it is.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/a?b", "h", "X-A", "b", "close", "x", int64(0))
	f.Add("POST", "/", "h", "transfer-encoding", "chunked", "X-A", "x", int64(3))
	f.Add("POST", "/%2e%2e//", "h:1", "Transfer-Encoding", "chunked", "X-A", "trailers", int64(-1))
	f.Add("PUT", "http://h/a b", "h", "X: y\r\nZ", "b\r\nContent-Length: 3", "upgrade", "websocket", int64(5))
	f.Fuzz(func(t *testing.T, method, uri, host, name, value, connection, upgrade string, length int64) {
		name = http.CanonicalHeaderKey(name) // as every server makes names: what ends with the connection is found by them
		r := &http.Request{
			Method: method, RequestURI: uri, URL: new(url.URL), Host: host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header:        http.Header{"Connection": {connection}, "Upgrade": {upgrade}, "Te": {upgrade}, name: {value, value}},
			Body:          io.NopCloser(strings.NewReader("")),
			ContentLength: length, Trailer: http.Header{name: nil},
		}
		to, err := Target(r, "")
		if err != nil {
			return
		}
		var q request
		defer q.release()
		if q.prepare(r, new(call.Call).Fields(r), bodyOf(r), nil, to, "upstream") != nil {
			return
		}
		head := q.out[:q.head]
		const next = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n"
		in := bufio.NewReaderSize(strings.NewReader(string(head)+next), len(head)+len(next))
		got, err := http.ReadRequest(in)
		if err != nil {
			switch {
			case strings.Contains(err.Error(), "invalid URI"), strings.Contains(err.Error(), "parse"), strings.Contains(err.Error(), "malformed Host"):
				return // net/http's server would not have let it come here
			}
			t.Fatalf("%v: got %q, want no error", err, head)
		}
		if got.Method != method || got.RequestURI != to || in.Buffered() != len(next) {
			t.Fatalf("%q is read as %s %s with %d bytes left", head, got.Method, got.RequestURI, in.Buffered())
		}
		if want := max(length, -1); got.ContentLength != want {
			t.Fatalf("%q: got length %d, want %d", head, got.ContentLength, want)
		}
		http1test.CheckFraming(t, fmt.Sprintf("%q", head), string(head))
	})
}

// bodyOf returns the body of a request that no server has read.
func bodyOf(r *http.Request) *call.Body {
	c, _ := call.Enter(httptest.NewRecorder(), r)
	return c.Body()
}
