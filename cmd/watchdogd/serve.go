package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/oklog/run"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/front"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/functions"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/fwatchdog"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/health"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/logbook"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/signals"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/started"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/systemd"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/version"
	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/internal/listen"
	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/internal/trace"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/routes/auth"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// serve is the daemon. It returns when nothing that it started is left.
//
// Everything that lives is an actor of one run.Group. When the first actor returns
// (asked to stop, or failed) the group interrupts all of them in the order in which
// they stand here, and each interrupt returns only when its actor has: the order of the
// actors is the order of the shutdown, consumers before what they use.
func serve(parent context.Context, from *source.Source) error {
	return serveWith(parent, from, greeting{})
}

// greeting is what is reported once the listeners are served.
type greeting struct {
	print  func(open []string) // instead of the table; nil is the table, for people
	parent *started.Parent     // that started it in the background; nil without one
}

// serveWith is serve with another greeting.
func serveWith(parent context.Context, from *source.Source, greet greeting) error {
	cfg, notes, err := from.Load()
	if err != nil {
		return exit.Fail(err)
	}
	signals.SurviveBrokenPipes()
	book := logbook.New(cfg.Log, os.Stdout, os.Stderr)
	defer book.Flush() // what is logged after the writer's own actor has ended, and in a panic
	book.SayStart(cfg, notes)

	// stop: shutdown was requested. lost: the only route is gone, so skip drain.delay.
	// hurry: a second signal, cut what is left. ending: the actors have ended, so former
	// tables are no longer waited for.
	stop, askStop := context.WithCancelCause(parent)
	defer askStop(nil)
	lost, tellLost := context.WithCancel(context.Background())
	defer tellLost()
	hurry, askHurry := context.WithCancel(context.Background())
	defer askHurry()
	ending, end := context.WithCancel(context.Background())
	defer end()

	d := newDaemon(from, cfg, book, greet)
	d.supervisor = supervisor.New(supervisor.Options{Log: d.log, Printing: book.Printing(cfg), Ended: func(name string, how child.Exit) {
		d.health.Drain()
		askStop(culprit(cfg, name, how))
		if d.serves(name) {
			tellLost()
		}
	}})
	d.health.Supervisor = d.supervisor
	caught := &signals.Signals{Log: d.log, Stop: askStop, Reload: d.askReload, Hurry: func() {
		askHurry()
		d.supervisor.Hurry()
	}}
	d.down = downBy(caught)
	caught.Catch()
	side, err := d.open(ending, cfg)
	if err != nil {
		return exit.Fail(err)
	}

	var group run.Group
	add := func(name string, run func(context.Context) error) { group.Add(actor(d.log, name, run)) }
	add("stop", func(ctx context.Context) error { return d.untilAsked(ctx, stop) })
	add("systemd", d.manager.Run)
	add("reload", func(ctx context.Context) error { return d.runReloads(ctx, ending) })
	add("front", func(ctx context.Context) error { return d.front.Run(ctx, lost, hurry) })
	add("handlers", func(ctx context.Context) error { return d.untilClosed(ctx, hurry) })
	add("functions", d.functions.Run)
	add("supervisor", d.supervisor.Run)
	add("admin and metrics", side.Run)
	add("traces", d.tracer.Run)
	add("signals", caught.Run)
	add("log", book.Run)

	err = group.Run()
	end()
	return d.stopped(err, stop)
}

// downBy returns what watchdogd down asks for: what the first signal does, or the second too.
func downBy(caught *signals.Signals) func(now bool) {
	return func(now bool) {
		caught.Stop(errors.New("asked to by watchdogd down"))
		if now {
			caught.Hurry()
		}
	}
}

