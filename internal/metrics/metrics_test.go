package metrics

import (
	"bytes"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// scrape reads the exposition of m.
func scrape(t *testing.T, m *Registry) *exposition {
	t.Helper()
	var out bytes.Buffer
	m.WritePrometheus(&out)
	e, err := parse(out.String())
	if err != nil {
		t.Fatalf("got %v in\n%s\nwant no error", err, &out)
	}
	return e
}

func (e *exposition) want(t *testing.T, want map[string]float64) {
	t.Helper()
	for series, value := range want {
		if got, there := e.samples[series]; !there || got != value {
			t.Errorf("%s is %v (%v), want %v", series, got, there, value)
		}
	}
}

func TestEachFamilyOfTheDesignIsThereWithItsTypeAndLabels(t *testing.T) {
	m := New(Options{Version: `1.2 "x"`, Revision: "abc", RouteLabel: true})
	m.AddDropped(func() uint64 { return 3 })
	m.AddDropped(func() uint64 { return 4 })
	r := m.Route("api")
	r.Begin()
	r.Begin()
	r.End("GET", 200, 7*time.Millisecond)
	r.Queued(2)
	r.Waited(30 * time.Second)
	r.Rejected(Full)
	r.TimedOut("first_byte")
	e := scrape(t, m)
	for family, kind := range map[string]string{
		"http_requests_total":                     "counter",
		"http_request_duration_seconds":           "histogram",
		"http_requests_in_flight":                 "gauge",
		"watchdogd_queue_depth":                   "gauge",
		"watchdogd_queue_wait_seconds":            "histogram",
		"watchdogd_rejected_total":                "counter",
		"watchdogd_timeouts_total":                "counter",
		"watchdogd_config_last_reload_successful": "gauge",
		"watchdogd_log_lines_dropped_total":       "counter",
		"watchdogd_build_info":                    "gauge",
	} {
		if e.kinds[family] != kind {
			t.Errorf("%s is a %q, want a %s", family, e.kinds[family], kind)
		}
	}
	e.want(t, map[string]float64{
		`http_requests_total{code="200",method="get",route="api"}`:                             1,
		`http_request_duration_seconds_bucket{code="200",le="0.005",method="get",route="api"}`: 0,
		`http_request_duration_seconds_bucket{code="200",le="0.01",method="get",route="api"}`:  1,
		`http_request_duration_seconds_sum{code="200",method="get",route="api"}`:               0.007,
		`http_request_duration_seconds_count{code="200",method="get",route="api"}`:             1,
		`http_requests_in_flight{route="api"}`:                                                 1,
		`watchdogd_queue_depth{route="api"}`:                                                   2,
		`watchdogd_queue_wait_seconds_bucket{le="10",route="api"}`:                             0,
		`watchdogd_queue_wait_seconds_bucket{le="+Inf",route="api"}`:                           1,
		`watchdogd_queue_wait_seconds_sum{route="api"}`:                                        30,
		`watchdogd_rejected_total{reason="full",route="api"}`:                                  1,
		`watchdogd_timeouts_total{kind="first_byte",route="api"}`:                              1,
		`watchdogd_log_lines_dropped_total{}`:                                                  7,
		`watchdogd_config_last_reload_successful{}`:                                            1,
	})
	m.Reloaded(false)
	scrape(t, m).want(t, map[string]float64{`watchdogd_config_last_reload_successful{}`: 0})
}

func TestFromTheEnvironmentTheSeriesAreThoseOfOfWatchdog(t *testing.T) {
	m := New(Options{})
	m.Route("") // as each table does
	scrape(t, m).want(t, map[string]float64{`http_requests_in_flight{}`: 0})
	r := m.Route("fn")
	r.Begin()
	r.End("POST", 200, time.Minute)
	e := scrape(t, m)
	e.want(t, map[string]float64{
		`http_requests_total{code="200",method="post"}`:                            1,
		`http_request_duration_seconds_bucket{code="200",le="10",method="post"}`:   0,
		`http_request_duration_seconds_bucket{code="200",le="+Inf",method="post"}`: 1,
		`http_requests_in_flight{}`:                                                0,
	})
	for _, le := range []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"} {
		if _, there := e.samples[`http_request_duration_seconds_bucket{code="200",le="`+le+`",method="post"}`]; !there {
			t.Errorf("no bucket %s", le)
		}
	}
	for series := range e.samples {
		if strings.Contains(series, "route=") {
			t.Errorf("%s names a route", series)
		}
	}
}

