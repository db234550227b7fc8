package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/testkit"
)

// badHeads are refused. Each lacks its last end of line, and the empty line.
var badHeads = map[string]string{
	"no version":                     "GET /\r\nHost: x",
	"an old version":                 "GET / HTTP/0.9\r\nHost: x",
	"a new version":                  "GET / HTTP/2.0\r\nHost: x",
	"a version in lower case":        "GET / http/1.1\r\nHost: x",
	"something behind the version":   "GET / HTTP/1.1 \r\nHost: x",
	"no target":                      "GET  HTTP/1.1\r\nHost: x",
	"two blanks":                     "GET  / HTTP/1.1\r\nHost: x",
	"a blank in the target":          "GET /a b HTTP/1.1\r\nHost: x",
	"a tab for a blank":              "GET\t/ HTTP/1.1\r\nHost: x",
	"a control byte in the target":   "GET /\x01 HTTP/1.1\r\nHost: x",
	"a target without slash":         "GET x HTTP/1.1\r\nHost: x",
	"a broken escape":                "GET /%zz HTTP/1.1\r\nHost: x",
	"no method":                      " / HTTP/1.1\r\nHost: x",
	"a method that is no token":      "G(T / HTTP/1.1\r\nHost: x",
	"a field first":                  "Host: x",
	"no Host":                        "GET / HTTP/1.1",
	"two Hosts":                      "GET / HTTP/1.1\r\nHost: x\r\nHost: x",
	"a Host that is none":            "GET / HTTP/1.1\r\nHost: a b",
	"a Host with a slash":            "GET / HTTP/1.1\r\nHost: a/b",
	"a Host with a user":             "GET / HTTP/1.1\r\nHost: u@x",
	"a Host with a word for a port":  "GET / HTTP/1.1\r\nHost: x:http",
	"a Host with a port too high":    "GET / HTTP/1.1\r\nHost: x:65536",
	"a Host with port 0":             "GET / HTTP/1.1\r\nHost: x:0",
	"a Host with two ports":          "GET / HTTP/1.1\r\nHost: x:1:2",
	"a Host that is a port":          "GET / HTTP/1.1\r\nHost: :80",
	"a Host with half an escape":     "GET / HTTP/1.1\r\nHost: x%2",
	"a Host with an open bracket":    "GET / HTTP/1.1\r\nHost: [::1",
	"a Host with a name in brackets": "GET / HTTP/1.1\r\nHost: [x]",
	"a Host with a word behind":      "GET / HTTP/1.1\r\nHost: [::1]x",
	"a Host of 256 bytes":            "GET / HTTP/1.1\r\nHost: " + strings.Repeat("x", 256),
	"a million dots":                 "GET / HTTP/1.1\r\nHost: " + strings.Repeat(".", 500_000),
	"a fragment":                     "GET /p#x HTTP/1.1\r\nHost: x",
	"a fragment in a query":          "GET /p?a#x HTTP/1.1\r\nHost: x",
	"a fragment in a URL":            "GET http://h/p#x HTTP/1.1\r\nHost: x",
	"a user in a URL":                "GET http://u:p@h/ HTTP/1.1\r\nHost: x",
	"an empty user in a URL":         "GET http://@h/ HTTP/1.1\r\nHost: x",
	"a URL without a host":           "GET http:///p HTTP/1.1\r\nHost: x",
	"a URL without an authority":     "GET http:/admin/f://x/y HTTP/1.1\r\nHost: x",
	"a URL that is opaque":           "GET http:p HTTP/1.1\r\nHost: x",
	"a URL with a word for a port":   "GET http://h:x/ HTTP/1.1\r\nHost: x",
	"a URL of another scheme":        "GET foo://h/p HTTP/1.1\r\nHost: x",
	"a URL with a long host":         "GET http://" + strings.Repeat("x", 256) + "/ HTTP/1.1\r\nHost: x",
	"CONNECT with a path":            "CONNECT /p HTTP/1.1\r\nHost: x",
	"CONNECT without a port":         "CONNECT h HTTP/1.1\r\nHost: x",
	"CONNECT without a host":         "CONNECT :443 HTTP/1.1\r\nHost: x",
	"CONNECT with a user":            "CONNECT u@h:443 HTTP/1.1\r\nHost: x",
	"CONNECT with a path behind":     "CONNECT h:443/p HTTP/1.1\r\nHost: x",
	"CONNECT with a URL":             "CONNECT http://h:443/ HTTP/1.1\r\nHost: x",
	"a star for GET":                 "GET * HTTP/1.1\r\nHost: x",
	"a star and more":                "OPTIONS */a HTTP/1.1\r\nHost: x",
	"a fold":                         "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c",
	"a fold by a tab":                "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc",
	"a fold before the fields":       "GET / HTTP/1.1\r\n A: b\r\nHost: x",
	"a blank before the colon":       "GET / HTTP/1.1\r\nHost: x\r\nA : b",
	"no colon":                       "GET / HTTP/1.1\r\nHost: x\r\nA",
	"no name":                        "GET / HTTP/1.1\r\nHost: x\r\n: b",
	"a control byte in a name":       "GET / HTTP/1.1\r\nHost: x\r\nA\x00: b",
	"a control byte in a value":      "GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c",
	"a CR in a value":                "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc",
	"a CR at the end of a value":     "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\r",
	"DEL in a value":                 "GET / HTTP/1.1\r\nHost: x\r\nA: \x7f",
	"length and coding":              "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
	"coding and length":              "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
	"coding and a length of 0":       "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 0",
	"two lengths":                    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6",
	"a length twice":                 "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5",
	"a list of lengths":              "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5",
	"a length with a sign":           "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5",
	"a length below 0":               "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5",
	"a length in hex":                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5",
	"a length with an underscore":    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1_0",
	"an empty length":                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ",
	"a length of more than 63 bits":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775808",
	"another coding":                 "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip",
	"two codings":                    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked",
	"chunked twice":                  "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
	"chunked twice in a list":        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked",
	"no coding":                      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:",
	"identity":                       "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity",
	"a coding in quotes":             "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \"chunked\"",
	"a coding with a vertical tab":   "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \vchunked",
	"a coding in HTTP/1.0":           "POST / HTTP/1.0\r\nTransfer-Encoding: chunked",
	"a trailer that frames":          "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length",
	"HTTP/2's preface, changed":      "PRI * HTTP/2.0\r\n\r\nSN",
}

