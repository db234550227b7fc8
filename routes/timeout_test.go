package routes

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// short is a timeout that a test waits for.
const short = schema.Duration(50 * time.Millisecond)

// inTime is testkit.InTime from short on.
func inTime(t *testing.T, try func(short schema.Duration) bool) {
	t.Helper()
	testkit.InTime(t, short.D(), func(d time.Duration) bool { return try(schema.Duration(d)) })
}

func timeoutsOf(t schema.Timeouts) func(*schema.Route) {
	return func(r *schema.Route) { r.Timeouts = t }
}

// hang answers with the head if it is asked to, and then waits for the call's end.
func hang(head string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if head != "" {
			w.Header().Set("Content-Type", head)
			_, _ = io.WriteString(w, "begun")
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
		obey(w, r, head != "")
	}
}

// cutAfter asks and checks that the answer begins with want and is visibly cut.
func (f *front) cutAfter(r *http.Request, want string) {
	f.t.Helper()
	a := <-f.start(context.Background(), r)
	if a.err == nil || a.body != want {
		f.t.Errorf("not cut: got %+v, want an error in err and body %v", a, want)
	}
}

func (f *front) loggedTimeout(kind string, cut bool) {
	f.t.Helper()
	line := f.log.request(f.t)
	if line["timeout"] != kind || (line["cut"] == true) != cut {
		f.t.Errorf("%v", line)
	}
	if s := f.series(); !strings.Contains(s, `watchdogd_timeouts_total{kind="`+kind+`",route="a"} 1`) {
		f.t.Errorf("got %v, want %q in it", s, `watchdogd_timeouts_total{kind="`+kind+`",route="a"} 1`)
	}
}

func TestBeforeTheHeadATimeoutIs504AndNamed(t *testing.T) {
	for kind, times := range map[string]schema.Timeouts{"exec": {Exec: short}, "first_byte": {FirstByte: short, Exec: 1e15}} {
		t.Run(kind, func(t *testing.T) {
			f := serve(t, entry("a", hang(""), timeoutsOf(times)))
			resp, body := f.get("/a")
			if resp.StatusCode != 504 || !strings.HasPrefix(body, "504 "+kind) {
				t.Errorf("got %d %q, want 504 and %q at its start", resp.StatusCode, body, "504 "+kind)
			}
			f.loggedTimeout(kind, false)
		})
	}
}

func TestAfterTheHeadATimeoutCutsTheResponse(t *testing.T) {
	for kind, times := range map[string]func(short schema.Duration) schema.Timeouts{
		"exec": func(short schema.Duration) schema.Timeouts { return schema.Timeouts{Exec: short, Idle: 1e15} },
		"idle": func(short schema.Duration) schema.Timeouts { return schema.Timeouts{Idle: short, Exec: 1e15} },
	} {
		t.Run(kind, func(t *testing.T) {
			inTime(t, func(short schema.Duration) bool {
				f := serve(t, entry("a", hang("text/plain"), timeoutsOf(times(short))))
				a := <-f.startGet("/a")
				if kind == "exec" && a.status == 504 {
					return false
				}
				if a.err == nil || a.body != "begun" {
					t.Errorf("not cut: got %+v, want an error in err and body begun", a)
				}
				f.loggedTimeout(kind, true)
				return true
			})
		})
	}
}

func TestAHandlerThatIgnoresTheEndIsCut(t *testing.T) {
	inTime(t, func(short schema.Duration) bool {
		returned := make(chan struct{})
		f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
			defer close(returned)
			for { // the caller reads nothing: the write blocks until it is stopped
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, timeoutsOf(schema.Timeouts{Exec: short})))
		c := f.dial("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
		<-returned
		all, _ := io.ReadAll(c)
		if strings.HasPrefix(string(all), "HTTP/1.1 504") {
			return false
		}
		if strings.HasSuffix(string(all), "\r\n0\r\n\r\n") {
			t.Error("ended as if whole")
		}
		f.loggedTimeout("exec", true)
		return true
	})
}

