package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

const chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

// reading answers with what a handler read, and with the error.
func reading(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.Header().Set("Connection", "close")
	}
	_, _ = fmt.Fprintf(w, "%s (%v) %v", body, err, r.Trailer)
}

func TestAChunkedBodyIsRead(t *testing.T) {
	f := serve(t, reading)
	c := f.dial("")
	for raw, want := range map[string]string{
		"0\r\n\r\n":                            " (<nil>) map[]",
		"000\r\n\r\n":                          " (<nil>) map[]",
		"3\r\nabc\r\n0\r\n\r\n":                "abc (<nil>) map[]",
		"3;a=b; c=\"d\"\r\nabc\r\n0;e\r\n\r\n": "abc (<nil>) map[]",
		"3 \t;a\r\nabc\r\n0\r\n\r\n":           "abc (<nil>) map[]",
		"b\r\n0\r\n\r\n1\r\na\r\n\r\n0A\r\n0123456789\r\n0\r\n\r\n": "0\r\n\r\n1\r\na\r\n0123456789 (<nil>) map[]",
		"1\r\na\r\n0\r\na-b: \tc \r\nA-B: d\r\nE:\r\n\r\n":          "a (<nil>) map[A-B:[c d] E:[]]",
	} {
		c.Send(chunked + raw)
		c.Want(200, want)
	}
}

func TestAMalformedChunkedBodyIsAnErrorThatIsNoEndOfFile(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		_, again := r.Body.Read(make([]byte, 1))
		var network interface{ Timeout() bool }
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) || again != err {
			t.Errorf("%v, and then %v, behind %.20q", err, again, body)
		}
		_, _ = io.WriteString(w, "refused")
	})
	for name, raw := range map[string]string{
		"no size":                   "\r\n\r\n",
		"only an extension":         ";a\r\n\r\n",
		"no hex":                    "g\r\n",
		"hex with a prefix":         "0x1\r\na\r\n0\r\n\r\n",
		"a sign":                    "+1\r\na\r\n0\r\n\r\n",
		"a blank before the size":   " 1\r\na\r\n0\r\n\r\n",
		"two sizes":                 "1 1\r\na\r\n0\r\n\r\n",
		"a size of 64 bits":         "ffffffffffffffff\r\na\r\n0\r\n\r\n",
		"a size of more":            "10000000000000001\r\na\r\n0\r\n\r\n",
		"a bare LF behind the size": "1\na\r\n0\r\n\r\n",
		"a bare LF in an extension": "1;a\n\r\na\r\n0\r\n\r\n",
		"a CR in an extension":      "1;a\rb\r\na\r\n0\r\n\r\n",
		"a bare LF behind a chunk":  "1\r\na\n0\r\n\r\n",
		"a bare LF at the end":      "0\r\n\n",
		"data that are too long":    "1\r\nab\r\n0\r\n\r\n",
		"a trailer without colon":   "0\r\nGET / HTTP/1.1\r\n\r\n",
		"a trailer that is folded":  "0\r\nA: b\r\n c\r\n\r\n",
		"a trailer without name":    "0\r\n: b\r\n\r\n",
		"a blank before the colon":  "0\r\nA : b\r\n\r\n",
		"NUL in a trailer":          "0\r\nA: \x00\r\n\r\n",
		"a length as trailer":       "0\r\ncontent-length: 1\r\n\r\n",
		"a coding as trailer":       "0\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a Host as trailer":         "0\r\nHost: y\r\n\r\n",
		"an extension without end":  "1;" + strings.Repeat("x", 1<<20),
		"a trailer without end":     "0\r\nA: " + strings.Repeat("x", 1<<20),
		"trailers without end":      "0\r\n" + strings.Repeat("A: b\r\n", 1<<17),
		"more around than in it":    strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\na\r\n", 20),
	} {
		t.Run(name, func(t *testing.T) {
			if all := f.exchange(chunked + raw + get); strings.Count(all, "HTTP/1.1") != 1 || !strings.HasSuffix(all, "refused") {
				t.Errorf(`got %q, want strings.Count(all, "HTTP/1.1") == 1 && strings.HasSuffix(all, "refused")`, all)
			}
		})
	}
}

func TestManySmallChunksAreNoAttack(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n, err)
	})
	c := f.dial(chunked + strings.Repeat("1\r\na\r\n", 1<<16) + "0\r\n\r\n")
	c.Want(200, "65536 <nil>")
}

func TestABodyThatEndsEarlyIsUnexpectedEOF(t *testing.T) {
	errs := make(chan error, 1)
	f := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		errs <- err
	})
	for _, raw := range []string{
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcd",
		chunked, chunked + "3", chunked + "3\r", chunked + "3\r\nab", chunked + "3\r\nabc", chunked + "3\r\nabc\r\n0", chunked + "3\r\nabc\r\n0\r\nA: b\r\n",
	} {
		c := f.dial(raw)
		_ = closeWrite(c.Conn)
		if err := within(t, errs); err != io.ErrUnexpectedEOF {
			t.Errorf("%q: got %v, want %v", raw, err, io.ErrUnexpectedEOF)
		}
	}
}