func TestAnInventedMethodIsUnknown(t *testing.T) {
	m := New(Options{RouteLabel: true})
	for i := range 100 {
		r := m.Route("a")
		r.Begin()
		r.End(fmt.Sprint("M", i), 405, 0)
	}
	scrape(t, m).want(t, map[string]float64{`http_requests_total{code="405",method="unknown",route="a"}`: 100})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"} {
		if got := methodNames[methodIndex(method)]; got != strings.ToLower(method) {
			t.Errorf("%s is %s", method, got)
		}
	}
}

func TestEachReasonAndEachTimeoutHasItsSeries(t *testing.T) {
	m := New(Options{RouteLabel: true})
	r := m.Route("a")
	want := map[string]float64{}
	for why, label := range map[Reason]string{OverRate: "rate", Full: "full", QueueTimeout: "queue", TooLarge: "body",
		Unauthorized: "auth", NotReady: "not_ready", CrashLoop: "crash_loop", Draining: "draining"} {
		r.Rejected(why)
		want[`watchdogd_rejected_total{reason="`+label+`",route="a"}`] = 1
	}
	for _, kind := range []string{"start", "queue", "read", "first_byte", "exec", "idle"} {
		r.TimedOut(kind)
		want[`watchdogd_timeouts_total{kind="`+kind+`",route="a"}`] = 1
	}
	r.TimedOut("of the future")
	want[`watchdogd_timeouts_total{kind="other",route="a"}`] = 1
	scrape(t, m).want(t, want)
}

func TestRoutesAreKeptByNameAndForgottenWithIt(t *testing.T) {
	m := New(Options{RouteLabel: true})
	a, none := m.Route("a"), m.Route("")
	for _, r := range []*Route{a, none} {
		r.Begin()
		r.End("GET", 200, 0)
	}
	if m.Route("a") != a {
		t.Error("another Route of the same name")
	}
	m.Keep([]string{"b"})
	e := scrape(t, m)
	e.want(t, map[string]float64{`http_requests_total{code="200",method="get"}`: 1})
	for series := range e.samples {
		if strings.Contains(series, `route="a"`) {
			t.Errorf("%s is left", series)
		}
	}
	if m.Route("a") == a {
		t.Error("the counters came back")
	}
}

func TestCountingAndScrapingAtOnce(t *testing.T) {
	m := New(Options{RouteLabel: true})
	var counting sync.WaitGroup
	for i := range 8 {
		counting.Go(func() {
			r := m.Route("a")
			for n := range 500 {
				r.Begin()
				r.End("GET", 200+(n+i)%7, time.Duration(n)*time.Millisecond)
			}
		})
	}
	for range 20 {
		scrape(t, m)
	}
	counting.Wait()
	total := 0.0
	for series, n := range scrape(t, m).samples {
		if strings.HasPrefix(series, "http_requests_total{") {
			total += n
		}
	}
	if total != 4000 {
		t.Errorf("got %v calls of 4000, want 4000", total)
	}
}