// Behind each comes a second request, which must not be served either.
func TestAHeadThatCouldBeReadInTwoWaysIsRefusedAndTheConnectionClosed(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) { t.Errorf("%s was served", r.RequestURI) })
	for name, head := range badHeads {
		t.Run(name, func(t *testing.T) {
			all := f.exchange(head + "\r\n\r\n" + get)
			if !strings.HasPrefix(all, "HTTP/1.1 400 Bad Request\r\n") || !strings.Contains(all, "\r\nConnection: close\r\n") || !strings.Contains(all, "\r\nRefused: yes\r\n") || strings.Count(all, "HTTP/1.1 ") != 1 {
				t.Errorf("got %q, want one answer of 400 with Refused and Connection: close", all)
			}
		})
	}
}

func TestAHeadIsReadAsNetHTTPReadsIt(t *testing.T) {
	type row struct{ head, want string }
	seen := make(chan string, 1)
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Connection")
		seen <- fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Proto, " host=", r.Host, " url=", r.URL, " path=", r.URL.Path, " ", r.Header, " length=", r.ContentLength, " close=", r.Close)
	})
	for name, test := range map[string]row{
		"plain":                     {"GET /a HTTP/1.1\r\nHost: x", "GET /a HTTP/1.1 host=x url=/a path=/a map[] length=0 close=false"},
		"a name in any case":        {"GET /a HTTP/1.1\r\nhOST: x\r\nfOO-bAR: b", "GET /a HTTP/1.1 host=x url=/a path=/a map[Foo-Bar:[b]] length=0 close=false"},
		"blanks around a value":     {"GET /a HTTP/1.1\r\nHost:x \r\nA: \t b\tc \t", "GET /a HTTP/1.1 host=x url=/a path=/a map[A:[b\tc]] length=0 close=false"},
		"a field twice":             {"GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\nB: c\r\na: d", "GET /a HTTP/1.1 host=x url=/a path=/a map[A:[b d] B:[c]] length=0 close=false"},
		"an empty value":            {"GET /a HTTP/1.1\r\nHost: x\r\nA:", "GET /a HTTP/1.1 host=x url=/a path=/a map[A:[]] length=0 close=false"},
		"bytes above ASCII":         {"GET /ä HTTP/1.1\r\nHost: x\r\nA: ä", "GET /ä HTTP/1.1 host=x url=/%C3%A4 path=/ä map[A:[ä]] length=0 close=false"},
		"an empty Host":             {"GET /a HTTP/1.1\r\nHost:", "GET /a HTTP/1.1 host= url=/a path=/a map[] length=0 close=false"},
		"a query":                   {"GET /a?b=c?d HTTP/1.1\r\nHost: x", "GET /a?b=c?d HTTP/1.1 host=x url=/a?b=c?d path=/a map[] length=0 close=false"},
		"an empty query":            {"GET /a? HTTP/1.1\r\nHost: x", "GET /a? HTTP/1.1 host=x url=/a? path=/a map[] length=0 close=false"},
		"two slashes":               {"GET //a/b HTTP/1.1\r\nHost: x", "GET //a/b HTTP/1.1 host=x url=//a/b path=//a/b map[] length=0 close=false"},
		"an escape":                 {"GET /a%2Fb%20c HTTP/1.1\r\nHost: x", "GET /a%2Fb%20c HTTP/1.1 host=x url=/a%2Fb%20c path=/a/b c map[] length=0 close=false"},
		"absolute":                  {"GET http://y:1/a?b HTTP/1.1\r\nHost: x", "GET http://y:1/a?b HTTP/1.1 host=y:1 url=http://y:1/a?b path=/a map[] length=0 close=false"},
		"absolute in capitals":      {"GET HTTPS://y HTTP/1.1\r\nHost: x", "GET HTTPS://y HTTP/1.1 host=y url=https://y path= map[] length=0 close=false"},
		"an address":                {"GET /a HTTP/1.1\r\nHost: [fe80::1%25eth0]:8080", "GET /a HTTP/1.1 host=[fe80::1%25eth0]:8080 url=/a path=/a map[] length=0 close=false"},
		"an underscore in Host":     {"GET /a HTTP/1.1\r\nHost: a_b.example.:80", "GET /a HTTP/1.1 host=a_b.example.:80 url=/a path=/a map[] length=0 close=false"},
		"a Host with an empty port": {"GET /a HTTP/1.1\r\nHost: x:", "GET /a HTTP/1.1 host=x: url=/a path=/a map[] length=0 close=false"},
		"OPTIONS *":                 {"OPTIONS * HTTP/1.1\r\nHost: x", "OPTIONS * HTTP/1.1 host=x url=* path=* map[] length=0 close=false"},
		"CONNECT":                   {"CONNECT y:443 HTTP/1.1\r\nHost: x", "CONNECT y:443 HTTP/1.1 host=y:443 url=//y:443 path= map[] length=0 close=false"},
		"a method of one's own":     {"patch! /a HTTP/1.1\r\nHost: x", "patch! /a HTTP/1.1 host=x url=/a path=/a map[] length=0 close=false"},
		"a length of 0":             {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0", "POST /a HTTP/1.1 host=x url=/a path=/a map[Content-Length:[0]] length=0 close=false"},
		"chunked in any case":       {"GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: ChunKed", "GET /a HTTP/1.1 host=x url=/a path=/a map[] length=-1 close=false"},
		"closing":                   {"GET /a HTTP/1.1\r\nHost: x\r\nConnection: a, Close", "GET /a HTTP/1.1 host=x url=/a path=/a map[] length=0 close=true"},
		"HTTP/1.0":                  {"GET /a HTTP/1.0", "GET /a HTTP/1.0 host= url=/a path=/a map[] length=0 close=true"},
		"HTTP/1.0, kept":            {"GET /a HTTP/1.0\r\nConnection: Keep-Alive", "GET /a HTTP/1.0 host= url=/a path=/a map[] length=0 close=false"},
		"HTTP/1.0, kept and not":    {"GET /a HTTP/1.0\r\nConnection: keep-alive, close", "GET /a HTTP/1.0 host= url=/a path=/a map[] length=0 close=true"},
		"an empty line before":      {"\r\nGET /a HTTP/1.1\r\nHost: x", "GET /a HTTP/1.1 host=x url=/a path=/a map[] length=0 close=false"},
		"empty lines before":        {"\r\n\r\n\r\nGET /a HTTP/1.1\r\nHost: x", "GET /a HTTP/1.1 host=x url=/a path=/a map[] length=0 close=false"},
		"expecting what is unknown": {"GET /a HTTP/1.1\r\nHost: x\r\nExpect: wonders", "GET /a HTTP/1.1 host=x url=/a path=/a map[Expect:[wonders]] length=0 close=false"},
	} {
		t.Run(name, func(t *testing.T) {
			c := f.dial(test.head + "\r\n\r\n")
			if got := within(t, seen); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			_ = c.Close() // what is chunked never ends
		})
	}
}

