package modes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

func TestAStreamIsPassedOnAsItComes(t *testing.T) {
	for name, head := range map[string]string{
		"chunked":    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
		"to the end": "HTTP/1.1 200 OK\r\n\r\n",
		"length":     "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n",
		"large":      "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n",
	} {
		seen := make(chan struct{}, 10)
		up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
			p.Head()
			p.Send(head)
			for _, s := range []string{"ab", "cd", "ef"} {
				testkit.Await(t, "a request", seen)
				if name == "chunked" {
					s = "2\r\n" + s + "\r\n"
				}
				p.Send(s)
			}
			testkit.Await(t, "a request", seen)
		})
		client := testkit.Dial(t, proxyTo(t, up))
		client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		res, err := http.ReadResponse(client.Reader, nil)
		if err != nil {
			t.Fatalf("%s: the head is not passed on alone: %v", name, err)
		}
		for _, want := range []string{"ab", "cd", "ef"} {
			seen <- struct{}{}
			got := make([]byte, 2)
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
				t.Errorf("%s: got %q, %v; want %q", name, got, err, want)
			}
		}
		seen <- struct{}{}
	}
}

func TestInterimResponsesArePassedOn(t *testing.T) {
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		p.Head()
		p.Send("HTTP/1.1 100 Continue\r\n\r\n")
		p.Send("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")
		p.Send("HTTP/1.1 102 Processing\r\n\r\n")
		p.Send("HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 0\r\n\r\n")
	})
	front := proxyTo(t, up)
	var got []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		got = append(got, fmt.Sprint(code, h["Link"]))
		return nil
	}})
	r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+front, nil)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if fmt.Sprint(got) != "[103 [</a>; rel=preload] 102 []]" || res.Header["Link"] != nil || res.Header.Get("X-A") != "b" {
		t.Errorf("got %v, then %v, want 103, 102 and a header without Link", got, res.Header)
	}
	if answer := ask(t, front, "GET / HTTP/1.0\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("HTTP/1.0 knows no interim responses: got %q, want %q at its start", answer, "HTTP/1.1 200 OK\r\n")
	}
}

func TestInterimResponsesWithoutEndAreAFailure(t *testing.T) {
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		p.Head()
		for range 200 {
			p.Send("HTTP/1.1 100 Continue\r\n\r\n")
		}
		p.Tail()
	})
	if answer := ask(t, proxyTo(t, up), get); !strings.HasPrefix(answer, "HTTP/1.1 502") {
		t.Errorf("got %q, want %q at its start", answer, "HTTP/1.1 502")
	}
}

const expecting = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"

func TestABodyWaitsUntilTheUpstreamWantsIt(t *testing.T) {
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		if head := p.Head(); !strings.Contains(head, "Expect: 100-continue\r\n") {
			t.Errorf("Expect is not passed on: got %q, want %q in it", head, "Expect: 100-continue\r\n")
		}
		p.Send("HTTP/1.1 100 Continue\r\n\r\n")
		body := p.Take(5)
		p.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body)
	})
	client := testkit.Dial(t, proxyTo(t, up))
	client.Send(expecting)
	if head := client.Head(); head != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Fatalf("got %q, want %q", head, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	client.Send("hello")
	if answer := client.Tail(); !strings.HasSuffix(answer, "\r\n\r\nhello") {
		t.Errorf("got %q, want %q at its end", answer, "\r\n\r\nhello")
	}
}

func TestABodyThatTheUpstreamRefusesIsNeverAskedFor(t *testing.T) {
	rest := make(chan string, 1)
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		p.Head()
		p.Send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
		rest <- p.Tail()
	})
	client := testkit.Dial(t, proxyTo(t, up))
	client.Send(expecting)
	head := client.Head()
	if !strings.HasPrefix(head, "HTTP/1.1 413") || !strings.Contains(head, "Connection: close\r\n") {
		t.Errorf("got %q, want %q at its start and %q in it", head, "HTTP/1.1 413", "Connection: close\r\n")
	}
	if got := client.Take(2); got != "no" {
		t.Errorf(`got body %q, want "no"`, got)
	}
	if got := testkit.Await(t, "the rest", rest); got != "" {
		t.Errorf(`the upstream got %q, want ""`, got)
	}
}

