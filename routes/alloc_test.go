package routes

import (
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"testing"

	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (w *discard) Header() http.Header         { return w.header }
func (w *discard) WriteHeader(int)             {}
func (w *discard) Write(p []byte) (int, error) { return len(p), nil }

// passing gives a function that takes one request through the table and nothing else.
func passing(method string) func() {
	var one [1]byte
	e := entry("api", func(w http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(one[:])
		w.WriteHeader(200)
	}, stripped, func(r *schema.Route) {
		r.Timeouts = schema.Timeouts{Exec: 30e9, Queue: 10e9}
		r.Limits = schema.Limits{Inflight: 100, Queue: 100, Body: 1 << 20}
		r.FProcess.Line = "server"
	})
	live := &Live{Respond: respond}
	live.Swap(NewTable([]Entry{e}, Options{
		Log:     slog.New(slog.NewJSONHandler(io.Discard, nil)),
		Access:  JSONLines(logwriter.New(io.Discard)),
		Metrics: metrics.New(metrics.Options{RouteLabel: true}),
		Respond: respond,
		Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}))
	r, err := http.NewRequest(method, "http://localhost/api/items/42?x=y", nil)
	if err != nil {
		panic(err)
	}
	r.RequestURI, r.RemoteAddr = "/api/items/42?x=y", "192.0.2.7:4711"
	r.Body = http.NoBody
	if method == "POST" {
		r.Body, r.ContentLength = io.NopCloser(nothing{}), 3
	}
	w := &discard{header: http.Header{}}
	return func() {
		clear(r.Header)
		clear(w.header)
		live.ServeHTTP(w, r)
	}
}

// nothing is a body that is at its end.
type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, io.EOF }

// The figures are for the stripped prefix, which makes another URL and target, and
// X-Duration-Seconds.
func TestACallAllocatesLittle(t *testing.T) {
	for method, most := range map[string]float64{"GET": 2, "POST": 2} {
		if racing {
			most *= 10 // pools forget under the race detector
		}
		call := passing(method)
		if n := testkit.Allocs(200, most, call); n > most {
			t.Errorf("%s: got %v allocations, want %v at most", method, n, most)
		}
	}
}

// BenchmarkCall is what a call costs on its way through the table, beside net/http's
// part and the handler's.
func BenchmarkCall(b *testing.B) {
	for _, method := range []string{"GET", "POST"} {
		b.Run(method, func(b *testing.B) {
			call := passing(method)
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}