// within waits for a value.
func within[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(testkit.Patience):
		t.Fatal("waited in vain")
	}
	return v
}

func TestLinesThatEndInABareLFAreServedAndTheConnectionClosed(t *testing.T) {
	f := serve(t, hello)
	for _, head := range []string{
		"POST /a HTTP/1.1\nHost: x\nContent-Length: 2\n\n",
		"POST /a HTTP/1.1\r\nHost: x\nContent-Length: 2\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\n",
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\n\r\n",
		"POST /a HTTP/1.0\nConnection: keep-alive\nContent-Length: 2\n\n",
	} {
		all := f.exchange(head + "hi" + get)
		if !strings.HasSuffix(all, "POST /a hi") || !strings.Contains(all, "Connection: close\r\n") {
			t.Errorf("%q: got %q, want %q at its end and %q in it", head, all, "POST /a hi", "Connection: close\r\n")
		}
	}
}

func TestARequestMayComeInPiecesCutAnywhere(t *testing.T) {
	f := serve(t, hello)
	c := f.dial("")
	for _, raw := range []string{
		"\r\nPOST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\nT: u\r\n\r\n",
	} {
		for i := range len(raw) {
			c.Send(raw[:i])
			c.Send(raw[i:])
			c.Want(200, "POST /a abc")
		}
		for i := range len(raw) {
			c.Send(raw[i : i+1])
		}
		c.Want(200, "POST /a abc")
	}
}

