package routes

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// within gives a context that ends after testkit.Patience, or after d.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// takeover hijacks the connection, says so, and gives the handler's causes of ending.
type takeover struct {
	taken chan net.Conn
	hold  bool // the handler stays until the call is ended
	ended chan error
}

func newTakeover(hold bool) *takeover {
	return &takeover{taken: make(chan net.Conn, 10), ended: make(chan error, 10), hold: hold}
}

func (k *takeover) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Upgrade", "echo")
	w.Header().Set("Connection", "Upgrade")
	w.WriteHeader(http.StatusSwitchingProtocols)
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		k.ended <- err
		return
	}
	k.taken <- c
	if k.hold {
		<-r.Context().Done()
		k.ended <- context.Cause(r.Context())
		c.Close()
	}
}

// upgrade opens an upgraded connection and gives both ends.
func (f *front) upgrade(k *takeover, path string) (client, server net.Conn) {
	f.t.Helper()
	c := f.dial("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	if head := readAnswer(f.t, c, "\r\n\r\n"); !strings.HasPrefix(head, "HTTP/1.1 101") {
		f.t.Fatalf("got %v, want %q at its start", head, "HTTP/1.1 101")
	}
	return c, <-k.taken
}

func TestAnUpgradedConnectionIsInFlightUntilItIsClosed(t *testing.T) {
	k := newTakeover(false)
	f := serve(t, entry("a", k.ServeHTTP, limits(schema.Limits{Inflight: 1}, 0)))
	client, server := f.upgrade(k, "/a")
	if n := f.live.Inflight(); n != 1 {
		t.Errorf("%d calls in flight", n)
	}
	if !strings.Contains(f.series(), `http_requests_in_flight{route="a"} 1`) {
		t.Errorf("got %v, want %q in it", f.series(), `http_requests_in_flight{route="a"} 1`)
	}
	if resp, _ := f.get("/a"); resp.StatusCode != 429 {
		t.Errorf("its place was given away: got %d, want 429", resp.StatusCode)
	}
	f.log.request(t)
	_, _ = io.WriteString(server, "hello")
	readAnswer(t, client, "hello")
	_, _ = io.WriteString(client, "ping")
	readAnswer(t, server, "ping")
	server.Close()
	server.Close() // as often as one likes
	testkit.Eventually(t, "the end of the call", func() bool { return f.live.Inflight() == 0 })
	if line := f.log.requests(t, 2)[1]; line["status"] != 101.0 || line["bytes"] != 5.0 || line["cut"] != nil {
		t.Errorf("got %v %v %v %v, want 101.0 5.0 nil", line, line["status"], line["bytes"], line["cut"])
	}
}

func TestAStreamIsInFlightUntilItEnds(t *testing.T) {
	g := newGate()
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		g.ServeHTTP(w, r)
	}, limits(schema.Limits{Inflight: 1}, 0)))
	stream := f.startGet("/a")
	g.wait(t)
	if resp, _ := f.get("/a"); resp.StatusCode != 429 {
		t.Errorf("its place was given away: got %d, want 429", resp.StatusCode)
	}
	g.let <- struct{}{}
	if a := <-stream; a.body != "through" {
		t.Errorf("got %+v, want body through", a)
	}
}

func TestTimeoutsIdleRulesAnUpgradedConnection(t *testing.T) {
	k := newTakeover(true)
	inTime(t, func(short schema.Duration) bool {
		f := serve(t, entry("a", k.ServeHTTP, timeoutsOf(schema.Timeouts{Exec: short, Idle: 2 * short})))
		client := f.dial("GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		switch head := readAnswer(t, client, "\r\n\r\n"); {
		case strings.HasPrefix(head, "HTTP/1.1 504"):
			return false
		case !strings.HasPrefix(head, "HTTP/1.1 101"):
			t.Fatalf("got %v, want %q at its start", head, "HTTP/1.1 101")
		}
		<-k.taken
		err := <-k.ended
		if e, ok := errors.AsType[*failure.Error](err); !ok || e.Timeout != "idle" {
			t.Errorf(`ended by: got %v, want ok && e.Timeout == "idle"`, err)
		}
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Error("still open")
		}
		f.loggedTimeout("idle", true)
		return true
	})
}

