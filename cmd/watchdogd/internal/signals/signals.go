// Package signals acts on the signals of a watchdogd, and on the end of its terminal.
package signals

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Signals acts on the signals of the process: the first of stopSignals starts a drain,
// the next one cuts it short, and HUP reloads, or drains when the terminal was closed.
// None of the three funcs blocks.
type Signals struct {
	Log    *slog.Logger
	Stop   context.CancelCauseFunc // its cause is a Signal
	Hurry  context.CancelFunc
	Reload func()

	ch       chan os.Signal
	terminal *os.File // the controlling terminal; nil without one, and under nohup

	asked     time.Time // when the drain was asked for
	hurried   bool
	hup, lost time.Time // the last HUP; the end of the terminal
}

// stopSignals are the signals by which a terminal, an orchestrator or the STOPSIGNAL of a
// base image (QUIT: nginx, php-fpm) asks a program to end. For a dump of all goroutines,
// which QUIT is to other Go programs, there is ABRT.
var stopSignals = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}

// strangeSignals are what base images and log rotation send to the program that an image
// had before. Their default is to end a process at once.
var strangeSignals = []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2}

// Catch starts to catch signals and keeps those that arrive before Run. They stay caught
// until the process exits: a late one must not change its exit status.
func (s *Signals) Catch() {
	s.ch = make(chan os.Signal, 8) // more than can be sent before Run reads
	nohup := signal.Ignored(syscall.SIGHUP)
	signal.Notify(s.ch, slices.Concat(stopSignals, strangeSignals, []os.Signal{syscall.SIGHUP})...)
	s.terminal = openTerminal()
	if s.terminal == nil {
		signal.Notify(s.ch, syscall.SIGWINCH) // the STOPSIGNAL of Apache's image; a terminal sends it when it is resized
	} else if nohup {
		_ = s.terminal.Close() // nothing was read
		s.terminal = nil
	}
}

// SurviveBrokenPipes has a write to a pipe without a reader fail, instead of ending the
// process: the reader of the log may go away. The signal is caught and not ignored, because
// children would inherit that.
func SurviveBrokenPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// Signal is the cause of a stop that a signal asked for.
type Signal struct{ os.Signal }

// Error returns the signal's name.
func (s Signal) Error() string { return Name(s.Signal) }

// Name names a signal as kill -l does: "SIGTERM".
func Name(s os.Signal) string {
	switch s {
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGQUIT:
		return "SIGQUIT"
	case syscall.SIGHUP:
		return "SIGHUP"
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

// hangupWindow is the time between the end of a terminal and the HUP that belongs to it,
// whichever comes first: the kernel sends one to the leader of the session, and a shell
// passes it on to its jobs. A HUP at any other time was sent to reload.
const hangupWindow = 2 * time.Second

// Run acts on signals until ctx ends.
func (s *Signals) Run(ctx context.Context) error {
	lost := make(chan struct{})
	var watching sync.WaitGroup
	defer watching.Wait()
	if s.terminal != nil {
		watching.Go(func() { untilHungUp(ctx, s.terminal, lost) })
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-lost:
			lost = nil
			s.lost = time.Now()
			s.closing(s.lost)
		case sig := <-s.ch:
			s.act(sig, time.Now())
		}
	}
}

// act acts on one signal.
func (s *Signals) act(sig os.Signal, now time.Time) {
	switch {
	case sig == syscall.SIGHUP:
		s.hup = now
		if s.terminal != nil && s.lost.IsZero() && hungUp(s.terminal) {
			s.lost = now
		}
		if !s.closing(now) {
			s.Reload()
		}
	case slices.Contains(strangeSignals, sig):
		s.Log.Warn("signal ignored", "signal", Name(sig), "why", "TERM, INT and QUIT stop watchdogd and HUP reloads it; if an image sends this to stop it, set STOPSIGNAL SIGTERM")
	case s.asked.IsZero():
		s.asked = now
		s.Stop(Signal{sig})
	case now.Sub(s.asked) >= echo && !s.hurried:
		s.hurried = true
		s.Log.Warn("asked again to stop: cutting off what is left", "signal", Name(sig))
		s.Hurry()
	}
}

// closing reports whether the last HUP came from the end of the terminal, and then starts
// the drain. Without such a HUP watchdogd stays: it was disowned, or its shell ended and
// left it in the background.
func (s *Signals) closing(now time.Time) bool {
	if s.lost.IsZero() || s.hup.IsZero() || s.hup.Sub(s.lost).Abs() >= hangupWindow {
		return false
	}
	if s.asked.IsZero() {
		s.asked = now
		s.Stop(Signal{syscall.SIGHUP})
	}
	return true
}