// The server must have read the first part before the second comes.
func TestAnEmptyLineBeforeARequestMayBeCutInTwo(t *testing.T) {
	f := serve(t, hello)
	for _, parts := range [][2]string{{"\r", "\n" + get}, {"\r\n", get}, {"\r\n\r", "\n" + get}, {"\r\n\r\n", "\r\n" + get}} {
		c := f.dial(parts[0])
		testkit.Eventually(t, "the first part is read", func() bool { return f.states(inHead) == 1 })
		c.Send(parts[1])
		c.Want(200, "GET / ")
		_ = c.Close()
		testkit.Eventually(t, "it is closed", func() bool { return f.connections() == 0 })
	}
}

func TestAHeadMayBeAsLargeAsMaxHeader(t *testing.T) {
	f := serve(t, hello, func(s *Server) { s.MaxHeader = 10000 })
	const begin, end = "GET / HTTP/1.1\r\nHost: x\r\nX: ", "\r\n\r\n"
	fits := begin + strings.Repeat("x", 10000-len(begin)-len(end)) + end
	c := f.dial(fits + fits)
	c.Want(200, "GET / ")
	c.Want(200, "GET / ")

	for name, raw := range map[string]string{
		"a byte more":        begin + strings.Repeat("x", 10001-len(begin)-len(end)) + end,
		"without an end":     begin + strings.Repeat("x", 20000),
		"one line":           strings.Repeat("x", 20000),
		"many fields":        begin + strings.Repeat("\r\na: b", 5000) + end,
		"a request behind":   begin + strings.Repeat("x", 20000) + end + get,
		"behind another one": get + begin + strings.Repeat("x", 20000) + end,
	} {
		all := f.exchange(raw)
		all = strings.TrimPrefix(all, all[:max(0, strings.LastIndex(all, "HTTP/1.1"))])
		if !strings.HasPrefix(all, "HTTP/1.1 431 ") || !strings.HasSuffix(all, "larger than server.max_header") {
			t.Errorf("%s: got %q, want %q at its start and %q at its end", name, all, "HTTP/1.1 431 ", "larger than server.max_header")
		}
	}
}

