// Package logwriter gathers log lines and writes many of them at once, and keeps them
// when the program panics.
package logwriter

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Writer gathers lines and writes many of them at once. While Run runs, Write
// copies its bytes and returns; it never waits for the output, and drops and
// counts a line that finds no room, or that the output fails to take: its reader may go
// away and come back. Before Run and after it, Write passes each line on at once, so that
// nothing is lost at either end of a program's life:
//
//	w := logwriter.New(os.Stderr)
//	log := slog.New(slog.NewJSONHandler(w, nil))
//	defer w.Flush()          // in main: also for a panic; elsewhere LastWords
//	g.Add(func() error { return w.Run(ctx) }, ...)
type Writer struct {
	// Lost, if set before Run, is told how many lines were dropped when the output has
	// taken something again. It may write to the Writer.
	Lost func(lines uint64)

	out     io.Writer
	dropped atomic.Uint64
	stuck   atomic.Bool   // a flush was given up, and nothing was written since
	wake    chan struct{} // the first line of a batch is there
	hurry   chan struct{} // the batch is half full

	writing sync.Mutex // held while out is written to: batches stay in order. Taken before mu

	mu      sync.Mutex // guards what follows
	running bool
	batch   []byte // what is not yet written
	spare   []byte // the other buffer, while it is not being written
}

const (
	writerRoom  = 1 << 20               // bytes that wait at most, but for the last line
	longestLine = 8 << 20               // a line of a process, at its longest and all of it escaped
	writerPause = 50 * time.Millisecond // how long a line waits for others; the promise is 100 ms
	flushBound  = 2 * time.Second       // how long the end of the program waits for an output that does not move
)

// New returns a Writer to out. It has nothing to be closed.
func New(out io.Writer) *Writer {
	return &Writer{out: out, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1)}
}

// Write takes p, one or more whole lines, and does not keep it. Its error is always nil
// while Run runs.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	had, running := len(w.batch), w.running
	if running && (had >= writerRoom || len(p) > longestLine) {
		w.mu.Unlock()
		w.dropped.Add(lines(p))
		return len(p), nil
	}
	w.batch = append(w.batch, p...)
	w.mu.Unlock()
	if !running {
		if err := w.flush(); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	if had == 0 {
		signal(w.wake)
	}
	if had+len(p) > writerRoom/2 {
		signal(w.hurry)
	}
	return len(p), nil
}

// Dropped returns how many lines found no room or could not be written.
func (w *Writer) Dropped() uint64 { return w.dropped.Load() }

// ErrStuck is Run's error when the output did not take the last lines in time.
var ErrStuck = errors.New("write the last lines of the log: the reader of the log does not read; they are lost")

// Run writes what Write gathers, each line within 100 ms of its coming, until ctx
// ends. It returns when the last of it is written, or with ErrStuck when the
// output does not take it within two seconds.
func (w *Writer) Run(ctx context.Context) error {
	w.mu.Lock()
	w.running = true
	w.mu.Unlock()

	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(ctx)
	}()
	<-ctx.Done()
	wait := flushBound
	if w.stuck.Load() {
		wait = 0 // that was waited already
	}
	bound := time.NewTimer(wait)
	defer bound.Stop()
	select {
	case <-done:
		return nil
	case <-bound.C:
		w.stuck.Store(true)
		return ErrStuck // the goroutine hangs in a write that nothing can interrupt
	}
}

func (w *Writer) run(ctx context.Context) {
	pause := time.NewTimer(writerPause)
	defer pause.Stop()
	told := uint64(0) // of dropped
	for ctx.Err() == nil {
		select {
		case <-w.wake:
		case <-ctx.Done():
			continue
		}
		pause.Reset(writerPause)
		select {
		case <-pause.C:
		case <-w.hurry:
		case <-ctx.Done():
		}
		err := w.flush() // which has counted what is lost
		if n := w.dropped.Load(); err == nil && n > told && w.Lost != nil && w.hasRoom() {
			w.Lost(n - told)
			told = n
		}
	}
	w.mu.Lock()
	w.running = false // from here on each Write passes on what is gathered, then its own
	w.mu.Unlock()
	_ = w.flush()
}

func (w *Writer) hasRoom() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.batch) < writerRoom
}

// Flush writes what is gathered, and returns when it is written or when the output
// did not take it within two seconds. While the output still has not taken that, Flush and
// the end of Run do not wait again.
func (w *Writer) Flush() {
	if w.stuck.Load() {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.flush() // as in run
	}()
	bound := time.NewTimer(flushBound)
	defer bound.Stop()
	select {
	case <-done:
	case <-bound.C:
		w.stuck.Store(true)
	}
}

func (w *Writer) flush() error {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.Lock()
	batch := w.batch
	w.batch, w.spare = w.spare[:0], nil
	w.mu.Unlock()
	var err error
	if len(batch) > 0 {
		var n int
		n, err = w.out.Write(batch)
		w.stuck.Store(false)
		if err != nil {
			w.dropped.Add(lines(batch[n:]))
		}
	}
	w.mu.Lock()
	if cap(batch) <= 2*writerRoom {
		w.spare = batch[:0]
	}
	w.mu.Unlock()
	return err
}

// lines returns how many lines p holds; a last one may lack its newline.
func lines(p []byte) uint64 {
	n := bytes.Count(p, []byte("\n"))
	if len(p) > 0 && p[len(p)-1] != '\n' {
		n++
	}
	return uint64(n)
}

// signal leaves a token in c, unless one is there.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
