package routes

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// count answers with the length of the body, or with what its reading failed of.
func count(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		respond(w, r, err)
		return
	}
	_, _ = fmt.Fprint(w, n)
}

func TestABodyOverItsLimitIs413(t *testing.T) {
	const most = 100_000
	called := 0
	limited := entry("a", func(w http.ResponseWriter, r *http.Request) { called++; count(w, r) },
		func(r *schema.Route) { r.Limits.Body = most })
	for _, c := range []struct {
		name    string
		size    int
		chunked bool
		status  int
		called  int
	}{
		{"as large as allowed", most, false, 200, 1},
		{"one more: refused before it is read", most + 1, false, 413, 0},
		{"chunked, as large as allowed", most, true, 200, 1},
		{"chunked, one more: refused while reading", most + 1, true, 413, 1},
		{"chunked, much more", 10 * most, true, 413, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			called = 0
			f := serve(t, limited)
			var body io.Reader = strings.NewReader(strings.Repeat("x", c.size))
			if c.chunked {
				body = struct{ io.Reader }{body}
			}
			a := <-f.start(t.Context(), f.request("POST", "/a", body))
			if a.status != c.status || called != c.called {
				t.Errorf("got %+v, called %d times, want a.status == c.status && called == c.called", a, called)
			}
			if c.status == 200 {
				return
			}
			f.log.request(t)
			if s := f.series(); !strings.Contains(s, `watchdogd_rejected_total{reason="body",route="a"} 1`) {
				t.Errorf("got %v, want %q in it", s, `watchdogd_rejected_total{reason="body",route="a"} 1`)
			}
		})
	}
}

func TestNoMoreThanItsLimitIsReadOfABody(t *testing.T) {
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", body, failure.Of(err).Kind == failure.BodyTooLarge)
	}, func(r *schema.Route) { r.Limits.Body = 4 }))
	if _, body := f.do(f.request("POST", "/a", struct{ io.Reader }{strings.NewReader("12345678")})); body != "1234 true" {
		t.Errorf("got %v, want 1234 true", body)
	}
}

func TestABodySlowerThanTimeoutsReadIs408(t *testing.T) {
	for name, raw := range map[string]string{
		"Content-Length": "Content-Length: 10\r\n\r\nabc",
		"chunked":        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, entry("a", count, timeoutsOf(schema.Timeouts{Read: short})))
			all := f.exchange("POST /a HTTP/1.1\r\nHost: x\r\n" + raw)
			if !strings.HasPrefix(all, "HTTP/1.1 408") || !strings.Contains(all, "408 read") || !strings.Contains(all, "Connection: close") {
				t.Errorf("got %v, want %q at its start, %q in it and %q in it", all, "HTTP/1.1 408", "408 read", "Connection: close")
			}
			line := f.log.request(t)
			if line["status"] != 408.0 || line["timeout"] != "read" {
				t.Errorf("got %v %v %v, want 408.0 and read", line, line["status"], line["timeout"])
			}
			if s := f.series(); !strings.Contains(s, `watchdogd_timeouts_total{kind="read",route="a"} 1`) {
				t.Errorf("got %v, want %q in it", s, `watchdogd_timeouts_total{kind="read",route="a"} 1`)
			}
		})
	}
}

func TestASlowSenderIsCutThoughEachPieceComesInTime(t *testing.T) {
	f := serve(t, entry("a", count, timeoutsOf(schema.Timeouts{Read: 4 * short})))
	c := f.dial("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
	answered := make(chan struct{})
	go func() { // a byte every few milliseconds, until the server has had enough
		defer close(answered)
		tick := time.NewTicker(short.D() / 10)
		defer tick.Stop()
		for range tick.C {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
		}
	}()
	all, _ := io.ReadAll(c)
	if !strings.HasPrefix(string(all), "HTTP/1.1 408") {
		t.Errorf("got %s, want %q at its start", all, "HTTP/1.1 408")
	}
	c.Close()
	<-answered
}

func TestAHandlerThatReadsSlowlyIsNotTheSendersFault(t *testing.T) {
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		one := make([]byte, 1)
		_, _ = r.Body.Read(one)
		timer := time.NewTimer(3 * short.D())
		defer timer.Stop()
		<-timer.C
		count(w, r)
	}, timeoutsOf(schema.Timeouts{Read: short})))
	if resp, body := f.do(f.request("POST", "/a", strings.NewReader("abcd"))); resp.StatusCode != 200 || body != "3" {
		t.Errorf("got %d %s, want 200 and 3", resp.StatusCode, body)
	}
}

