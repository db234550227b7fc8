package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
)

// lastWrites bounds the time between the end of the last call and the end of its
// connection: what is left then is a response in the socket's buffer, or a
// connection that never sent a request.
const lastWrites = 250 * time.Millisecond

// front is the main listeners and the server behind them.
type front struct {
	d      *daemon
	server *http.Server
	hurry  context.Context

	mu        sync.Mutex
	listeners map[string]net.Listener // by the address as written
	serving   sync.WaitGroup
	failed    chan error

	cut int // calls cut off by the drain; read after Run
}

// openFront opens the listeners of cfg, so that a port in use is found before any
// process is started.
func openFront(cfg *schema.Config, d *daemon, hurry context.Context) (*front, error) {
	f := &front{d: d, hurry: hurry, listeners: map[string]net.Listener{}, failed: make(chan error, 1)}
	f.server = routes.NewServer(cfg.Server, d.handler(), d.log)
	fresh, err := f.open(cfg.Server)
	if err != nil {
		return nil, err
	}
	f.listeners = fresh
	return f, nil
}

// open opens the addresses of cfg that are not open yet: all of them, or none.
func (f *front) open(cfg schema.Server) (map[string]net.Listener, error) {
	fresh := map[string]net.Listener{}
	for _, address := range cfg.Listen {
		if f.listeners[address] != nil || fresh[address] != nil {
			continue
		}
		l, err := routes.Listen(address)
		if err != nil {
			for _, opened := range fresh {
				_ = opened.Close() // nobody has connected yet
			}
			return nil, err
		}
		fresh[address] = l
	}
	return fresh, nil
}

// close gives the listeners back; for a start that failed.
func (f *front) close() {
	for _, l := range f.listeners {
		_ = l.Close() // nothing is served yet
	}
}

// relisten makes the open addresses those of cfg; fresh are those that open gave.
func (f *front) relisten(cfg schema.Server, fresh map[string]net.Listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted := map[string]bool{}
	for _, address := range cfg.Listen {
		wanted[address] = true
	}
	for address, l := range fresh {
		f.listeners[address] = l
		f.serve(address, l)
	}
	for address, l := range f.listeners {
		if !wanted[address] {
			delete(f.listeners, address)
			_ = l.Close() // its Serve ends; its connections go on
			f.d.log.Info("no longer listening", "address", address)
		}
	}
}

// serve serves l until it is closed.
func (f *front) serve(address string, l net.Listener) {
	f.d.log.Info("listening", "address", address)
	f.serving.Go(func() {
		err := f.server.Serve(l)
		f.mu.Lock()
		wanted := f.listeners[address] == l
		f.mu.Unlock()
		if wanted && !errors.Is(err, http.ErrServerClosed) {
			select {
			case f.failed <- fmt.Errorf("listen on %s: %w", address, err):
			default: // the first failure is the reason
			}
		}
	})
}

// Run serves until ctx ends, then drains: unready and the lock file gone,
// drain.delay while still serving, the listeners closed, the calls in flight
// answered within drain.timeout. A hurry shortens both.
func (f *front) Run(ctx context.Context) error {
	f.mu.Lock()
	for address, l := range f.listeners {
		f.serve(address, l)
	}
	f.mu.Unlock()

	lock := f.d.current.config().Health.LockFile
	var locking sync.WaitGroup
	if lock != "" {
		locking.Go(func() { f.d.lockWhenReady(ctx, lock) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-f.failed:
	}
	f.d.unready()
	locking.Wait()
	if lock != "" {
		if rmErr := os.Remove(lock); rmErr != nil && !errors.Is(rmErr, os.ErrNotExist) {
			f.d.log.Warn("the lock file is left behind", "file", lock, "error", rmErr.Error())
		}
	}
	f.drain(f.d.current.config().Server.Drain)
	f.serving.Wait()
	return err
}

func (f *front) drain(cfg schema.Drain) {
	if cfg.Delay > 0 {
		f.d.log.Info("unready, still serving", "delay", cfg.Delay.D().String())
		select {
		case <-time.After(cfg.Delay.D()):
		case <-f.hurry.Done():
		}
	}
	f.mu.Lock()
	for address, l := range f.listeners {
		delete(f.listeners, address)
		_ = l.Close() // its Serve returns
	}
	f.mu.Unlock()
	f.server.SetKeepAlivesEnabled(false)

	ctx, cancel := context.WithTimeout(f.hurry, cfg.Timeout.D())
	defer cancel()
	if n := f.d.live.Inflight(); n > 0 {
		f.d.log.Info("draining", "calls", n, "timeout", cfg.Timeout.D().String())
	}
	f.cut = f.d.live.Drain(ctx)

	last, stop := context.WithTimeout(context.Background(), lastWrites)
	defer stop()
	_ = f.server.Shutdown(last) // on time out the rest is closed below
	_ = f.server.Close()        // the listeners are closed already
}

// lockWhenReady writes the lock file once everything is ready.
func (d *daemon) lockWhenReady(ctx context.Context, file string) {
	tick := time.NewTicker(20 * time.Millisecond) // a lock file is read by probes that come once a second at most
	defer tick.Stop()
	for {
		if ok, _ := d.ready(""); ok {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	if err := writeLock(file); err != nil {
		d.log.Error("the lock file could not be written: whoever waits for it takes this server for unready", "file", file, "error", err.Error())
	}
}

func writeLock(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, nil, 0o660)
}
