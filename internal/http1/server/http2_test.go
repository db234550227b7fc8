package server

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	wire "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/testkit"
)

// overHTTP2 sends a head without a body over a connection of its own, and returns the
// status of the response, or the name of the error that the stream or the connection ended with.
func (f *front) overHTTP2(fields ...string) string {
	f.t.Helper()
	nc, err := net.Dial(f.network, f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(testkit.Patience))
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, field := range fields {
		i := strings.Index(field[1:], ":") + 1
		_ = enc.WriteField(hpack.HeaderField{Name: field[:i], Value: strings.TrimSpace(field[i+1:])}) // to memory
	}
	fr := wire.NewFramer(nc, nc)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.dialed(nc.Write([]byte(wire.ClientPreface)))
	_ = fr.WriteSettings() // an error shows in what is read
	for first := true; first || block.Len() > 0; first = false {
		part := block.Next(16 << 10)
		if first {
			_ = fr.WriteHeaders(wire.HeadersFrameParam{StreamID: 1, BlockFragment: part, EndStream: true, EndHeaders: block.Len() == 0})
		} else {
			_ = fr.WriteContinuation(1, block.Len() == 0, part)
		}
	}
	for {
		frame, err := fr.ReadFrame()
		switch frame := frame.(type) {
		case *wire.MetaHeadersFrame:
			return frame.PseudoValue("status")
		case *wire.RSTStreamFrame:
			return frame.ErrCode.String()
		case *wire.GoAwayFrame:
			return frame.ErrCode.String()
		}
		if err != nil {
			return err.Error()
		}
	}
}

func (f *front) dialed(_ int, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestOverHTTP2ATargetOrAnAuthorityThatIsNoneIsRefused(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header["Host"] != nil {
			t.Errorf("got a Host field %q beside r.Host", r.Header["Host"])
		}
	})
	for _, test := range []struct{ method, scheme, authority, path, more, want string }{
		{"GET", "http", "x", "/", "", "200"},
		{"GET", "http", "x:8080", "/a//b?c", "", "200"},
		{"GET", "http", "[::1]:8080", "/", "host: [::1]:8080", "200"},
		{"OPTIONS", "http", "x", "*", "", "200"},
		{"GET", "http", "x", "*", "", "400"},
		{"GET", "http", "x", "/p#x", "", "400"},
		{"GET", "http", "x", "http://x/", "", "400"},
		{"GET", "http", "x", "http:/admin/f://x/y", "", "400"},
		{"GET", "http", "x", "/a\x7f", "", "PROTOCOL_ERROR"},
		{"GET", "http", "u:p@x", "/", "", "PROTOCOL_ERROR"},
		{"GET", "http", "x:http", "/", "", "400"},
		{"GET", "http", "x:99999", "/", "", "400"},
		{"GET", "http", "x/a", "/", "", "400"},
		{"GET", "http", "x", "/", "host: y", "400"},
		{"GET", "http", strings.Repeat("x.", 128), "/", "", "400"},
		{"CONNECT", "", "x:443", "", "", "200"},
		{"CONNECT", "", "x", "", "", "400"},
	} {
		fields := []string{":method: " + test.method}
		for name, value := range map[string]string{":scheme": test.scheme, ":authority": test.authority, ":path": test.path} {
			if value != "" {
				fields = append(fields, name+": "+value)
			}
		}
		if test.more != "" {
			fields = append(fields, test.more)
		}
		if got := f.overHTTP2(fields...); got != test.want {
			t.Errorf("%+v: got %s, want %s", test, got, test.want)
		}
	}
}

func TestOverHTTP2MoreFieldsThanMaxAreRefused(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	for n, want := range map[int]string{http1.MaxFields: "200", http1.MaxFields + 1: "431"} {
		fields := []string{":method: GET", ":scheme: http", ":authority: x", ":path: /"}
		for i := range n {
			fields = append(fields, fmt.Sprintf("a%d: b", i))
		}
		if got := f.overHTTP2(fields...); got != want {
			t.Errorf("%d fields: got %s, want %s", n, got, want)
		}
	}
}

func TestOverHTTP2TwoLengthsAreRefused(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	head := []string{":method: GET", ":scheme: http", ":authority: x", ":path: /", "content-length: 0"}
	for _, c := range []struct {
		more []string
		want string
	}{{nil, "200"}, {[]string{"content-length: 0"}, "400"}, {[]string{"content-length: 1"}, "400"}} {
		if got := f.overHTTP2(append(head[:5:5], c.more...)...); got != c.want {
			t.Errorf("beside a Content-Length, %q: got %s, want %s", c.more, got, c.want)
		}
	}
}
