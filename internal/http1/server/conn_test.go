package server

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

func TestAConnectionServesOneRequestAfterTheOther(t *testing.T) {
	f := serve(t, hello)
	c := f.dial("")
	for i := range 5 {
		c.Send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d", i, i))
		c.Want(200, fmt.Sprintf("POST /%d %d", i, i))
	}
}

func TestRequestsMayBeSentBeforeTheAnswers(t *testing.T) {
	f := serve(t, hello)
	var all strings.Builder
	for i := range 300 {
		switch i % 3 {
		case 0:
			_, _ = fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		case 1:
			_, _ = fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n\r\n", i)
		case 2:
			_, _ = fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", i)
		}
	}
	c := f.dial(all.String())
	for i := range 300 {
		c.Want(200, fmt.Sprintf("GET /%d ", i))
	}
}

func TestNothingOfARequestIsLeftForTheNext(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Seen", fmt.Sprint(r.Header, r.Trailer, r.Host, r.URL, r.ContentLength, r.TransferEncoding, r.Close))
		if r.Method == "POST" {
			w.Header().Set("Left", "here")
			w.Header().Set("Trailer", "A")
			w.Header().Set("A", "b")
			w.WriteHeader(201)
			print(w, "body")
		}
	})
	c := f.dial("POST http://y/a?b HTTP/1.1\r\nHost: x\r\nA: b\r\nTrailer: T\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n1\r\na\r\n0\r\nT: u\r\n\r\n")
	c.Want(100, "")
	c.Want(201, "body")
	c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	res := c.Want(200, "")
	if got := res.Header.Get("Seen"); got != "map[] map[]x/ 0 [] false" || len(res.Header) != 3 || len(res.Trailer) != 0 {
		t.Errorf("got %v %v %v, want %q, 3 of them and none", got, res.Header, res.Trailer, "map[] map[]x/ 0 [] false")
	}
}

func TestAConnectionIsTakenOverWithWhatCameBehindTheRequest(t *testing.T) {
	for name, head := range map[string]bool{"without a head": false, "after 101": true} {
		t.Run(name, func(t *testing.T) {
			over := make(chan struct{})
			f := serve(t, func(w http.ResponseWriter, r *http.Request) {
				control := http.NewResponseController(w)
				_ = control.SetReadDeadline(time.Now().Add(-time.Second)) // lifted
				if head {
					w.Header().Set("Upgrade", "x")
					w.Header().Set("Connection", "Upgrade")
					w.WriteHeader(101)
				}
				nc, rw, err := control.Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				if _, _, err := control.Hijack(); err != http.ErrHijacked {
					t.Errorf("got %v, want %v", err, http.ErrHijacked)
				}
				if _, err := w.Write([]byte("a")); err != http.ErrHijacked {
					t.Errorf("got %v, want %v", err, http.ErrHijacked)
				}
				if err := control.Flush(); err != http.ErrHijacked {
					t.Errorf("got %v, want %v", err, http.ErrHijacked)
				}
				if rw.Reader.Buffered() == 0 {
					t.Error("what was read ahead is not there at once")
				}
				go func() { // until the client has closed; it outlives the handler
					defer close(over)
					defer nc.Close()
					_, _ = io.Copy(rw, rw)
					_ = rw.Flush()
				}()
			})
			ahead := strings.Repeat("ahead", 500)
			c := f.dial("GET / HTTP/1.1\r\nHost: x\r\n\r\n" + ahead)
			testkit.Eventually(t, "the server has let it go", func() bool { return f.connections() == 0 })
			c.Send("later")
			_ = closeWrite(c.Conn)
			if head {
				if res := c.Want(101, ""); res.Header.Get("Upgrade") != "x" || res.Header.Get("Connection") != "Upgrade" {
					t.Errorf("got %v, want Upgrade x and Connection Upgrade", res.Header)
				}
			}
			all := c.Rest()
			if all != ahead+"later" {
				t.Errorf("got %q, want %q", all, ahead+"later")
			}
			testkit.Await(t, "the end", over)
		})
	}
}

