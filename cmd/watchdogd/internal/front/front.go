// Package front is the main listeners: they are opened before anything is started, moved by a
// reload, and drained in the end.
package front

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
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

// Options are what a front needs of its daemon.
type Options struct {
	Log    *slog.Logger
	Live   *routes.Live
	Drain  func() schema.Drain       // as it is when the drain begins
	Beside func(ctx context.Context) // runs beside the serving; ctx ends when the drain begins
	Leave  func()                    // the drain begins
}

// Front is the main listeners and the server behind them.
type Front struct {
	Options
	server      *http1.Server
	certificate *listen.Certificate // nil without TLS

	mu        sync.Mutex
	listeners map[string]net.Listener // by the address as the file has it
	running   bool
	serving   sync.WaitGroup
	failed    chan error // the first listener that failed

	Cut int // calls that the drain cut off; read it after Run
}

// Open opens the listeners of cfg, which the first apply adopts, and serves nothing yet.
func Open(cfg schema.Server, options Options) (*Front, Listeners, error) {
	f := &Front{Options: options, listeners: map[string]net.Listener{}, failed: make(chan error, 1)}
	f.server = routes.NewServer(cfg, f.Live, f.Log)
	if files := cfg.TLS; files.Cert != "" {
		f.certificate = listen.NewCertificate(files.Cert, files.Key)
		f.server.TLSConfig = f.certificate.Config()
	}
	opened, err := f.Prepare(cfg)
	if err != nil {
		return nil, Listeners{}, err
	}
	return f, opened, nil
}

// Check returns why the certificate could not be read again, or nil; it changes nothing.
func (f *Front) Check() error {
	if f.certificate == nil {
		return nil
	}
	return f.certificate.Check()
}

// Listeners are what a new configuration listens on.
type Listeners struct {
	wanted map[string]bool
	fresh  map[string]net.Listener
}

// Prepare opens those addresses of cfg that are not open yet: all of them, or none.
// The certificate is read, at a reload once more.
func (f *Front) Prepare(cfg schema.Server) (Listeners, error) {
	l := Listeners{map[string]bool{}, map[string]net.Listener{}}
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
			l.Abandon()
			return Listeners{}, err
		}
		l.fresh[address] = opened
	}
	if f.certificate != nil {
		if err := f.certificate.Load(); err != nil {
			l.Abandon()
			return Listeners{}, err
		}
	}
	return l, nil
}

// Abandon closes what Prepare opened.
func (l Listeners) Abandon() {
	for _, opened := range l.fresh {
		_ = opened.Close() // nothing is served on it yet
	}
}

// Adopt makes the open addresses those that Prepare was asked for.
func (f *Front) Adopt(l Listeners) {
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
			f.Log.Info("no longer listening", "address", address)
		}
	}
}

// serve serves l until it is closed. f.mu is held.
func (f *Front) serve(address string, l net.Listener) {
	f.Log.Info(event.Listening, "address", shownAs(address, l))
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

// shownAs is an address as the file has it, but for a port that the kernel chose.
func shownAs(address string, l net.Listener) string {
	if strings.HasSuffix(address, ":0") {
		return l.Addr().String()
	}
	return address
}

// Addresses are those of wanted that are open, as a client would name them.
func (f *Front) Addresses(wanted []string) (open []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, address := range wanted {
		if l := f.listeners[address]; l != nil {
			open = append(open, shownAs(address, l))
		}
	}
	return open
}

// Run serves until ctx ends and then drains: unready and the lock file gone,
// drain.delay while still serving, the listeners closed, the calls in flight answered
// within drain.timeout. The end of lost ends the first wait, that of hurry both.
func (f *Front) Run(ctx, lost, hurry context.Context) error {
	f.mu.Lock()
	f.running = true
	for address, l := range f.listeners {
		f.serve(address, l)
	}
	f.mu.Unlock()
	serving, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { f.Beside(serving) })

	var err error
	select {
	case <-ctx.Done():
	case err = <-f.failed:
	}

	stop()
	beside.Wait()
	f.Leave()
	f.drain(f.Drain(), lost, hurry)
	f.serving.Wait()
	return err
}

func (f *Front) drain(cfg schema.Drain, lost, hurry context.Context) {
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
	draining := []any{"calls", f.Live.Inflight(), "timeout", cfg.Timeout.D().String()}
	if waits := f.Live.Waits(); waits != "" {
		draining = append(draining, "which", waits)
	}
	f.Log.Info(event.Draining, draining...)
	told := time.AfterFunc(sayAfter, func() {
		if waits := f.Live.Waits(); waits != "" {
			f.Log.Info(event.WaitingForCalls, "which", waits, "timeout", cfg.Timeout.D().String(), "next", "Ctrl-C or another signal cuts them off")
		}
	})
	f.Cut = f.Live.Drain(ctx)
	told.Stop()

	last, stop := context.WithTimeout(context.Background(), lastWrites)
	defer stop()
	if f.server.Shutdown(last) != nil {
		_ = f.server.Close() // the listeners are closed already
	}
}
