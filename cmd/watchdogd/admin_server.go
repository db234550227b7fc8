package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/internal/listen"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// side is what stands beside the main listeners: the admin API and the metrics.
type side struct {
	log     *slog.Logger
	servers []sideServer // that are open
	later   []sideServer // that Run opens, so that no call waits for it
}

type sideServer struct {
	what     string
	listen   func() (net.Listener, error)
	spare    func(error) bool // whether it can be done without
	without  string           // what is then missing, and what to do
	handler  http.Handler
	listener net.Listener
}

// openSide opens metrics.listen and the admin socket. If one is optional and cannot be
// opened, that is logged and watchdogd runs without it; the same holds for a default
// socket that cannot be made (a read-only file system).
func openSide(cfg *schema.Config, d *daemon) (*side, error) {
	s := &side{log: d.log}
	metrics := sideServer{
		what:    "metrics",
		listen:  func() (net.Listener, error) { return listen.Open(cfg.Metrics.Listen) },
		spare:   func(error) bool { return cfg.Metrics.Optional },
		without: "no metrics: " + named(cfg, "metrics.listen", "metrics_port") + " moves them",
		handler: lazily(d.metricsHandler),
	}
	admin := sideServer{
		what:   "admin",
		listen: func() (net.Listener, error) { return listenAdmin(cfg) },
		spare: func(err error) bool {
			return cfg.Admin.Optional || cfg.Admin.Listen == "" && !errors.Is(err, errHeld)
		},
		without: "no admin socket: ps, logs, reload and the other commands cannot reach this watchdogd; name a folder that can be written by " +
			named(cfg, "admin.listen", "XDG_RUNTIME_DIR"),
		handler: lazily(func() http.Handler { return d.adminHandler(cfg) }),
	}
	var now []sideServer
	if cfg.Metrics.Listen != "" {
		now = append(now, metrics)
	}
	if cfg.Admin.Optional {
		s.later = append(s.later, admin)
	} else {
		now = append(now, admin)
	}
	for _, one := range now {
		if err := s.open(one); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *side) open(one sideServer) error {
	l, err := one.listen()
	switch {
	case err == nil:
		one.listener = l
		s.servers = append(s.servers, one)
		s.log.Info(event.AlsoListening(one.what), "address", l.Addr().String())
	case one.spare(err):
		s.log.Warn(one.without, "error", err.Error())
	default:
		return fmt.Errorf("%s: %w", one.what, err)
	}
	return nil
}

// lazily returns a handler that is made at its first request, so that the start does not
// wait for it.
func lazily(make func() http.Handler) http.Handler {
	once := sync.OnceValue(make)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { once().ServeHTTP(w, r) })
}

// close closes the listeners after a start that failed.
func (s *side) close() {
	for _, server := range s.servers {
		_ = server.listener.Close() // nothing is served yet
	}
}

