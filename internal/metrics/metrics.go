// Package metrics counts what watchdogd does, and writes the counters and histograms
// in Prometheus's text format.
//
//	m := metrics.New(metrics.Options{Version: "1.2.0", RouteLabel: true})
//	api := m.Route("api")                    // once, when the table is built
//	api.Begin()                              // on each call: no lookup by label
//	api.End("GET", 200, 3*time.Millisecond)
//	m.WritePrometheus(w)
//
// A Registry lives as long as the program. A Route is kept as long as its name is
// in the configuration, so that its counters survive a reload.
//
// The few things that are counted are counted here and by no library: those there
// are cost start-up time or write to the program's stderr as soon as they are linked
// in, also in `watchdogd version` and in front of every child that is started.
package metrics

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Registry is everything that is counted. Its methods may be called from anywhere.
type Registry struct {
	opt      Options
	reloaded atomic.Bool

	mu         sync.Mutex // guards what follows
	routes     map[string]*Route
	functions  map[string]*Function
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

// New returns a Registry without routes.
func New(o Options) *Registry {
	m := &Registry{opt: o, routes: map[string]*Route{}, functions: map[string]*Function{}}
	m.reloaded.Store(true)
	return m
}

// Route returns the counters of the route called name: the same ones at each call,
// until Keep forgets them. The empty name is that of calls which no route takes.
func (m *Registry) Route(name string) *Route {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.routes[name]
	if r == nil {
		r = &Route{name: name}
		m.routes[name] = r
	}
	return r
}

// Keep forgets every route but those called names and the one without a name:
// their series are gone from the next exposition on, and calls that are still under way in
// them are not counted any more. Where series bear no route all are kept, since they are a sum.
func (m *Registry) Keep(names []string) {
	if !m.opt.RouteLabel {
		return
	}
	keep := map[string]bool{"": true}
	for _, n := range names {
		keep[n] = true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.routes {
		if !keep[name] {
			delete(m.routes, name)
		}
	}
	for name := range m.functions {
		if !keep[name] {
			delete(m.functions, name)
		}
	}
}

// Forget forgets one route, as Keep does.
func (m *Registry) Forget(name string) {
	if !m.opt.RouteLabel {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.routes, name)
	delete(m.functions, name)
}

// AddCollector has write called at the end of each exposition. It writes whole
// families of series in Prometheus's text format, each opened by Family.
func (m *Registry) AddCollector(write func(io.Writer)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.collectors = append(m.collectors, write)
}

// AddDropped makes what count gives a part of watchdogd_log_lines_dropped_total.
func (m *Registry) AddDropped(count func() uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropped = append(m.dropped, count)
}

// Reloaded says whether the newest attempt to apply a configuration succeeded.
func (m *Registry) Reloaded(ok bool) { m.reloaded.Store(ok) }

// ServeHTTP answers with the exposition, in the form that the client prefers.
func (m *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	if !wantsOpen(r.Header["Accept"]) {
		w.Header().Set("Content-Type", textFormat)
		m.WritePrometheus(w)
		return
	}
	w.Header().Set("Content-Type", openFormat)
	var text bytes.Buffer
	m.WritePrometheus(&text)
	_ = writeOpen(w, &text) // the reader has left
}

// WritePrometheus writes all series in Prometheus's text format, each family in
// one piece. An error of out ends it: who scrapes sees a short answer.
func (m *Registry) WritePrometheus(out io.Writer) {
	m.mu.Lock()
	routes := make([]*Route, 0, len(m.routes))
	for _, r := range m.routes {
		routes = append(routes, r)
	}
	functions := slices.Collect(maps.Values(m.functions))
	collectors, dropped := slices.Clone(m.collectors), slices.Clone(m.dropped)
	m.mu.Unlock()
	slices.SortFunc(routes, func(a, b *Route) int { return strings.Compare(a.name, b.name) })
	if !m.opt.RouteLabel {
		routes = []*Route{sumOf(routes)}
	}
	slices.SortFunc(functions, func(a, b *Function) int { return strings.Compare(a.name, b.name) })

	w := bufio.NewWriter(out)
	for _, f := range families {
		Family(w, f.name, f.kind, f.help)
		for _, r := range routes {
			label := ""
			if r.name != "" {
				label = `route="` + r.name + `"`
			}
			f.write(w, f.name, label, r)
		}
	}
	writeFunctions(w, functions)
	m.writeGauge(w, "http_requests_in_flight", "calls under way, waiting ones too", routes,
		func(r *Route) int64 { return r.inflight.Load() })
	m.writeGauge(w, "watchdogd_queue_depth", "calls that wait for a place", routes,
		func(r *Route) int64 { return r.queued.Load() })

	var lost uint64
	for _, count := range dropped {
		lost += count()
	}
	Family(w, "watchdogd_log_lines_dropped_total", "counter", "lines of the log that were lost because its reader was too slow or had gone away")
	fmt.Fprintf(w, "watchdogd_log_lines_dropped_total %d\n", lost)

	last := 0
	if m.reloaded.Load() {
		last = 1
	}
	Family(w, "watchdogd_config_last_reload_successful", "gauge", "1 if the newest configuration was applied, 0 if it was refused")
	fmt.Fprintf(w, "watchdogd_config_last_reload_successful %d\n", last)

	Family(w, "watchdogd_build_info", "gauge", "which program this is")
	fmt.Fprintf(w, "watchdogd_build_info{version=%q,revision=%q,goversion=%q} 1\n", m.opt.Version, m.opt.Revision, runtime.Version())

	writeSelf(w)
	for _, write := range collectors {
		write(w)
	}
	_ = w.Flush() // the reader has left: nobody to tell
}

// Family writes the lines that open a family of series: kind is counter, gauge or
// histogram, help a phrase without line breaks.
func Family(w io.Writer, name, kind, help string) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// writeGauge writes one value for each route. It is there from the start, as 0.
func (m *Registry) writeGauge(w io.Writer, name, help string, routes []*Route, value func(*Route) int64) {
	Family(w, name, "gauge", help)
	for _, r := range routes {
		if r.name != "" {
			fmt.Fprintf(w, "%s{route=%q} %d\n", name, r.name, value(r))
		} else if !m.opt.RouteLabel {
			fmt.Fprintf(w, "%s %d\n", name, value(r))
		}
	}
}