func TestTouchKeepsAnUpgradedConnection(t *testing.T) {
	inTime(t, func(short schema.Duration) bool {
		done := make(chan error, 1)
		f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusSwitchingProtocols)
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				done <- err
				return
			}
			defer c.Close()
			tick := time.NewTicker(short.D() / 5)
			defer tick.Stop()
			for range 40 {
				select {
				case <-tick.C:
					call.From(r.Context()).Touch()
				case <-r.Context().Done():
					done <- context.Cause(r.Context())
					return
				}
			}
			done <- nil
		}, timeoutsOf(schema.Timeouts{Idle: 4 * short})))
		f.dial("GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		err := <-done
		if e, ok := errors.AsType[*failure.Error](err); err != nil && (!ok || e.Timeout != "idle") {
			t.Fatal(err)
		}
		return err == nil
	})
}

func TestDrainWaitsForCallsAndServesThoseThatCome(t *testing.T) {
	g := newGate()
	f := serve(t, entry("a", g.ServeHTTP))
	first := f.startGet("/a/1")
	g.wait(t)
	drained := make(chan int, 1)
	go func() { drained <- f.live.Drain(within(t, testkit.Patience)) }()
	second := f.startGet("/a/2")
	g.wait(t)
	select {
	case <-drained:
		t.Fatal("drained with calls in flight")
	default:
	}
	g.let <- struct{}{}
	g.let <- struct{}{}
	if cut := <-drained; cut != 0 {
		t.Errorf("got %d cut, want 0", cut)
	}
	for _, call := range []<-chan answer{first, second} {
		if a := <-call; a.status != 200 || a.body != "through" {
			t.Errorf("got %+v, want status 200 and body through", a)
		}
	}
}

func TestWhatIsLeftAtTheEndOfTheDrainIsCut(t *testing.T) {
	g := newGate()
	f := serve(t,
		entry("a", g.ServeHTTP, limits(schema.Limits{Inflight: 1, Queue: 1}, testkit.Patience)),
		entry("begun", hang("text/plain")))
	running := f.startGet("/a/1")
	g.wait(t)
	queued := f.startGet("/a/2")
	f.queued(1)
	begun := f.dial("GET /begun HTTP/1.1\r\nHost: x\r\n\r\n")
	readAnswer(t, begun, "begun")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if cut := f.live.Drain(ctx); cut != 3 {
		t.Errorf("got %d cut, want 3", cut)
	}
	for name, call := range map[string]<-chan answer{"running": running, "queued": queued} {
		if a := <-call; a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf(`%s: got %+v, want a.status == 503 && a.header.Get("Retry-After") != ""`, name, a)
		}
	}
	if rest, _ := io.ReadAll(begun); strings.HasSuffix(string(rest), "0\r\n\r\n") {
		t.Error("ended as if whole")
	}
	testkit.Eventually(t, "the end of all calls", func() bool { return f.live.Inflight() == 0 })
	if n := strings.Count(f.series(), `watchdogd_rejected_total{reason="draining"`); n != 2 {
		t.Errorf("got %v %v, want 2", f.series(), n)
	}
}

func TestUpgradedConnectionsAreAskedToCloseWhenTheDrainBegins(t *testing.T) {
	k := newTakeover(true)
	e := entry("a", k.ServeHTTP)
	f := serve(t, e)
	before, _ := f.upgrade(k, "/a")
	f.live.Swap(NewTable([]Entry{e}, f.options)) // it is in the former table now
	drained := make(chan int, 1)
	go func() { drained <- f.live.Drain(within(t, testkit.Patience)) }()
	if err := <-k.ended; failure.Of(err).Kind != failure.Draining {
		t.Errorf("ended by: got %v, want a failure of kind Draining", err)
	}
	if cut := <-drained; cut != 0 {
		t.Errorf("got %d cut, want 0", cut)
	}
	if _, err := before.Read(make([]byte, 1)); err == nil {
		t.Error("still open")
	}
	// one that comes while the drain is on
	f.upgrade(k, "/a")
	if err := <-k.ended; failure.Of(err).Kind != failure.Draining {
		t.Errorf("ended by: got %v, want a failure of kind Draining", err)
	}
	// and in a table that comes
	f.live.Swap(NewTable([]Entry{e}, f.options))
	f.upgrade(k, "/a")
	if err := <-k.ended; failure.Of(err).Kind != failure.Draining {
		t.Errorf("ended by: got %v, want a failure of kind Draining", err)
	}
}

