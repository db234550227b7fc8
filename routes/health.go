package routes

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/routes/origin"
	"github.com/watchdogd/watchdogd/schema"
)

// Health answers /_/health, /_/ready and /_/ready/NAME, which no route can take.
// Probes are not counted.
type Health struct {
	// Live reports why the daemon should be replaced, or nil.
	Live func() error

	// Ready reports why the route or service called name, or with an empty name the
	// whole, should get no calls, or nil. A *failure.Error says how it is answered: of
	// kind NoRoute for a name that does not exist.
	Ready func(name string) error

	// Note returns what is wrong with a daemon that is ready all the same; empty is nothing. Nil
	// is that too.
	Note func() string
}

// Probes says how the probes are asked and answered while a table is the current one.
type Probes struct {
	Ready string // health.ready; only plain has a /_/ready/NAME
	Path  string // health.ready_path

	// Bare is the way of the OpenFaaS watchdogs: a probe is a GET and nothing else,
	// and a no is a status alone.
	Bare bool
}

// healthPrefix begins the paths that are ours.
const healthPrefix = "/_/"

// probe answers a probe, and reports whether the request is one.
func (l *Live) probe(w http.ResponseWriter, r *http.Request, path string) bool {
	var how Probes
	table := l.table.Load()
	if table != nil {
		how = table.opt.Probes
	}
	rest, _ := strings.CutPrefix(path, healthPrefix)
	name, named := strings.CutPrefix(rest, "ready/")
	var ask func() error
	switch {
	case rest == "health":
		ask = l.Health.Live
	case rest == "ready" && how.Ready != "none":
		ask = func() error { return l.ready(table) }
	case named && name != "" && (how.Ready == "" || how.Ready == "plain"):
		ask = func() error { return l.Health.Ready(name) }
	default:
		return false
	}

	if r.Method != http.MethodGet && (how.Bare || r.Method != http.MethodHead) {
		l.no(w, r, how, &failure.Error{Kind: failure.Method, Allow: "GET, HEAD", Detail: "a probe is a GET"})
		return true
	}
	if err := ask(); err != nil {
		l.no(w, r, how, err)
		return true
	}
	if rest == "ready" && how.Path != "" {
		l.hold().relay(w, r)
		return true
	}
	body := "OK"
	switch {
	case how.Bare && rest == "ready":
		body = ""
	case rest == "ready" && l.Health.Note != nil:
		if note := l.Health.Note(); note != "" {
			body = "OK, but " + note + "\n"
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, body) // the prober has gone
	return true
}

// ready reports why the whole should get no calls now.
func (l *Live) ready(t *Table) error {
	if err := l.Health.Ready(""); err != nil || t == nil || t.opt.Probes.Ready != "limit" {
		return err
	}
	for _, rt := range t.routes {
		if limit, full := rt.limiter.full(); full {
			return fullError(rt.name, limit)
		}
	}
	return nil
}

// no answers a probe with the reason why not.
func (l *Live) no(w http.ResponseWriter, r *http.Request, how Probes, err error) {
	f := failure.Of(err)
	if f.Kind == failure.Internal {
		f = &failure.Error{Kind: failure.NotReady, Detail: err.Error()}
	}
	if f.Local != "" && onThisMachine(r) {
		local := *f
		local.Detail += ": " + f.Local
		f = &local
	}
	if !how.Bare {
		l.Respond(w, r, f)
		return
	}
	status := http.StatusServiceUnavailable
	switch f.Kind {
	case failure.Method:
		status = http.StatusMethodNotAllowed
	case failure.Full:
		status = http.StatusTooManyRequests
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
}

// relay has the route of health.ready_path answer a probe. Its caller has counted a
// call of t.
func (t *Table) relay(w http.ResponseWriter, r *http.Request) {
	asked := r.WithContext(r.Context())
	asked.RequestURI = t.opt.Probes.Path
	if u, err := url.ParseRequestURI(asked.RequestURI); err == nil {
		asked.URL = u
	}
	t.serve(w, asked, t.ready) // nil where no route takes the path: the answer is that
}

// probed is the route that takes health.ready_path, as a probe sees it: without its
// auth and its limits, and without being counted. It is nil where there is none.
func (t *Table) probed() *route {
	path, _, ok := target(t.opt.Probes.Path)
	if !ok {
		return nil
	}
	rt, err := t.match(http.MethodGet, "", path, nil)
	if err != nil {
		return nil
	}
	probe := *rt
	probe.count, probe.auth, probe.rate, probe.limiter = new(metrics.Route), nil, nil, newLimiter(schema.Limits{})
	return &probe
}

// onThisMachine reports whether a probe, which has a header, comes from this machine.
func onThisMachine(r *http.Request) bool {
	var f http1.Fields
	f.From(r.Header)
	return origin.OnThisMachine(r, &f, origin.Relayed(&f))
}
