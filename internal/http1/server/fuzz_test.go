package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// script is a connection whose caller has said all, and closed his half.
type script struct {
	in   *strings.Reader
	step int // bytes a read gives at most; 0 is any number
	out  bytes.Buffer
}

func (s *script) Read(p []byte) (int, error) {
	if s.step > 0 && len(p) > s.step {
		p = p[:s.step]
	}
	return s.in.Read(p)
}
func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// play has a server without listener serve what in says, and gives what it answers.
func play(in string, step int, h http.HandlerFunc) string {
	s := &Server{Handler: h, Refuse: refuse, Log: slog.New(slog.DiscardHandler), MaxHeader: 1 << 16}
	s.clock = time.Now()
	s.conns = map[*conn]bool{}
	nc := &script{in: strings.NewReader(in), step: step}
	c := newConn(s, nc)
	s.enter(c)
	c.serve()
	return nc.out.String()
}

// Whatever we take for a head, net/http takes for the same. What we refuse on purpose,
// and it does not: several lengths or hosts, both Content-Length and Transfer-Encoding
// or one of them in HTTP/1.0, HTTP/1.2 to 1.9, folded lines, fields of a trailer that
// frame. What we take and it does not: empty lines before a head. A Trailer field where
// the body is not chunked stays in the header, and Pragma makes no Cache-Control.
func FuzzHead(f *testing.F) {
	for _, head := range badHeads {
		f.Add(head + "\r\n\r\n")
	}
	for _, head := range []string{
		get, "POST /a%2Fb?c HTTP/1.1\r\nHost: x:1\r\nContent-Length: 10\r\nA: b\r\na: c\r\n\r\n", "GET http://y/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"CONNECT [::1]:1 HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\nConnection: close\n\n", chunked,
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\nTrailer: a, B\r\nExpect: 100-continue\r\n\r\n", "GET //y@z/%41;? HTTP/1.1\r\nHost:\r\nPragma: no-cache\r\n\r\n",
	} {
		f.Add(head)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		end := http1.HeadEnd([]byte(raw), 0)
		if end == 0 {
			return
		}
		head := raw[:end]
		if slow := headEnd(head); slow != end {
			t.Fatalf("the end is at %d, and byte by byte at %d", end, slow)
		}
		c := newConn(&Server{}, &script{})
		c.take()
		if err := c.parse(head); err != nil {
			if why, ok := err.(*Refusal); !ok || why.Detail == "" || why.TooLarge {
				t.Errorf("got %v, want ok true, why.Detail something and why.TooLarge false", err)
			}
			return
		}
		ours := &c.request
		theirs, err := http.ReadRequest(bufio.NewReaderSize(strings.NewReader(head), len(head)+16))
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", head, err)
		}
		if _, ok := theirs.Header["Trailer"]; !ok {
			delete(ours.Header, "Trailer") // it was announced for nothing
		}
		if _, ok := ours.Header["Cache-Control"]; !ok {
			delete(theirs.Header, "Cache-Control") // it makes one of Pragma
		}
		for _, x := range []*http.Request{ours, theirs} {
			if len(x.Trailer) == 0 || x.ContentLength >= 0 {
				x.Trailer = nil
			}
		}
		for what, pair := range map[string][2]any{
			"method":   {ours.Method, theirs.Method},
			"target":   {ours.RequestURI, theirs.RequestURI},
			"URL":      {*ours.URL, *theirs.URL},
			"protocol": {ours.Proto, theirs.Proto},
			"host":     {ours.Host, theirs.Host},
			"length":   {ours.ContentLength, theirs.ContentLength},
			"coding":   {fmt.Sprint(ours.TransferEncoding), fmt.Sprint(theirs.TransferEncoding)},
			"header":   {ours.Header, theirs.Header},
			"trailer":  {ours.Trailer, theirs.Trailer},
		} {
			if !reflect.DeepEqual(pair[0], pair[1]) {
				t.Errorf("%s of %q: %q, and for net/http %q", what, head, pair[0], pair[1])
			}
		}
		if theirs.Close && !ours.Close {
			t.Errorf("%q is kept, and net/http closes", head)
		}
	})
}