func TestEventStreamsAreUnderExecUntilTheirHead(t *testing.T) {
	for _, kind := range []string{"text/event-stream", "application/x-ndjson; charset=utf-8", "Text/Event-Stream"} {
		t.Run(kind, func(t *testing.T) {
			inTime(t, func(short schema.Duration) bool {
				f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", kind)
					w.WriteHeader(200)
					w.(http.Flusher).Flush()
					timer := time.NewTimer(3 * short.D())
					defer timer.Stop()
					select {
					case <-timer.C:
						_, _ = io.WriteString(w, "late")
					case <-r.Context().Done():
						obey(w, r, true)
					}
				}, timeoutsOf(schema.Timeouts{Exec: short})))
				a := <-f.startGet("/a")
				if a.status == 504 {
					return false
				}
				if a.status != 200 || a.body != "late" || a.err != nil {
					t.Errorf(`got %+v, want 200 "late"`, a)
				}
				return true
			})
		})
	}
	t.Run("before it", func(t *testing.T) {
		f := serve(t, entry("a", hang(""), timeoutsOf(schema.Timeouts{Exec: short})))
		r := f.request("GET", "/a", nil)
		r.Header.Set("Accept", "text/event-stream")
		if resp, _ := f.do(r); resp.StatusCode != 504 {
			t.Errorf("got %v, want 504", resp.StatusCode)
		}
	})
}

func TestTheClock(t *testing.T) {
	const minute = schema.Duration(time.Minute)
	stream := func(c *serving) { c.headSent(true) }
	plain := func(c *serving) { c.headSent(false) }
	move := func(c *serving) { c.Touch() }
	fail := func(c *serving) { c.Fail(&failure.Error{Kind: failure.NotReady}); c.headSent(false) }
	for _, tc := range []struct {
		name  string
		times schema.Timeouts
		steps []func(*serving) // one every 40 seconds
		kind  string           // "" = the call goes on
		after time.Duration
	}{
		{"none", schema.Timeouts{}, []func(*serving){plain}, "", 0},
		{"exec ends the whole call", schema.Timeouts{Exec: 2 * minute}, []func(*serving){plain, move, move, move}, "exec", 2 * time.Minute},
		{"exec is over at a stream's head", schema.Timeouts{Exec: minute}, []func(*serving){stream}, "", 0},
		{"first_byte is over at the head", schema.Timeouts{FirstByte: minute}, []func(*serving){plain}, "", 0},
		{"first_byte", schema.Timeouts{FirstByte: minute, Exec: 5 * minute}, nil, "first_byte", time.Minute},
		{"idle begins at the head", schema.Timeouts{Idle: minute}, []func(*serving){plain}, "idle", 100 * time.Second},
		{"idle does not begin before", schema.Timeouts{Idle: minute}, []func(*serving){move}, "", 0},
		{"what moves is not idle", schema.Timeouts{Idle: minute}, []func(*serving){plain, move, move, move, move, move, move, move, move}, "idle", 9*40*time.Second + time.Minute},
		{"idle in a stream", schema.Timeouts{Idle: minute, Exec: 2 * minute}, []func(*serving){stream, move, move, move, move}, "idle", 5*40*time.Second + time.Minute},
		{"what failed has a second to tell", schema.Timeouts{Exec: 81 * schema.Duration(time.Second) / 2}, []func(*serving){fail}, "exec", 41 * time.Second},
		{"and the rest of its time", schema.Timeouts{Exec: minute}, []func(*serving){fail, fail}, "exec", time.Minute},
		{"the earlier one", schema.Timeouts{Idle: minute, Exec: 90 * schema.Duration(time.Second)}, []func(*serving){plain}, "exec", 90 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := newRoute(&schema.Route{Name: "a", Timeouts: tc.times}, nil, metrics.New(metrics.Options{}))
				c := newServing()
				c.begin(&Table{}, &aim{route: rt}, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
				c.arm()
				c.wind()
				ended := make(chan time.Duration, 1)
				stop := context.AfterFunc(c.Context(), func() { ended <- time.Since(c.Began()) })
				defer stop()
				for _, step := range tc.steps {
					time.Sleep(40 * time.Second)
					step(c)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				f, failed := errors.AsType[*failure.Error](context.Cause(c.Context()))
				switch {
				case tc.kind == "":
					if failed {
						t.Errorf("ended by: got %s, want no failure", f.Timeout)
					}
				case !failed || f.Timeout != tc.kind:
					t.Errorf("got %+v, want %s", f, tc.kind)
				default:
					if at := <-ended; at != tc.after {
						t.Errorf("after %s, want %s", at, tc.after)
					}
				}
				if c.timer != nil {
					c.timer.Stop()
				}
			})
		})
	}
}

