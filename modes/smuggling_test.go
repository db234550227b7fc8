package modes

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/watchdogd/watchdogd/internal/http1/http1test"
	"github.com/watchdogd/watchdogd/internal/testkit"
)

// smuggled are requests of which two readers might see a different number. None may
// reach an upstream as more than the one that it is.
var smuggled = map[string]string{
	"length and chunked":            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunked and length":            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"twin lengths":                  "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
	"different lengths":             "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
	"a list of lengths":             "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 0\r\n\r\nhello",
	"a length with a sign":          "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello",
	"a length named by Connection":  "POST / HTTP/1.1\r\nHost: h\r\nConnection: Content-Length\r\nContent-Length: 5\r\n\r\nhello",
	"chunked named by Connection":   "POST / HTTP/1.1\r\nHost: h\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"Host named by Connection":      "GET / HTTP/1.1\r\nHost: h\r\nConnection: Host\r\n\r\n",
	"twin codings":                  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
	"an unknown coding":             "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	"a coding after VT":             "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n",
	"a space before the colon":      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\nhello",
	"a folded coding":               "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\nhello",
	"a folded line":                 "POST / HTTP/1.1\r\nHost: h\r\nX-A: b\r\n Content-Length: 3\r\nContent-Length: 5\r\n\r\nhello",
	"a bare line feed":              "POST / HTTP/1.1\nHost: h\nContent-Length: 5\n\nhello",
	"a bare line feed in the head":  "POST / HTTP/1.1\r\nHost: h\r\nX-A: b\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"a bare CR":                     "POST / HTTP/1.1\r\nHost: h\r\nX-A: b\rTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
	"NUL in a value":                "POST / HTTP/1.1\r\nHost: h\r\nX-A: b\x00c\r\nContent-Length: 5\r\n\r\nhello",
	"NUL in a name":                 "POST / HTTP/1.1\r\nHost: h\r\nX\x00A: b\r\nContent-Length: 5\r\n\r\nhello",
	"NUL in the path":               "GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n",
	"a space in the path":           "GET /a /b HTTP/1.1\r\nHost: h\r\n\r\n",
	"a tab in the path":             "GET /a\t/b HTTP/1.1\r\nHost: h\r\n\r\n",
	"an escaped line end":           "GET /%0d%0aX:%20y HTTP/1.1\r\nHost: h\r\n\r\n",
	"twin hosts":                    "GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
	"a host with a space":           "GET / HTTP/1.1\r\nHost: h i\r\n\r\n",
	"a bad chunk size":              "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
	"a chunk longer than its size":  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
	"a chunk that ends in LF":       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
	"an extension with a bare LF":   "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nhello\r\n0\r\n\r\n",
	"a huge chunk":                  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
	"a trailer that frames":         "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\r\n",
	"a trailer that announces that": "POST / HTTP/1.1\r\nHost: h\r\nTrailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
	"chunked in HTTP/1.0":           "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"CONNECT":                       "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n",
	"an unasked upgrade":            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
	"names with underscores":        "POST / HTTP/1.1\r\nHost: h\r\nTransfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
	"GET with a body":               "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 47\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\nX-Long: xx\r\n\r\n",
}

// recorder is an upstream that answers what it takes for requests, and keeps the
// bytes of each connection.
type recorder struct {
	mu    sync.Mutex
	bytes map[int]*bytes.Buffer
	paths []string
}

func (rec *recorder) serve(n int, p *testkit.Conn) {
	b := new(bytes.Buffer)
	rec.mu.Lock()
	rec.bytes[n] = b
	rec.mu.Unlock()
	in := bufio.NewReader(io.TeeReader(p.Reader, lockedWriter{&rec.mu, b}))
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, r.Body)
		rec.mu.Lock()
		rec.paths = append(rec.paths, r.RequestURI)
		rec.mu.Unlock()
		if err != nil {
			return
		}
		p.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func TestOneRequestNeverReachesTheUpstreamAsTwo(t *testing.T) {
	for name, request := range smuggled {
		rec := &recorder{bytes: map[int]*bytes.Buffer{}}
		front := proxyTo(t, testkit.Upstream(t, rec.serve))
		client := testkit.Dial(t, front)
		client.Send(request)
		_ = client.Conn.(interface{ CloseWrite() error }).CloseWrite() // nothing more comes
		answers := strings.Count(client.Tail(), "HTTP/1.1 ")
		rec.mu.Lock()
		if len(rec.paths) > 1 || answers > 1 {
			t.Errorf("%s: got %d answers, requests %q, want len(rec.paths) <= 1 && answers <= 1", name, answers, rec.paths)
		}
		for _, b := range rec.bytes {
			http1test.CheckFraming(t, name, b.String())
		}
		rec.mu.Unlock()
	}
}

