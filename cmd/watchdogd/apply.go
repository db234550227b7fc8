package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/front"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/logbook"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/plan"
	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/internal/spill"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/routes/auth"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

// apply makes cfg what runs: processes, then handlers, then a table that is swapped
// in whole. The first start and every reload are this one function. All that can
// fail happens before the swap, and when it fails nothing has changed.
// opened returns what cfg listens on: opened already at the start, and by Front.Prepare at
// a reload.
func (d *daemon) apply(ending context.Context, cfg *schema.Config, opened func(schema.Server) (front.Listeners, error)) error {
	next, entries, closers, err := d.prepare(cfg)
	if err != nil {
		return err
	}
	if err := fetchKeys(entries); err != nil {
		closeAll(closers)
		return err
	}
	swarm, err := d.functions.Prepare(cfg)
	if err != nil {
		closeAll(closers)
		return err
	}
	listeners, err := opened(cfg.Server)
	if err != nil {
		closeAll(closers)
		return err
	}
	old, before := d.live.Table(), d.current.config()
	retire, err := next.Commit(func(name string) int {
		if old == nil {
			return 0
		}
		return old.Calls(name)
	})
	if err != nil { // watchdogd is stopping
		closeAll(closers)
		listeners.Abandon()
		return err
	}

	d.live.Swap(routes.NewTable(entries, routes.Options{
		Log:     d.log,
		Access:  d.book.Access(cfg),
		Headers: d.book.ReadsHeaders(),
		Metrics: d.metrics,
		Trusted: cfg.Server.TrustedProxies,
		Probes:  routes.Probes{Ready: cfg.Health.Ready, Path: cfg.Health.ReadyPath, Bare: cfg.Compat.BareProbes},
		Gateway: cfg.Gateway, Functions: d.found,
		Tracer:  d.tracer,
		Respond: modes.Responder(cfg.Server.Errors, nil),
	}))
	swarm()
	former := d.current.set(cfg, closers)
	d.attach(entries)
	d.book.Level.Set(logbook.LevelOf(cfg.Log))
	d.front.Adopt(listeners)
	d.warnOfTemporary(cfg)
	if old != nil {
		tables := d.live.Old()
		d.leaving.Go(func() {
			defer logwriter.LastWords(d.log)
			d.leave(ending, old, former, retire, func(ctx context.Context) { d.cutReplaced(ctx, tables, plan.Replaced(before, cfg)) })
		})
	}
	return nil
}

// prepare builds what answers cfg and starts nothing of it. The error has a line for
// each program, user, folder or file that is not as cfg needs it.
func (d *daemon) prepare(cfg *schema.Config) (*supervisor.Next, []routes.Entry, []io.Closer, error) {
	next, err := d.supervisor.Prepare(specs(cfg))
	if err != nil {
		// The others are tried all the same, so that all is said at once.
		_, closers, more := d.handlers(cfg, nil)
		closeAll(closers)
		return nil, nil, nil, errors.Join(err, more)
	}
	entries, closers, err := d.handlers(cfg, next)
	if err != nil {
		closeAll(closers)
		return nil, nil, nil, err
	}
	return next, entries, closers, nil
}

// warnOfTemporary logs what keeps the routes that may need temporary files from having
// them.
func (d *daemon) warnOfTemporary(cfg *schema.Config) {
	var names []string
	for i := range cfg.Routes {
		if modes.Spills(&cfg.Routes[i]) {
			names = append(names, cfg.Routes[i].Name)
		}
	}
	if len(names) == 0 {
		return
	}
	if err := spill.Check(); err != nil {
		d.log.Warn("large bodies of some routes will be answered with 507", "routes", strings.Join(names, ","), "error", err.Error())
	}
}

// leave stops the processes that the configuration no longer names, cuts the calls that may
// not go on, and closes the handlers of a former table when its calls are over. It returns when both is done, or watchdogd ends.
func (d *daemon) leave(ending context.Context, old *routes.Table, handlers []io.Closer, retire, cut func(context.Context)) {
	ctx, cancel := context.WithCancel(ending)
	defer cancel()
	var retired sync.WaitGroup
	defer retired.Wait()
	drained, over := context.WithCancel(ctx)
	defer over()
	retired.Go(func() {
		defer logwriter.LastWords(d.log)
		retire(ctx)
	})
	retired.Go(func() {
		defer logwriter.LastWords(d.log)
		cut(drained)
	})
	_ = old.Drain(ctx) // calls that are left end with watchdogd
	closeAll(handlers)
	for _, h := range handlers {
		if output := modes.Output(h); output != nil {
			d.supervisor.Detach(output)
		}
	}
}