func TestXTimeoutLowersOnly(t *testing.T) {
	for _, c := range []struct {
		exec  time.Duration
		asked string
		want  time.Duration
	}{
		{0, "", 0}, {time.Minute, "", time.Minute},
		{0, "5s", 5 * time.Second}, {time.Minute, "5s", 5 * time.Second},
		{time.Minute, "2m", time.Minute}, {time.Minute, "0s", time.Minute}, {time.Minute, "-5s", time.Minute},
		{time.Minute, "5", time.Minute}, {time.Minute, "soon", time.Minute}, {0, "0s", 0}, {0, "-1s", 0},
	} {
		if got := lowered(c.exec, c.asked); got != c.want {
			t.Errorf("exec %s, X-Timeout %q: got %s, want %s", c.exec, c.asked, got, c.want)
		}
	}
	f := serve(t, entry("a", hang(""), timeoutsOf(schema.Timeouts{Exec: 1e15})))
	r := f.request("GET", "/a", nil)
	r.Header.Set("X-Timeout", "30ms")
	if resp, body := f.do(r); resp.StatusCode != 504 || !strings.HasPrefix(body, "504 exec") {
		t.Errorf("got %d %q, want 504 and %q at its start", resp.StatusCode, body, "504 exec")
	}
}

func TestATimeoutEndsAReadOfTheBodyThatWaits(t *testing.T) {
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		respond(w, r, err)
	}, timeoutsOf(schema.Timeouts{Exec: short})))
	all := f.exchange("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
	if !strings.HasPrefix(all, "HTTP/1.1 504") || !strings.Contains(all, "504 exec") {
		t.Errorf("got %v, want %q at its start and %q in it", all, "HTTP/1.1 504", "504 exec")
	}
}

func TestAClientThatLeavesEndsTheCall(t *testing.T) {
	for name, raw := range map[string]string{
		"without a body":       "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
		"with a read body":     "POST /a?read HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"with an unread body":  "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"with more to come":    "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nabc",
		"in a response":        "GET /a?begin HTTP/1.1\r\nHost: x\r\n\r\n",
		"in it, with a body":   "POST /a?begin HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nabc",
		"a chunked body, open": "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			in, cause := make(chan struct{}), make(chan error, 1)
			f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
				begin := r.URL.RawQuery == "begin"
				if r.URL.RawQuery == "read" {
					_, _ = io.Copy(io.Discard, r.Body)
				}
				if begin {
					_, _ = io.WriteString(w, "begun")
					w.(http.Flusher).Flush()
				}
				close(in)
				<-r.Context().Done()
				cause <- context.Cause(r.Context())
				obey(w, r, begin)
			}))
			c := f.dial(raw)
			<-in
			c.Close()
			err := testkit.Await(t, "the end of the call", cause)
			if _, ours := errors.AsType[*failure.Error](err); ours {
				t.Errorf("got the cause %v, want none of ours", err)
			}
			line := f.log.request(t)
			want := 499.0
			if strings.Contains(raw, "begin") {
				want = 200
			}
			if line["status"] != want || line["timeout"] != nil || line["cut"] != true {
				t.Errorf(`got %v, want line["status"] == want && line["timeout"] == nil && line["cut"] == true`, line)
			}
		})
	}
}

func TestAHalfClosedClientGetsNoInventedResponse(t *testing.T) {
	f := serve(t, entry("a", hang("")))
	c := f.dial("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite()
	if all, _ := io.ReadAll(c); len(all) != 0 {
		t.Errorf("got %s, want none", all)
	}
}

func TestAKeptConnectionOutlivesATimeout(t *testing.T) {
	inTime(t, func(short schema.Duration) bool {
		f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if r.URL.RawQuery == "hang" {
				<-r.Context().Done()
				obey(w, r, false)
				return
			}
			w.Header().Set("Content-Length", "2")
			_, _ = io.WriteString(w, "ok")
		}, timeoutsOf(schema.Timeouts{Exec: short})))
		c := f.dial("")
		in := bufio.NewReader(c)
		for i, want := range []int{200, 504, 200, 504, 200} {
			query := ""
			if want == 504 {
				query = "?hang"
			}
			_, _ = io.WriteString(c, "POST /a"+query+" HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			if want == 200 && resp.StatusCode == 504 {
				return false
			}
			if resp.StatusCode != want {
				t.Errorf("call %d: got %d, want %d", i, resp.StatusCode, want)
			}
		}
		return true
	})
}

// The whole call is what its caller waits for.
func TestTheWaitForAPlaceIsUnderExecToo(t *testing.T) {
	g := newGate()
	f := serve(t, entry("a", g.ServeHTTP, limits(schema.Limits{Inflight: 1, Queue: 1}, 0)))
	first := f.startGet("/a")
	g.wait(t)
	r := f.request("GET", "/a", nil)
	r.Header.Set("X-Timeout", "30ms")
	if resp, body := f.do(r); resp.StatusCode != 504 || !strings.HasPrefix(body, "504 exec") {
		t.Errorf("got %d %q, want 504 and %q at its start", resp.StatusCode, body, "504 exec")
	}
	g.let <- struct{}{}
	if a := <-first; a.status != 200 {
		t.Errorf("got %+v, want status 200", a)
	}
}
