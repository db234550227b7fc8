package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
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
	without  string           // what is then missing, and how it is had
	handler  http.Handler
	listener net.Listener
}

// openSide opens metrics.listen and the admin socket. What is optional and cannot be
// had is done without, and that is said; so is a default socket that cannot be made (a
// read-only file system).
func openSide(cfg *schema.Config, d *daemon) (*side, error) {
	s := &side{log: d.log}
	metrics := sideServer{
		what:    "metrics",
		listen:  func() (net.Listener, error) { return routes.Listen(cfg.Metrics.Listen) },
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
		s.log.Info(one.what+" listening", "address", l.Addr().String())
	case one.spare(err):
		s.log.Warn(one.without, "error", err.Error())
	default:
		return fmt.Errorf("%s: %w", one.what, err)
	}
	return nil
}

// lazily is a handler that is made when it is asked for first: those beside the main
// listener are not what a start should wait for.
func lazily(make func() http.Handler) http.Handler {
	once := sync.OnceValue(make)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { once().ServeHTTP(w, r) })
}

// close gives the listeners back; for a start that failed.
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
		server := &http.Server{Handler: one.handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
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

func (d *daemon) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", d.metrics)
	return mux
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
		n, err := strconv.Atoi(r.PathValue("replicas"))
		if err != nil || n < 0 {
			refuse(w, http.StatusBadRequest, fmt.Errorf("scale %s to %q: not a number of instances", r.PathValue("name"), r.PathValue("replicas")))
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

// guard lets in who may: everybody who reaches a unix socket of mode 0600; over TCP
// who has the token or, without one, who asks from this machine and is no web page.
func guard(next http.Handler, cfg schema.Admin) http.Handler {
	if cfg.Listen == "" || strings.HasPrefix(cfg.Listen, "unix:") {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case cfg.Token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(cfg.Token)) != 1:
			w.Header().Set("WWW-Authenticate", "Bearer")
			refuse(w, http.StatusUnauthorized, errors.New("the admin API wants its token: Authorization: Bearer with admin.token of the file"))
		case cfg.Token == "" && (r.Header.Get("Origin") != "" || !isLoopback(r.Host)):
			refuse(w, http.StatusForbidden, errors.New("the admin API without a token answers programs on this machine, not web pages"))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// info is who serves an admin socket.
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
		if d.supervisor.Process(name) == nil {
			refuse(w, http.StatusNotFound, d.unknown(name))
			return
		}
		err := do(r.Context(), name)
		switch {
		case err != nil:
			refuse(w, http.StatusConflict, err)
		default:
			reply(w, d.supervisor.Process(name).Status())
		}
	}
}

// unknown says why name cannot be steered, and what can.
func (d *daemon) unknown(name string) error {
	var names []string
	for _, s := range d.supervisor.Status() {
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

func reply(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the asker went away: nobody is left to tell
}

// refuse answers with a sentence.
func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(refusal{err.Error()}) // as reply
}

type refusal struct {
	Error string `json:"error"`
}

// errHeld is a socket that a live watchdogd serves.
var errHeld = errors.New("the socket is in use")

// listenAdmin opens the admin address of cfg. A socket is of mode 0600; one that
// nobody serves any more is replaced.
func listenAdmin(cfg *schema.Config) (net.Listener, error) {
	address := adminAddress(cfg)
	path, isSocket := strings.CutPrefix(address, "unix:")
	if !isSocket {
		return routes.Listen(address)
	}
	if cfg.Admin.Listen == "" {
		if err := ownDir(filepath.Dir(path)); err != nil {
			return nil, err
		}
	}
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		// nobody is there to be asked
	} else if held, err := askInfo(address, ""); err == nil {
		return nil, fmt.Errorf("%w: watchdogd with pid %d serves this stack already (%s); stop it, or give this one a name or an admin.listen of its own", errHeld, held.PID, path)
	}
	return routes.ListenPrivate(path)
}

// ownDir makes a directory that nobody else may enter, or checks that it is one.
func ownDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of the admin socket: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the directory of the admin socket: %w", err)
	}
	if !info.IsDir() || !ownedByUs(info) || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("the directory of the admin socket, %s, is not this user's alone: remove it, or set admin.listen", dir)
	}
	return nil
}

// adminAddress is admin.listen, or the socket that belongs to the file or the
// environment: every command finds it from the same one again.
func adminAddress(cfg *schema.Config) string {
	if cfg.Admin.Listen != "" {
		return cfg.Admin.Listen
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir != "" {
		dir = filepath.Join(dir, "watchdogd")
	} else {
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("watchdogd-%d", os.Getuid()))
	}
	key := cfg.File
	if key == "" { // an environment has no place: what it listens on is its own
		key = strings.Join(cfg.Server.Listen, " ")
	}
	sum := sha256.Sum256([]byte(key))
	name := cfg.Name
	if len(name) > 24 { // a socket's path has 104 to 108 bytes (unix(7))
		name = name[:24]
	}
	return "unix:" + filepath.Join(dir, name+"-"+hex.EncodeToString(sum[:4])+".sock")
}

// askInfo asks whoever serves an admin address who it is.
func askInfo(address, token string) (info, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var who info
	err := admin{address, token}.get(ctx, "/v1/info", &who)
	return who, err
}

// admin is a client of the admin API at an address.
type admin struct {
	address string
	token   string
}

// get decodes the answer to a GET into value.
func (a admin) get(ctx context.Context, path string, value any) error {
	return a.do(ctx, http.MethodGet, path, value)
}

// do sends a request without a body and decodes the answer into value.
func (a admin) do(ctx context.Context, method, path string, value any) error {
	response, err := a.send(ctx, method, path, nil, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return refused(response)
	}
	if err := json.NewDecoder(response.Body).Decode(value); err != nil {
		return fmt.Errorf("read the answer of the admin API: %w", err)
	}
	return nil
}

// send sends one request; the caller closes the body, which ends the connection.
func (a admin) send(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	transport := localTransport(a.address)
	transport.DisableKeepAlives = true
	return (&http.Client{Transport: transport}).Do(request)
}

// refused is the sentence of an answer that is no 200.
func refused(response *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20)) // what could be read is shown
	var why refusal
	if json.Unmarshal(body, &why) == nil && why.Error != "" {
		return errors.New(why.Error)
	}
	return fmt.Errorf("%s %s", response.Status, strings.TrimSpace(string(body)))
}

// stack is the running watchdogd of a source's file.
func stack(from *source) (admin, error) {
	cfg, _, err := from.load()
	if err != nil {
		return admin{}, failed(err)
	}
	a := admin{adminAddress(cfg), cfg.Admin.Token}
	if _, err := askInfo(a.address, a.token); err != nil {
		return admin{}, failed(fmt.Errorf("no watchdogd serves %s: nothing answers at %s: %w", origin(cfg), a.address, err))
	}
	return a, nil
}

// localTLS believes our own listener, whose certificate names the public host: the
// connection does not leave the machine.
func localTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }
