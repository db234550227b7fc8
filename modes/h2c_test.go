package modes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// h2cUpstream serves h by HTTP/2 without TLS and gives its upstream address.
func h2cUpstream(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	l := testkit.Listen(t)
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return "h2c://" + l.Addr().String()
}

// h2cClient is a client that speaks HTTP/2 by prior knowledge.
func h2cClient(t *testing.T) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: testkit.Patience}
}

// TestGRPCWorks makes calls of the four shapes that gRPC has, with its framing and its
// status in the trailer, from HTTP/2 to HTTP/2.
func TestGRPCWorks(t *testing.T) {
	up := h2cUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" || r.Header.Get("User-Agent") != "grpc-test" {
			t.Errorf(`got %s %v, want r.ProtoMajor == 2 && r.Header.Get("Te") == "trailers" && r.Header.Get("User-Agent") == "grpc-test"`, r.Proto, r.Header)
		}
		w.Header().Set("Content-Type", "application/grpc")
		if r.URL.Path == "/pkg.Service/Refuse" {
			w.Header().Set("Grpc-Status", "7") // all in the head
			return
		}
		w.Header().Set("Trailer", "Grpc-Status")
		_ = http.NewResponseController(w).Flush()
		b := make([]byte, 100)
		for {
			n, err := r.Body.Read(b)
			_, _ = w.Write(b[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "fine")
	})
	front := proxyTo(t, up)
	client := h2cClient(t)
	call := func(path string, body io.Reader) *http.Response {
		r, _ := http.NewRequest("POST", "http://"+front+path, body)
		r.Header = http.Header{"Te": {"trailers"}, "Content-Type": {"application/grpc"}, "User-Agent": {"grpc-test"}}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}

	body, say := io.Pipe()
	res := call("/pkg.Service/Talk", body)
	for range 3 {
		message := "\x00\x00\x00\x00\x05hello"
		_, _ = io.WriteString(say, message)
		got := make([]byte, len(message))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != message {
			t.Fatalf("got %q %v, want %q and no error", got, err, message)
		}
	}
	_ = say.Close()
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 || res.Trailer.Get("Grpc-Status") != "0" || res.Trailer.Get("Grpc-Message") != "fine" {
		t.Errorf("got %q %v %v, want the end with Grpc-Status 0 and fine", rest, err, res.Trailer)
	}

	res = call("/pkg.Service/Refuse", strings.NewReader(""))
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 || res.Header.Get("Grpc-Status") != "7" || res.ContentLength > 0 {
		t.Errorf("got %q %v %v, want nothing, no error, Grpc-Status 7 and res.ContentLength 0", rest, err, res.Header)
	}
}

func TestHTTP2UpstreamsGetTheRequestAsItWasSent(t *testing.T) {
	type seen struct {
		uri, host, method string
		header            http.Header
		length            int64
		body              string
	}
	requests := make(chan seen, 1)
	up := h2cUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		requests <- seen{r.RequestURI, r.Host, r.Method, r.Header, r.ContentLength, string(b)}
		w.Header().Set("Date", "yesterday")
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, "<html>")
	})
	front := proxyTo(t, up+"/base")
	for _, path := range []string{"/", "/a%2Fb//c?x=%zz;y", "//double", "/?"} {
		answer := ask(t, front, "POST "+path+" HTTP/1.1\r\nHost: example.org\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello")
		wantFields(t, answer, "HTTP/1.1 200 OK", "Date: yesterday", "Content-Length: 6", "Connection: close")
		got := testkit.Await(t, "a request", requests)
		if got.uri != "/base"+path || got.host != "example.org" || got.method != "POST" || got.length != 5 || got.body != "hello" {
			t.Errorf("got %+v, want uri %v, host example.org, method POST, length 5 and body hello", got, "/base"+path)
		}
		if fmt.Sprint(got.header) != "map[Content-Length:[5] X-A:[b]]" {
			t.Errorf("got %v, want fmt.Sprint(got.header) %q", got.header, "map[Content-Length:[5] X-A:[b]]")
		}
	}
	if answer := ask(t, front, "GET /../x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 400") {
		t.Errorf("got %q, want %q at its start", answer, "HTTP/1.1 400")
	}
}

