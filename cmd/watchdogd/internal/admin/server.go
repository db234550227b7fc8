package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/functions"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/history"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/version"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// Server answers the admin API about a running watchdogd.
type Server struct {
	Log        *slog.Logger
	Supervisor *supervisor.Supervisor
	Live       *routes.Live
	Metrics    *metrics.Registry
	Requests   Requests
	Config     func() *schema.Config // the current one
	Upstreams  func() map[string]modes.Upstreams
	Functions  func() []functions.Status // of gateway.swarm
	Swarm      func() string             // what is wrong with it; empty is nothing
	Reload     func(ctx context.Context, dry bool) (Reloaded, error)
	Down       func(now bool) // asks for the end; if it is now, without waiting for calls

	rates    rates
	recorder lazyRecorder
	tailing  tailing
}

// Requests keeps the last requests.
type Requests interface {
	Of(names []string) child.Source
	Failing(route string) (last child.Line, failing bool)
}

// Reloaded is what a reload did, or would do.
type Reloaded struct {
	Changes []supervisor.Change `json:"changes"`
	Notes   []string            `json:"notes,omitempty"` // what takes a restart of watchdogd
}

func (d *Server) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", d.Metrics)
	mux.HandleFunc("GET /_/stats", d.serveStats)
	d.readPage(mux)
	return unrebound(mux)
}

// handler is the admin API: what the commands ps, logs, start, stop, restart,
// scale, reload and call speak to.
func (d *Server) handler(cfg *schema.Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/info", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, Info{PID: os.Getpid(), Version: version.Text(), Name: cfg.Name, File: source.Origin(cfg)})
	})
	mux.HandleFunc("GET /v1/ps", func(w http.ResponseWriter, _ *http.Request) { reply(w, d.List()) })
	mux.HandleFunc("GET /v1/ps/{name}", d.serveDetail)
	mux.HandleFunc("GET /v1/why/{name}", d.serveWhy)
	mux.HandleFunc("GET /v1/logs", d.serveLogs)
	mux.HandleFunc("GET /v1/events", d.observing().Events(history.MostFollowers))
	mux.HandleFunc("GET /v1/history", d.observing().ServeHistory)
	d.steering(mux, "/v1/")
	mux.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, r *http.Request) {
		done, err := d.Reload(r.Context(), r.URL.Query().Has("dry_run"))
		if err != nil {
			refuse(w, http.StatusUnprocessableEntity, err)
			return
		}
		reply(w, done)
	})
	mux.HandleFunc("POST /v1/down", func(w http.ResponseWriter, r *http.Request) {
		reply(w, Info{PID: os.Getpid(), Version: version.Text(), Name: cfg.Name, File: source.Origin(cfg)})
		_ = http.NewResponseController(w).Flush() // a client that has gone asked all the same
		d.Down(r.URL.Query().Has("now"))
	})
	mux.HandleFunc("/v1/call/{name}", d.serveCall)
	mux.HandleFunc("/v1/call/{name}/", d.serveCall)
	mux.Handle("GET /metrics", d.Metrics)
	mux.HandleFunc("GET /_/stats", d.serveStats)
	mux.HandleFunc("GET /debug/pprof/{$}", serveProfile)
	mux.HandleFunc("GET /debug/pprof/{profile}", serveProfile)
	return d.withPage(guard(mux, cfg.Admin), cfg)
}

// steering serves what starts, stops, restarts and scales, beneath prefix.
func (d *Server) steering(mux *http.ServeMux, prefix string) {
	mux.HandleFunc("POST "+prefix+"start/{name}", d.steer(d.Supervisor.Start))
	mux.HandleFunc("POST "+prefix+"stop/{name}", d.steer(d.Supervisor.Stop))
	mux.HandleFunc("POST "+prefix+"restart/{name}", d.steer(d.Supervisor.Restart))
	mux.HandleFunc("POST "+prefix+"scale/{name}/{replicas}", func(w http.ResponseWriter, r *http.Request) {
		n, err := schema.ParseCount(r.PathValue("replicas"), 0, schema.MaxReplicas)
		if err != nil {
			refuse(w, http.StatusBadRequest, fmt.Errorf("scale %s: the number of instances %w", r.PathValue("name"), err))
			return
		}
		d.steer(func(_ context.Context, name string) error { return d.Supervisor.Scale(name, n) })(w, r)
	})
}

// Info describes the watchdogd that serves an admin socket.
type Info struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
	Name    string `json:"name"`
	File    string `json:"file"`
}

