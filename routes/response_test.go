package routes

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

func TestXDurationSecondsIsOnEveryResponseOfARouteWithAProcess(t *testing.T) {
	process := func(r *schema.Route) { r.FProcess = schema.Command{Line: "cat"} }
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "fail" {
			respond(w, r, &failure.Error{Kind: failure.Internal})
		}
		if r.URL.RawQuery == "panic" {
			panic("oops")
		}
	}, process, func(r *schema.Route) { r.Limits.Body = 1 }), entry("b", hello("b")))
	for _, path := range []string{"/a", "/a?fail", "/a?panic"} {
		resp, _ := f.get(path)
		whole, part, ok := strings.Cut(resp.Header.Get("X-Duration-Seconds"), ".")
		if !ok || whole != "0" || len(part) != 6 {
			t.Errorf("%s: got %v, want ok true, whole 0 and len(part) 6", path, resp.Header)
		}
	}
	if resp, _ := f.do(f.request("POST", "/a", strings.NewReader("too large"))); resp.StatusCode != 413 || resp.Header.Get("X-Duration-Seconds") == "" {
		t.Errorf("a refusal: got %v %v, want X-Duration-Seconds set and 413", resp.Header, resp.StatusCode)
	}
	if resp, _ := f.get("/b"); resp.Header.Get("X-Duration-Seconds") != "" {
		t.Errorf("a route without one: got %v, want no X-Duration-Seconds", resp.Header)
	}
}

func TestTheKernelMovesWhatItCanAndTheRestIsCopied(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	name := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		idle schema.Duration
		src  func(t *testing.T, f *os.File) io.Reader
	}{
		{"a file", 0, func(_ *testing.T, f *os.File) io.Reader { return f }},
		{"a part of a file", 0, func(_ *testing.T, f *os.File) io.Reader { return io.LimitReader(f, 3<<20+5) }},
		{"a file under idle", 1e12, func(_ *testing.T, f *os.File) io.Reader { return f }},
		{"a part of a file under idle", 1e12, func(_ *testing.T, f *os.File) io.Reader { return io.LimitReader(f, 3<<20+5) }},
		{"something else", 1e12, func(_ *testing.T, f *os.File) io.Reader { return io.MultiReader(f) }},
		{"a socket under idle", 1e12, socketOf},
		{"a socket", 0, socketOf},
	} {
		for _, sized := range []bool{true, false} {
			t.Run(c.name, func(t *testing.T) {
				f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
					file, err := os.Open(name)
					if err != nil {
						t.Error(err)
						return
					}
					defer file.Close()
					src := c.src(t, file)
					if l, limited := src.(*io.LimitedReader); sized && limited {
						w.Header().Set("Content-Length", strconv.Itoa(int(l.N)))
					} else if sized {
						w.Header().Set("Content-Length", strconv.Itoa(len(content)))
					}
					n, err := w.(io.ReaderFrom).ReadFrom(src)
					if err != nil {
						t.Errorf("after %d: %v", n, err)
					}
				}, timeoutsOf(schema.Timeouts{Idle: c.idle})))
				want := content
				if strings.Contains(c.name, "part") {
					want = content[:3<<20+5]
				}
				_, body := f.get("/a")
				if body != string(want) {
					t.Errorf("got %d bytes, want %d", len(body), len(want))
				}
				if line := f.log.request(t); line["bytes"] != float64(len(want)) {
					t.Errorf("got %v %v, want %v", line, line["bytes"], float64(len(want)))
				}
			})
		}
	}
}

// socketOf gives a connection on which the content of f comes.
func socketOf(t *testing.T, f *os.File) io.Reader {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return f
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.Copy(c, f)
		c.Close()
	}()
	c, err := l.Accept()
	if err != nil {
		t.Error(err)
		return f
	}
	t.Cleanup(func() { c.Close(); <-done })
	return c
}

func TestUnderIdleASlowSourceIsSeenToMove(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	began := make(chan *call.Call, 1)
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		began <- call.From(r.Context())
		if n, err := w.(io.ReaderFrom).ReadFrom(read); n != 3 || err != nil {
			t.Errorf("got %d %v, want 3 and no error", n, err)
		}
	}, timeoutsOf(schema.Timeouts{Idle: 1e12})))
	done := f.startGet("/a")
	c := <-began
	for range 3 {
		before := c.Touched()
		_, _ = write.WriteString("x")
		testkit.Eventually(t, "the clock to be told", func() bool { return c.Touched() != before })
	}
	write.Close()
	if a := <-done; a.body != "xxx" {
		t.Errorf("got %+v, want body xxx", a)
	}
}