// headEnd is http1.HeadEnd as if each byte came alone.
func headEnd(s string) int {
	p := []byte(s)
	for i := range p {
		if end := http1.HeadEnd(p[:i+1], i); end > 0 {
			return end
		}
	}
	return 0
}

// Whatever we take for a chunked body, net/http takes for the same, with the same
// trailer, and sees the same bytes behind it; but for a blank between a size and its
// extension, which RFC 9112, 7.1.1 has us read.
func FuzzChunked(f *testing.F) {
	for _, raw := range []string{
		"0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\nGET /", "3 ;a=b\r\nabc\r\n0;c\r\nA: b\r\na:c\r\n\r\n", "00a\r\n0123456789\r\n0\r\n\r\n", "1\nab\n0\n\n", "g\r\n", "-1\r\n", "1\r\na\r\n0\r\nX",
		"fffffffffffffff\r\nabc", "5\r\nabc\r\n", "1;\ra\r\na\r\n0\r\n\r\n",
	} {
		f.Add(raw, 1)
		f.Add(raw, 0)
	}
	f.Add("0\r\nA: "+strings.Repeat("v", 16<<10)+"\r\n\r\nGET /", 0)
	f.Fuzz(func(t *testing.T, raw string, step int) {
		read := func(r *http.Request) (string, http.Header, error) {
			body, err := io.ReadAll(r.Body)
			return string(body), r.Trailer, err
		}
		var ours, behind string
		var trailer http.Header
		var err error
		nc := &script{in: strings.NewReader(chunked + raw), step: max(0, step%16)}
		c := newConn(&Server{Log: slog.New(slog.DiscardHandler)}, nc)
		head, headErr := c.readHead()
		if headErr != nil || c.parse(head) != nil {
			t.Fatalf("got %v, want no error and c.parse(head) nil", headErr)
		}
		ours, trailer, err = read(&c.request)
		if err != nil {
			return
		}
		behind = string(c.buf[c.r:c.w])
		if nc.in.Len() > 0 {
			behind += raw[len(raw)-nc.in.Len():]
		}

		if strings.Contains(raw, " ;") || strings.Contains(raw, "\t;") {
			return
		}
		from := bufio.NewReaderSize(strings.NewReader(chunked+raw), http1.MaxTrailer+4<<10) // for net/http a trailer has to fit
		r, err := http.ReadRequest(from)
		if err != nil {
			t.Fatal(err)
		}
		theirs, theirTrailer, err := read(r)
		rest, _ := io.ReadAll(from)
		if ours != theirs || err != nil || string(rest) != behind || len(trailer)+len(theirTrailer) > 0 && !reflect.DeepEqual(trailer, theirTrailer) {
			t.Errorf("%q: %q %q, then %q; for net/http %q %q (%v), then %q", raw, ours, trailer, behind, theirs, theirTrailer, err, rest)
		}
	})
}