// TestHTTP2PassesTheSameChecks sends by HTTP/2 what HTTP/1 would read differently.
func TestHTTP2PassesTheSameChecks(t *testing.T) {
	for name, fields := range map[string][]hpack.HeaderField{
		"a space in the path":       {{Name: ":path", Value: "/a HTTP/1.1 /b"}},
		"a line end in the path":    {{Name: ":path", Value: "/ HTTP/1.1\r\nX: y\r\n\r\nGET /smuggled"}},
		"a line end in the method":  {{Name: ":method", Value: "GET / HTTP/1.1\r\nX: y\r\n\r\nGET"}},
		"a space in the method":     {{Name: ":method", Value: "GET /smuggled"}},
		"a line end in the host":    {{Name: ":authority", Value: "h\r\nX: y"}},
		"a space in the host":       {{Name: ":authority", Value: "h X: y"}},
		"a line end in a value":     {{Name: "x", Value: "y\r\nTransfer-Encoding: chunked"}},
		"a bare line feed":          {{Name: "x", Value: "y\nTransfer-Encoding: chunked"}},
		"a line end in a name":      {{Name: "x: y\r\ntransfer-encoding", Value: "chunked"}},
		"a colon in a name":         {{Name: "transfer-encoding: chunked, x", Value: "y"}},
		"a coding":                  {{Name: "transfer-encoding", Value: "chunked"}},
		"a length that is wrong":    {{Name: "content-length", Value: "100"}},
		"a connection's field":      {{Name: "connection", Value: "x-forwarded-for"}},
		"an upgrade":                {{Name: "upgrade", Value: "websocket"}},
		"a path that is no path":    {{Name: ":path", Value: "@evil/"}},
		"a path that is an address": {{Name: ":path", Value: "http://evil/"}},
	} {
		rec := &recorder{bytes: map[int]*bytes.Buffer{}}
		front := proxyTo(t, testkit.Upstream(t, rec.serve))
		sendHTTP2(t, front, fields)
		rec.mu.Lock()
		if len(rec.paths) > 1 || slices.Contains(rec.paths, "/smuggled") {
			t.Errorf(`%s: got requests %q, want len(rec.paths) <= 1 && !slices.Contains(rec.paths, "/smuggled")`, name, rec.paths)
		}
		for _, b := range rec.bytes {
			http1test.CheckFraming(t, name, b.String())
			line, _, _ := strings.Cut(b.String(), "\r\n")
			if len(strings.Split(line, " ")) != 3 {
				t.Errorf("%s: the upstream gets %q", name, line)
			}
		}
		rec.mu.Unlock()
	}
}

// sendHTTP2 sends a GET of / with these fields instead of or besides the usual ones,
// frame by frame, and waits for the end of its stream or connection.
func sendHTTP2(t *testing.T, address string, fields []hpack.HeaderField) {
	t.Helper()
	client := testkit.Dial(t, address)
	client.Send(http2.ClientPreface)
	f := http2.NewFramer(client.Conn, client.Reader)
	_ = f.WriteSettings()
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, usual := range []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/"}, {Name: ":authority", Value: "h"}} {
		if i := slices.IndexFunc(fields, func(f hpack.HeaderField) bool { return f.Name == usual.Name }); i >= 0 {
			usual = fields[i]
		}
		_ = e.WriteField(usual)
	}
	for _, field := range fields {
		if field.Name[0] != ':' {
			_ = e.WriteField(field)
		}
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame.(type) {
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return
		}
		if frame.Header().StreamID == 1 && frame.Header().Flags.Has(http2.FlagDataEndStream) {
			return
		}
	}
}
