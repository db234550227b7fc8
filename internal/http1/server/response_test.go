package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// print writes s.
func print(w http.ResponseWriter, s string) { _, _ = io.WriteString(w, s) }

// flush flushes.
func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// plainly is a response without its Date, and with "|" for an end of line.
func plainly(raw string) string {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	var lines []string
	for line := range strings.SplitSeq(head, "\r\n") {
		if !strings.HasPrefix(line, "Date: ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "|") + "||" + body
}

func TestAResponseIsFramedByWhatItsHandlerDid(t *testing.T) {
	big := strings.Repeat("x", 10000)
	for name, test := range map[string]struct {
		request string // its begin, GET / HTTP/1.1 if empty
		handler http.HandlerFunc
		want    string
		kept    bool
	}{
		"nothing": {"", func(http.ResponseWriter, *http.Request) {}, "HTTP/1.1 200 OK|Content-Length: 0||", true},
		"short":   {"", func(w http.ResponseWriter, _ *http.Request) { print(w, "a"); print(w, "b") }, "HTTP/1.1 200 OK|Content-Length: 2||ab", true},
		"long":    {"", func(w http.ResponseWriter, _ *http.Request) { print(w, big) }, "HTTP/1.1 200 OK|Transfer-Encoding: chunked||2710\r\n" + big + "\r\n0\r\n\r\n", true},
		"short, long": {"", func(w http.ResponseWriter, _ *http.Request) { print(w, "a"); print(w, big); print(w, "b") },
			"HTTP/1.1 200 OK|Transfer-Encoding: chunked||1\r\na\r\n2710\r\n" + big + "\r\n1\r\nb\r\n0\r\n\r\n", true},
		"flushed": {"", func(w http.ResponseWriter, _ *http.Request) { print(w, "a"); flush(w); flush(w); print(w, "b") },
			"HTTP/1.1 200 OK|Transfer-Encoding: chunked||1\r\na\r\n1\r\nb\r\n0\r\n\r\n", true},
		"flushed first": {"", func(w http.ResponseWriter, _ *http.Request) { flush(w) }, "HTTP/1.1 200 OK|Transfer-Encoding: chunked||0\r\n\r\n", true},
		"with a length": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			print(w, "a")
			flush(w)
			print(w, "bc")
		}, "HTTP/1.1 200 OK|Content-Length: 3||abc", true},
		"too short": {"", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "3"); print(w, "a") },
			"HTTP/1.1 200 OK|Content-Length: 3||a", false},
		"too long": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			if n, err := w.Write([]byte("abcd")); n != 3 || err != http.ErrContentLength {
				t.Errorf("got %v %v, want 3 %v", n, err, http.ErrContentLength)
			}
			if n, err := w.Write([]byte("d")); n != 0 || err != http.ErrContentLength {
				t.Errorf("got %v %v, want 0 %v", n, err, http.ErrContentLength)
			}
		}, "HTTP/1.1 200 OK|Content-Length: 3||abc", true},
		"a length that is none": {"", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "-3"); print(w, "a") },
			"HTTP/1.1 200 OK|Content-Length: 1||a", true},
		"two lengths": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Length"] = []string{"1", "1"}
			print(w, "a")
		},
			"HTTP/1.1 200 OK|Content-Length: 1||a", true},
		"a coding of its own": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Transfer-Encoding", "gzip")
			print(w, "a")
		},
			"HTTP/1.1 200 OK|Content-Length: 1||a", true},
		"HEAD": {"HEAD / HTTP/1.1", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			if n, err := w.Write([]byte("abc")); n != 3 || err != nil {
				t.Errorf("got %v %v, want 3 and no error", n, err)
			}
		}, "HTTP/1.1 200 OK|Content-Length: 3||", true},
		"HEAD, length unknown": {"HEAD / HTTP/1.1", func(w http.ResponseWriter, _ *http.Request) { print(w, big) }, "HTTP/1.1 200 OK||", true},
		"204": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			w.WriteHeader(204)
			if _, err := w.Write([]byte("abc")); err != http.ErrBodyNotAllowed {
				t.Errorf("got %v, want %v", err, http.ErrBodyNotAllowed)
			}
		}, "HTTP/1.1 204 No Content||", true},
		"304": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			w.WriteHeader(304)
			if _, err := w.Write([]byte("abc")); err != http.ErrBodyNotAllowed {
				t.Errorf("got %v, want %v", err, http.ErrBodyNotAllowed)
			}
		}, "HTTP/1.1 304 Not Modified|Content-Length: 3||", true},
		"101 that is not taken over": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.WriteHeader(101)
		},
			"HTTP/1.1 101 Switching Protocols|Connection: Upgrade||", true},
		"a status without words": {"", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) }, "HTTP/1.1 599 |Content-Length: 0||", true},
		"two statuses":           {"", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); w.WriteHeader(500) }, "HTTP/1.1 404 Not Found|Content-Length: 0||", true},
		"closing": {"", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "a, close"); print(w, "a") },
			"HTTP/1.1 200 OK|Connection: close|Content-Length: 1||a", false},
		"closing by request": {"GET / HTTP/1.1\r\nConnection: close", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "keep-alive")
			print(w, "a")
		},
			"HTTP/1.1 200 OK|Connection: close|Content-Length: 1||a", false},
		"HTTP/1.0":            {"GET / HTTP/1.0", func(w http.ResponseWriter, _ *http.Request) { print(w, "a") }, "HTTP/1.1 200 OK|Connection: close|Content-Length: 1||a", false},
		"HTTP/1.0, long":      {"GET / HTTP/1.0", func(w http.ResponseWriter, _ *http.Request) { print(w, big) }, "HTTP/1.1 200 OK|Connection: close||" + big, false},
		"HTTP/1.0, kept":      {"GET / HTTP/1.0\r\nConnection: keep-alive", func(w http.ResponseWriter, _ *http.Request) { print(w, "a") }, "HTTP/1.1 200 OK|Content-Length: 1|Connection: keep-alive||a", true},
		"HTTP/1.0, kept, 304": {"GET / HTTP/1.0\r\nConnection: keep-alive", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, "HTTP/1.1 304 Not Modified|Connection: keep-alive||", true},
		"HTTP/1.0, kept, long": {"GET / HTTP/1.0\r\nConnection: keep-alive", func(w http.ResponseWriter, _ *http.Request) { print(w, big) },
			"HTTP/1.1 200 OK|Connection: close||" + big, false},
		"HTTP/1.0, kept, a trailer": {"GET / HTTP/1.0\r\nConnection: keep-alive", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(http.TrailerPrefix+"A", "b")
			print(w, "a")
		}, "HTTP/1.1 200 OK|Content-Length: 1|Connection: keep-alive||a", true},
		"a trailer, announced": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "a, Content-Length,b c")
			print(w, "a")
			w.Header().Set("A", "b\r\nc")
		}, "HTTP/1.1 200 OK|Trailer: A|Transfer-Encoding: chunked||1\r\na\r\n0\r\nA: b  c\r\n\r\n", true},
		"a trailer that does not come": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "A")
			print(w, "a")
		}, "HTTP/1.1 200 OK|Trailer: A|Transfer-Encoding: chunked||1\r\na\r\n0\r\n\r\n", true},
		"a trailer, prefixed": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(http.TrailerPrefix+"A", "b")
			print(w, "a")
		}, "HTTP/1.1 200 OK|Transfer-Encoding: chunked||1\r\na\r\n0\r\nA: b\r\n\r\n", true},
		"a trailer, after a flush": {"", func(w http.ResponseWriter, _ *http.Request) {
			print(w, "a")
			flush(w)
			w.Header().Set(http.TrailerPrefix+"A", "b")
		}, "HTTP/1.1 200 OK|Transfer-Encoding: chunked||1\r\na\r\n0\r\nA: b\r\n\r\n", true},
		"lines in a value": {"", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("A", "b\r\nC: d\x00\x7f\te") },
			"HTTP/1.1 200 OK|A: b  C: d  \te|Content-Length: 0||", true},
		"a name that is none": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["A b"], w.Header()[""], w.Header()["A\r\nB"] = []string{"c"}, []string{"c"}, []string{"c"}
		}, "HTTP/1.1 200 OK|Content-Length: 0||", true},
		"1xx": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("A", "b")
			w.WriteHeader(103)
			w.Header().Del("A")
			w.WriteHeader(102)
			print(w, "a")
		}, "HTTP/1.1 103 Early Hints|A: b||HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK|Content-Length: 1\r\n\r\na", true},
		"1xx to HTTP/1.0": {"GET / HTTP/1.0", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103) }, "HTTP/1.1 200 OK|Connection: close|Content-Length: 0||", false},
		"head over a buffer": {"", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("A", big); print(w, big) },
			"HTTP/1.1 200 OK|A: " + big + "|Transfer-Encoding: chunked||2710\r\n" + big + "\r\n0\r\n\r\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			n := 0
			f := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if n++; n == 1 {
					test.handler(w, r)
				} else {
					w.Header().Set("Connection", "close")
					print(w, "the next")
				}
			})
			request := test.request
			if request == "" {
				request = "GET / HTTP/1.1"
			}
			c := f.dial(request + "\r\nHost: x\r\n\r\n")
			if test.kept {
				c.Send(get)
			}
			raw := c.Rest()
			next := strings.LastIndex(raw, "HTTP/1.1 200 OK")
			if test.kept {
				if !strings.HasSuffix(raw[next:], "the next") || n != 2 {
					t.Fatalf("got %q, want raw[next:] %q at its end and n 2", raw, "the next")
				}
				raw = raw[:next]
			}
			got := plainly(raw)
			if name == "1xx" {
				head, rest, _ := strings.Cut(raw, "HTTP/1.1 200 OK")
				rest = plainly(rest)
				got = plainly(head) + "HTTP/1.1 200 OK" + strings.Replace(rest, "||", "\r\n\r\n", 1)
			}
			if got != test.want {
				t.Errorf("got  %.200q\nwant %.200q", got, test.want)
			}
		})
	}
}

