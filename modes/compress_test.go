package modes

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

var prose = strings.Repeat("It was a bright cold day in April, and the clocks were striking thirteen. ", 100)

// serveCompressed serves h behind what compresses.
func serveCompressed(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	c, err := newCompressed(h)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, c)
}

// plainBody takes the content coding off a body.
func plainBody(t *testing.T, r seenResponse) string {
	t.Helper()
	var in io.Reader = bytes.NewReader(r.body)
	switch coding := r.header.Get("Content-Encoding"); coding {
	case "gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			t.Fatal(err)
		}
		in = z
	case "zstd":
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		in = z
	case "":
	default:
		t.Fatalf("got coding %q, want one that is known", coding)
	}
	b, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheClientsPreferenceDecidesTheCoding(t *testing.T) {
	front := serveCompressed(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, prose)
	})
	for accept, want := range map[string]string{
		"":                                     "",
		"gzip":                                 "gzip",
		"GZIP;Q=1.000":                         "gzip",
		"zstd":                                 "zstd",
		"gzip, deflate, br, zstd":              "zstd",
		"gzip;q=1, zstd;q=0.5":                 "gzip",
		"gzip;q=0":                             "",
		"gzip;q=0, zstd;q=0":                   "",
		"*;q=0":                                "",
		"zstd;q=0, gzip":                       "gzip",
		"identity":                             "",
		"identity;q=0.5, gzip":                 "gzip",
		"br":                                   "",
		"gzip;q=NaN":                           "",
		", gzip ;q=0.1,":                       "gzip",
		"deflate, gzip;q=1.0, *;q=0.5":         "gzip",
		"compress;q=0.5, gzip;q=0.2, zstd;q=0": "gzip",
	} {
		got := fetch(t, front, "GET", "/", nil, http.Header{"Accept-Encoding": {accept}})
		if coding := got.header.Get("Content-Encoding"); coding != want || plainBody(t, got) != prose {
			t.Errorf("Accept-Encoding %q: got coding %q, want %q", accept, coding, want)
		}
	}
}

func TestTextIsCompressedForClientsThatAcceptIt(t *testing.T) {
	for _, withLength := range []bool{true, false} {
		front := serveCompressed(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("Etag", `"a"`)
			w.Header().Set("Accept-Ranges", "bytes")
			w.Header().Set("Vary", "Origin")
			if withLength {
				w.Header().Set("Content-Length", strconv.Itoa(len(prose)))
			}
			for p := range strings.SplitAfterSeq(prose, " ") {
				_, _ = io.WriteString(w, p)
			}
		})
		for _, coding := range []string{"gzip", "zstd"} {
			for range 3 { // encoders are used again
				got := fetch(t, front, "GET", "/", nil, http.Header{"Accept-Encoding": {coding}})
				if got.header.Get("Content-Encoding") != coding || len(got.body) > len(prose)/5 || plainBody(t, got) != prose {
					t.Errorf(`%s: got %v, %d bytes, want got.header.Get("Content-Encoding") == coding && len(got.body) <= len(prose) / 5 && plainBody(t, got) == prose`, coding, got.header, len(got.body))
				}
				if h := got.header; h.Get("Etag") != `W/"a"` || fmt.Sprint(h["Vary"]) != "[Origin Accept-Encoding]" || h["Accept-Ranges"] != nil {
					t.Errorf("%s: got %v, want h.Get(\"Etag\") == `W/\"a\"` && fmt.Sprint(h[\"Vary\"]) == \"[Origin Accept-Encoding]\" && h[\"Accept-Ranges\"] == nil", coding, h)
				}
			}
		}
		got := fetch(t, front, "GET", "/", nil, nil)
		if h := got.header; string(got.body) != prose || h["Content-Encoding"] != nil || h.Get("Etag") != `"a"` || fmt.Sprint(h["Vary"]) != "[Origin Accept-Encoding]" {
			t.Errorf("got %v, want the body as it is, its ETag and Vary: Accept-Encoding", h)
		}
	}
}