func TestCollectorsWriteWholeFamiliesAfterOurs(t *testing.T) {
	m := New(Options{})
	m.AddCollector(func(w io.Writer) {
		Family(w, "watchdogd_process_instances", "gauge", "how many")
		fmt.Fprintf(w, "watchdogd_process_instances{process=%q} 2\n", "api")
	})
	answer := httptest.NewRecorder()
	m.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if kind := answer.Header().Get("Content-Type"); kind != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("got %v, want %q", kind, "text/plain; version=0.0.4; charset=utf-8")
	}
	e, err := parse(answer.Body.String())
	if err != nil {
		t.Fatal(err)
	}
	e.want(t, map[string]float64{`watchdogd_process_instances{process="api"}`: 2})
}

func TestCountingAllocatesNothing(t *testing.T) {
	r := New(Options{RouteLabel: true}).Route("a")
	count := func() {
		r.Begin()
		r.Waited(time.Second)
		r.Rejected(Full)
		r.TimedOut("exec")
		r.End("GET", 200, time.Millisecond)
	}
	if n := testkit.Allocs(100, 0, count); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func TestTheFormIsChosenByAccept(t *testing.T) {
	const prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
	for accept, open := range map[string]bool{
		"":                             false,
		"*/*":                          false,
		"text/plain":                   false,
		prometheus:                     true,
		"application/openmetrics-text": true,
		"application/openmetrics-text; version=1.0.0; charset=utf-8":       true,
		"application/openmetrics-text;version=2.0.0":                       false,
		"application/openmetrics-text;q=0":                                 false,
		"application/openmetrics-text;q=x":                                 false,
		"text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=.1": false,
		"application/vnd.google.protobuf;q=0.7,text/plain;q=0.2":           false,
	} {
		if got := wantsOpen([]string{accept}); got != open {
			t.Errorf("%q: got OpenMetrics %t, want %t", accept, got, open)
		}
	}
}

func TestOpenMetricsHasTheSameSeriesInItsOwnForm(t *testing.T) {
	m := New(Options{Version: "1", RouteLabel: true})
	r := m.Route("api")
	r.Begin()
	r.End("GET", 200, 7*time.Millisecond)
	m.Function("api").End(200, time.Second)
	ask := httptest.NewRequest("GET", "/metrics", nil)
	ask.Header.Set("Accept", "application/openmetrics-text")
	answer := httptest.NewRecorder()
	m.ServeHTTP(answer, ask)
	if got, want := answer.Header().Get("Content-Type"), openFormat; got != want {
		t.Errorf("Content-Type: got %q, want %q", got, want)
	}
	text := answer.Body.String()
	for _, want := range []string{
		"# TYPE http_requests counter\nhttp_requests_total{code=\"200\",method=\"get\",route=\"api\"} 1\n",
		"http_request_duration_seconds_bucket{code=\"200\",method=\"get\",route=\"api\",le=\"1.0\"} 1\n",
		"http_request_duration_seconds_bucket{code=\"200\",method=\"get\",route=\"api\",le=\"2.5\"} 1\n",
		"# TYPE gateway_function_invocation counter\ngateway_function_invocation_total{function_name=\"api\",code=\"200\"} 1\n",
		"# HELP process_cpu_seconds CPU time of watchdogd itself\n# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%s\nwant it to have\n%s", text, want)
		}
	}
	if !strings.HasSuffix(text, "\n# EOF\n") || strings.Count(text, "# EOF") != 1 {
		t.Errorf("got the end %q, want one # EOF", text[max(0, len(text)-40):])
	}
	if strings.Contains(text, `le="1"`) || strings.Contains(text, "_total counter") {
		t.Error("got text format in OpenMetrics, want none")
	}
}

