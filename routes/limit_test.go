package routes

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

func limits(l schema.Limits, queue time.Duration) func(*schema.Route) {
	return func(r *schema.Route) {
		r.Limits = l
		r.Timeouts.Queue = schema.Duration(queue)
	}
}

// gate is a handler whose calls wait until they are let through.
type gate struct {
	in  chan string // the path of each call that came in
	let chan struct{}
}

func newGate() *gate { return &gate{in: make(chan string, 100), let: make(chan struct{})} }

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.in <- r.URL.Path
	select {
	case <-g.let:
		_, _ = io.WriteString(w, "through")
	case <-r.Context().Done():
		obey(w, r, false)
	}
}

// wait gives the next call that came in.
func (g *gate) wait(t *testing.T) string {
	t.Helper()
	return testkit.Await(t, "a call", g.in)
}

// answer is what a call in the background got.
type answer struct {
	status int
	body   string
	header http.Header
	err    error
}

// start makes a call in the background.
func (f *front) start(ctx context.Context, r *http.Request) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		tr := &http.Transport{}
		defer tr.CloseIdleConnections()
		resp, err := tr.RoundTrip(r.WithContext(ctx))
		if err != nil {
			done <- answer{err: err}
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		done <- answer{resp.StatusCode, string(body), resp.Header, err}
	}()
	return done
}

func (f *front) startGet(path string) <-chan answer {
	return f.start(context.Background(), f.request("GET", path, nil))
}

func (f *front) queued(want int) {
	f.t.Helper()
	testkit.Eventually(f.t, fmt.Sprint("a queue of ", want), func() bool {
		return strings.Contains(f.series(), fmt.Sprintf("watchdogd_queue_depth{route=\"a\"} %d\n", want))
	})
}

func TestOverInflightWithoutAQueueACallIsRefusedAtOnce(t *testing.T) {
	g := newGate()
	f := serve(t, entry("a", g.ServeHTTP, limits(schema.Limits{Inflight: 1}, 0)))
	first := f.startGet("/a")
	g.wait(t)
	resp, body := f.get("/a")
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "1" || !strings.Contains(body, "requests: 1") {
		t.Errorf("got %d %q %v, want 429, %q in it and Retry-After 1", resp.StatusCode, body, resp.Header, "requests: 1")
	}
	g.let <- struct{}{}
	if a := <-first; a.status != 200 {
		t.Errorf("got %+v, want status 200", a)
	}
	again := f.startGet("/a")
	g.wait(t)
	g.let <- struct{}{}
	if a := <-again; a.status != 200 {
		t.Errorf("the place was not given back: got %+v, want status 200", a)
	}
	f.log.requests(t, 3)
	if s := f.series(); !strings.Contains(s, `watchdogd_rejected_total{reason="full",route="a"} 1`) {
		t.Errorf("got %v, want %q in it", s, `watchdogd_rejected_total{reason="full",route="a"} 1`)
	}
}

func TestTheQueueIsServedInOrderAndRefusesWhenFull(t *testing.T) {
	g := newGate()
	f := serve(t, entry("a", g.ServeHTTP, limits(schema.Limits{Inflight: 1, Queue: 3}, testkit.Patience)))
	calls := []<-chan answer{f.startGet("/a/0")}
	g.wait(t)
	for i := 1; i <= 3; i++ {
		calls = append(calls, f.startGet(fmt.Sprint("/a/", i)))
		f.queued(i)
	}
	if resp, _ := f.get("/a/4"); resp.StatusCode != 429 {
		t.Errorf("the queue took a fourth: got %d, want 429", resp.StatusCode)
	}
	for i, call := range calls {
		g.let <- struct{}{}
		if a := <-call; a.status != 200 {
			t.Errorf("call %d: got %+v, want status 200", i, a)
		}
		if i < 3 {
			if path := g.wait(t); path != fmt.Sprint("/a/", i+1) {
				t.Errorf("%s came after call %d", path, i)
			}
		}
	}
	f.queued(0)
	testkit.Eventually(t, "the waits to be counted", func() bool {
		return strings.Contains(f.series(), `watchdogd_queue_wait_seconds_count{route="a"} 3`)
	})
}

func TestACallThatWaitsTooLongForAPlaceGets503(t *testing.T) {
	g := newGate()
	f := serve(t, entry("a", g.ServeHTTP, limits(schema.Limits{Inflight: 1, Queue: 1}, 30*time.Millisecond)))
	first := f.startGet("/a")
	g.wait(t)
	resp, body := f.get("/a")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.HasPrefix(body, "503 queue") {
		t.Errorf("got %d %q %q, want 503, %q at its start and something", resp.StatusCode, body, resp.Header.Get("Retry-After"), "503 queue")
	}
	line := f.log.request(t)
	g.let <- struct{}{}
	<-first
	if line["timeout"] != "queue" || line["queue_wait"].(float64) < 0.03 {
		t.Errorf(`got %v, want line["timeout"] == "queue" && line["queue_wait"].(float64) >= 0.03`, line)
	}
	if s := f.series(); !strings.Contains(s, `watchdogd_timeouts_total{kind="queue",route="a"} 1`) {
		t.Errorf("got %v, want %q in it", s, `watchdogd_timeouts_total{kind="queue",route="a"} 1`)
	}
}

