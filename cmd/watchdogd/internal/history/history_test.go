package history

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/supervisor"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// fake is a daemon with routes whose calls the test makes.
type fake struct {
	mu     sync.Mutex
	all    []Seen
	usages int // how often it was asked for them
}

func (f *fake) look(usage bool) []Seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	if usage {
		f.usages++
	}
	all := slices.Clone(f.all)
	for i := range all {
		all[i].Instances = slices.Clone(all[i].Instances)
	}
	return all
}

func (f *fake) looked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.usages
}

func (f *fake) change(do func(all []Seen)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(f.all)
}

func routes(n int) *fake {
	f := &fake{}
	for i := range n {
		f.all = append(f.all, Seen{Status: supervisor.Status{
			Name: fmt.Sprintf("route%d", i), Kind: supervisor.Route, State: supervisor.Ready,
			Instances: []supervisor.InstanceStatus{{PID: 100 + i, State: supervisor.Ready, RSS: 1 << 20}},
		}})
	}
	return f
}

func TestARowSaysWhatHappenedSinceTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := routes(2)
		calls := metrics.New(metrics.Options{}).Route("")
		r := &Recorder{Look: f.look}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		synctest.Wait()
		for range 50 {
			calls.Begin()
			calls.End("GET", 500, 20*time.Millisecond)
		}
		f.change(func(all []Seen) {
			all[0].Errors, all[0].Took = calls.Totals().Errors, calls.Totals().Took
			all[0].Instances[0].CPUSeconds = 1
		})
		time.Sleep(Step + time.Millisecond)
		f.change(func(all []Seen) { all[0].Instances[0].CPUSeconds = 16; all[0].Instances[0].RSS = 3 << 20 })
		time.Sleep(3 * Step)
		got := r.of([]string{"route0", "", "unknown"}, 0)
		if len(got.Series) != 2 || len(got.Series[0].At) != 4 {
			t.Fatalf("got %+v, want four rows of the two known names", got)
		}
		one, all := got.Series[0], got.Series[1]
		if one.Rate[0] != 5 || one.Errors[0] != 5 || one.Rate[1] != 0 || all.Rate[0] != 5 || all.Instances[0] != 2 {
			t.Errorf("got %+v and %+v, want 5 calls and errors a second in the first row alone", one, all)
		}
		if one.P50[0] < 0.015 || one.P50[0] > 0.021 || one.P50[1] != 0 {
			t.Errorf("medians: got %v, want 20 ms and then none", one.P50)
		}
		if one.CPU[3] != 0.5 || one.RSS[0] < 1000<<10 || one.RSS[3] < 3000<<10 || one.RSS[3] > 3100<<10 {
			t.Errorf("CPU and memory: got %v and %v, want half a core and 3 MiB in the last row", one.CPU, one.RSS)
		}
		if f.looked() != 2 {
			t.Errorf("in 40 seconds in which no client looks: got %d looks at all processes, want 2", f.looked())
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// fill keeps rows for so long, without waiting for the time to pass.
func fill(r *Recorder, long time.Duration) {
	start := time.Unix(1_000_000, 0)
	r.begin(start)
	for at := Step; at <= long; at += Step {
		r.keep(start.Add(at))
	}
}

func TestAnHourOfManyRoutesIsBounded(t *testing.T) {
	for _, c := range []struct{ routes, rows, most int }{{100, 360, 1 << 20}, {1000, 22, 2 << 20}, {5000, 5, 6 << 20}} {
		f := routes(c.routes)
		r := &Recorder{Look: f.look}
		before := heap()
		fill(r, 70*time.Minute)
		after := heap()
		t.Logf("%d routes: %d bytes", c.routes, int(after)-int(before))
		if got := int(after) - int(before); got > c.most {
			t.Errorf("%d routes: got %d bytes, want at most %d", c.routes, got, c.most)
		}
		its := r.of([]string{"route7"}, 0).Series[0]
		if len(its.At) < c.rows-1 || len(its.At) > c.rows+1 {
			t.Errorf("%d routes: got %d rows, want %d", c.routes, len(its.At), c.rows)
		}
		if span := time.Duration(its.At[len(its.At)-1]-its.At[0]) * time.Second; span+2*r.store.step < Kept || span > Kept {
			t.Errorf("%d routes: got rows of %v, %v apart, want those of an hour", c.routes, span, r.store.step)
		}
		runtime.KeepAlive(r)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAReloadWithMoreRoutesKeepsWhatIsKnownMoreCoarsely(t *testing.T) {
	f := routes(3)
	r := &Recorder{Look: f.look}
	fill(r, Kept)
	f.all = append(f.all[:2], routes(300).all[2:]...)
	f.all[1].Name = "renamed"
	r.keep(time.Unix(1_000_000, 0).Add(Kept + Step))
	r.keep(time.Unix(1_000_000, 0).Add(Kept + 5*Step))
	got := r.of([]string{"route0", "route1", "renamed"}, 0)
	if got.Step != 40 {
		t.Errorf("step: got %v s, want 40", got.Step)
	}
	if len(got.Series) != 2 || len(got.Series[0].At) != 90 || len(got.Series[1].At) > 2 {
		t.Fatalf("got %d series of %d and %d rows, want the kept one with 90, and the new one", len(got.Series), len(got.Series[0].At), len(got.Series[1].At))
	}
	at := got.Series[0].At
	for i := 1; i < len(at); i++ {
		if at[i] <= at[i-1] {
			t.Fatalf("times: got %d after %d, want them in order", at[i], at[i-1])
		}
	}
}

func TestASampleSurvivesBeingKept(t *testing.T) {
	for _, s := range []Sample{
		{},
		{Rate: 1234, Errors: 0.1, P50: 0.00021, P95: 0.0123, P99: 61.5, Inflight: 7, Queued: 3, Instances: 2, CPU: 1.25, RSS: 300 << 20},
		{Rate: 1, P50: 300, P95: 300, P99: 300, Inflight: 65535, Queued: 65535, Instances: 1000, CPU: 655, RSS: 4 << 40},
	} {
		got := s.row().sample()
		near := func(name string, got, want float64) {
			if got < want*0.99 || got > want*1.01 {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
		near("rate", got.Rate, s.Rate)
		near("errors", got.Errors, s.Errors)
		near("p50", got.P50, s.P50)
		near("p95", got.P95, s.P95)
		near("p99", got.P99, s.P99)
		near("memory", float64(got.RSS), float64(s.RSS))
		near("CPU", got.CPU, s.CPU)
		if got.Inflight != s.Inflight || got.Queued != s.Queued || got.Instances != s.Instances {
			t.Errorf("got %+v, want %+v", got, s)
		}
	}
	if got := (Sample{Inflight: 1 << 20}).row().sample().Inflight; got != 65535 {
		t.Errorf("more calls than fit: got %d, want 65535", got)
	}
}

// reading is the stream of events of a served recorder.
type reading struct {
	*bufio.Reader
	t *testing.T
}

func follow(t *testing.T, r *Recorder) *reading {
	t.Helper()
	server := httptest.NewServer(r.Events(MostFollowers))
	t.Cleanup(server.Close)
	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type: got %q, want that of events", got)
	}
	return &reading{bufio.NewReader(response.Body), t}
}

// next decodes the next event, which is called name.
func (r *reading) next(name string, into any) {
	r.t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			r.t.Fatal(err)
		}
		if got, is := strings.CutPrefix(line, "event: "); is && strings.TrimSpace(got) != name {
			r.t.Fatalf("got an event %s, want %s", got, name)
		}
		if data, is := strings.CutPrefix(line, "data: "); is {
			if err := json.Unmarshal([]byte(data), into); err != nil {
				r.t.Fatal(err)
			}
			return
		}
	}
}

func run(t *testing.T, r *Recorder) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestAFollowerGetsEverythingAndThenWhatChanges(t *testing.T) {
	f := routes(3)
	r := &Recorder{Look: f.look, Version: "v1"}
	run(t, r)
	events := follow(t, r)
	var first Full
	events.next("full", &first)
	if len(first.Rows) != 3 || first.Rows[2].Name != "route2" || first.Rows[2].RSS != 1<<20 || first.Version != "v1" {
		t.Fatalf("got %+v, want the three routes in their order", first)
	}
	f.change(func(all []Seen) { all[1].State, all[1].Reason = supervisor.Backoff, "exit status 1" })
	for {
		var c Change
		events.next("change", &c)
		if len(c.Rows) == 0 {
			continue
		}
		if len(c.Rows) != 1 || c.Rows[0].Name != "route1" || c.Rows[0].State != supervisor.Backoff || c.Rows[0].Reason != "exit status 1" {
			t.Fatalf("got %+v, want the one route that changed", c)
		}
		break
	}
	f.mu.Lock()
	f.all = f.all[:2]
	f.mu.Unlock()
	for {
		var c Change
		events.next("change", &c)
		if len(c.Gone) == 0 {
			continue
		}
		if len(c.Gone) != 1 || c.Gone[0] != "route2" || c.All == nil || c.All.Instances != 2 {
			t.Fatalf("got %+v, want route2 gone", c)
		}
		if c.Order != nil {
			t.Errorf("got the order %q when a name is gone, want none: that of the others is as it was", c.Order)
		}
		break
	}
}

func TestAFollowerGetsTheOrderWhenNamesComeOrMove(t *testing.T) {
	f := routes(3)
	l := &live{windows: map[string]*window{}, rows: map[string]Row{}}
	names := func(order ...int) (change Change) {
		var all []Seen
		for _, n := range order {
			all = append(all, f.all[n])
		}
		l.sample(all, time.Now(), &change)
		return change
	}
	for _, c := range []struct {
		what  string
		order []int
		want  []string
	}{
		{"two at first", []int{0, 2}, []string{"route0", "route2"}},
		{"nothing new", []int{0, 2}, nil},
		{"one between them", []int{0, 1, 2}, []string{"route0", "route1", "route2"}},
		{"the first is gone", []int{1, 2}, nil},
		{"they change places", []int{2, 1}, []string{"route2", "route1"}},
		{"one is gone and one comes", []int{0, 2}, []string{"route0", "route2"}},
	} {
		if got := names(c.order...).Order; !slices.Equal(got, c.want) {
			t.Errorf("%s: got the order %q, want %q", c.what, got, c.want)
		}
	}
}

func TestAFollowerThatDoesNotReadIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := routes(1)
		r := &Recorder{Look: f.look}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		stuck, _, err := r.join(time.Now(), MostFollowers)
		if err != nil {
			t.Fatal(err)
		}
		reads, _, err := r.join(time.Now(), MostFollowers)
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for range 2 * mostWaiting {
			<-reads.events
			got++
		}
		for range stuck.events { // it ends
		}
		looks := f.looked()
		r.leave(stuck)
		r.leave(reads)
		time.Sleep(20 * sampleEvery)
		if more := f.looked() - looks; more > 2 {
			t.Errorf("after the last follower has left: got %d looks in 20 s, want no more than one for a row", more)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestThereAreNotTooManyFollowers(t *testing.T) {
	r := &Recorder{Look: routes(1).look}
	var all []*follower
	for range MostFollowers {
		f, _, err := r.join(time.Now(), MostFollowers)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	answer := httptest.NewRecorder()
	r.Events(MostFollowers)(answer, httptest.NewRequest("GET", "/v1/events", nil))
	if answer.Code != 503 || !strings.Contains(answer.Body.String(), "too many clients") || answer.Header().Get("Retry-After") == "" {
		t.Errorf("one too many: got %d %s, want 503 with a sentence", answer.Code, answer.Body)
	}
	for _, f := range all[1:] {
		r.leave(f)
	}
	if _, _, err := r.join(time.Now(), 1); err == nil {
		t.Error("the second of at most one: got no error, want one")
	}
	if _, _, err := r.join(time.Now(), MostFollowers); err != nil {
		t.Errorf("after they have left: got %v, want room", err)
	}
}

func TestTheHistoryIsAskedForByName(t *testing.T) {
	r := &Recorder{Look: routes(4).look}
	fill(r, 10*Step)
	for query, want := range map[string]int{"": 5, "?name=": 1, "?name=route1&name=route3": 2, "?name=no": 0} {
		answer := httptest.NewRecorder()
		r.ServeHistory(answer, httptest.NewRequest("GET", "/v1/history"+query, nil))
		var got History
		if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Series) != want || got.Series == nil {
			t.Errorf("%s: got %d series, want %d", query, len(got.Series), want)
		}
	}
	answer := httptest.NewRecorder()
	r.ServeHistory(answer, httptest.NewRequest("GET", "/v1/history?last=3&name=route1", nil))
	if got := answer.Body.String(); strings.Count(got, "1000") != 3 {
		t.Errorf("last=3: got %s, want three rows", got)
	}
	answer = httptest.NewRecorder()
	r.ServeHistory(answer, httptest.NewRequest("GET", "/v1/history?last=0", nil))
	if answer.Code != 400 {
		t.Errorf("last=0: got %d, want 400", answer.Code)
	}
}

// pipes is a listener of connections without a buffer: what is not read is not written.
type pipes struct {
	connections chan net.Conn
	closed      chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func TestTheHandlerOfAClientThatStopsReadingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Recorder{Look: routes(3).look}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		ended := make(chan time.Time, 1)
		events := r.Events(MostFollowers)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			events(w, request)
			ended <- time.Now()
		})}
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		client, end := net.Pipe()
		l.connections <- end
		if _, err := client.Write([]byte("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReaderSize(client, 16).ReadString('\n'); err != nil { // and no more
			t.Fatal(err)
		}
		began := time.Now()
		if took := (<-ended).Sub(began); took > writeBound+time.Second {
			t.Errorf("a client that stops reading: got an end after %v, want one within %v", took, writeBound)
		}
		r.mu.Lock()
		if r.live != nil {
			t.Error("got something kept for followers, want nothing")
		}
		r.mu.Unlock()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		_ = client.Close()
		<-served
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