func TestACallStaysWithItsTableAndNewOnesGoToTheNext(t *testing.T) {
	g := newGate()
	f := serve(t, entry("a", g.ServeHTTP))
	c := f.dial("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	g.wait(t)
	old := f.live.Swap(NewTable([]Entry{entry("b", hello("new"))}, f.options))
	drained := make(chan error, 1)
	go func() { drained <- old.Drain(within(t, testkit.Patience)) }()
	if _, body := f.get("/b"); body != "new" {
		t.Errorf("got %v, want new", body)
	}
	if resp, _ := f.get("/a"); resp.StatusCode != 404 {
		t.Errorf("got %v, want 404", resp.StatusCode)
	}
	if n, all := old.Inflight(), f.live.Inflight(); n != 1 || all != 1 {
		t.Errorf("%d in the old table, %d in all", n, all)
	}
	g.let <- struct{}{}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("got %v %v, want StatusCode 200 and no error", resp, err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	// the connection is kept across the reload
	_, _ = io.WriteString(c, "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if all, _ := io.ReadAll(c); !strings.HasSuffix(string(all), "new") {
		t.Errorf("got %s, want %q at its end", all, "new")
	}
	if strings.Contains(f.series(), `route="a"`) {
		t.Error("the series of a route that is gone are left")
	}
}

func TestNoCallIsLostWhileTablesAreSwapped(t *testing.T) {
	f := serve(t, entry("a", hello("a")))
	stop, done := make(chan struct{}), make(chan error, 4)
	for range cap(done) {
		go func() {
			tr := &http.Transport{}
			defer tr.CloseIdleConnections()
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				resp, err := tr.RoundTrip(f.request("GET", "/a", nil))
				if err != nil {
					done <- err
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(body) != "a" {
					done <- errors.New(resp.Status)
					return
				}
			}
		}()
	}
	for range 200 {
		old := f.live.Swap(NewTable([]Entry{entry("a", hello("a"))}, f.options))
		if err := old.Drain(within(t, testkit.Patience)); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestAPanicIsAnsweredOnceLoggedAndFreesItsPlace(t *testing.T) {
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "begun" {
			_, _ = io.WriteString(w, "begun")
			w.(http.Flusher).Flush()
		}
		if r.URL.RawQuery == "abort" {
			panic(http.ErrAbortHandler)
		}
		panic("oops")
	}, limits(schema.Limits{Inflight: 1}, 0)))
	if resp, body := f.get("/a"); resp.StatusCode != 500 || !strings.Contains(body, "internal error") || strings.Contains(body, "oops") {
		t.Errorf("got %d %s, want 500, %q in it and no %q in it", resp.StatusCode, body, "internal error", "oops")
	}
	if !f.log.has("a handler panicked") {
		t.Error("not logged")
	}
	f.cutAfter(f.request("GET", "/a?begun", nil), "begun")
	if all := f.exchange("GET /a?abort HTTP/1.1\r\nHost: x\r\n\r\n"); all != "" {
		t.Errorf("got %s, want nothing", all)
	}
	for i, want := range []float64{500, 200, 500} {
		if line := f.log.requests(t, 3)[i]; line["status"] != want || (line["cut"] == true) != (i > 0) {
			t.Errorf(`got %v, want line["status"] == want && (line["cut"] == true) == (i > 0)`, line)
		}
	}
}

func TestAPanicAfterATakeoverClosesTheConnection(t *testing.T) {
	f := serve(t, entry("a", func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(c, "mine")
		panic("oops")
	}))
	if all := f.exchange("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"); all != "mine" {
		t.Errorf("got %v, want mine", all)
	}
	testkit.Eventually(t, "the end of the call", func() bool { return f.live.Inflight() == 0 })
}