func TestAResponseToHeadHasNoBytes(t *testing.T) {
	f := serve(t, entry("a", hello("hello")))
	if resp, body := f.do(f.request("HEAD", "/a", nil)); resp.StatusCode != 200 || body != "" {
		t.Errorf(`got %d %q, want 200 ""`, resp.StatusCode, body)
	}
	if line := f.log.request(t); line["bytes"] != 0.0 || line["method"] != "HEAD" {
		t.Errorf("got %v %v %v, want 0.0 and HEAD", line, line["bytes"], line["method"])
	}
}

func TestInformationalResponsesComeBeforeTheHead(t *testing.T) {
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</x>")
		w.WriteHeader(103)
		w.Header().Del("Link")
		w.WriteHeader(201)
		w.WriteHeader(500) // too late: nothing
	}))
	all := f.exchange("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(all, "HTTP/1.1 103 ") || !strings.Contains(all, "HTTP/1.1 201 ") || strings.Contains(all, "500") {
		t.Errorf("got %v, want %q at its start, %q in it and no %q in it", all, "HTTP/1.1 103 ", "HTTP/1.1 201 ", "500")
	}
	if line := f.log.request(t); line["status"] != 201.0 {
		t.Errorf("got %v %v, want 201.0", line, line["status"])
	}
}

func TestAHandlerGetsACallBesideItsResponse(t *testing.T) {
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		for name, ok := range map[string]bool{
			"Flusher":      is[http.Flusher](w),
			"Hijacker":     is[http.Hijacker](w),
			"ReaderFrom":   is[io.ReaderFrom](w),
			"StringWriter": is[io.StringWriter](w),
			"Unwrap":       is[interface{ Unwrap() http.ResponseWriter }](w),
		} {
			if !ok {
				t.Errorf("no %s", name)
			}
		}
		c := call.From(r.Context())
		if c.SentPath != "/a/%2e" || c.Prefix != "/a" || !c.Stripped || c.Route != "a" || c.ID == "" || r.RequestURI != "/%2e?q" {
			t.Errorf("got a call sent to %s with prefix %s (stripped: %v) of route %s with id %q and target %s, want /a/%%2e, /a (true), a, an id and /%%2e?q",
				c.SentPath, c.Prefix, c.Stripped, c.Route, c.ID, r.RequestURI)
		}
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(testkit.Patience)); err != nil {
			t.Error(err)
		}
		c.Fail(&failure.Error{Kind: failure.CrashLoop, Detail: "it ends", Cause: errors.New("exit status 3")})
		w.WriteHeader(503)
		if _, _, err := w.(http.Hijacker).Hijack(); err == nil {
			t.Error("taken over after a head that is not 101")
		}
	}, stripped))
	f.get("/a/%2e?q")
	if line := f.log.request(t); line["error"] != "it ends: exit status 3" {
		t.Errorf("got %v %v, want it ends: exit status 3", line, line["error"])
	}
	if s := f.series(); !strings.Contains(s, `watchdogd_rejected_total{reason="crash_loop",route="a"} 1`) {
		t.Errorf("got %v, want %q in it", s, `watchdogd_rejected_total{reason="crash_loop",route="a"} 1`)
	}
}

func is[T any](w http.ResponseWriter) bool { _, ok := w.(T); return ok }

func TestAHandlerThatDoesNotAnswerIsAnEmpty200(t *testing.T) {
	f := serve(t, entry("a", func(http.ResponseWriter, *http.Request) {}))
	if resp, body := f.get("/a"); resp.StatusCode != 200 || body != "" || resp.ContentLength != 0 {
		t.Errorf("got %+v %v, want StatusCode 200, ContentLength 0 and nothing", resp, body)
	}
}

func TestAResponseIsFlushedThroughAWriterThatOnlyUnwraps(t *testing.T) {
	f := serve(t, entry("a", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("flush: got %v, want no error", err)
		}
		_, _ = io.WriteString(w, ", second")
	}))
	w := &flushRecorder{recorder: recorder{header: http.Header{}}}
	r := f.request("GET", "/a", nil)
	r.RequestURI, r.Body = "/", http.NoBody
	f.live.ServeNamed(unwrapping{w}, r, "a")
	if w.status != 200 || w.flushed != "first" || w.body.String() != "first, second" {
		t.Errorf("got %d, %q flushed of %q; want 200, %q of %q", w.status, w.flushed, w.body.String(), "first", "first, second")
	}
}

// flushRecorder is a recorder that remembers what it had when it was flushed.
type flushRecorder struct {
	recorder
	flushed string
}

func (w *flushRecorder) Flush() { w.flushed = w.body.String() }

// unwrapping is a writer that stands before another one, as that of watchdogd call -v.
type unwrapping struct{ http.ResponseWriter }

func (w unwrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }
