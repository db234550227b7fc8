package routes

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// seen notes the targets of the requests that reach a handler, with what it read of them.
type seen struct {
	mu   sync.Mutex
	list []string
}

func (s *seen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	s.list = append(s.list, r.RequestURI+" "+string(body))
	s.mu.Unlock()
	if err != nil {
		obey(w, r, false)
		return
	}
	_, _ = io.WriteString(w, "served")
}

// Each shape is sent with a second request behind it, which somebody on the way
// could take for a part of the first, or the other way round.
func TestARequestThatCouldBeTakenForTwoNeverReachesTheHandlerAsTwo(t *testing.T) {
	const (
		head = "POST /a HTTP/1.1\r\nHost: x\r\n"
		next = "GET /a/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	)
	for name, raw := range map[string]string{
		"length and coding":           head + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"coding and length":           head + "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
		"coding, length of all":       head + "Transfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n0\r\n\r\n",
		"odd case":                    head + "cONTENT-lENGTH: 6\r\ntRANSFER-eNCODING: cHUNKED\r\n\r\n0\r\n\r\n",
		"twin lengths":                head + "Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
		"twin lengths in a list":      head + "Content-Length: 0, 44\r\n\r\n",
		"signed length":               head + "Content-Length: +0\r\n\r\n",
		"negative length":             head + "Content-Length: -1\r\n\r\n",
		"empty length":                head + "Content-Length:\r\n\r\n",
		"length in hex":               head + "Content-Length: 0x0\r\n\r\n",
		"two numbers":                 head + "Content-Length: 0 44\r\n\r\n",
		"enormous length":             head + "Content-Length: 18446744073709551616\r\n\r\n",
		"folded coding":               head + "X-A: b\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"folded value of the coding":  head + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
		"folded length":               head + "X-A: b\r\n\tContent-Length: 44\r\n\r\n",
		"length folded into another":  head + "Content-Length: 0\r\n 44\r\n\r\n",
		"a fold before all headers":   "POST /a HTTP/1.1\r\n X-A: b\r\nHost: x\r\n\r\n",
		"bare LF after a header":      head + "X-A: b\nContent-Length: 0\r\n\r\n",
		"bare LF ends the head":       head + "X-A: b\n\n",
		"bare LF and CRLF end it":     head + "X-A: b\n\r\n",
		"CRLF and bare LF end it":     head + "X-A: b\r\n\n",
		"bare LF everywhere":          "GET /a HTTP/1.1\nHost: x\n\n",
		"bare CR in a value":          head + "X-A: b\rContent-Length: 44\r\n\r\n",
		"bare CR in a name":           head + "X-\rA: b\r\n\r\n",
		"space before the colon":      head + "Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n",
		"space before the length's":   head + "Content-Length : 44\r\n\r\n",
		"tab before the colon":        head + "Content-Length\t: 44\r\n\r\n",
		"NUL in a value":              head + "Content-Length: 0\r\nX-A: b\x00c\r\n\r\n",
		"NUL in the length":           head + "Content-Length: 0\x00\r\n\r\n",
		"NUL in a name":               head + "Content-Length\x00: 44\r\n\r\n",
		"NUL in the target":           "GET /a\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
		"a line without colon":        head + "Content-Length 44\r\n\r\n",
		"another coding":              head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"identity":                    head + "Transfer-Encoding: identity\r\n\r\n",
		"chunked and more":            head + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"chunked twice":               head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two codings":                 head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
		"quoted":                      head + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
		"vertical tab":                head + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
		"coding in HTTP/1.0":          "POST /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
		"twin hosts":                  "GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"no host":                     "GET /a HTTP/1.1\r\n\r\n",
		"space in the target":         "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
		"two versions":                "GET /a HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n",
		"no version":                  "GET /a\r\n\r\n",
		"an unknown version":          "GET /a HTTP/1.2x\r\nHost: x\r\n\r\n",
		"size in 0x":                  head + "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
		"signed size":                 head + "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
		"no size":                     head + "Transfer-Encoding: chunked\r\n\r\n\r\n\r\n",
		"enormous size":               head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n\r\n",
		"size with a bare LF":         head + "Transfer-Encoding: chunked\r\n\r\n0\n\r\n",
		"extension with a bare LF":    head + "Transfer-Encoding: chunked\r\n\r\n0;a\n\r\n\r\n",
		"data longer than its size":   head + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
		"data without its end":        head + "Transfer-Encoding: chunked\r\n\r\n1\r\na0\r\n\r\n",
		"data with a bare LF":         head + "Transfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n",
		"a trailer that is none":      head + "Transfer-Encoding: chunked\r\n\r\n0\r\nGET /x HTTP/1.1\r\n\r\n",
		"a trailer with space":        head + "Transfer-Encoding: chunked\r\n\r\n0\r\nX : y\r\n\r\n",
		"a length as trailer":         head + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\n\r\n",
		"HTTP/2's preface in between": head + "Content-Length: 0\r\nContent-Length: 1\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := &seen{}
			f := serve(t, entry("a", s.ServeHTTP))
			all := f.exchange(raw + next)
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.list) > 1 || strings.Count(all, "served") > 1 {
				t.Errorf("%d requests: got %q\n%s\nwant len(s.list) <= 1 && strings.Count(all, \"served\") <= 1", len(s.list), s.list, all)
			}
			for _, one := range s.list {
				if strings.HasPrefix(one, "/a/smuggled") {
					t.Errorf("%q was served", one)
				}
			}
		})
	}
}

func TestOnlyHeadsAreLookedAtForHowTheirLinesEnd(t *testing.T) {
	s := &seen{}
	f := serve(t, entry("a", s.ServeHTTP))
	const post = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{\n \"a\":\n 1\n}"
	c := f.dial("")
	for i := range 3 {
		_, _ = io.WriteString(c, post)
		readAnswer(t, c, "served")
		if t.Failed() {
			t.Fatalf("got a failure at call %d, want none", i)
		}
	}
	_, _ = io.WriteString(c, "GET /a HTTP/1.1\nHost: x\n\n")
	if all, _ := io.ReadAll(c); !strings.HasSuffix(string(all), "served") || !strings.Contains(string(all), "Connection: close") {
		t.Errorf("not closed after a head with bare LFs: got %q, want %q at its end and %q in it", all, "served", "Connection: close")
	}
}

// readAnswer reads a response that ends with end, byte by byte, so that nothing behind it is read.
func readAnswer(t *testing.T, c io.Reader, end string) string {
	t.Helper()
	var all []byte
	for one := make([]byte, 1); !strings.HasSuffix(string(all), end); all = append(all, one[0]) {
		if _, err := c.Read(one); err != nil {
			t.Fatalf("%v after %q", err, all)
		}
	}
	return string(all)
}