func TestAfterADeadlineABodyCanBeReadOn(t *testing.T) {
	slow := make(chan struct{})
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		b := make([]byte, 10)
		n, _ := io.ReadFull(r.Body, b[:4])
		_ = control.SetReadDeadline(time.Now().Add(-time.Second))
		if _, err := r.Body.Read(b[n:]); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
		}
		_ = control.SetReadDeadline(time.Time{})
		close(slow)
		m, err := io.ReadFull(r.Body, b[n:])
		_, _ = fmt.Fprintf(w, "%s %v", b[:n+m], err)
	})
	c := f.dial(chunked + "4\r\nabcd\r\n6;e")
	testkit.Await(t, "the deadline", slow)
	c.Send("\r\nefghij\r\n0\r\n\r\n")
	c.Want(200, "abcdefghij <nil>")
}

func TestABodyIsAskedForWhenItIsRead(t *testing.T) {
	const expecting = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n"
	f := serve(t, reading)
	c := f.dial("")
	for range 2 {
		c.Send(expecting)
		c.Want(100, "")
		c.Send("abc")
		c.Want(200, "abc (<nil>) map[]")
	}
	c.Send(strings.Replace(expecting, "Content-Length: 3", "Content-Length: 0", 1)) // there is nothing to ask for
	c.Want(200, " (<nil>) map[]")
	c.Send(strings.Replace(expecting, "HTTP/1.1", "HTTP/1.0", 1) + "abc") // nobody could be asked
	c.Want(200, "abc (<nil>) map[]")
}

func TestABodyThatNobodyAskedForIsNotWaitedFor(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "no") })
	c := f.dial("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	if res := c.Want(200, "no"); !res.Close {
		t.Error("kept")
	}
	if rest := c.Rest(); rest != "" {
		t.Errorf("got %v, want nothing", rest)
	}
}

// One goroutine reads and so asks, while another answers.
func TestAnAnswerMayBeginWhileTheBodyIsAskedFor(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		done := make(chan struct{})
		go func() { // until the body has ended
			defer close(done)
			_, _ = io.Copy(io.Discard, r.Body)
		}()
		_, _ = io.WriteString(w, "yes")
		_ = http.NewResponseController(w).Flush()
		<-done
	})
	for range 50 {
		c := f.dial("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
		all := make([]byte, 12)
		if _, err := io.ReadFull(c.Reader, all); err != nil {
			t.Fatal(err)
		}
		c.Send("abc")
		rest := c.Rest() // it was asked, or the connection is closed
		if string(all) == "HTTP/1.1 100" {
			rest = strings.TrimPrefix(rest, " Continue\r\n\r\n")
		}
		if strings.Contains(rest, "100") || !strings.HasSuffix(rest, "yes\r\n0\r\n\r\n") {
			t.Fatalf("got %s%s, want no %q in it and %q at its end", all, rest, "100", "yes\r\n0\r\n\r\n")
		}
		_ = c.Close()
	}
}

func TestOneHundredContinueMayBeSentByTheHandler(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusContinue)
		reading(w, r)
	})
	c := f.dial("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	c.Want(100, "")
	c.Send("abc" + get)
	c.Want(200, "abc (<nil>) map[]")
	c.Want(200, " (<nil>) map[]") // who did not ask gets none
}

func TestASmallBodyThatIsNotReadLeavesTheConnection(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Method) })
	c := f.dial("")
	for range 2 {
		c.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000))
		c.Want(200, "POST")
		c.Send(chunked + "3\r\nabc\r\n0\r\n\r\n")
		c.Want(200, "POST")
	}
}

func TestALargeBodyThatIsNotReadEndsTheConnectionAfterTheResponse(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Method) })
	for name, raw := range map[string]string{
		"sized":              "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n" + strings.Repeat("x", 4000000),
		"chunked":            chunked + "3d0900\r\n" + strings.Repeat("x", 4000000) + "\r\n0\r\n\r\n",
		"asked to be closed": "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000),
		"slow":               "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
		"announced":          "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\n\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			c := f.dial(raw)
			c.Want(200, "POST")
			if rest := c.Rest(); rest != "" {
				t.Errorf(`got %q, want ""`, rest)
			}
		})
	}
}

// Closed with bytes unread, a connection is reset, and the response may be lost.
func TestWhoSendsOnSlowlyStillGetsTheResponse(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "enough") })
	for try := 1; ; try++ {
		c := f.dial("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n")
		tick := time.NewTicker(lingering / 5)
		defer tick.Stop()
		longest, last := time.Duration(0), time.Now()
		for range 8 { // beyond one pause that is allowed
			<-tick.C
			c.Send("more")
			longest, last = max(longest, time.Since(last)), time.Now()
		}
		all := c.Tail()
		if longest > lingering/2 && try < 20 {
			continue // it was the machine that paused
		}
		if !strings.HasPrefix(all, "HTTP/1.1 200") || !strings.HasSuffix(all, "enough") {
			t.Errorf("got %q, want the whole response", all)
		}
		return
	}
}
