package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/internal/listen"
	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/schema"
)

// Side is what stands beside the main listeners: the admin API and the metrics.
type Side struct {
	log     *slog.Logger
	note    func(time.Time)
	observe func(context.Context) error
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

// Open opens metrics.listen and the admin socket. If one is optional and cannot be
// opened, that is logged and watchdogd runs without it; the same holds for a default
// socket that cannot be made (a read-only file system).
func Open(cfg *schema.Config, of *Server) (*Side, error) {
	s := &Side{log: of.Log, note: of.note, observe: of.observing().Run}
	of.rates.add(counted{at: time.Now()}) // no calls yet
	metrics := sideServer{
		what:    "metrics",
		listen:  func() (net.Listener, error) { return listen.Open(cfg.Metrics.Listen) },
		spare:   func(error) bool { return cfg.Metrics.Optional },
		without: "no metrics: " + source.Named(cfg, "metrics.listen", "metrics_port") + " moves them",
		handler: lazily(of.metricsHandler),
	}
	admin := sideServer{
		what:   "admin",
		listen: func() (net.Listener, error) { return listenAdmin(cfg) },
		spare: func(err error) bool {
			return cfg.Admin.Optional || cfg.Admin.Listen == "" && !errors.Is(err, errHeld)
		},
		without: "no admin socket: ps, logs, reload and the other commands cannot reach this watchdogd; name a folder that can be written by " +
			source.Named(cfg, "admin.listen", "XDG_RUNTIME_DIR"),
		handler: lazily(func() http.Handler { return of.handler(cfg) }),
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
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

func (s *Side) open(one sideServer) error {
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

// Close closes the listeners after a start that failed.
func (s *Side) Close() {
	for _, server := range s.servers {
		_ = server.listener.Close() // nothing is served yet
	}
}

// Run serves until ctx ends.
func (s *Side) Run(ctx context.Context) error {
	for _, one := range s.later {
		_ = s.open(one) // what is optional has no error
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(s.servers)+1)
	serving.Go(func() {
		defer logwriter.LastWords(s.log)
		if err := s.observe(ctx); err != nil {
			ended <- fmt.Errorf("history: %w", err)
		}
	})
	for _, one := range s.servers {
		server := &http.Server{Handler: one.handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: sideHeader}
		serving.Go(func() {
			if err := server.Serve(one.listener); !errors.Is(err, http.ErrServerClosed) {
				ended <- fmt.Errorf("%s: %w", one.what, err)
			}
		})
		defer server.Close()
	}
	counting := time.NewTicker(rateEvery)
	defer counting.Stop()
	for {
		select {
		case now := <-counting.C:
			s.note(now)
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return err
		}
	}
}

// sideHeader is how large a head the admin API and the metrics take. A client can make
// net/http keep thirty times as much for it, and metrics are often reachable from outside.
const sideHeader = 32 << 10
