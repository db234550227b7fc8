package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// farewell is how long calls have to return after they were ended: a WebSocket waits as
// long for the other side's close frame.
const farewell = 2 * time.Second

// drain waits until the calls in this life's hands are over, at most for bound
// (stop.drain), and then ends those that are left: streams in the way that their protocol
// provides, the others by cutting them. Where no successor can start before this life has
// ended, streams and upgraded connections are not waited for. It returns early when the
// child has ended or the stop is in a hurry.
func (i *Instance) drain(bound time.Duration) {
	p := i.p
	unused := i.untilUnused(time.Now().Add(bound))
	if unused == nil {
		return
	}
	if !i.recipe.overlap {
		i.seats.endStreams()
	}
	t := time.NewTimer(bound)
	defer t.Stop()
	select {
	case <-unused:
		return
	case <-i.child.Done():
		return
	case <-t.C:
	case <-i.slot.cut:
	case <-p.sup.hurry:
	}
	i.seats.endStreams()
	who := i.seats.String()
	p.mu.Lock()
	n := i.calls
	p.cut += n
	p.mu.Unlock()
	if n == 0 {
		return
	}
	p.log.LogAttrs(context.Background(), slog.LevelWarn, "calls cut", slog.Int("instance", i.number), slog.Int("pid", i.child.PID()), slog.Int("calls", n),
		slog.String("which", who), slog.String("why", fmt.Sprintf("they went on for longer than stop.drain (%v) after the instance was asked to end, or the stop was hurried", bound)))
	i.seats.cutAll(&failure.Error{Kind: failure.Draining, Route: p.name, State: string(Stopping), RetryAfter: time.Second,
		Detail: fmt.Sprintf("the process that had the call is being stopped, and the call was not over within stop.drain (%v)", bound)})
	t.Reset(farewell)
	select {
	case <-unused:
	case <-i.child.Done():
	case <-t.C:
	}
}

// untilUnused returns a channel that is closed when no call uses the instance, or nil when
// none does now. until is shown as the end of the wait.
func (i *Instance) untilUnused(until time.Time) <-chan struct{} {
	i.p.mu.Lock()
	defer i.p.mu.Unlock()
	if i.calls == 0 {
		return nil
	}
	i.unused, i.until = make(chan struct{}), until
	i.p.change()
	return i.unused
}

// waitsFor says for which calls the instance waits before it ends; empty when it does
// not.
func (i *Instance) waitsFor(calls int, until time.Time) string {
	if calls == 0 || until.IsZero() {
		return ""
	}
	left := max(time.Until(until), 0).Round(time.Second)
	text := fmt.Sprintf("waits for %s, at most %v more (stop.drain)", plural(calls, "call"), left)
	if who := i.seats.String(); who != "" {
		text += ": " + who
	}
	return text
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