// Prometheus's own parser reads it.
func TestPrometheusReadsTheExposition(t *testing.T) {
	m := New(Options{Version: `1.2 "x"`, RouteLabel: true})
	for i := range 10_000 {
		r := m.Route([]string{"a", "b", ""}[i%3])
		r.Begin()
		r.Waited(time.Duration(i) * time.Millisecond)
		r.Rejected(Reason(i % int(reasons)))
		r.TimedOut(timeoutKeys[i%timeouts])
		r.End([]string{"GET", "POST", "PURGE"}[i%3], 200+i%5, time.Duration(i)*time.Millisecond)
		m.Function("a").End(200+i%5, time.Second)
	}
	kinds := map[string]string{"go_memstats_mallocs_total": "COUNTER", "go_gc_duration_seconds": "SUMMARY", "go_goroutines": "GAUGE", "process_cpu_seconds_total": "COUNTER",
		"http_requests_total": "COUNTER", "http_request_duration_seconds": "HISTOGRAM", "gateway_functions_seconds": "HISTOGRAM"}
	for _, accept := range []string{"text/plain", "application/openmetrics-text;version=1.0.0"} {
		ask := httptest.NewRequest("GET", "/metrics", nil)
		ask.Header.Set("Accept", accept)
		answer := httptest.NewRecorder()
		m.ServeHTTP(answer, ask)
		format := expfmt.ResponseFormat(answer.Header())
		if want := map[bool]expfmt.FormatType{true: expfmt.TypeOpenMetrics, false: expfmt.TypeTextPlain}[accept != "text/plain"]; format.FormatType() != want {
			t.Errorf("%s: got the format %s, want %v", accept, format, want)
		}
		families := decode(t, answer.Body, format)
		total := 0.0
		for _, metric := range families["http_requests_total"].GetMetric() {
			total += metric.GetCounter().GetValue()
		}
		if total != 10_000 {
			t.Errorf("%s: http_requests_total: got %v in all, want 10000", accept, total)
		}
		for name, family := range families {
			known := family.GetType().String() != "UNTYPED" || format.FormatType() == expfmt.TypeOpenMetrics && name == "go_memstats_alloc_bytes_total"
			if family.GetHelp() == "" || !known {
				t.Errorf("%s: %s: got help %q and type %s, want both", accept, name, family.GetHelp(), family.GetType())
			}
		}
		for name, kind := range kinds {
			if got := families[name].GetType().String(); got != kind {
				t.Errorf("%s: %s: got %s, want %s", accept, name, got, kind)
			}
		}
	}
}

// decode reads an exposition with Prometheus's own parser.
func decode(t *testing.T, from io.Reader, format expfmt.Format) map[string]*dto.MetricFamily {
	t.Helper()
	families := map[string]*dto.MetricFamily{}
	for decoder := expfmt.NewDecoder(from, format); ; {
		family := &dto.MetricFamily{}
		switch err := decoder.Decode(family); err {
		case nil:
			name := family.GetName()
			if format.FormatType() == expfmt.TypeOpenMetrics && family.GetType() == dto.MetricType_COUNTER {
				name = strings.TrimSuffix(name, "_total") + "_total"
			}
			families[name] = family
		case io.EOF:
			return families
		default:
			t.Fatalf("%s: %v", format, err)
		}
	}
}

func TestSeriesWithoutARouteAreTheSumOfAll(t *testing.T) {
	m := New(Options{})
	for _, name := range []string{"a", "b"} {
		r := m.Route(name)
		r.Begin()
		r.Begin()
		r.Queued(1)
		r.Rejected(Full)
		r.Waited(time.Second)
		r.End("GET", 200, time.Second)
	}
	m.Keep([]string{"a"})
	if inflight, queued, _ := m.Route("a").Counts(); inflight != 1 || queued != 1 {
		t.Errorf("route a: got %d in flight and %d queued, want 1 and 1", inflight, queued)
	}
	scrape(t, m).want(t, map[string]float64{
		`http_requests_total{code="200",method="get"}`:               2,
		`http_request_duration_seconds_sum{code="200",method="get"}`: 2,
		`http_requests_in_flight{}`:                                  2,
		`watchdogd_queue_depth{}`:                                    2,
		`watchdogd_queue_wait_seconds_count{}`:                       2,
		`watchdogd_rejected_total{reason="full"}`:                    2,
	})
}
