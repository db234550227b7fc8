package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
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
	if !i.spec.overlap {
		if n := i.seats.endStreams(); n > 0 {
			i.countCut(n, "streams ended", "no other instance can start before this one has ended, since both have the same address")
		}
	}
	t := time.NewTimer(bound)
	defer t.Stop()
	hurried := false
	select {
	case <-unused:
		return
	case <-i.child.Done():
		return
	case <-t.C:
	case <-i.slot.cut:
		hurried = true
	case <-p.sup.hurry:
		hurried = true
	}
	why := fmt.Sprintf("stop.drain (%v) has passed", bound)
	if hurried {
		why = "the stop does not wait any longer"
	}
	n := 0
	if p.locked(func() { n = i.calls }); n == 0 {
		return
	}
	i.countCut(n, "calls cut", why)
	i.seats.endStreams()
	end := &failure.Error{Kind: failure.Draining, Route: p.name, State: string(lifecycle.Stopping), RetryAfter: time.Second,
		Detail: "the request was cut off because its process is being stopped: " + why}
	i.seats.cutCalls(end)
	t.Reset(farewell)
	select {
	case <-unused:
		return
	case <-i.child.Done():
		return
	case <-t.C:
	}
	i.seats.cutAll(end)
}

// countCut counts n calls that are ended before their time, and logs which and why.
func (i *Instance) countCut(n int, event, why string) {
	i.p.locked(func() { i.p.cut += n })
	i.p.log.LogAttrs(context.Background(), slog.LevelWarn, event, slog.Int("instance", i.number), slog.Int("pid", i.child.PID()),
		slog.Int("calls", n), slog.String("which", i.seats.String()), slog.String("why", why))
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
	text := fmt.Sprintf("waits for %s, at most %v more (stop.drain)", phrase.Count(calls, "call"), left)
	if who := i.seats.String(); who != "" {
		text += ": " + who
	}
	return text
}