func TestAClientThatLeavesTheQueueFreesItsPlace(t *testing.T) {
	for name, body := range map[string]string{"without a body": "", "with an unread body": "some body"} {
		t.Run(name, func(t *testing.T) {
			g := newGate()
			f := serve(t, entry("a", g.ServeHTTP, limits(schema.Limits{Inflight: 1, Queue: 1}, testkit.Patience)))
			first := f.startGet("/a/0")
			g.wait(t)
			ctx, leave := context.WithCancel(context.Background())
			gone := f.start(ctx, f.request("POST", "/a/1", strings.NewReader(body)))
			f.queued(1)
			leave()
			if a := <-gone; a.err == nil {
				t.Errorf("got %+v, want an error in err", a)
			}
			f.queued(0)
			if line := f.log.request(t); line["status"] != 499.0 || line["path"] != "/a/1" {
				t.Errorf("got %v %v %v, want 499.0 %q", line, line["status"], line["path"], "/a/1")
			}
			second := f.startGet("/a/2")
			f.queued(1)
			g.let <- struct{}{}
			if path := g.wait(t); path != "/a/2" {
				t.Errorf("%s was served", path)
			}
			g.let <- struct{}{}
			<-first
			<-second
		})
	}
}

func TestAReloadKeepsTheLimitAcrossBothTables(t *testing.T) {
	g := newGate()
	e := entry("a", g.ServeHTTP, limits(schema.Limits{Inflight: 1, Queue: 5}, testkit.Patience))
	f := serve(t, e)
	first := f.startGet("/a/0")
	g.wait(t)
	old := f.live.Swap(NewTable([]Entry{e}, f.options))
	second := f.startGet("/a/1")
	f.queued(1)
	if n := old.Inflight(); n != 1 {
		t.Errorf("%d calls in the old table", n)
	}
	g.let <- struct{}{}
	<-first
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	if err := old.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	g.wait(t)
	g.let <- struct{}{}
	if a := <-second; a.status != 200 {
		t.Errorf("got %+v, want status 200", a)
	}
}

func TestAReloadThatRaisesTheLimitLetsTheQueueIn(t *testing.T) {
	g := newGate()
	f := serve(t, entry("a", g.ServeHTTP, limits(schema.Limits{Inflight: 1, Queue: 5}, testkit.Patience)))
	calls := []<-chan answer{f.startGet("/a"), nil}
	g.wait(t)
	calls[1] = f.startGet("/a")
	f.queued(1)
	f.live.Swap(NewTable([]Entry{entry("a", g.ServeHTTP, limits(schema.Limits{Inflight: 2}, 0))}, f.options))
	g.wait(t)
	for range calls {
		g.let <- struct{}{}
	}
	for _, c := range calls {
		if a := <-c; a.status != 200 {
			t.Errorf("got %+v, want status 200", a)
		}
	}
}

func TestACallOverTheRateGetsRetryAfter(t *testing.T) {
	f := serve(t, entry("a", hello("a"), func(r *schema.Route) { r.Limits.Rate = schema.Rate{PerSecond: 0.001, Burst: 2} }))
	for i, want := range []int{200, 200, 429} {
		resp, _ := f.get("/a")
		if resp.StatusCode != want {
			t.Errorf("call %d: got %d, want %d", i, resp.StatusCode, want)
		}
		if again := resp.Header.Get("Retry-After"); want == 429 && (len(again) < 3 || again[:2] == "10" && len(again) > 4) {
			t.Errorf(`got Retry-After %q, want want != 429 || len(again) >= 3 && (again[:2] != "10" || len(again) <= 4)`, again)
		}
	}
	f.live.Swap(NewTable([]Entry{entry("a", hello("a"), func(r *schema.Route) { r.Limits.Rate = schema.Rate{PerSecond: 0.002, Burst: 2} })}, f.options))
	if resp, _ := f.get("/a"); resp.StatusCode != 429 {
		t.Errorf("a reload filled the bucket: got %d, want 429", resp.StatusCode)
	}
}

func TestARateWithoutABurstAllowsOneSecondOfCallsAtOnce(t *testing.T) {
	for _, c := range []struct {
		rate schema.Rate
		want int
	}{{schema.Rate{PerSecond: 100}, 100}, {schema.Rate{PerSecond: 0.5}, 1}, {schema.Rate{PerSecond: 5, Burst: 50}, 50}} {
		if got := burst(c.rate); got != c.want {
			t.Errorf("%+v: got %d, want %d", c.rate, got, c.want)
		}
	}
}

func TestNoPlaceIsLostWhenClientsLeaveAsTheyGetIt(t *testing.T) {
	m := metrics.New(metrics.Options{})
	rt := newRoute(&schema.Route{Name: "a", Limits: schema.Limits{Inflight: 2, Queue: 1000}}, nil, m)
	done := make(chan error, 400)
	for i := range 400 {
		go func() {
			ctx, leave := context.WithTimeout(context.Background(), time.Duration(i%7)*100*time.Microsecond)
			defer leave()
			c := newServing()
			c.begin(&Table{}, &aim{route: rt}, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
			err := rt.limiter.enter(c)
			if err == nil {
				rt.limiter.leave(c)
			} else if failure.Of(err).Kind == failure.Full {
				err = fmt.Errorf("unexpected: %w", err)
				t.Errorf("got %v, want failure.Of(err).Kind other than %v", err, failure.Full)
			}
			done <- err
		}()
	}
	for range 400 {
		<-done
	}
	if l := rt.limiter; l.running.Len() != 0 || l.queue.Len() != 0 {
		t.Errorf("got %d that run and %d that wait, want none", l.running.Len(), l.queue.Len())
	}
}
