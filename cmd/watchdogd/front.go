package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/event"
	http1 "github.com/watchdogd/watchdogd/internal/http1/server"
	"github.com/watchdogd/watchdogd/internal/listen"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
)

// lastWrites bounds the time between the end of the last call and the end of its
// connection: what is left by then is a response that the client does not read, or a connection
// that never sent a request.
const lastWrites = 250 * time.Millisecond

// sayAfter is how long a stop takes before it logs what it waits for.
const sayAfter = time.Second

// front is the main listeners and the server behind them.
type front struct {
	d           *daemon
	server      *http1.Server
	certificate *listen.Certificate // nil without TLS

	mu        sync.Mutex
	listeners map[string]net.Listener // by the address as the file has it
	running   bool
	serving   sync.WaitGroup
	failed    chan error // the first listener that failed

	cut int // calls that the drain cut off; read it after Run
}

// openFront opens the listeners of cfg, which the first apply adopts, and serves nothing yet.
func openFront(cfg *schema.Config, d *daemon) (*front, listeners, error) {
	f := &front{d: d, listeners: map[string]net.Listener{}, failed: make(chan error, 1)}
	f.server = routes.NewServer(cfg.Server, d.live, d.log)
	if files := cfg.Server.TLS; files.Cert != "" {
		f.certificate = listen.NewCertificate(files.Cert, files.Key)
		f.server.TLSConfig = f.certificate.Config()
	}
	opened, err := f.prepare(cfg.Server)
	if err != nil {
		return nil, listeners{}, err
	}
	return f, opened, nil
}

// listeners are what a new configuration listens on.
type listeners struct {
	wanted map[string]bool
	fresh  map[string]net.Listener
}

// prepare opens those addresses of cfg that are not open yet: all of them, or none.
// The certificate is read, at a reload once more.
func (f *front) prepare(cfg schema.Server) (listeners, error) {
	l := listeners{map[string]bool{}, map[string]net.Listener{}}
	for _, address := range cfg.Listen {
		l.wanted[address] = true
		f.mu.Lock()
		open := f.listeners[address] != nil || l.fresh[address] != nil
		f.mu.Unlock()
		if open {
			continue
		}
		opened, err := listen.Open(address)
		if err != nil {
			l.abandon()
			return listeners{}, err
		}
		l.fresh[address] = opened
	}
	if f.certificate != nil {
		if err := f.certificate.Load(); err != nil {
			l.abandon()
			return listeners{}, err
		}
	}
	return l, nil
}

// abandon closes what prepare opened.
func (l listeners) abandon() {
	for _, opened := range l.fresh {
		_ = opened.Close() // nothing is served on it yet
	}
}

// adopt makes the open addresses those that prepare was asked for.
func (f *front) adopt(l listeners) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for address, opened := range l.fresh {
		f.listeners[address] = opened
		if f.running {
			f.serve(address, opened)
		}
	}
	for address, open := range f.listeners {
		if !l.wanted[address] {
			delete(f.listeners, address)
			_ = open.Close() // its Serve returns; its connections go on
			f.d.log.Info("no longer listening", "address", address)
		}
	}
}

// serve serves l until it is closed. f.mu is held.
func (f *front) serve(address string, l net.Listener) {
	shown := address
	if strings.HasSuffix(address, ":0") {
		shown = l.Addr().String() // the port that the kernel chose
	}
	f.d.log.Info(event.Listening, "address", shown)
	f.serving.Go(func() {
		var err error
		if f.certificate != nil && !strings.HasPrefix(address, "unix:") {
			err = f.server.Serve(tls.NewListener(l, f.server.TLSConfig))
		} else {
			err = f.server.Serve(l)
		}
		f.mu.Lock()
		wanted := f.listeners[address] == l
		f.mu.Unlock()
		if wanted && !errors.Is(err, http.ErrServerClosed) {
			select {
			case f.failed <- fmt.Errorf("serve %s: %w", address, err):
			default: // another has failed first
			}
		}
	})
}

// Run serves until ctx ends and then drains: unready and the lock file gone,
// drain.delay while still serving, the listeners closed, the calls in flight answered
// within drain.timeout. The end of lost ends the first wait, that of hurry both.
func (f *front) Run(ctx, lost, hurry context.Context) error {
	f.mu.Lock()
	f.running = true
	for address, l := range f.listeners {
		f.serve(address, l)
	}
	f.mu.Unlock()
	locking, stop := context.WithCancel(ctx)
	var locked sync.WaitGroup
	locked.Go(func() { f.d.lockWhenReady(locking) })

	var err error
	select {
	case <-ctx.Done():
	case err = <-f.failed:
	}

	stop()
	locked.Wait()
	f.d.draining.Store(true)
	f.d.unlock()
	f.drain(f.d.current.config().Server.Drain, lost, hurry)
	f.serving.Wait()
	return err
}

func (f *front) drain(cfg schema.Drain, lost, hurry context.Context) {
	if cfg.Delay > 0 {
		select {
		case <-time.After(cfg.Delay.D()):
		case <-lost.Done():
		case <-hurry.Done():
		}
	}
	f.server.SetKeepAlivesEnabled(false)
	f.mu.Lock()
	for address, l := range f.listeners {
		delete(f.listeners, address)
		_ = l.Close() // its Serve returns
	}
	f.mu.Unlock()

	ctx, cancel := context.WithTimeout(hurry, cfg.Timeout.D())
	defer cancel()
	f.d.log.Info(event.Draining, "calls", f.d.live.Inflight(), "timeout", cfg.Timeout.D().String())
	told := time.AfterFunc(sayAfter, func() {
		if waits := f.d.live.Waits(); waits != "" {
			f.d.log.Info("waiting for calls", "which", waits, "timeout", cfg.Timeout.D().String(), "next", "Ctrl-C or another signal cuts them off")
		}
	})
	f.cut = f.d.live.Drain(ctx)
	told.Stop()

	last, stop := context.WithTimeout(context.Background(), lastWrites)
	defer stop()
	if f.server.Shutdown(last) != nil {
		_ = f.server.Close() // the listeners are closed already
	}
}
