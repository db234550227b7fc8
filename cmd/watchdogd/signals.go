package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// signals acts on the signals of the process: the first of stopSignals starts a drain,
// the next one cuts it short, and HUP reloads. None of the three funcs blocks.
type signals struct {
	log    *slog.Logger
	stop   context.CancelCauseFunc
	hurry  context.CancelFunc
	reload func()

	ch chan os.Signal
}

// stopSignals are the signals by which a terminal, an orchestrator or the STOPSIGNAL of a
// base image (QUIT: nginx, php-fpm) asks a program to end. For a dump of all goroutines,
// which QUIT is to other Go programs, there is ABRT.
var stopSignals = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}

// strangeSignals are what base images and log rotation send to the program that an image
// had before. Their default is to end a process at once.
var strangeSignals = []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2}

// catch starts to listen. What comes before Run is kept for it.
func (s *signals) catch() {
	s.ch = make(chan os.Signal, 8) // more than can be sent before Run reads
	signal.Notify(s.ch, slices.Concat(stopSignals, strangeSignals, []os.Signal{syscall.SIGHUP})...)
	if !hasTerminal() {
		signal.Notify(s.ch, syscall.SIGWINCH) // the STOPSIGNAL of Apache's image; a terminal sends it when it is resized
	}
}

// hasTerminal reports whether a terminal controls this process.
func hasTerminal() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	_ = tty.Close() // nothing was written
	return true
}

// surviveBrokenPipes has a write to a pipe without a reader fail, instead of ending the
// process: the reader of the log may go away. The signal is caught and not ignored, because
// children would inherit that.
func surviveBrokenPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// stopSignal is the cause of a stop that a signal asked for.
type stopSignal struct{ os.Signal }

// Error returns the signal's name.
func (s stopSignal) Error() string { return signalName(s.Signal) }

func signalName(s os.Signal) string {
	switch s {
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGQUIT:
		return "SIGQUIT"
	case syscall.SIGWINCH:
		return "SIGWINCH"
	case syscall.SIGUSR1:
		return "SIGUSR1"
	case syscall.SIGUSR2:
		return "SIGUSR2"
	}
	return s.String()
}

// echo is the time within which a second signal counts as the first one: a terminal and
// timeout(1) signal both the group and the process.
const echo = 200 * time.Millisecond

// Run acts on signals until ctx ends.
func (s *signals) Run(ctx context.Context) error {
	defer signal.Stop(s.ch)
	var asked time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case sig := <-s.ch:
			switch {
			case sig == syscall.SIGHUP:
				s.reload()
			case slices.Contains(strangeSignals, sig):
				s.log.Warn("signal ignored", "signal", signalName(sig), "why", "TERM, INT and QUIT stop watchdogd and HUP reloads it; if an image sends this to stop it, set STOPSIGNAL SIGTERM")
			case !asked.IsZero() && time.Since(asked) < echo:
			case !asked.IsZero():
				s.log.Warn("asked again to stop: cutting off what is left", "signal", signalName(sig))
				s.hurry()
			default:
				asked = time.Now()
				s.stop(stopSignal{sig})
			}
		}
	}
}
