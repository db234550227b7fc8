package routes

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// mixedRoutes end their calls in every way that a handler can.
func mixedRoutes() []Entry {
	quick := func(r *schema.Route) {
		r.Timeouts = schema.Timeouts{Exec: schema.Duration(2 * time.Millisecond), Queue: schema.Duration(time.Millisecond)}
	}
	return []Entry{
		entry("ok", hello("ok")),
		entry("limited", func(w http.ResponseWriter, r *http.Request) { time.Sleep(50 * time.Microsecond) }, quick, func(r *schema.Route) {
			r.Limits = schema.Limits{Inflight: 1, Queue: 2, Body: 100}
		}),
		entry("rated", hello("rated"), func(r *schema.Route) { r.Limits.Rate = schema.Rate{PerSecond: 1, Burst: 5} }),
		entry("panics", func(http.ResponseWriter, *http.Request) { panic("a fault") }),
		entry("aborts", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}),
		entry("hangs", func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			obey(w, r, false)
		}, quick),
		entry("reads", func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				respond(w, r, err)
			}
		}),
		entry("upgrades", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "echo")
			w.WriteHeader(http.StatusSwitchingProtocols)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}),
	}
}

// mixedRequests are sent as they are; some are cut short, and some are no requests.
var mixedRequests = []string{
	"GET /ok HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /function/ok/x HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /function/none HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: h\r\nX-Function: ok\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n" + strings.Replace(small, "api", "ok", 1) + " ",
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n{\"session\":", // and no more
	"GET /limited HTTP/1.1\r\nHost: h\r\n\r\n",
	"POST /limited HTTP/1.1\r\nHost: h\r\nContent-Length: 200\r\n\r\n",
	"GET /rated HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /panics HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /aborts HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /function/aborts HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /hangs HTTP/1.1\r\nHost: h\r\n\r\n",
	"POST /reads HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"POST /reads HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	"POST /reads HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nshort", // and no more
	"GET /upgrades HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nping",
	"GET /function/upgrades HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
	"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n",
	"PURGE /ok HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /ok HTTP/9.9\r\n\r\n",
	"nonsense\r\n\r\n",
}

// TestNothingIsInFlightAfterAnyMix sends 10 000 calls that end in every way there is.
func TestNothingIsInFlightAfterAnyMix(t *testing.T) {
	const clients, each = 20, 500
	f := serve(t)
	entries := mixedRoutes()
	var lines atomic.Int64
	f.options.Gateway, f.options.Access = theGateway(), func(Line) { lines.Add(1) }
	f.live.Swap(NewTable(entries, f.options))
	var sending sync.WaitGroup
	for c := range clients {
		random := rand.New(rand.NewPCG(7, uint64(c)))
		sending.Go(func() {
			for range each {
				f.sendMixed(t, mixedRequests[random.IntN(len(mixedRequests))], random.IntN(3))
			}
		})
	}
	sending.Wait()
	// A client that left at once may be accepted after all others have had their answers.
	var families map[string]*dto.MetricFamily
	testkit.Eventually(t, "the end of all calls, each counted and logged", func() bool {
		families = f.families(t)
		return f.live.Inflight() == 0 && sumOf(families["http_requests_in_flight"]) == 0 && sumOf(families["http_requests_total"]) == float64(lines.Load())
	})
	for _, name := range []string{"http_requests_in_flight", "watchdogd_queue_depth"} {
		if got := sumOf(families[name]); got != 0 || len(families[name].GetMetric()) != len(entries) {
			t.Errorf("%s: got %v in %d routes, want 0 in %d", name, got, len(families[name].GetMetric()), len(entries))
		}
	}
	if got := sumOf(families["http_requests_total"]); got < clients*each/2 {
		t.Errorf("http_requests_total: got %v, want more than half of the %d requests", got, clients*each)
	}
	if calls, took := sumOf(families["gateway_function_invocation_total"]), sumOf(families["gateway_functions_seconds"]); calls != took || calls == 0 {
		t.Errorf("through the gateway: got %v calls and %v durations, want as many", calls, took)
	}
	for _, name := range []string{"watchdogd_rejected_total", "watchdogd_timeouts_total"} {
		if sumOf(families[name]) == 0 {
			t.Errorf("%s: got 0, want some", name)
		}
	}
	if n := f.live.Table().gateway.held.Load(); n != 0 {
		t.Errorf("bytes held by the gateway: got %d, want 0", n)
	}
}

// families returns the metrics as a scrape has them.
func (f *front) families(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	answer := &recorded{header: http.Header{}}
	ask, _ := http.NewRequest("GET", "/metrics", nil) // it cannot fail
	f.metrics.ServeHTTP(answer, ask)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(&answer.Buffer)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// sendMixed sends a request on a connection of its own, and then leaves at once, waits for
// the beginning of an answer, or for its end.
func (f *front) sendMixed(t *testing.T, request string, patient int) {
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, request) // the server may have closed it
	if patient == 0 {
		return
	}
	_ = conn.(*net.TCPConn).CloseWrite() // as above
	if patient == 1 {
		_, _ = conn.Read(make([]byte, 1))
		return
	}
	_, _ = io.Copy(io.Discard, conn)
}

// recorded is a ResponseWriter into memory.
type recorded struct {
	bytes.Buffer
	header http.Header
}

func (r *recorded) Header() http.Header { return r.header }
func (r *recorded) WriteHeader(int)     {}

// sumOf is the sum of a family: of its values, or of its counts.
func sumOf(family *dto.MetricFamily) (sum float64) {
	for _, m := range family.GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	return sum
}