func TestABodyThatBreaksOffIsNotWhole(t *testing.T) {
	failed := make(chan error, 1)
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		failed <- err
		obey(w, r, false)
	}))
	for _, raw := range []string{"Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\na\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"} {
		c := f.dial("POST /a HTTP/1.1\r\nHost: x\r\n" + raw)
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		if all, _ := io.ReadAll(c); strings.Contains(string(all), " 200 ") {
			t.Errorf("got %s, want no %q in it", all, " 200 ")
		}
		if err := <-failed; err == nil {
			t.Errorf("%q was whole", raw)
		}
	}
}

func TestAMalformedBodyIs400(t *testing.T) {
	f := serve(t, entry("a", count))
	all := f.exchange("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n")
	if !strings.HasPrefix(all, "HTTP/1.1 400") || !strings.Contains(all, "Connection: close") {
		t.Errorf("got %v, want %q at its start and %q in it", all, "HTTP/1.1 400", "Connection: close")
	}
}

func TestTrailersOfARequestComeAfterItsBody(t *testing.T) {
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		before := r.Trailer.Get("X-Sum")
		_, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%q %q %q %v", before, r.Trailer.Get("X-Sum"), r.Trailer.Get("X-Undeclared"), err)
	}))
	all := f.exchange("POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 6\r\nX-Undeclared: y\r\n\r\n")
	if !strings.HasSuffix(all, `"" "6" "y" <nil>`) {
		t.Errorf("got %v, want %q at its end", all, `"" "6" "y" <nil>`)
	}
}

func TestA100ContinueIsSentWhenTheBodyIsRead(t *testing.T) {
	f := serve(t, entry("a", count), entry("deaf", hello("deaf")))
	const head = " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
	c := f.dial("POST /a" + head)
	in := bufio.NewReader(c)
	line, err := in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("got %q %v, want %q at its start and no error", line, err, "HTTP/1.1 100")
	}
	_, _ = in.ReadString('\n')
	_, _ = io.WriteString(c, "abc")
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || string(body) != "3" {
		t.Errorf("got %d %s, want 200 and 3", resp.StatusCode, body)
	}
	if all := f.exchange("POST /deaf" + head); strings.Contains(all, " 100 ") || !strings.HasSuffix(all, "deaf") {
		t.Errorf("asked for a body that nobody reads: got %s, want no %q in it and %q at its end", all, " 100 ", "deaf")
	}
}

func TestAnAnswerMayComeBeforeTheUploadEnds(t *testing.T) {
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }))
	c := f.dial("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\nabc")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 403 || !resp.Close {
		t.Errorf("got %+v %v, want StatusCode 403, Close true and no error", resp, err)
	}
}

func TestAReadOfABodyThatWaitsEndsWithItsCall(t *testing.T) {
	in := make(chan struct{})
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		close(in)
		_, err := io.Copy(io.Discard, r.Body)
		if f, ok := errors.AsType[*failure.Error](err); !ok || f.Kind != failure.Draining {
			t.Errorf("got %v, want ok true and f.Kind %v", err, failure.Draining)
		}
		respond(w, r, err)
	}))
	c := f.dial("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
	<-in
	if n := f.live.tables()[0].Cut(); n != 1 {
		t.Errorf("got %d calls cut, want 1", n)
	}
	all, _ := io.ReadAll(c)
	if !strings.HasPrefix(string(all), "HTTP/1.1 503") {
		t.Errorf("got %s, want %q at its start", all, "HTTP/1.1 503")
	}
}

// The clock of a long timeouts.read must not be the next call's.
func TestTheTimeOfABodyIsItsOwnRoutes(t *testing.T) {
	f := serve(t, entry("long", count, timeoutsOf(schema.Timeouts{Read: schema.Duration(time.Hour)})),
		entry("short", count, timeoutsOf(schema.Timeouts{Read: short})))
	for range 20 { // the memory of a call is the next one's, as a rule
		if _, body := f.do(f.request("POST", "/long", strings.NewReader("abc"))); body != "3" {
			t.Fatalf("got %v, want 3", body)
		}
		c := f.dial("POST /short HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na")
		if all, _ := io.ReadAll(c); !strings.HasPrefix(string(all), "HTTP/1.1 408") {
			t.Fatalf("got %q, want %q at its start", all, "HTTP/1.1 408")
		}
	}
}