func TestSomeResponsesAreNeverCompressed(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header http.Header
		body   string
	}{
		"small":              {200, http.Header{"Content-Type": {"text/plain"}}, "small"},
		"small with length":  {200, http.Header{"Content-Type": {"text/plain"}, "Content-Length": {"5"}}, "small"},
		"compressed already": {200, http.Header{"Content-Type": {"text/plain"}, "Content-Encoding": {"br"}}, prose},
		"an image":           {200, http.Header{"Content-Type": {"image/png"}}, prose},
		"of no type":         {200, http.Header{"Content-Type": nil}, prose},
		"events":             {200, http.Header{"Content-Type": {"Text/Event-Stream; charset=utf-8"}}, prose},
		"ndjson":             {200, http.Header{"Content-Type": {"application/x-ndjson"}}, prose},
		"gRPC":               {200, http.Header{"Content-Type": {"application/grpc+proto"}}, prose},
		"a part":             {206, http.Header{"Content-Type": {"text/plain"}, "Content-Range": {"bytes 0-1/3"}}, prose},
		"not to be changed":  {200, http.Header{"Content-Type": {"text/plain"}, "Cache-Control": {"public, no-transform"}}, prose},
		"with a digest":      {200, http.Header{"Content-Type": {"text/plain"}, "Content-Digest": {"sha-256=:x:"}}, prose},
		"204":                {204, http.Header{"Content-Type": {"text/plain"}}, ""},
		"304":                {304, http.Header{"Content-Type": {"text/plain"}, "Etag": {`"a"`}}, ""},
	} {
		front := serveCompressed(t, func(w http.ResponseWriter, r *http.Request) {
			for name, values := range c.header {
				w.Header()[name] = values
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		got := fetch(t, front, "GET", "/", nil, http.Header{"Accept-Encoding": {"gzip"}})
		if string(got.body) != c.body || got.status != c.status || got.header.Get("Content-Encoding") != c.header.Get("Content-Encoding") || got.header.Get("Etag") != c.header.Get("Etag") {
			t.Errorf("%s: got %d %v, %d bytes, want all as the program sent it", name, got.status, got.header, len(got.body))
		}
	}
}

func TestNoRangeAndNoHeadIsCompressed(t *testing.T) {
	front := serveCompressed(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", strconv.Itoa(len(prose)))
		_, _ = io.WriteString(w, prose)
	})
	for method, header := range map[string]http.Header{"GET": {"Accept-Encoding": {"gzip"}, "Range": {"bytes=1-2"}}, "HEAD": {"Accept-Encoding": {"gzip"}}} {
		if got := fetch(t, front, method, "/", nil, header); got.header["Content-Encoding"] != nil || got.header.Get("Content-Length") != strconv.Itoa(len(prose)) {
			t.Errorf("%s: got %v, want no Content-Encoding and Content-Length %v", method, got.header, strconv.Itoa(len(prose)))
		}
	}
}

func TestWhatComesInPiecesIsPassedOnAsItComes(t *testing.T) {
	seen := make(chan struct{}, 10)
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		r, err := http.ReadRequest(p.Reader)
		if err != nil {
			return
		}
		p.Send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n")
		if r.URL.Path == "/length" {
			p.Send("Content-Length: " + strconv.Itoa(3*len(prose)) + "\r\n\r\n")
		} else {
			p.Send("\r\n")
		}
		for range 3 {
			if r.URL.Path == "/small" {
				p.Send("hello")
			} else {
				p.Send(prose)
			}
			testkit.Await(t, "a request", seen)
		}
	})
	front := proxyTo(t, up, func(r *schema.Route) { r.Compress = true })
	for path, coding := range map[string]string{"/small": "", "/large": "gzip", "/length": "gzip"} {
		client := testkit.Dial(t, front)
		client.Send("GET " + path + " HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n")
		res, err := http.ReadResponse(client.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Header.Get("Content-Encoding"); got != coding {
			t.Errorf("%s: got coding %q, want %q", path, got, coding)
		}
		var body io.Reader = res.Body
		want := "hello"
		if coding == "gzip" {
			want = prose
			if body, err = gzip.NewReader(res.Body); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			got := make([]byte, len(want))
			if _, err := io.ReadFull(body, got); err != nil || string(got) != want {
				t.Fatalf("%s: got %v, want no error, and string(got) == want", path, err)
			}
			seen <- struct{}{}
		}
		if rest, err := io.ReadAll(body); err != nil || len(rest) > 0 {
			t.Errorf("%s: got %q %v, want nothing and no error", path, rest, err)
		}
	}
}