// specs are the long-lived processes of cfg: its services, and the routes whose mode
// keeps one.
func specs(cfg *schema.Config) []supervisor.Spec {
	var list []supervisor.Spec
	for i := range cfg.Services {
		s := &cfg.Services[i]
		list = append(list, supervisor.Spec{
			Name:    s.Name,
			Kind:    supervisor.Service,
			Process: s.Process,
			Start:   s.Timeouts.Start.D(),
		})
	}
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		if !r.Supervised() && r.Warm == 0 {
			continue
		}
		spec := supervisor.Spec{
			Name:      r.Name,
			Kind:      supervisor.Route,
			Mode:      r.Mode,
			Process:   r.Process,
			Start:     r.Timeouts.Start.D(),
			Warm:      r.Warm,
			OneOutput: r.OneOutput(),
		}
		if t := r.Mode.Traits(); t.Listens {
			spec.Listens, spec.Upstream = true, r.Upstream
			spec.OpenStdin, spec.SharedPort, spec.AnyPort = cfg.Compat.OpenStdin, cfg.Compat.SharedPort, cfg.AnyPort
		} else if t.Socketpair {
			spec.Socketpair, spec.Capacity = true, 1
		}
		list = append(list, spec)
	}
	return list
}

// handlers makes what answers each route of cfg. Without next only those routes that
// keep no process are made. The error has a line for each that cannot be.
func (d *daemon) handlers(cfg *schema.Config, next *supervisor.Next) ([]routes.Entry, []io.Closer, error) {
	var entries []routes.Entry
	var closers []io.Closer
	var errs []error
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		deps := d.book.Deps(cfg)
		if next != nil {
			deps.Process = next.Process(r.Name)
		} else if r.Supervised() || r.Warm > 0 {
			continue
		}
		if r.Forks() && len(r.DependsOn) > 0 {
			deps.Await = func(ctx context.Context) error { return d.supervisor.Await(ctx, r.DependsOn) }
		}
		h, err := modes.New(r, deps)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if c, ok := h.(io.Closer); ok {
			closers = append(closers, c)
		}
		check, err := auth.New(r, d.auth)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if check != nil {
			closers = append(closers, check)
		}
		entries = append(entries, routes.Entry{Route: r, Handler: h, Auth: check, Untimed: modes.Untimed(cfg.Server.Errors, r)})
	}
	return entries, closers, errors.Join(errs...)
}

// fetchKeys has the keys fetched that the routes check tokens with. The error has a line for
// each that cannot.
func fetchKeys(entries []routes.Entry) error {
	var errs []error
	for _, e := range entries {
		if e.Auth == nil {
			continue
		}
		if err := e.Auth.Start(context.Background()); err != nil { // it has its own bound
			errs = append(errs, fmt.Errorf("route %s: auth: %w", e.Route.Name, err))
		}
	}
	return errors.Join(errs...)
}

// attach has logs show what the programs of the forking routes print.
func (d *daemon) attach(entries []routes.Entry) {
	for _, e := range entries {
		if output := modes.Output(e.Handler); output != nil {
			d.supervisor.Attach(output)
		}
	}
}

func closeAll(closers []io.Closer) {
	for _, c := range slices.Backward(closers) {
		_ = c.Close() // idle connections and files opened for reading: nothing can be lost
	}
}

// applied is what runs now. One writer, apply; many readers.
type applied struct {
	mu       sync.Mutex
	cfg      *schema.Config
	handlers []io.Closer
}

// set makes cfg the current configuration and returns the former one's handlers.
func (a *applied) set(cfg *schema.Config, handlers []io.Closer) []io.Closer {
	a.mu.Lock()
	defer a.mu.Unlock()
	former := a.handlers
	a.cfg, a.handlers = cfg, handlers
	return former
}

// config is the current configuration.
func (a *applied) config() *schema.Config {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg
}

// upstreams are the servers that the routes with no process forward to, by route.
func (a *applied) upstreams() map[string]modes.Upstreams {
	a.mu.Lock()
	handlers := slices.Clone(a.handlers)
	a.mu.Unlock()
	all := map[string]modes.Upstreams{}
	for _, h := range handlers {
		if route, up := modes.UpstreamsOf(h); route != "" {
			all[route] = up
		}
	}
	return all
}
