package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// signals turns the process's signals into what they ask for: the first TERM or INT
// asks to stop, the next one to hurry, and HUP to reload. None of the three blocks.
type signals struct {
	log    *slog.Logger
	stop   context.CancelCauseFunc
	hurry  context.CancelFunc
	reload func()

	ch chan os.Signal
}

// catch begins to listen; what comes before Run is kept for it.
func (s *signals) catch() {
	s.ch = make(chan os.Signal, 8) // more than anybody presses before Run reads
	signal.Notify(s.ch, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
}

// stopSignal is the cause of a stop that a signal asked for.
type stopSignal struct{ os.Signal }

// Error is the signal's name.
func (s stopSignal) Error() string {
	if s.Signal == syscall.SIGINT {
		return "SIGINT"
	}
	return "SIGTERM"
}

// echo is the time within which a second signal is the same wish told twice: a
// terminal and timeout(1) signal the group and the process.
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
			case !asked.IsZero() && time.Since(asked) < echo:
			case !asked.IsZero():
				s.log.Warn("asked again to stop: what is left is cut off", "signal", sig.String())
				s.hurry()
			default:
				asked = time.Now()
				s.stop(stopSignal{sig})
			}
		}
	}
}