func TestAHandlerThatPanicsEndsItsConnectionOnly(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/abort":
			print(w, "a")
			flush(w)
			panic(http.ErrAbortHandler)
		case "/panic":
			panic("of the handler")
		case "/hijacked":
			nc, _, _ := http.NewResponseController(w).Hijack()
			defer nc.Close()
			panic("of the one who took over")
		}
	})
	if all := f.exchange("GET /abort HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasSuffix(all, "\r\n1\r\na\r\n") {
		t.Errorf("got %q, want %q at its end", all, "\r\n1\r\na\r\n")
	}
	if f.log.String() != "" {
		t.Errorf("got %v, want nothing", f.log)
	}
	for path, says := range map[string]string{"/panic": "of the handler", "/hijacked": "of the one who took over"} {
		if all := f.exchange("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"); all != "" {
			t.Errorf(`got %q, want ""`, all)
		}
		testkit.Eventually(t, "it is logged", func() bool { return strings.Contains(f.log.String(), says) })
	}
	f.dial(get).Want(200, "")
}

// Nothing else tells the caller that a response is not whole which neither has a
// length nor is chunked.
func TestAResponseOfHTTP10ThatIsCutIsReset(t *testing.T) {
	h := func(w http.ResponseWriter, r *http.Request) {
		print(w, "some")
		flush(w)
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
	}
	plain, secured := serve(t, h), serveTLS(t, h)
	for name, dial := range map[string]func(raw string) *testkit.Conn{
		"plain": plain.dial,
		"TLS":   func(raw string) *testkit.Conn { return secured.secure("http/1.1", raw) },
	} {
		if all, err := io.ReadAll(dial("GET / HTTP/1.0\r\n\r\n").Reader); err != nil || !strings.HasSuffix(string(all), "\r\n\r\nsome") {
			t.Errorf("%s: %v after %q", name, err, all)
		}
		if all, err := io.ReadAll(dial("GET /abort HTTP/1.0\r\n\r\n").Reader); err == nil {
			t.Errorf("%s: %q looks whole", name, all)
		}
	}
}

func TestAPanicWhileARequestIsRefusedEndsTheConnectionOnly(t *testing.T) {
	f := serve(t, hello, func(s *Server) {
		s.Refuse = func(http.ResponseWriter, *http.Request, *Refusal) { panic("refusing") }
	})
	if all := f.exchange("nonsense\r\n\r\n"); all != "" {
		t.Errorf(`got %q, want ""`, all)
	}
	f.dial(get).Want(200, "GET / ")
}

func TestACallerWhoLeavesIsGone(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells without a read")
	}
	for name, leave := range map[string]func(*testkit.Conn){
		"closes":                   func(c *testkit.Conn) { _ = c.Close() },
		"ends his half":            func(c *testkit.Conn) { _ = closeWrite(c.Conn) },
		"closes with bytes unread": func(c *testkit.Conn) { c.Send("behind"); _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			came, done := make(chan struct{}), make(chan struct{})
			f := serve(t, func(w http.ResponseWriter, r *http.Request) {
				defer close(done)
				if w.(interface{ Gone() bool }).Gone() {
					t.Error("gone already")
				}
				close(came)
				testkit.Eventually(t, "he is gone", w.(interface{ Gone() bool }).Gone)
			})
			c := f.dial(get)
			testkit.Await(t, "the handler", came)
			leave(c)
			testkit.Await(t, "the handler's end", done)
		})
	}
}

func TestAnIdleConnectionIsClosedInTime(t *testing.T) {
	f := serve(t, hello, func(s *Server) { s.Idle = short })
	c := f.dial(get)
	c.Want(200, "GET / ")
	if rest := c.Rest(); rest != "" {
		t.Errorf("got %v, want nothing", rest)
	}
	if f.log.String() != "" && !strings.Contains(f.log.String(), "closed") {
		t.Errorf(`got %v, want f.log.String() == "" || strings.Contains(f.log.String(), "closed")`, f.log)
	}
}