// steer does something to the process that the path names. It answers when that is done.
func (d *Server) steer(do func(context.Context, string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		p := d.Supervisor.Process(name)
		if p == nil {
			refuse(w, http.StatusNotFound, d.unknown(name))
			return
		}
		err := do(r.Context(), name)
		switch {
		case err != nil:
			refuse(w, http.StatusConflict, err)
		default:
			reply(w, p.Status()) // also when a reload has removed it meanwhile
		}
	}
}

// unknown is the error for a name that cannot be steered.
func (d *Server) unknown(name string) error {
	all := d.Config().Routes
	for i := range all {
		switch r := &all[i]; {
		case r.Name != name:
		case r.Forks():
			return fmt.Errorf("%s is a %s route: it starts a process for each call, and keeps none", name, r.Mode)
		default:
			return fmt.Errorf("%s is a route without a process of its own", name)
		}
	}
	return d.noName(name)
}

// serveCall sends a request to the route of a name, whatever its host, path and headers.
func (d *Server) serveCall(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	r.RequestURI = strings.TrimPrefix(r.RequestURI, "/v1/call/"+name)
	if r.Header.Get(Observe) != "" {
		r.Header.Del(Observe)
		w = &observed{ResponseWriter: w}
	}
	if err := d.uncallable(name); err != nil {
		d.Live.Respond(w, r, &failure.Error{Kind: failure.NoRoute, Detail: err.Error()})
		return
	}
	d.Live.ServeNamed(w, r, name)
}

// uncallable is why a name cannot be called; nil for that of a route or function.
func (d *Server) uncallable(name string) error {
	cfg := d.Config()
	switch {
	case d.isRoute(name), slices.ContainsFunc(d.Functions(), func(f functions.Status) bool { return f.Name == name }):
		return nil
	case slices.ContainsFunc(cfg.Services, func(s schema.Service) bool { return s.Name == name }):
		return fmt.Errorf("%s is a service; only a route can be called", name)
	}
	return d.noName(name)
}

// List is every route and service of the file, those without a process too: the routes in
// the order of the file, then the services, the functions of a swarm, and then those that a reload removed and that
// are not over yet.
func (d *Server) List() []Row { return d.list(d.Supervisor.Status()) }

func (d *Server) list(processes []supervisor.Status) []Row {
	cfg := d.Config()
	running := map[string]supervisor.Status{}
	var former []Row
	for _, s := range processes {
		if s.Removed {
			former = append(former, Row{Status: s})
		} else {
			running[s.Name] = s
		}
	}
	all := make([]Row, 0, len(cfg.Routes)+len(cfg.Services)+len(former))
	elsewhere := d.Upstreams()
	for i := range cfg.Routes {
		row := d.row(&cfg.Routes[i], running)
		row.standing(elsewhere[row.Name])
		all = append(all, row)
	}
	for i := range cfg.Services {
		if s, ok := running[cfg.Services[i].Name]; ok {
			all = append(all, Row{Status: s})
		}
	}
	all = append(append(all, d.functions()...), d.engine()...)
	for _, f := range d.Live.Former() {
		if !slices.ContainsFunc(former, func(r Row) bool { return r.Name == f.Name }) {
			former = append(former, Row{Status: supervisor.Status{
				Name: f.Name, Kind: supervisor.Route, State: supervisor.Stopping, Removed: true, Inflight: f.Calls,
				Reason: "removed from the configuration, and still has calls", Instances: []supervisor.InstanceStatus{},
			}})
		}
	}
	return append(all, former...)
}

// row is a route with its calls. Those of a route without a process of its own are
// counted by its metrics alone.
func (d *Server) row(r *schema.Route, running map[string]supervisor.Status) Row {
	s, ok := running[r.Name]
	if !ok {
		s = supervisor.Status{Name: r.Name, Kind: supervisor.Route, Mode: r.Mode, State: supervisor.Ready, Instances: []supervisor.InstanceStatus{}}
	}
	n := d.Metrics.Route(r.Name).Totals()
	if !r.Supervised() {
		s.Inflight = max(n.Inflight-n.Queued-s.Queued, 0)
	}
	s.Queued += n.Queued
	return Row{Status: s, Total: n.Calls, Errors: n.Errors, Took: n.Took}
}

func reply(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // it fails only if the client went away
}

// refuse answers with a sentence.
func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(refusal{err.Error()}) // as in reply
}

type refusal struct {
	Error string `json:"error"`
}