// actor makes run an actor of a run.Group, whose interrupt returns when run has.
func actor(log *slog.Logger, name string, run func(context.Context) error) (execute func() error, interrupt func(error)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	execute = func() error {
		defer close(done)
		defer logwriter.LastWords(log)
		if err := run(ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	return execute, func(error) {
		cancel()
		<-done
	}
}

// daemon is what the actors share.
type daemon struct {
	source     *source.Source
	log        *slog.Logger
	book       *logbook.Book
	health     *health.Health
	metrics    *metrics.Registry
	tracer     *trace.Tracer // nil without a collector
	supervisor *supervisor.Supervisor
	live       *routes.Live
	auth       *auth.Shared
	found      *routes.Functions // by the gateway, beside the routes
	functions  *functions.Functions
	front      *front.Front
	manager    *systemd.Notifier
	admin      *admin.Server
	reloads    chan reloadRequest // to the one goroutine that applies; with room for one without a waiter

	current applied
	leaving sync.WaitGroup // former tables that still have calls
	down    func(now bool) // asks for the end
	told    bool           // why we stop is in the log; of untilAsked

	greet greeting
}

// newDaemon returns the daemon of a first configuration. It has no supervisor yet, and
// nothing is open.
func newDaemon(from *source.Source, cfg *schema.Config, book *logbook.Book, greet greeting) *daemon {
	d := &daemon{source: from, greet: greet, log: book.Logger, book: book, auth: auth.NewShared(book.Logger), reloads: make(chan reloadRequest, 1)}
	d.metrics = metrics.New(metrics.Options{Version: version.Text(), RouteLabel: cfg.Metrics.RouteLabel})
	d.metrics.AddDropped(book.Dropped)
	d.tracer = tracer(cfg, d.log)
	d.found = routes.NewFunctions(d.metrics)
	d.functions = functions.New(functions.Options{Log: d.log, Routes: d.found, Auth: d.auth, Deps: book.Deps})
	d.metrics.AddCollector(func(w io.Writer) {
		admin.WriteProcesses(w, d.supervisor.Status())
		admin.WriteEndpoints(w, d.current.upstreams())
		d.functions.Write(w)
		writeDropped(w, d.tracer)
	})
	d.health = &health.Health{Health: cfg.Health, Log: d.log, Config: d.current.config, Functions: d.functions}
	d.manager = &systemd.Notifier{Log: d.log, Ready: func() error { return d.health.Ready("") }}
	d.live = &routes.Live{Respond: modes.Responder(cfg.Server.Errors, nil), Health: routes.Health{
		Live:  d.health.Unlocked, // a client that gets any answer has reached a living watchdogd
		Ready: d.health.Ready,
		Note:  d.functions.Note,
	}}
	return d
}

// open opens the listeners, so that a port in use is found before any process is started,
// and then makes cfg what runs. After an error nothing is open.
func (d *daemon) open(ending context.Context, cfg *schema.Config) (*admin.Side, error) {
	f, opened, err := front.Open(cfg.Server, front.Options{
		Log: d.log, Live: d.live,
		Drain:  func() schema.Drain { return d.current.config().Server.Drain },
		Beside: d.beside,
		Leave:  d.health.Leave,
	})
	if err != nil {
		return nil, fwatchdog.OfPort(cfg, admin.OfItself(cfg, err))
	}
	d.front = f
	d.admin = &admin.Server{
		Log: d.log, Supervisor: d.supervisor, Live: d.live, Metrics: d.metrics, Requests: &d.book.Requests,
		Config: d.current.config, Upstreams: d.current.upstreams, Functions: d.functions.Statuses, Swarm: d.functions.Note, Reload: d.reload, Down: d.down,
	}
	s, err := admin.Open(cfg, d.admin)
	if err != nil {
		opened.Abandon()
		return nil, err
	}
	for _, address := range listen.Unclaimed() {
		d.log.Warn("a socket of systemd is not used: no address of the configuration is its own", "socket", address)
	}
	err = d.apply(ending, cfg, func(schema.Server) (front.Listeners, error) { return opened, nil })
	if err == nil {
		err = d.health.Lock()
	}
	if err != nil {
		opened.Abandon() // nothing is served yet
		s.Close()
		return nil, err
	}
	return s, nil
}

// beside is what is done while the front serves.
func (d *daemon) beside(ctx context.Context) {
	cfg := d.current.config()
	open := d.front.Addresses(cfg.Server.Listen)
	if d.greet.print != nil {
		d.greet.print(open)
		d.book.Begin(nil) // instead of the table
	}
	var reporting sync.WaitGroup
	defer reporting.Wait()
	reporting.Go(func() {
		defer logwriter.LastWords(d.log)
		started.Table(ctx, d.book, cfg, open, d.admin.List)
		d.greet.parent.Report(ctx, cfg, open, d.admin.List)
	})
	d.health.LockWhenReady(ctx)
}

// serves reports whether name is the only route, without which nothing is served.
func (d *daemon) serves(name string) bool {
	all := d.current.config().Routes
	return len(all) == 1 && all[0].Name == name
}

// culprit returns the stop that the exit of a process causes, with "then: exit".
func culprit(cfg *schema.Config, name string, how child.Exit) exit.Error {
	why := source.Named(cfg, `its restart has "then: exit"`, "the container stops with it; set restart=always or restart=on-failure to restart it instead")
	return exit.Error{Status: max(how.Status(), exit.Failed), Err: fmt.Errorf("%s exited (%s) and %s", name, how, why)}
}

// untilAsked returns when the daemon is asked to stop, or another actor has ended.
func (d *daemon) untilAsked(ctx, stop context.Context) error {
	select {
	case <-stop.Done():
		switch cause := context.Cause(stop).(type) {
		case signals.Signal:
			d.log.Info(event.AskedToStop, "signal", cause.Error(), "delay", d.current.config().Server.Drain.Delay.D().String())
		case exit.Error:
			d.log.Error("stopping", "why", cause.Err.Error())
			d.told = true
		default:
			d.log.Info("stopping", "why", cause.Error())
		}
	case <-ctx.Done():
	}
	return nil
}

// untilClosed closes the handlers when ctx ends: the programs of calls that were cut off
// have their grace, unless a second signal cuts it short.
func (d *daemon) untilClosed(ctx, hurry context.Context) error {
	<-ctx.Done()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		closeAll(d.current.set(d.current.config(), nil))
	}()
	select {
	case <-closed:
	case <-hurry.Done(): // and the supervisor ends what is left
	}
	return nil
}

// stopped logs the end when nothing is left, and returns the status of the process.
func (d *daemon) stopped(err error, stop context.Context) error {
	d.leaving.Wait()
	d.log.Info(event.Stopped, "cut", d.front.Cut)
	return d.status(err, stop)
}

// status is the end of the process: the culprit's own, then what failed, then
// whether calls were cut off.
func (d *daemon) status(err error, stop context.Context) error {
	if culprit, ok := errors.AsType[exit.Error](context.Cause(stop)); ok {
		if d.told {
			culprit.Err = nil // it is in the log
		}
		return culprit
	}
	if err != nil {
		return exit.Fail(err)
	}
	if n, status := d.front.Cut, d.current.config().Server.Drain.Status; n > 0 && status != exit.OK {
		return exit.Error{Status: status, Err: fmt.Errorf("%s cut off: not finished when the drain ended", phrase.Count(n, "request")+phrase.Of(n, " was", " were"))}
	}
	return nil
}

// tracer returns what exports the spans of calls, as the environment says; nil is nothing. A
// variable that cannot be used costs the spans and not the service.
func tracer(cfg *schema.Config, log *slog.Logger) *trace.Tracer {
	t, err := trace.FromEnv(os.Getenv, trace.Resource{Service: cfg.Name, Version: version.Text()}, log)
	switch {
	case err != nil:
		log.Warn("no spans are exported", "error", err.Error())
	case t != nil:
		log.Info("exporting spans", "endpoint", t.Endpoint())
	}
	return t
}

// writeDropped writes the metric of a tracer.
func writeDropped(w io.Writer, t *trace.Tracer) {
	const name = "watchdogd_spans_dropped_total"
	metrics.Family(w, name, "counter", "spans that were lost because the collector of traces was away or too slow")
	_, _ = fmt.Fprintf(w, "%s %d\n", name, t.Dropped()) // the reader of the metrics has left
}
