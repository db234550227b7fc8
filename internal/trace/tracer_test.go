package trace

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// running runs a tracer for a collector, and returns the function that ends it.
func running(t *testing.T, collector *httptest.Server, env ...string) (*Tracer, *testkit.Log, func()) {
	t.Helper()
	log := &testkit.Log{}
	all := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL, "OTEL_BSP_SCHEDULE_DELAY": "1"}
	for i := 0; i < len(env); i += 2 {
		all[env[i]] = env[i+1]
	}
	tracer, err := FromEnv(func(name string) string { return all[name] }, Resource{Service: "shop", Version: "1"}, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tracer.Run(ctx) }()
	return tracer, log, func() {
		t.Helper()
		end()
		if err := testkit.Await(t, "the end of the tracer", done); err != nil {
			t.Errorf("got %v, want no error", err)
		}
	}
}

func (t *Tracer) record() {
	began := time.Now()
	s := t.Begin(Parent{Trace: aTrace, Span: aSpan, Sampled: true}, false, []string{"a=1", "b=2"})
	s.Add("queue", began.Add(-time.Second), began)
	s.Add("next to nothing", began, began.Add(time.Microsecond))
	s.Answering()
	s.End(Call{Began: began.Add(-2 * time.Second), Ended: began.Add(time.Second), Method: "GET", Path: "/x", Prefix: "/api", Route: "api", Status: 503, Upstream: true, Instance: "api/0"})
}

func TestSpansAreExportedAsOTLP(t *testing.T) {
	bodies := make(chan []byte, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/v1/traces" || r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("X-Key") != "k" {
			t.Errorf("got %s %s %v, want a POST of JSON with its header", r.Method, r.URL, r.Header)
		}
		bodies <- body
	}))
	defer collector.Close()
	tracer, _, end := running(t, collector, "OTEL_EXPORTER_OTLP_HEADERS", "x-key=k")
	tracer.record()
	body := testkit.Await(t, "an export", bodies)
	end()
	var got struct {
		ResourceSpans []struct {
			Resource   struct{ Attributes []struct{ Key string } }
			ScopeSpans []struct {
				Scope struct{ Name string }
				Spans []struct {
					TraceID, SpanID, ParentSpanID, TraceState, Name string
					Kind                                            int
					StartTimeUnixNano, EndTimeUnixNano              string
					Attributes                                      []struct {
						Key   string
						Value struct {
							StringValue *string
							IntValue    *string
						}
					}
					Status struct{ Code int }
				}
			}
		}
	}
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("got %v in %s, want no error", err, body)
	}
	spans := got.ResourceSpans[0].ScopeSpans[0].Spans
	if len(spans) != 3 {
		t.Fatalf("got %d spans, want the call, the queue and the upstream: %s", len(spans), body)
	}
	call, queue, upstream := spans[0], spans[1], spans[2]
	if call.TraceID != aTrace || call.ParentSpanID != aSpan || call.TraceState != "a=1,b=2" || call.Name != "GET /api" || call.Kind != kindServer || call.Status.Code != statusError {
		t.Errorf("the call: got %+v, want the server span GET /api of its parent, with an error", call)
	}
	if queue.Name != "queue" || queue.ParentSpanID != call.SpanID || queue.Kind != kindInternal {
		t.Errorf("the queue: got %+v, want a child of %s", queue, call.SpanID)
	}
	if upstream.Name != "upstream" || upstream.ParentSpanID != call.SpanID || upstream.Kind != kindClient || upstream.SpanID == call.SpanID {
		t.Errorf("the upstream: got %+v, want a child of %s", upstream, call.SpanID)
	}
	for _, a := range call.Attributes {
		if a.Key == "http.response.status_code" && (a.Value.IntValue == nil || *a.Value.IntValue != "503") {
			t.Errorf("the status: got %v, want the number 503", a.Value)
		}
	}
}

func TestWhatIsLeftIsExportedAtTheEnd(t *testing.T) {
	calls := make(chan int, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls <- strings.Count(string(body), `"GET /api"`)
	}))
	defer collector.Close()
	tracer, _, end := running(t, collector, "OTEL_BSP_SCHEDULE_DELAY", "1000000")
	for range 600 {
		tracer.record()
	}
	end()
	close(calls)
	total := 0
	for n := range calls {
		if total += n; n > batch {
			t.Errorf("got %d calls in one export, want %d at most", n, batch)
		}
	}
	if total != 600 || tracer.Dropped() != 0 {
		t.Errorf("got %d calls and %d spans lost, want 600 and none", total, tracer.Dropped())
	}
}

func TestACollectorThatHangsLosesSpansAndDelaysNothing(t *testing.T) {
	asked, hang := make(chan struct{}, 100), make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-hang
	}))
	defer collector.Close()
	defer close(hang)
	tracer, _, end := running(t, collector, "OTEL_BSP_MAX_QUEUE_SIZE", "5")
	tracer.record()
	testkit.Await(t, "an export", asked)
	for range 1000 { // it would never end if one of them waited
		tracer.record()
	}
	if got := tracer.Dropped(); got < 3*990 || got > 3*1000 {
		t.Errorf("lost: got %d spans, want those of all calls but the five that wait", got)
	}
	end() // though the collector still hangs
	if got := tracer.Dropped(); got < 3*1000 {
		t.Errorf("lost at the end: got %d spans, want those that waited too", got)
	}
}

func TestAnOutageIsLoggedOnce(t *testing.T) {
	answers := make(chan int, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(<-answers)
	}))
	defer collector.Close()
	tracer, log, end := running(t, collector)
	for i, status := range []int{500, 302, 503, 200, 200} {
		answers <- status
		tracer.record()
		testkit.Eventually(t, "the export", func() bool { return len(answers) == 0 })
		if want := uint64(min(i+1, 3) * 3); status != 200 {
			testkit.Eventually(t, "the loss", func() bool { return tracer.Dropped() == want })
		}
	}
	log.Await(t, "takes spans again")
	end()
	if got := log.String(); strings.Count(got, "spans are lost") != 1 || strings.Count(got, "takes spans again") != 1 {
		t.Errorf("got %s, want one line for the outage and one for its end", got)
	}
}

func TestSpansThatTheCollectorRejectsAreLost(t *testing.T) {
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}`)
	}))
	defer collector.Close()
	tracer, _, end := running(t, collector)
	tracer.record()
	testkit.Eventually(t, "two lost spans", func() bool { return tracer.Dropped() == 2 })
	end()
}

func TestWhatIsKeptOfACallIsBounded(t *testing.T) {
	tracer, err := fromEnv(with())
	if err != nil {
		t.Fatal(err)
	}
	s := tracer.Begin(Parent{Trace: aTrace}, true, []string{strings.Repeat("s", 1<<20)})
	now := time.Now()
	for range 1000 {
		s.Add("queue", now, now.Add(time.Second))
	}
	s.End(Call{Began: now, Ended: now, Method: "BREW\xff", Path: strings.Repeat("/long", 1<<20), Status: 200})
	text, err := json.Marshal(tracer.request([]*Spans{<-tracer.queue}))
	if err != nil || len(text) > 64<<10 {
		t.Errorf("got %d bytes, %v, want few", len(text), err)
	}
	if s.call.name != "HTTP" {
		t.Errorf("the name of a call with an invented method: got %q, want HTTP", s.call.name)
	}
}