func TestAnUpstreamThatKnowsNothingOfExpectGetsTheBodyAfterASecond(t *testing.T) {
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		p.Head()
		p.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + p.Take(5))
	})
	client := testkit.Dial(t, proxyTo(t, up))
	client.Send(expecting)
	client.Head()
	client.Send("hello")
	if answer := client.Tail(); !strings.HasSuffix(answer, "\r\n\r\nhello") {
		t.Errorf("got %q, want %q at its end", answer, "\r\n\r\nhello")
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	requests := make(chan string, 1)
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		head := p.Head()
		_ = p.Take(len("000002\r\nhi\r\n0\r\n"))
		requests <- head + p.Head()
		p.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Unannounced: 2\r\nTransfer-Encoding: evil\r\n\r\n")
	})
	client := testkit.Dial(t, proxyTo(t, up))
	client.Send("POST / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nTrailer: X-In\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-In: 3\r\nX-Also: 4\r\n\r\n")
	got := testkit.Await(t, "a request", requests)
	wantFields(t, got, "POST / HTTP/1.1", "Host: h", "Te: trailers", "Connection: TE", "Trailer: X-In", "Transfer-Encoding: chunked")
	if _, trailer, _ := strings.Cut(got, "\r\n\r\n"); trailer != "X-In: 3\r\nX-Also: 4\r\n\r\n" && trailer != "X-Also: 4\r\nX-In: 3\r\n\r\n" {
		t.Errorf(`got trailer %q, want trailer == "X-In: 3\r\nX-Also: 4\r\n\r\n" || trailer == "X-Also: 4\r\nX-In: 3\r\n\r\n"`, trailer)
	}
	res, err := http.ReadResponse(client.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "ok" || fmt.Sprint(res.Trailer) != "map[X-Sum:[1] X-Unannounced:[2]]" {
		t.Errorf(`got %q %v %v, want "ok", no error and fmt.Sprint(res.Trailer) %q`, body, err, res.Trailer, "map[X-Sum:[1] X-Unannounced:[2]]")
	}
}

func TestAnAnswerBeforeTheEndOfTheBodyIsPassedOn(t *testing.T) {
	for name, begin := range map[string]string{
		"nothing of the body": "Content-Length: 5\r\n\r\n",
		"a part of it":        "Content-Length: 1000000\r\n\r\nhello",
		"no chunk":            "Transfer-Encoding: chunked\r\n\r\n",
		"a chunk":             "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
			p.Head()
			p.Send("HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno")
			p.Tail()
		})
		client := testkit.Dial(t, proxyTo(t, up))
		client.Send("POST / HTTP/1.1\r\nHost: h\r\n" + begin)
		answer := client.Tail() // and then the connection is closed, for what follows is no request
		if !strings.HasPrefix(answer, "HTTP/1.1 401") || !strings.HasSuffix(answer, "\r\n\r\nno") || !strings.Contains(answer, "\r\nConnection: close\r\n") {
			t.Errorf("%s: got %q, want %q at its start, %q at its end and %q in it", name, answer, "HTTP/1.1 401", "\r\n\r\nno", "\r\nConnection: close\r\n")
		}
	}
}

func TestBothWaysFlowAtOnce(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.EnableFullDuplex()
		_ = c.Flush()
		b := make([]byte, 100)
		for {
			n, err := r.Body.Read(b)
			_, _ = w.Write(b[:n])
			_ = c.Flush()
			if err != nil {
				return
			}
		}
	}))
	defer echo.Close()
	body, say := io.Pipe()
	res, err := http.Post("http://"+proxyTo(t, echo.URL), "", body)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for _, word := range []string{"one", "two", "three"} {
		_, _ = io.WriteString(say, word)
		got := make([]byte, len(word))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != word {
			t.Fatalf("got %q, %v, want %q and no error", got, err, word)
		}
	}
	_ = say.Close()
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 {
		t.Errorf("got %q, %v, want nothing and no error", rest, err)
	}
}