func TestTrailersPassBetweenTheVersions(t *testing.T) {
	trailers := make(chan http.Header, 1)
	up := h2cUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		trailers <- r.Trailer
		_, _ = io.WriteString(w, "ok")
		_ = http.NewResponseController(w).Flush() // or it gets a length, and has no place for a trailer in HTTP/1
		w.Header().Set(http.TrailerPrefix+"X-Out", "2")
	})
	client := testkit.Dial(t, proxyTo(t, up))
	client.Send("POST / HTTP/1.1\r\nHost: h\r\nTrailer: X-In\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-In: 1\r\n\r\n")
	res, err := http.ReadResponse(client.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil || string(b) != "ok" || res.Trailer.Get("X-Out") != "2" {
		t.Errorf(`got %q %v %v, want no error, and string(b) == "ok" && res.Trailer.Get("X-Out") == "2"`, b, err, res.Trailer)
	}
	if got := testkit.Await(t, "the trailers", trailers); got.Get("X-In") != "1" {
		t.Errorf(`got %v, want got.Get("X-In") == "1"`, got)
	}
}

func TestHTTP2ClientsReachOrdinaryUpstreams(t *testing.T) {
	heads := make(chan string, 1)
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		heads <- p.Head()
		p.Send("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n")
	})
	client := h2cClient(t)
	interim := make(chan int, 1)
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
		interim <- code
		return nil
	}})
	r, _ := http.NewRequestWithContext(ctx, "GET", "http://"+proxyTo(t, up)+"/a//b?c", nil)
	r.Host = "example.org"
	r.Header = http.Header{"User-Agent": nil, "X-A": {"b"}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil || string(b) != "ok" || res.Trailer.Get("X-T") != "1" || res.Header["Connection"] != nil || testkit.Await(t, "the interim response", interim) != 103 {
		t.Errorf("got %q %v %v %v, want ok, X-T 1 and an interim 103", b, err, res.Trailer, res.Header)
	}
	wantFields(t, testkit.Await(t, "a request", heads), "GET /a//b?c HTTP/1.1", "Host: example.org", "X-A: b")
}

func TestInterimResponsesOfHTTP2ArePassedOn(t *testing.T) {
	up := h2cUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "<a>")
		w.WriteHeader(103)
		w.Header().Del("Link")
		w.WriteHeader(204)
	})
	client := testkit.Dial(t, proxyTo(t, up))
	client.Send(get)
	if head := client.Head(); !strings.HasPrefix(head, "HTTP/1.1 103 ") || !strings.Contains(head, "Link: <a>") {
		t.Errorf("got %q, want %q at its start and %q in it", head, "HTTP/1.1 103 ", "Link: <a>")
	}
	if head := client.Head(); !strings.HasPrefix(head, "HTTP/1.1 204 ") || strings.Contains(head, "Link") {
		t.Errorf("got %q, want %q at its start and no %q in it", head, "HTTP/1.1 204 ", "Link")
	}
}

func TestAnHTTP2ResponseThatBreaksIsCut(t *testing.T) {
	up := h2cUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/before" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "hello")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	front := proxyTo(t, up)
	if answer := ask(t, front, "POST /before HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 502") {
		t.Errorf("got %q, want %q at its start", answer, "HTTP/1.1 502")
	}
	client := testkit.Dial(t, front)
	client.Send(get)
	res, err := http.ReadResponse(client.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("a whole response: got %q (%v), want an error", b, err)
	}
}

func TestAnHTTP2CallThatEndsIsAnsweredOrCut(t *testing.T) {
	arrived := make(chan struct{}, 1)
	left := make(chan struct{}, 1)
	up := h2cUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begun" {
			_, _ = io.WriteString(w, "hello")
			_ = http.NewResponseController(w).Flush()
		}
		arrived <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	})
	front, calls := endingCalls(t, up)
	for _, request := range []string{"GET /", "POST /", "GET /begun", "POST /begun"} {
		client := testkit.Dial(t, front)
		client.Send(request + " HTTP/1.1\r\nHost: h\r\n")
		if strings.HasPrefix(request, "POST") {
			client.Send("Content-Length: 10\r\n\r\nhello")
		} else {
			client.Send("\r\n")
		}
		testkit.Await(t, "a request", arrived)
		cancel := testkit.Await(t, "a call", calls)
		var res *http.Response
		var err error
		if strings.HasSuffix(request, "/begun") {
			if res, err = http.ReadResponse(client.Reader, nil); err != nil {
				t.Fatal(err)
			}
		}
		cancel(&failure.Error{Kind: failure.Timeout, Timeout: "exec"})
		testkit.Await(t, "the end of the call", left)
		if res != nil {
			if b, err := io.ReadAll(res.Body); err == nil {
				t.Errorf("%s: a whole response: got %q, want an error", request, b)
			}
		} else if res, err = http.ReadResponse(client.Reader, nil); err != nil || res.StatusCode != 504 {
			t.Errorf("%s: got %v %v, want StatusCode 504 and no error", request, res, err)
		}
	}
}