func TestAStatusThatIsNoneIsTheHandlersFault(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(99) })
	if all := f.exchange(get); all != "" {
		t.Errorf(`got %q, want ""`, all)
	}
	testkit.Eventually(t, "it is logged", func() bool { return strings.Contains(f.log.String(), "not a valid status: 99") })
}

func TestAFileOrASocketIsSentByReadFrom(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	sources := map[string]func() io.ReadCloser{
		"file": func() io.ReadCloser {
			opened, err := os.Open(file)
			if err != nil {
				t.Error(err)
			}
			return opened
		},
		"socket": func() io.ReadCloser {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Error(err)
			}
			defer l.Close()
			near, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
			}
			far, err := l.Accept()
			if err != nil {
				t.Error(err)
			}
			go func() { // until all is read, or nobody reads any more
				defer far.Close()
				_, _ = far.Write(content)
			}()
			return near
		},
		"reader": func() io.ReadCloser { return io.NopCloser(bytes.NewReader(content)) },
	}
	for source, open := range sources {
		for name, test := range map[string]struct {
			request string
			length  int
			limit   int64 // of the reader; 0 is none
			want    int
			whole   bool
		}{
			"chunked":           {"GET / HTTP/1.1", -1, 0, len(content), true},
			"all":               {"GET / HTTP/1.1", len(content), 0, len(content), true},
			"a limited reader":  {"GET / HTTP/1.1", 1000, 1000, 1000, true},
			"longer than said":  {"GET / HTTP/1.1", 1000, 0, 1000, true},
			"limited, but more": {"GET / HTTP/1.1", 1000, 2000, 1000, true},
			"shorter than said": {"GET / HTTP/1.1", len(content) + 1, 0, len(content), false},
			"to the end":        {"GET / HTTP/1.0", -1, 0, len(content), true},
			"to nobody":         {"HEAD / HTTP/1.1", len(content), 0, 0, true},
		} {
			t.Run(source+", "+name, func(t *testing.T) {
				f := serve(t, func(w http.ResponseWriter, r *http.Request) {
					from := open()
					defer from.Close()
					if test.length >= 0 {
						w.Header().Set("Content-Length", fmt.Sprint(test.length))
					}
					w.Header().Set("Connection", "close")
					w.WriteHeader(200)
					var src io.Reader = from
					if test.limit > 0 {
						src = io.LimitReader(from, test.limit)
					}
					_, _ = w.(io.ReaderFrom).ReadFrom(src)
				})
				c := f.dial(test.request + "\r\nHost: x\r\n\r\n")
				method, _, _ := strings.Cut(test.request, " ")
				res, err := http.ReadResponse(c.Reader, &http.Request{Method: method})
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				if !bytes.Equal(body, content[:test.want]) || (err == nil) != test.whole {
					t.Errorf("got %d bytes, want %d (%v)", len(body), test.want, err)
				}
			})
		}
	}
}

