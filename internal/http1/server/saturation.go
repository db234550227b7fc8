package server

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// cpuLoad is the processors' time that the program uses, as it was looked at last.
//
// When there is none to spare, a goroutine lets others go on before it writes, so that writes
// follow close upon each other. A write to a program that sleeps has to wake it, which is a tenth
// of what a small request costs; a program that was woken just now does not sleep. With time to
// spare that would only delay. Measured on one processor with 64 connections, a GET of 1 KiB
// takes 0.88 of the CPU; on two that are idle half of the time, with one connection, it would
// take 1.6 times as much.
type cpuLoad struct {
	at   time.Time
	used time.Duration // by then
}

const (
	// saturated is the share of the processors' time from which on none is to spare.
	saturated = 7. / 8
	// lazy is the share below which the next look may be late.
	lazy = 1. / 8
	// lookEvery is the time between two looks while the program has something to do.
	lookEvery = 100 * time.Millisecond
	// mostProcessors is for how many letting others go on is tried: it takes a lock that all
	// processors share, and was measured with one and two.
	mostProcessors = 4
)

// share returns which share of the time of so many processors was used since the last look,
// when by now used is used.
func (l *cpuLoad) share(now time.Time, used time.Duration, processors int) float64 {
	share := float64(used-l.used) / float64(now.Sub(l.at)) / float64(processors)
	l.at, l.used = now, used
	return share
}

// lookAtLoad notes whether the program is saturated, and returns when to look again: after
// most, or sooner.
func (s *Server) lookAtLoad(most time.Duration) time.Duration {
	processors := runtime.GOMAXPROCS(0)
	var usage unix.Rusage
	if processors > mostProcessors || unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		s.saturated.Store(false)
		return most
	}
	share := s.load.share(time.Now(), time.Duration(usage.Utime.Nano()+usage.Stime.Nano()), processors)
	s.saturated.Store(share > saturated)
	if share < lazy {
		return most
	}
	return min(most, lookEvery)
}

// Saturated reports whether the program has no processor's time to spare. Whoever is about to
// write then lets others go on first, by runtime.Gosched.
func (w *response) Saturated() bool { return w.c.server.saturated.Load() }