func TestAnHTTP2AnswerBeforeTheEndOfTheBodyIsPassedOn(t *testing.T) {
	up := h2cUpstream(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) })
	client := testkit.Dial(t, proxyTo(t, up))
	client.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello")
	if answer := client.Tail(); !strings.HasPrefix(answer, "HTTP/1.1 401") || !strings.Contains(answer, "Connection: close\r\n") {
		t.Errorf("got %q, want %q at its start and %q in it", answer, "HTTP/1.1 401", "Connection: close\r\n")
	}
}

func TestLargeBodiesPassByHTTP2(t *testing.T) {
	body := randomBytes(5<<20 + 3)
	up := h2cUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	for _, buffer := range []bool{false, true} {
		front := proxyTo(t, up, func(r *schema.Route) { r.BufferBody = buffer })
		res, err := http.Post("http://"+front, "", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || sha256.Sum256(got) != sha256.Sum256(body) {
			t.Errorf("got %d bytes, %v, want no error, and sha256.Sum256(got) == sha256.Sum256(body)", len(got), err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestANewHTTP2ConnectionFollowsOneThatBroke(t *testing.T) {
	l := testkit.Listen(t)
	conns := make(chan net.Conn, 10)
	s := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "ok") }),
		Protocols: new(http.Protocols),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			conns <- c
			return ctx
		},
	}
	s.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	defer func() { _ = s.Close(); <-done }()
	front := proxyTo(t, "h2c://"+l.Addr().String())
	for range 5 {
		if answer := ask(t, front, get); !strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Errorf("got %q, want %q at its start", answer, "HTTP/1.1 200")
		}
		_ = testkit.Await(t, "a connection", conns).Close()
	}
}

// TestAConversationEndsWithItsUpstream has an upstream leave in the middle of a call
// whose client waits for it before it goes on.
func TestAConversationEndsWithItsUpstream(t *testing.T) {
	conns := make(chan net.Conn, 1)
	l := testkit.Listen(t)
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			_, _ = io.Copy(io.Discard, r.Body)
		}),
		Protocols:   new(http.Protocols),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { conns <- c; return ctx },
	}
	s.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	defer func() { _ = s.Close(); <-done }()
	front := proxyTo(t, "h2c://"+l.Addr().String())
	for _, kind := range []string{"text/plain", "application/grpc"} {
		body, say := io.Pipe()
		r, _ := http.NewRequest("POST", "http://"+front+"/", body)
		r.Header.Set("Content-Type", kind)
		res, err := h2cClient(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = testkit.Await(t, "a connection", conns).Close()
		_, err = io.ReadAll(res.Body)
		if status := res.Trailer.Get("Grpc-Status"); kind == "application/grpc" && (err != nil || status != "14") || kind == "text/plain" && err == nil {
			t.Errorf(`%s: got %v and %q, want no error and 14 for application/grpc, and an error for text/plain`, kind, err, status)
		}
		_ = say.Close()
	}
}

// TestOnlyGRPCGetsItsStatus asks where no upstream is.
func TestOnlyGRPCGetsItsStatus(t *testing.T) {
	front := proxyTo(t, "h2c://"+testkit.FreeAddress(t))
	for kind, want := range map[string]int{"application/grpc": 200, "application/grpc+proto": 200, "application/grpc-web": 502, "text/plain": 502} {
		r, _ := http.NewRequest("POST", "http://"+front+"/", nil)
		r.Header.Set("Content-Type", kind)
		res, err := h2cClient(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if status := res.Header.Get("Grpc-Status"); res.StatusCode != want || (status == "14") != (want == 200) {
			t.Errorf("%s: got %d, grpc-status %q, want %d", kind, res.StatusCode, status, want)
		}
	}
}

func TestTheMessageOfAStatusIsASCII(t *testing.T) {
	if got, want := grpcMessage("100 % ü\n"), "100 %25 %C3%BC%0A"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