func TestACompressedResponseThatFailsDoesNotLookWhole(t *testing.T) {
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		p.Head()
		p.Send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n" + prose)
	})
	client := testkit.Dial(t, proxyTo(t, up, func(r *schema.Route) { r.Compress = true }))
	client.Send("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n")
	res, err := http.ReadResponse(client.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("it is whole as HTTP")
	}
}

// What the encoder still holds when a handler gives up is not sent as a whole response.
func TestAShortResponseThatFailsDoesNotLookWhole(t *testing.T) {
	front := serveCompressed(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "the first part")
		panic(http.ErrAbortHandler)
	})
	for _, version := range []string{"1.1", "1.0"} {
		client := testkit.Dial(t, front)
		client.Send("GET / HTTP/" + version + "\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n")
		if got := client.Tail(); got != "" {
			t.Errorf("HTTP/%s: got %q, want nothing", version, got)
		}
	}
}

func TestACompressedCallStillKnowsItsInstance(t *testing.T) {
	c, err := newCompressed(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		call.From(r.Context()).SetInstance("api-1")
	}))
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	one, r := call.Enter(w, r)
	defer one.Leave()
	if c.ServeHTTP(w, r); one.Instance() != "api-1" {
		t.Errorf("got instance %q, want api-1", one.Instance())
	}
}

func TestFailuresAndUpgradesPassThroughWhatCompresses(t *testing.T) {
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		if r, err := http.ReadRequest(p.Reader); err != nil || r.URL.Path == "/bad" {
			return
		}
		p.Send("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
		p.Send(p.Take(5))
	})
	front := proxyTo(t, up, func(r *schema.Route) { r.Compress = true })
	if got := fetch(t, front, "GET", "/bad", nil, http.Header{"Accept-Encoding": {"gzip"}}); got.status != 502 || got.header["Content-Encoding"] != nil {
		t.Errorf("got %d %v, want 502 and no Content-Encoding", got.status, got.header)
	}
	client := testkit.Dial(t, front)
	client.Send(upgrading)
	if head := client.Head(); !strings.HasPrefix(head, "HTTP/1.1 103") {
		t.Errorf("got %q, want %q at its start", head, "HTTP/1.1 103")
	}
	if head := client.Head(); !strings.HasPrefix(head, "HTTP/1.1 101") {
		t.Errorf("got %q, want %q at its start", head, "HTTP/1.1 101")
	}
	client.Send("hello")
	_ = client.Conn.(*net.TCPConn).CloseWrite()
	if got := client.Tail(); got != "hello" {
		t.Errorf(`got %q, want "hello"`, got)
	}
}

func TestFilesAreCompressed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.html"), []byte(prose), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := New(&schema.Route{Name: "files", Mode: schema.Static, Root: dir, Compress: true}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	front := serve(t, h)
	got := fetch(t, front, "GET", "/a.html", nil, http.Header{"Accept-Encoding": {"zstd"}})
	if got.header.Get("Content-Encoding") != "zstd" || plainBody(t, got) != prose {
		t.Errorf(`got %v, want got.header.Get("Content-Encoding") == "zstd" && plainBody(t, got) == prose`, got.header)
	}
	again := fetch(t, front, "GET", "/a.html", nil, http.Header{"Accept-Encoding": {"zstd"}, "If-None-Match": {got.header.Get("Etag")}})
	if again.status != 304 {
		t.Errorf("got %d %v, want 304", again.status, again.header)
	}
	part := fetch(t, front, "GET", "/a.html", nil, http.Header{"Accept-Encoding": {"zstd"}, "Range": {"bytes=7-12"}})
	if part.status != 206 || string(part.body) != prose[7:13] || part.header["Content-Encoding"] != nil {
		t.Errorf("got %d %v %q, want 206, no Content-Encoding and %q", part.status, part.header, part.body, prose[7:13])
	}
}
