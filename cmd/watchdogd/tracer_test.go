package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// otlpSpan is what the tests want to know of a span.
type otlpSpan struct {
	TraceID, SpanID, ParentSpanID, Name string
	Kind                                int
	StartTimeUnixNano, EndTimeUnixNano  string
	Attributes                          []struct {
		Key   string
		Value struct{ StringValue, IntValue string }
	}
}

func (s otlpSpan) attribute(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.StringValue + a.Value.IntValue
		}
	}
	return ""
}

// otlpReceiver is a collector that keeps the spans that it gets.
type otlpReceiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []otlpSpan
}

func newReceiver(t *testing.T) *otlpReceiver {
	c := &otlpReceiver{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var got struct {
			ResourceSpans []struct {
				ScopeSpans []struct{ Spans []otlpSpan }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("got %s, %v, want spans at /v1/traces", r.URL, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, of := range got.ResourceSpans {
			for _, s := range of.ScopeSpans {
				c.spans = append(c.spans, s.Spans...)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// of returns the spans of a trace by name, once there are so many.
func (c *otlpReceiver) of(t *testing.T, trace string, n int) map[string]otlpSpan {
	t.Helper()
	var named map[string]otlpSpan
	testkit.Eventually(t, fmt.Sprint(n, " spans of ", trace), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		named = map[string]otlpSpan{}
		for _, s := range c.spans {
			if s.TraceID == trace {
				named[s.Name] = s
			}
		}
		return len(named) == n
	})
	return named
}

func TestSpansOfCallsReachTheCollectorWithTheirParents(t *testing.T) {
	collector := newReceiver(t)
	told := make(chan http.Header, 10)
	release := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told <- r.Header.Clone()
		if r.URL.Path == "/slow" {
			<-release
		}
	}))
	defer upstream.Close()
	address := freeAddress(t)
	d := &daemonUnderTest{t: t, file: filepath.Join(t.TempDir(), "watchdog.yaml"), base: "http://" + address}
	d.write(`
server: {listen: "LISTEN"}
gateway: {}
routes:
  - {name: up, upstream: ` + upstream.URL + `, limits: {inflight: 1, queue: 5}, timeouts: {queue: 1m, exec: 2m}}
  - {name: fork, mode: streaming, shell: true, fprocess: 'printf "$$TRACEPARENT $$Http_Tracestate"'}
`)
	d.start([]string{"-c", d.file}, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_BSP_SCHEDULE_DELAY=20"})
	d.waitLog(`"msg":"listening"`)
	const trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	joined := func(id string) http.Header {
		return http.Header{"Traceparent": {"00-" + id + "-" + parent + "-01"}, "Tracestate": {"vendor=x"}}
	}

	d.request("GET", "/function/up/x", joined(trace), "")
	header := testkit.Await(t, "the upstream's request", told)
	spans := collector.of(t, trace, 2)
	call, inner := spans["GET /up"], spans["upstream"]
	if call.ParentSpanID != parent || call.Kind != 2 || inner.ParentSpanID != call.SpanID || inner.Kind != 3 {
		t.Errorf("got the call %+v and the upstream %+v, want the one the parent of the other, beneath %s", call, inner, parent)
	}
	if got, want := header.Get("Traceparent"), "00-"+trace+"-"+inner.SpanID+"-01"; got != want || header.Get("Tracestate") != "vendor=x" {
		t.Errorf("the upstream: got %s and state %q, want %s and vendor=x", got, header.Get("Tracestate"), want)
	}
	if call.attribute("http.response.status_code") != "200" || call.attribute("url.path") != "/function/up/x" || call.attribute("watchdogd.route") != "up" {
		t.Errorf("got the attributes %+v, want status 200, path /function/up/x and route up", call.Attributes)
	}

	_, _, printed := d.request("GET", "/fork", joined("aaaa2f3577b34da6a3ce929d0e0e4736"), "")
	spans = collector.of(t, "aaaa2f3577b34da6a3ce929d0e0e4736", 3)
	call, start, process := spans["GET /fork"], spans["start"], spans["process"]
	if want := "00-" + call.TraceID + "-" + process.SpanID + "-01 vendor=x"; printed != want {
		t.Errorf("the process: got %q, want %q", printed, want)
	}
	if call.ParentSpanID != parent || start.ParentSpanID != call.SpanID || process.ParentSpanID != call.SpanID || start.EndTimeUnixNano > process.EndTimeUnixNano {
		t.Errorf("got %+v\n%+v\n%+v, want the start and the process beneath the call", call, start, process)
	}

	first := make(chan struct{})
	go func() {
		defer close(first)
		d.get("/up/slow")
	}()
	testkit.Await(t, "the first call", told)
	second := make(chan struct{})
	go func() {
		defer close(second)
		d.request("GET", "/up/x", joined("bbbb2f3577b34da6a3ce929d0e0e4736"), "")
	}()
	testkit.Eventually(t, "a call in the queue", func() bool {
		out, _, _ := d.command("ps", "--json")
		return strings.Contains(strings.ReplaceAll(out, " ", ""), `"queued":1`)
	})
	close(release)
	testkit.Await(t, "the end of the first call", first)
	testkit.Await(t, "the end of the second call", second)
	spans = collector.of(t, "bbbb2f3577b34da6a3ce929d0e0e4736", 3)
	if queue := spans["queue"]; queue.ParentSpanID != spans["GET /up"].SpanID || queue.EndTimeUnixNano < queue.StartTimeUnixNano {
		t.Errorf("got the queue %+v, want it beneath the call", queue)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestWithoutACollectorCallsStillHaveTheirPlaceInATrace(t *testing.T) {
	told := make(chan http.Header, 10)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { told <- r.Header.Clone() }))
	defer upstream.Close()
	d := serveFile(t, "server: {listen: \"LISTEN\"}\nroutes: [{name: up, upstream: "+upstream.URL+"}]\n")
	d.waitLog(`"msg":"listening"`)
	ask := func(header http.Header) (parent []string, id string) {
		d.request("GET", "/up", header, "")
		got := testkit.Await(t, "the upstream's request", told)
		return strings.Split(got.Get("Traceparent"), "-"), got.Get("X-Request-Id")
	}
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for _, flags := range []string{"00", "01"} {
		if got, _ := ask(http.Header{"Traceparent": {"00-" + trace + "-" + span + "-" + flags}}); len(got) != 4 || got[1] != trace || got[2] == span || got[3] != flags {
			t.Errorf("flags %s: got %q, want the trace, a span of our own and the flags", flags, got)
		}
		d.waitLog(`"trace_id":"` + trace + `"`)
	}
	got, id := ask(http.Header{"Traceparent": {"nonsense"}, "Tracestate": {"a=1"}})
	if len(got) != 4 || got[1] != id || got[3] != "01" {
		t.Errorf("a new trace: got %q and the id %s, want the id as its name, and sampled", got, id)
	}
	if got, _ := ask(http.Header{"Traceparent": {"00-" + trace + "-" + span + "-01"}, "Connection": {"traceparent"}}); len(got) != 4 || got[1] != trace {
		t.Errorf("a client that names it in Connection: got %q, want the trace", got)
	}
	if other, _ := ask(nil); len(other) != 4 || other[1] == got[1] {
		t.Errorf("got %q after %q, want another trace", other, got)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestAVariableOfTracingThatCannotBeUsedIsLoggedAndNoMore(t *testing.T) {
	address := freeAddress(t)
	d := &daemonUnderTest{t: t, file: filepath.Join(t.TempDir(), "watchdog.yaml"), base: "http://" + address}
	d.write(oneServer)
	d.start([]string{"-c", d.file}, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317"})
	d.waitLog(`"msg":"listening"`)
	d.waitLog("OTEL_EXPORTER_OTLP_ENDPOINT must be a URL such as http://collector:4318")
	if status, _ := d.get("/app/x"); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
}