// Whatever a handler does, a client reads as what it did, and the connection is then
// where the next response begins.
func FuzzResponse(f *testing.F) {
	f.Add("GET", uint16(200), []byte("w3f w9 f"), "A", "b")
	f.Add("HEAD", uint16(200), []byte("lw3"), "Content-Type", "text/plain")
	f.Add("GET", uint16(204), []byte("w1"), "X\r\nY", "z\r\n\r\n")
	f.Add("POST", uint16(304), []byte("tw1"), "Trailer", "A")
	f.Add("GET", uint16(404), []byte("iwWWWf"), "Transfer-Encoding", "chunked")
	f.Add("GET", uint16(200), []byte("LwWr"), "Content-Length", "5")
	f.Add("GET", uint16(200), []byte("wrWpf"), "Connection", "keep-alive")
	f.Fuzz(func(t *testing.T, method string, status uint16, steps []byte, name, value string) {
		if !http1.ValidName(method) || method == "CONNECT" || len(steps) > 100 || len(value) > 1000 { // net/http's client takes no long trailer
			return
		}
		status = 200 + status%800
		name = http.CanonicalHeaderKey(name)
		var wrote []byte
		var all int
		for i, step := range steps { // what the handler will write
			switch step {
			case 'w':
				all += i % 7
			case 'W', 'r':
				all += 1000 * i
			}
		}
		write := func(w http.ResponseWriter, p []byte) {
			n, _ := w.Write(p)
			wrote = append(wrote, p[:n]...)
		}
		first := true
		answer := func(w http.ResponseWriter, r *http.Request) {
			if !first {
				w.Header().Set("Next", "1")
				w.Header().Set("Connection", "close")
				return
			}
			first = false
			w.Header().Set(name, value)
			for i, step := range steps {
				p := bytes.Repeat([]byte{byte('a' + i%26)}, 1000*i)
				switch step {
				case 'h':
					w.WriteHeader(int(status))
				case 'l':
					w.Header().Set("Content-Length", fmt.Sprint(all))
				case 'L':
					w.Header().Set("Content-Length", fmt.Sprint(all+1))
				case 'w':
					write(w, p[:min(len(p), i%7)])
				case 'W':
					write(w, p)
				case 'r':
					n, _ := w.(io.ReaderFrom).ReadFrom(bytes.NewReader(p))
					wrote = append(wrote, p[:n]...)
				case 'f':
					flush(w)
				case 'i':
					w.WriteHeader(103)
				case 't':
					w.Header().Set("Trailer", "Last")
					w.Header().Set("Last", value)
				case 'p':
					w.Header().Set(http.TrailerPrefix+"Last", value)
				}
			}
		}
		out := play(method+" / HTTP/1.1\r\nHost: x\r\n\r\n"+get, 0, answer)
		from := bufio.NewReader(strings.NewReader(out))
		var res *http.Response
		for {
			var err error
			if res, err = http.ReadResponse(from, &http.Request{Method: method}); err != nil {
				t.Fatalf("%q: %v", out, err)
			}
			if res.StatusCode >= 200 {
				break
			}
		}
		body, err := io.ReadAll(res.Body)
		bodiless := method == "HEAD" || res.StatusCode == 204 || res.StatusCode == 304
		if bodiless {
			wrote = nil
		}
		if err != nil { // only what is short of its length
			if res.ContentLength <= int64(len(wrote)) || !bytes.Equal(body, wrote) {
				t.Fatalf("%q: got %v %v %v, want more than %v and %v", out, err, res.ContentLength, body, int64(len(wrote)), wrote)
			}
			return
		}
		if !bytes.Equal(body, wrote) {
			t.Fatalf("%q: got %d bytes, wrote %d, want bytes.Equal(body, wrote)", out, len(body), len(wrote))
		}
		for key := range res.Header {
			if key != name && !slices.Contains([]string{"Date", "Content-Length", "Connection", "Last", "Trailer"}, key) {
				t.Fatalf("%q: it has %s", out, key)
			}
		}
		for key := range maps.Keys(res.Trailer) {
			if key != "Last" && (name != "Trailer" || !http1.ValidName(key)) && key != strings.TrimPrefix(name, http.TrailerPrefix) {
				t.Fatalf("%q: its trailer has %s", out, key)
			}
		}
		if res.Close {
			return
		}
		next, err := http.ReadResponse(from, nil)
		if err != nil || next.Header.Get("Next") != "1" {
			t.Fatalf("%q: the next is %v (%v)", out, next, err)
		}
		if rest, _ := io.ReadAll(from); len(rest) > 0 {
			t.Fatalf("%q, then: got %q, want nothing", out, rest)
		}
	})
}