// The time of an idle connection is none of a request's.
func TestAHandlerMayTakeLongerThanAConnectionMayBeIdle(t *testing.T) {
	testkit.InTime(t, short, func(short time.Duration) bool {
		var came atomic.Bool
		f := serve(t, nil, func(s *Server) { s.Idle, s.Header = short, short })
		f.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			came.Store(true)
			begin := f.server.now()
			testkit.Eventually(t, "several times", func() bool { return f.server.now() > begin+int64(4*short) })
			print(w, "at last")
		})
		all := f.dial(get).Tail()
		if !strings.HasSuffix(all, "at last") && came.Load() {
			t.Errorf("got %q, want the whole response", all)
		}
		return came.Load()
	})
}

func TestAResponseThatNobodyTakesEndsWithTheIdleTime(t *testing.T) {
	left := make(chan struct{})
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.SetWriteDeadline(time.Now().Add(short))
		for { // until nothing fits between the two of us
			if _, err := w.(*response).c.nc.Write(make([]byte, 1<<16)); err != nil {
				break
			}
		}
		_ = control.SetWriteDeadline(time.Time{})
		print(w, "a")
		close(left)
	}, func(s *Server) { s.Idle = short })
	f.dial(get)
	testkit.Await(t, "the handler", left)
	testkit.Eventually(t, "the connection is gone", func() bool { return f.connections() == 0 })
}

func TestTheTimesOfReadingAndWritingAreHeld(t *testing.T) {
	testkit.InTime(t, short, func(short time.Duration) bool {
		read, wrote := make(chan error, 1), make(chan error, 1)
		f := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/ok" {
				hello(w, r)
				return
			}
			_, err := io.ReadAll(r.Body)
			read <- err
			for err = nil; err == nil; _, err = w.Write(make([]byte, 1<<16)) {
			}
			wrote <- err
		}, func(s *Server) { s.Read, s.Write = short, short })
		c := f.dial("POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
		if head := c.Head(); head == "" {
			return false
		}
		if body := c.Take(len("POST /ok a")); body != "POST /ok a" {
			t.Errorf("got the body %q, want POST /ok a", body)
		}
		begin := f.server.now()
		testkit.Eventually(t, "several times", func() bool { return f.server.now() > begin+int64(4*short) })
		c.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
		if err := within(t, read); !os.IsTimeout(err) {
			t.Errorf("got %v, want a timeout", err)
		}
		if err := within(t, wrote); !os.IsTimeout(err) {
			t.Errorf("got %v, want a timeout", err)
		}
		if all := f.exchange("GET /ok HTTP/1.1\r\n"); all != "" { // a head that is not done in time
			t.Errorf(`got %q, want ""`, all)
		}
		return true
	})
}

func TestDeadlinesOfAHandlerAreLiftedForTheNextRequest(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		print(w, fmt.Sprint(string(body), err))
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(-time.Second))
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
	})
	c := f.dial("")
	for range 3 {
		c.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
		c.Want(200, "a<nil>")
	}
}

func TestAnIdleConnectionHoldsNeitherBufferNorHead(t *testing.T) {
	const most = 64 << 10 // a connection; far more than one needs, and far less than its head
	var head strings.Builder
	head.WriteString("GET / HTTP/1.1\r\nHost: x\r\n")
	for i := range 900 {
		_, _ = fmt.Fprintf(&head, "x-%d: %0300d\r\n", i, i)
	}
	head.WriteString("\r\n")
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for i := range 100 {
			w.Header().Set(fmt.Sprint("X-", i), "y")
		}
	})
	before := heap()
	const n = 20
	for range n {
		f.dial(head.String()).Want(200, "")
	}
	testkit.Eventually(t, "they are idle", func() bool { return f.states(idle) == n })
	if each := (heap() - before) / n; each > most {
		t.Errorf("%d bytes a connection", each)
	}
}

// heap is how many bytes are in use.
func heap() int {
	runtime.GC()
	runtime.GC() // pools keep for one more
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
