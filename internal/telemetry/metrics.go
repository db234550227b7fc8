// Package telemetry is what watchdogd says about itself: counters and histograms
// in Prometheus's text format, and the writer that gathers log lines.
//
//	m := telemetry.NewMetrics(telemetry.Options{Version: "1.2.0", RouteLabel: true})
//	api := m.Route("api")                    // once, when the table is built
//	api.Begin()                              // on each call: no lookup by label
//	api.End("GET", 200, 3*time.Millisecond)
//	m.WritePrometheus(w)
//
// A Metrics lives as long as the program. A Route is kept as long as its name is
// in the configuration, so that its counters survive a reload.
package telemetry

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"
)

// Metrics is everything that is counted. Its methods may be called from anywhere.
type Metrics struct {
	opt      Options
	set      *metrics.Set
	reloaded atomic.Bool

	mu         sync.Mutex
	routes     map[string]*Route
	collectors []func(io.Writer)
	dropped    []func() uint64
}

// Options are what is said of the program, and the form of its series.
type Options struct {
	Version, Revision string

	// RouteLabel adds route="NAME" to the series of calls. It is false for a
	// configuration from the environment, whose series are those of of-watchdog.
	RouteLabel bool
}

// NewMetrics gives a Metrics without routes.
func NewMetrics(o Options) *Metrics {
	metrics.ExposeMetadata(true) // TYPE lines; the library knows one setting for the whole program
	m := &Metrics{opt: o, set: metrics.NewSet(), routes: map[string]*Route{}}
	m.reloaded.Store(true)
	return m
}

// Route gives the counters of the route called name: the same ones at each call,
// until Keep forgets them. The empty name is that of calls which no route takes.
func (m *Metrics) Route(name string) *Route {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.routes[name]
	if r == nil {
		r = &Route{set: m.set, name: name}
		if m.opt.RouteLabel && name != "" {
			r.label = `route="` + name + `"`
		}
		m.routes[name] = r
	}
	return r
}

// Keep forgets every route but those called names and the one without a name:
// their series are gone from the next exposition on. A call that is still under
// way in a forgotten route is not counted any more.
func (m *Metrics) Keep(names []string) {
	keep := map[string]bool{"": true}
	for _, n := range names {
		keep[n] = true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, r := range m.routes {
		if !keep[name] {
			r.forget()
			delete(m.routes, name)
		}
	}
}

// AddCollector has write called at the end of each exposition. It writes whole
// families of series in Prometheus's text format; Family is of help.
func (m *Metrics) AddCollector(write func(io.Writer)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.collectors = append(m.collectors, write)
}

// AddDropped makes a part of watchdogd_log_lines_dropped_total of what count gives.
func (m *Metrics) AddDropped(count func() uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropped = append(m.dropped, count)
}

// Reloaded says whether the newest attempt to apply a configuration succeeded.
func (m *Metrics) Reloaded(ok bool) { m.reloaded.Store(ok) }

// ServeHTTP answers with the exposition.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	m.WritePrometheus(w)
}

// WritePrometheus writes all series in Prometheus's text format, each family in
// one piece. An error of w ends it; who scrapes sees a short answer.
func (m *Metrics) WritePrometheus(out io.Writer) {
	m.mu.Lock()
	routes := slices.Collect(maps.Values(m.routes))
	collectors, dropped := slices.Clone(m.collectors), slices.Clone(m.dropped)
	m.mu.Unlock()
	slices.SortFunc(routes, func(a, b *Route) int { return strings.Compare(a.name, b.name) })

	w := bufio.NewWriter(out)
	m.set.WritePrometheus(w)

	m.writeGauges(w, "http_requests_in_flight", routes, func(r *Route) int64 { return r.inflight.Load() })
	m.writeGauges(w, "watchdogd_queue_depth", routes, func(r *Route) int64 { return r.queued.Load() })

	var lost uint64
	for _, count := range dropped {
		lost += count()
	}
	Family(w, "watchdogd_log_lines_dropped_total", "counter")
	fmt.Fprintf(w, "watchdogd_log_lines_dropped_total %d\n", lost)

	last := 0
	if m.reloaded.Load() {
		last = 1
	}
	Family(w, "watchdogd_config_last_reload_successful", "gauge")
	fmt.Fprintf(w, "watchdogd_config_last_reload_successful %d\n", last)

	Family(w, "watchdogd_build_info", "gauge")
	fmt.Fprintf(w, "watchdogd_build_info{version=%q,revision=%q,goversion=%q} 1\n", m.opt.Version, m.opt.Revision, runtime.Version())

	for _, write := range collectors {
		write(w)
	}
	_ = w.Flush() // the reader has left: nobody to tell
}

// Family writes the line that opens a family of series: kind is counter, gauge or histogram.
func Family(w io.Writer, name, kind string) {
	fmt.Fprintf(w, "# TYPE %s %s\n", name, kind)
}

// writeGauges writes one gauge for each route, or their sum where series bear no
// route. It is there from the start, as 0.
func (m *Metrics) writeGauges(w io.Writer, name string, routes []*Route, value func(*Route) int64) {
	Family(w, name, "gauge")
	if !m.opt.RouteLabel {
		var sum int64
		for _, r := range routes {
			sum += value(r)
		}
		fmt.Fprintf(w, "%s %d\n", name, sum)
		return
	}
	for _, r := range routes {
		fmt.Fprintf(w, "%s %d\n", series(name, r.label), value(r))
	}
}