// Run serves until ctx ends.
func (s *side) Run(ctx context.Context) error {
	for _, one := range s.later {
		_ = s.open(one) // what is optional has no error
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	ended := make(chan error, len(s.servers))
	for _, one := range s.servers {
		server := &http.Server{Handler: one.handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: sideHeader}
		serving.Go(func() {
			if err := server.Serve(one.listener); !errors.Is(err, http.ErrServerClosed) {
				ended <- fmt.Errorf("%s: %w", one.what, err)
			}
		})
		defer server.Close()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}

// sideHeader is how large a head the admin API and the metrics take. A client can make
// net/http keep thirty times as much for it, and metrics are often reachable from outside.
const sideHeader = 32 << 10

func (d *daemon) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", d.metrics)
	return unrebound(mux)
}

// unrebound refuses what a browser sends over loopback to a name that is not this
// machine's: a page of another site that has its own name resolved to 127.0.0.1 (DNS
// rebinding) may read the response. An address is not a name that a site can have.
func unrebound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		// A page can hide some of what fromBrowser looks for, and not this field.
		browser := fromBrowser(r.Header) || r.Header["Accept-Language"] != nil
		if local != nil && isLoopback(local.String()) && browser && !isLoopback(r.Host) && !isAddress(r.Host) {
			refuse(w, http.StatusForbidden, errors.New("a browser asked for the metrics of this machine by another name; use localhost or an address"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// adminHandler is the admin API: what the commands ps, logs, start, stop, restart,
// scale, reload and call speak to.
func (d *daemon) adminHandler(cfg *schema.Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/info", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, info{PID: os.Getpid(), Version: versionText(), Name: cfg.Name, File: origin(cfg)})
	})
	mux.HandleFunc("GET /v1/ps", func(w http.ResponseWriter, _ *http.Request) { reply(w, d.list()) })
	mux.HandleFunc("GET /v1/logs", d.serveLogs)
	mux.HandleFunc("POST /v1/start/{name}", d.steer(d.supervisor.Start))
	mux.HandleFunc("POST /v1/stop/{name}", d.steer(d.supervisor.Stop))
	mux.HandleFunc("POST /v1/restart/{name}", d.steer(d.supervisor.Restart))
	mux.HandleFunc("POST /v1/scale/{name}/{replicas}", func(w http.ResponseWriter, r *http.Request) {
		n, err := schema.ParseCount(r.PathValue("replicas"), 0, schema.MaxReplicas)
		if err != nil {
			refuse(w, http.StatusBadRequest, fmt.Errorf("scale %s: the number of instances %w", r.PathValue("name"), err))
			return
		}
		d.steer(func(_ context.Context, name string) error { return d.supervisor.Scale(name, n) })(w, r)
	})
	mux.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, r *http.Request) {
		done, err := d.reload(r.Context(), r.URL.Query().Has("dry_run"))
		if err != nil {
			refuse(w, http.StatusUnprocessableEntity, err)
			return
		}
		reply(w, done)
	})
	mux.HandleFunc("/v1/call/{name}", d.serveCall)
	mux.HandleFunc("/v1/call/{name}/", d.serveCall)
	mux.Handle("GET /metrics", d.metrics)
	return guard(mux, cfg.Admin)
}

// guard lets in whoever may use the admin API: everyone who can open a socket of mode
// 0600; over TCP those who have the token or, without one, programs on this machine, but
// no web page: a browser can be made to send any GET here, as for an image.
func guard(next http.Handler, cfg schema.Admin) http.Handler {
	if cfg.Listen == "" || strings.HasPrefix(cfg.Listen, "unix:") {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case cfg.Token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(cfg.Token)) != 1:
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, errors.New("the admin API requires its token: send Authorization: Bearer with admin.token of the file"))
		case cfg.Token == "" && (fromBrowser(r.Header) || !isLoopback(r.Host)):
			refuse(w, http.StatusForbidden, errors.New("the admin API without a token answers programs on this machine, not browsers and web pages; use the watchdogd command or curl, or set admin.token"))
		default:
			if cfg.Token != "" { // which is not for the program that /v1/call reaches
				delete(r.Header, "Authorization")
				if own := r.Header[callAuthorization]; own != nil {
					r.Header["Authorization"] = own
					delete(r.Header, callAuthorization)
				}
			}
			next.ServeHTTP(w, r)
		}
	})
}

// callAuthorization carries the Authorization of a call where the field itself carries
// the token of the admin API.
const callAuthorization = "Watchdogd-Call-Authorization"

// fromBrowser reports whether a browser sent a request: in every one of the last years,
// Sec-Fetch-Site; in older ones Origin or Referer, and always Mozilla in front of its name.
func fromBrowser(header http.Header) bool {
	for _, name := range [...]string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Origin", "Referer"} {
		if header[name] != nil {
			return true
		}
	}
	return strings.HasPrefix(header.Get("User-Agent"), "Mozilla/")
}