func TestMoreFieldsThanMaxAreRefusedInAHeadAndATrailer(t *testing.T) {
	f := serve(t, hello)
	fields := func(n int) (s string) {
		for i := range n {
			s += fmt.Sprintf("a%d: b\r\n", i)
		}
		return s
	}
	f.dial("GET / HTTP/1.1\r\nHost: x\r\n"+fields(http1.MaxFields-1)+"\r\n").Want(200, "GET / ")
	const post = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
	f.dial(post+"\r\n0\r\n"+fields(http1.MaxFields)+"\r\n").Want(200, "POST / ")
	f.dial(post+"\r\n0\r\n"+fields(http1.MaxFields+1)+"\r\n").Want(400, "the trailer is too long")
	for name, raw := range map[string]string{
		"fields":         "GET / HTTP/1.1\r\nHost: x\r\n" + fields(http1.MaxFields) + "\r\n",
		"trailer's name": post + "Trailer: a" + strings.ReplaceAll(fields(http1.MaxFields), ": b\r\n", ", ") + "z\r\n\r\n0\r\n\r\n",
	} {
		if all := f.exchange(raw); !strings.HasPrefix(all, "HTTP/1.1 431 ") || !strings.HasSuffix(all, "has more than 1000 fields") {
			t.Errorf("one %s too many: got %q, want a 431 that names the bound", name, all)
		}
	}
}

func TestTLSWhereNoneIsSpokenIsRefusedInWords(t *testing.T) {
	f := serve(t, hello)
	if all := f.exchange("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"); !strings.HasPrefix(all, "HTTP/1.1 400 ") || !strings.Contains(all, "TLS") {
		t.Errorf("got %q, want %q at its start and %q in it", all, "HTTP/1.1 400 ", "TLS")
	}
}

func TestAHostThatIsEmptyLeavesTheAddressThatWasReached(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.Context().Value(http.LocalAddrContextKey))
	})
	f.dial("GET / HTTP/1.0\r\n\r\n").Want(200, f.address)
	f.dial("GET / HTTP/1.1\r\nHost:\r\n\r\n").Want(200, f.address)
}

func TestASlowHeadIsCut(t *testing.T) {
	f := serve(t, hello, func(s *Server) { s.Header = short })
	for _, raw := range []string{"", "\r\n", "P", "GET / HT", strings.TrimSuffix(get, "\n")} {
		if all := f.exchange(raw); all != "" {
			t.Errorf(`%q: got %q, want ""`, raw, all)
		}
	}
	c := f.dial(get) // the time is a head's, not a connection's
	c.Want(200, "GET / ")
	testkit.Eventually(t, "several times of a head", func() bool { return f.server.now() > int64(4*short) })
	c.Send(get)
	c.Want(200, "GET / ")
}

func TestARequestWithTooManyConnectionOptionsIsRefused(t *testing.T) {
	all := serve(t, hello).exchange("GET / HTTP/1.1\r\nHost: x\r\nConnection: " + strings.Repeat("q,", http1.MaxOptions+1) + "\r\n\r\n")
	if want := "HTTP/1.1 400 "; !strings.HasPrefix(all, want) {
		t.Errorf("a request with more options: got %q, want %s", all, want)
	}
}