func TestLargeBodiesArriveWhole(t *testing.T) {
	body := randomBytes(8<<20 + 13)
	want := sha256.Sum256(body)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil || sha256.Sum256(got) != want {
			t.Errorf("the request's body changed on the way: got %d bytes, %v, want no error, and sha256.Sum256(got) == want", len(got), err)
		}
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(len(got)))
		}
		_, _ = w.Write(got)
	}))
	defer up.Close()
	for _, idle := range []schema.Duration{0, schema.Duration(time.Hour)} { // the second is never spliced
		front := proxyTo(t, up.URL, func(r *schema.Route) { r.Timeouts.Idle = idle })
		for _, path := range []string{"/length", "/chunked"} {
			for _, reader := range []io.Reader{bytes.NewReader(body), io.MultiReader(bytes.NewReader(body))} {
				res, err := http.Post("http://"+front+path, "", reader)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if err != nil || sha256.Sum256(got) != want {
					t.Errorf("%s: the response's body changed on the way: %d bytes, %v", path, len(got), err)
				}
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// endingCalls serves http mode in front of an upstream; each call's context can be
// ended by the function that it sends.
func endingCalls(t *testing.T, upstream string, change ...func(*schema.Route)) (address string, calls chan context.CancelCauseFunc) {
	route := &schema.Route{Name: "api", Mode: schema.HTTP, Upstream: upstreamAt(upstream)}
	for _, f := range change {
		f(route)
	}
	h, err := New(route, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.(io.Closer).Close() })
	calls = make(chan context.CancelCauseFunc, 10)
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		calls <- cancel
		h.ServeHTTP(w, r.WithContext(ctx))
	})), calls
}

func TestACallThatEndsBeforeItsResponseIsAnsweredAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		upto    string // what the upstream says before it falls silent
	}{
		"waiting for the head": {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", ""},
		"in the head":          {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nX-A"},
		"in the request body":  {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhello", ""},
		"in a chunked body":    {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", ""},
		"before a body":        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", ""},
	} {
		heads := make(chan string, 1)
		closed := make(chan struct{})
		up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
			defer close(closed)
			heads <- p.Head()
			p.Send(c.upto)
			p.Tail()
		})
		front, calls := endingCalls(t, up)
		client := testkit.Dial(t, front)
		client.Send(c.request)
		testkit.Await(t, "a request", heads)
		(testkit.Await(t, "a call", calls))(&failure.Error{Kind: failure.Timeout, Timeout: "exec", Detail: "too long"})
		res, err := http.ReadResponse(client.Reader, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 504 || !bytes.Contains(body, []byte(`"timeout":"exec"`)) || !bytes.Contains(body, []byte(`"route":"api"`)) {
			t.Errorf("%s: got %d %s %v, want 504 with timeout exec and route api", name, res.StatusCode, body, err)
		}
		testkit.Await(t, "the end of the connection", closed) // the upstream is free
	}
}

func TestACallThatEndsInItsResponseIsCut(t *testing.T) {
	for name, begin := range map[string]string{
		"length":      "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello",
		"short":       "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
		"chunked":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"whole chunk": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
		"to the end":  "HTTP/1.1 200 OK\r\n\r\nhello",
	} {
		closed := make(chan struct{})
		up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
			defer close(closed)
			p.Head()
			p.Send(begin)
			p.Tail()
		})
		front, calls := endingCalls(t, up)
		client := testkit.Dial(t, front)
		client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		res, err := http.ReadResponse(client.Reader, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := io.ReadFull(res.Body, make([]byte, 5)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		(testkit.Await(t, "a call", calls))(&failure.Error{Kind: failure.Timeout, Timeout: "exec"})
		if rest, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%s: the response ends as if whole, with %q (%v), want an error", name, rest, err)
		}
		testkit.Await(t, "the end of the connection", closed)
	}
}

func TestACallWithASlowReaderEndsAtOnce(t *testing.T) {
	for _, idle := range []schema.Duration{0, schema.Duration(time.Hour)} { // spliced, and not
		closed := make(chan struct{})
		full := make(chan struct{}, 100)
		up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
			defer close(closed)
			p.Head()
			p.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
			block := randomBytes(1 << 20)
			for range 1000 {
				if _, err := p.Conn.Write(block); err != nil {
					return
				}
				select {
				case full <- struct{}{}:
				default:
				}
			}
		})
		front, calls := endingCalls(t, up, func(r *schema.Route) { r.Timeouts.Idle = idle })
		client := testkit.Dial(t, front)
		client.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		client.Head()
		testkit.Await(t, "a full connection", full)
		(testkit.Await(t, "a call", calls))(&failure.Error{Kind: failure.Timeout, Timeout: "exec"})
		testkit.Await(t, "the end of the connection", closed)
		if n, err := io.Copy(io.Discard, client.Reader); n >= 1000000000 {
			t.Errorf("got %d bytes, %v, want less than 1000000000", n, err)
		}
	}
}