func isLoopback(hostport string) bool {
	host := hostOf(hostport)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func isAddress(hostport string) bool { return net.ParseIP(hostOf(hostport)) != nil }

// hostOf returns what precedes the port, if there is one.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// info describes the watchdogd that serves an admin socket.
type info struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
	Name    string `json:"name"`
	File    string `json:"file"`
}

// steer does something to the process that the path names. It answers when that is done.
func (d *daemon) steer(do func(context.Context, string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		p := d.supervisor.Process(name)
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

// unknown is the error for a name that cannot be steered, with those that can.
func (d *daemon) unknown(name string) error {
	var names []string
	for _, s := range d.supervisor.Standing() {
		names = append(names, s.Name)
	}
	for i := range d.current.config().Routes {
		if r := &d.current.config().Routes[i]; r.Name == name {
			return fmt.Errorf("%s is a %s route: it has no process of its own to steer", name, r.Mode)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("no process is named %s: this stack keeps none", name)
	}
	return fmt.Errorf("no process is named %s; there are %s", name, strings.Join(names, ", "))
}

// serveCall sends a request to the route of a name, whatever its host, path and headers.
func (d *daemon) serveCall(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	r.RequestURI = strings.TrimPrefix(r.RequestURI, "/v1/call/"+name)
	d.live.ServeNamed(w, r, name)
}

// serveLogs answers with a JSON object a line.
func (d *daemon) serveLogs(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	names := query["name"]
	n, err := schema.ParseCount(or(query.Get("lines"), "0"), 0, child.MostLines)
	if err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("lines %w", err))
		return
	}
	lines, err := d.supervisor.Logs(n, names...)
	if err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	if !query.Has("follow") {
		for _, l := range lines {
			if out.Encode(l) != nil {
				return // the client went away
			}
		}
		return
	}
	control := http.NewResponseController(w)
	_ = control.Flush() // the client learns that the stream has begun; if it went away, Follow ends
	_ = d.supervisor.Follow(r.Context(), n, names, func(l child.Line) error {
		if err := out.Encode(l); err != nil {
			return err
		}
		return control.Flush()
	}) // it ends when the client goes away
}

// list is every route and service of the file, those without a process too: the routes in
// the order of the file, then the services, and then those that a reload removed and that
// are not over yet.
func (d *daemon) list() []psRow {
	cfg := d.current.config()
	running := map[string]supervisor.Status{}
	var former []psRow
	for _, s := range d.supervisor.Status() {
		if s.Removed {
			former = append(former, psRow{Status: s})
		} else {
			running[s.Name] = s
		}
	}
	all := make([]psRow, 0, len(cfg.Routes)+len(cfg.Services)+len(former))
	for i := range cfg.Routes {
		all = append(all, d.row(&cfg.Routes[i], running))
	}
	for i := range cfg.Services {
		if s, ok := running[cfg.Services[i].Name]; ok {
			all = append(all, psRow{Status: s})
		}
	}
	for _, f := range d.live.Former() {
		if !slices.ContainsFunc(former, func(r psRow) bool { return r.Name == f.Name }) {
			former = append(former, psRow{Status: supervisor.Status{
				Name: f.Name, Kind: supervisor.Route, State: supervisor.Stopping, Removed: true, Inflight: f.Calls,
				Reason: "removed from the configuration, and still has calls", Instances: []supervisor.InstanceStatus{},
			}})
		}
	}
	return append(all, former...)
}

// row is a route with its calls. Those of a route without a process of its own are
// counted by its metrics alone.
func (d *daemon) row(r *schema.Route, running map[string]supervisor.Status) psRow {
	s, ok := running[r.Name]
	if !ok {
		s = supervisor.Status{Name: r.Name, Kind: supervisor.Route, Mode: r.Mode, State: supervisor.Ready, Instances: []supervisor.InstanceStatus{}}
	}
	inflight, queued, total := d.metrics.Route(r.Name).Counts()
	if !r.Supervised() {
		s.Inflight = max(inflight-queued-s.Queued, 0)
	}
	s.Queued += queued
	return psRow{s, total}
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
