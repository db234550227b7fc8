// Package functions keeps the functions of gateway.swarm: it has the swarm followed, and makes of
// each of its functions a route that the gateway finds by its name.
//
//	f := functions.New(functions.Options{...})
//	apply, err := f.Prepare(cfg)      // what can fail
//	apply()                           // what cannot: cfg rules from now on
//	err = f.Run(ctx)                  // follows the swarm until ctx ends
package functions

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/routes/auth"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/swarm"
	"github.com/watchdogd/watchdogd/supervisor/swarm/engine"
)

// Options are what functions are made of.
type Options struct {
	Log    *slog.Logger
	Routes *routes.Functions
	Auth   *auth.Shared
	Deps   func(*schema.Config) modes.Deps // what the modes need
}

// Functions are those of one swarm, or none.
type Functions struct {
	o    Options
	id   string        // of this gateway
	next chan struct{} // wanted has changed; with room for one

	mu       sync.Mutex
	cfg      *schema.Config
	wanted   *swarm.Swarm  // nil is none
	of       *schema.Swarm // of cfg, as wanted was made of it; nil is none
	handlers map[string]handler
}

// handler is what answers the calls of a function, and what is closed with it.
type handler struct {
	http.Handler
	closers []io.Closer
}

// New returns no functions yet.
func New(o Options) *Functions {
	f := &Functions{o: o, id: gatewayID(), next: make(chan struct{}, 1), handlers: map[string]handler{}}
	o.Routes.Explain(f.Ready)
	return f
}

// gatewayID is unique among the gateways of a swarm.
func gatewayID() string {
	name, _ := os.Hostname() // only for people
	return strings.Trim(name+"-"+strings.ToLower(rand.Text()[:8]), "-")
}

// Check returns why a start with cfg would refuse its swarm, or nil. It connects to nothing.
func Check(cfg *schema.Config) error {
	if cfg.Gateway == nil || cfg.Gateway.Swarm == nil {
		return nil
	}
	client, err := newClient(cfg.Gateway.Swarm)
	if err == nil {
		client.Close()
	}
	return err
}

// newClient returns the client of the engine of a swarm.
func newClient(of *schema.Swarm) (*engine.Client, error) {
	client, err := engine.New(of.Host, os.LookupEnv)
	if err != nil {
		return nil, fmt.Errorf("gateway.swarm: %w", err)
	}
	return client, nil
}

// Prepare returns what makes cfg rule the functions, or why that cannot be.
func (f *Functions) Prepare(cfg *schema.Config) (apply func(), err error) {
	var want *schema.Swarm
	if cfg.Gateway != nil {
		want = cfg.Gateway.Swarm
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := want != nil && f.of != nil && want.Host == f.of.Host && want.Label == f.of.Label
	if want == nil || kept {
		return func() { f.become(cfg, want, nil) }, nil
	}
	client, err := newClient(want)
	if err != nil {
		return nil, err
	}
	return func() { f.become(cfg, want, client) }, nil
}

// become makes cfg rule. Client is that of another swarm than so far; nil is the same one.
func (f *Functions) become(cfg *schema.Config, want *schema.Swarm, client *engine.Client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.cfg
	f.cfg = cfg
	switch {
	case want == nil:
		f.wanted, f.of = nil, nil
	case client != nil:
		f.of = want
		var s *swarm.Swarm
		s = swarm.New(swarm.Options{Engine: client, Label: want.Label, ID: f.id, Log: f.o.Log, Changed: func(gone []string, come []*swarm.Function) {
			f.changed(s, gone, come)
		}})
		f.wanted = s
	default:
		if f.of, before = want, sameRest(before, cfg); before == nil || !reflect.DeepEqual(before.Gateway.Swarm.Function, want.Function) {
			f.renew()
		}
		return
	}
	f.clear()
	select {
	case f.next <- struct{}{}:
	default:
	}
}

// sameRest returns before, or nil if its functions are answered in another way than by cfg.
func sameRest(before, cfg *schema.Config) *schema.Config {
	if before == nil || before.Server.Errors != cfg.Server.Errors || !reflect.DeepEqual(before.Log, cfg.Log) {
		return nil
	}
	return before
}

// renew makes all functions anew. It is called with f.mu held.
func (f *Functions) renew() {
	for name := range f.handlers {
		if fn := f.wanted.Function(name); fn != nil {
			f.put(fn)
		}
	}
}

// clear removes all functions. It is called with f.mu held.
func (f *Functions) clear() {
	for name := range f.handlers {
		f.remove(name)
	}
}

// Run follows the swarm that is wanted until ctx ends.
func (f *Functions) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		select {
		case <-f.next: // it is looked at now
		default:
		}
		f.mu.Lock()
		s := f.wanted
		f.mu.Unlock()
		f.follow(ctx, s)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clear()
	return nil
}

// follow follows s, nil for none, until another is wanted, or ctx ends.
func (f *Functions) follow(ctx context.Context, s *swarm.Swarm) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	if s != nil {
		running.Go(func() {
			defer logwriter.LastWords(f.o.Log)
			_ = s.Run(ctx) // it is over with ctx, and has no other error
		})
	}
	select {
	case <-ctx.Done():
	case <-f.next:
	}
}

// changed takes what has changed in a swarm.
func (f *Functions) changed(s *swarm.Swarm, gone []string, come []*swarm.Function) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s != f.wanted {
		return // it is left
	}
	for _, name := range gone {
		f.remove(name)
	}
	for _, fn := range come {
		f.put(fn)
	}
}

// put makes a function be found, in place of one of its name. It is called with f.mu held.
func (f *Functions) put(fn *swarm.Function) {
	template := &f.of.Function
	route, err := fn.Route(template)
	if err != nil {
		f.o.Log.Error("function not served", "function", fn.Settings().Name, "error", err.Error())
		return
	}
	name := route.Name
	var h handler
	check, err := auth.New(route, f.o.Auth)
	if check != nil {
		h.closers = append(h.closers, check)
		err = errors.Join(err, check.Start(context.Background())) // it has its own bound
	}
	if err != nil { // it must not be open to all because its auth cannot be had
		h.Handler = refusal(f.o.Log, f.cfg.Server.Errors, route.Name, err)
	} else {
		deps, form := f.o.Deps(f.cfg), f.cfg.Server.Errors
		deps.Tasks = fn
		one := &answerer{function: fn, make: func() (http.Handler, error) {
			r, err := fn.Route(template)
			if err != nil {
				return nil, err
			}
			return modes.New(r, deps)
		}, refuse: func(err error) http.Handler { return refusal(f.o.Log, form, name, err) }}
		h.Handler, h.closers = one, append(h.closers, one)
	}
	old, had := f.handlers[route.Name]
	f.o.Routes.Put(routes.Entry{Route: route, Handler: h.Handler, Auth: check, Untimed: true})
	f.handlers[route.Name] = h
	if had {
		old.close()
	}
}

// remove makes a function not be found any more. It is called with f.mu held.
func (f *Functions) remove(name string) {
	f.o.Routes.Remove(name)
	f.handlers[name].close()
	delete(f.handlers, name)
}

// close closes what no new call uses. Calls under way go on.
func (h handler) close() {
	for _, c := range slices.Backward(h.closers) {
		_ = c.Close() // idle connections: nothing can be lost
	}
}