func TestAClientThatLeavesFreesTheUpstream(t *testing.T) {
	for name, request := range map[string]string{
		"waiting":   "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"uploading": "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhello",
		"chunks":    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		heads, closed := make(chan string, 1), make(chan string)
		up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
			heads <- p.Head()
			closed <- p.Tail()
		})
		client := testkit.Dial(t, proxyTo(t, up))
		client.Send(request)
		testkit.Await(t, "a request", heads)
		_ = client.Close()
		if body := testkit.Await(t, name+": the end of the connection to the upstream", closed); strings.Contains(body, "0\r\n\r\n") {
			t.Errorf("%s: got %q at the upstream, want a body that is not complete", name, body)
		}
	}
}

func TestAFailureToReadTheBodyIsTheClients(t *testing.T) {
	tooLarge := &failure.Error{Kind: failure.BodyTooLarge, Detail: "too much"}
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		p.Head()
		p.Tail()
	})
	for _, buffer := range []bool{false, true} {
		h, err := New(&schema.Route{Name: "api", Mode: schema.HTTP, Upstream: upstreamAt(up), BufferBody: buffer}, Deps{})
		if err != nil {
			t.Fatal(err)
		}
		front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("hello"), failing{tooLarge}))
			h.ServeHTTP(w, r)
		}))
		answer := ask(t, front, "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 10\r\n\r\nhelloworld")
		if !strings.HasPrefix(answer, "HTTP/1.1 413") {
			t.Errorf("got %q, want %q at its start", answer, "HTTP/1.1 413")
		}
		_ = h.(io.Closer).Close()
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestABrokenChunkIsMalformed(t *testing.T) {
	rest := make(chan string, 1)
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		p.Head()
		rest <- p.Tail()
	})
	answer := ask(t, proxyTo(t, up), "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 400") || !strings.Contains(answer, "Connection: close") {
		t.Errorf("got %q, want %q at its start and %q in it", answer, "HTTP/1.1 400", "Connection: close")
	}
	if got := testkit.Await(t, "the rest", rest); strings.HasSuffix(got, "0\r\n\r\n") {
		t.Errorf(`the upstream was told that the body is complete: got %q, want !strings.HasSuffix(got, "0\r\n\r\n")`, got)
	}
}

// What splice(2) moves ends as well as what is copied.
func TestALargeUploadThatBreaksOffIsAnError(t *testing.T) {
	const most = 32 << 20 // more than the buffers on the way hold
	begin := "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + fmt.Sprint(most) + "\r\n\r\n"
	t.Run("the upstream answers and closes", func(t *testing.T) {
		up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
			p.Head()
			p.Take(1 << 20)
			p.Send("HTTP/1.1 413 Enough\r\nContent-Length: 6\r\n\r\nenough")
		})
		client := testkit.Dial(t, proxyTo(t, up))
		var sending sync.WaitGroup
		sending.Go(func() { client.Send(begin + strings.Repeat("x", most)) }) // until it is not taken any more
		if r, err := http.ReadResponse(client.Reader, nil); err != nil || r.StatusCode != 413 {
			t.Errorf("got %v %v, want StatusCode 413 and no error", r, err)
		}
		_ = client.Conn.Close()
		sending.Wait()
	})
	t.Run("the upstream resets", func(t *testing.T) {
		up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
			p.Head()
			p.Take(1 << 20)
			_ = p.Conn.(*net.TCPConn).SetLinger(0)
		})
		client := testkit.Dial(t, proxyTo(t, up))
		var sending sync.WaitGroup
		sending.Go(func() { client.Send(begin + strings.Repeat("x", most)) })
		if r, err := http.ReadResponse(client.Reader, nil); err != nil || r.StatusCode != 502 {
			t.Errorf("got %v %v, want StatusCode 502 and no error", r, err)
		}
		_ = client.Conn.Close()
		sending.Wait()
	})
	t.Run("the caller leaves", func(t *testing.T) {
		read := make(chan int, 1)
		up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
			p.Head()
			n, _ := io.Copy(io.Discard, p.Reader)
			read <- int(n)
		})
		client := testkit.Dial(t, proxyTo(t, up))
		client.Send(begin + strings.Repeat("x", 1<<20))
		_ = client.Conn.Close()
		if n := testkit.Await(t, "a read", read); n > 1<<20 {
			t.Errorf("the upstream got %d bytes", n)
		}
	})
}