func TestABodyIsReadWhileTheResponseIsWritten(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		b := make([]byte, 1)
		for {
			n, err := r.Body.Read(b)
			if _, werr := w.Write(b[:n]); err != nil || werr != nil {
				return
			}
			flush(w)
		}
	})
	c := f.dial(chunked + "1\r\na\r\n")
	res, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		echoed := make([]byte, 1)
		if _, err := io.ReadFull(res.Body, echoed); err != nil || echoed[0] != 'a' {
			t.Fatalf("got %q %v, want no error, and echoed[0] == 'a'", echoed, err)
		}
		c.Send("1\r\na\r\n")
	}
	c.Send("0\r\n\r\n" + chunked + "0\r\n\r\n") // and it is kept
	if rest, err := io.ReadAll(res.Body); string(rest) != "a" || err != nil {
		t.Errorf(`got %q %v, want "a" and no error`, rest, err)
	}
	c.Want(200, "")
}

func TestAResponseThatIsOverTakesNothing(t *testing.T) {
	var late http.ResponseWriter
	f := serve(t, func(w http.ResponseWriter, _ *http.Request) { late = w; print(w, "a") })
	c := f.dial(get)
	c.Want(200, "a")
	_ = c.Close()
	testkit.Eventually(t, "the connection is gone", func() bool { return f.connections() == 0 })
	if _, err := late.Write(make([]byte, 10000)); !errors.Is(err, errOver) {
		t.Errorf("got %v, want %v", err, errOver)
	}
	if err := http.NewResponseController(late).Flush(); !errors.Is(err, errOver) {
		t.Errorf("got %v, want %v", err, errOver)
	}
}

func TestAFieldOfATrailerIsSentOnceHoweverOftenItIsNamed(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", strings.Repeat("A, a,", 1000)+"B")
		w.Header()["A"] = []string{"1", "2"}
		_, _ = io.WriteString(w, "body")
	})
	all := f.exchange("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if got := strings.Count(all, "Trailer: "); got != 2 {
		t.Errorf("got %d Trailer fields, want 2", got)
	}
	if got, want := all[strings.Index(all, "0\r\n"):], "0\r\nA: 1\r\nA: 2\r\n\r\n"; got != want {
		t.Errorf("got %q at the end, want %q", got, want)
	}
}
