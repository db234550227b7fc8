package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
	"github.com/watchdogd/watchdogd/supervisor/why"
)

// Here the facts are gathered of which why.go makes sentences: while an instance starts,
// where it listens; and when it has ended, how, what it left behind, and what it printed.

// lookPause is the time between two looks at an instance that is not ready: at once
// after a start, and less and less often.
const (
	lookPause    = 250 * time.Millisecond
	maxLookPause = 2 * time.Second
	idleShare    = 0.25            // of one CPU; a process that uses less waits for something
	busyFor      = 5 * time.Second // a program that is busy for longer is not waited for
)

// facts are those known of any life.
func (i *Instance) facts() why.Facts {
	p := &i.spec.Process
	f := why.Facts{Shell: p.Shell, Server: i.spec.Listens, Worker: i.spec.Socketpair, Served: i.wasUp()}
	if f.Worker {
		i.p.mu.Lock()
		f.Served = i.calls+i.served > 0
		i.p.mu.Unlock()
	}
	if p.Shell {
		f.Words = []string{p.FProcess.Line.Expand(i.vars())}
	}
	for _, w := range p.FProcess.Words {
		f.Words = append(f.Words, w.Expand(i.vars()))
	}
	if i.spec.choosesPort() {
		f.Port = i.port
	}
	f.Upstream = i.address.Stated.Address
	return f
}

// lookAround says why the instance does not become ready, once it is seen, until ctx
// ends: when it listens, and not where it is asked to. A program may open another port
// first, so that it is believed when it has been seen twice, and is not busy meanwhile.
func (i *Instance) lookAround(ctx context.Context) {
	f := i.facts()
	if f.Upstream == "" {
		return
	}
	var before []string
	var cpu time.Duration
	began := time.Now()
	for wait := lookPause; sleep.For(ctx, wait); {
		if time.Since(began) > busyFor {
			wait = min(wait*2, maxLookPause)
		}
		f.Listens = i.listens(f.Upstream)
		spent := i.child.Usage().CPU
		idle := spent-cpu <= time.Duration(float64(wait)*idleShare) || time.Since(began) > busyFor
		if len(f.Listens) > 0 && slices.Equal(f.Listens, before) && idle {
			if i.spec.AnyPort {
				i.adopt(f.Listens[0])
				return
			}
			i.sayStuck(f.Diagnose())
		}
		before, cpu = f.Listens, spent
	}
}

// adopt has the instance be reached where it listens, which is not where it was asked to.
func (i *Instance) adopt(listens string) {
	host, port, err := net.SplitHostPort(listens)
	if err != nil {
		return
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.To4() == nil {
			host = "::1"
		}
	}
	i.address.Adopt(net.JoinHostPort(host, port))
	i.p.output.Note("listens on " + listens + ", a port of its own")
	i.p.log.LogAttrs(context.Background(), slog.LevelInfo, "listens on a port of its own", slog.String("address", listens), slog.Int("instance", i.number))
}

// sayStuck notes and logs, once, why a starting instance does not become ready.
func (i *Instance) sayStuck(d why.Diagnosis) {
	i.p.mu.Lock()
	defer i.p.mu.Unlock()
	s := i.slot
	if s.life != i || s.state != lifecycle.Starting || s.why == d.What {
		return
	}
	s.why, s.certain = d.What, d.Certain
	i.p.change()
	i.p.tell(slog.LevelWarn, slog.String("state", string(s.state)), slog.Int("instance", s.number),
		slog.Int("pid", i.child.PID()), slog.String("why", d.What))
}

// whyStuck is what sayStuck noted; empty when it noted nothing.
func (i *Instance) whyStuck() string {
	i.p.mu.Lock()
	defer i.p.mu.Unlock()
	if s := i.slot; s.life == i && s.state == lifecycle.Starting && s.certain {
		return s.why
	}
	return ""
}

// listens is where the instance's processes listen, but for the address that they are
// asked to; none when that is among them.
func (i *Instance) listens(asked string) []string {
	var at []string
	for _, address := range i.child.Listeners() {
		if why.SameListener(address, asked) {
			return nil
		}
		if !slices.Contains(at, address) && !why.DebugPort(address) {
			at = append(at, address)
		}
	}
	slices.Sort(at)
	return at
}

// left notes, before it is swept, what the life left running whose child has ended by
// itself with 0.
func (i *Instance) left() {
	if !i.child.Exit().OK() || i.child.Exit().At.Sub(i.began) > why.Soon {
		return
	}
	i.behind = i.child.Leftovers()
}

// why is the diagnosis of a life whose child has ended by itself.
func (i *Instance) why(e child.Exit) why.Diagnosis {
	f := i.facts()
	f.Exit, f.Uptime, f.Behind = &e, e.At.Sub(i.began), i.behind
	f.CRLF = child.CRLF(f.Script(i.path, i.dir))
	if !e.OK() && !e.OutOfMemory && !why.FromOutside(e.Signal) {
		f.Printed = why.TellingOf(i.p.output.Lines(), i.child.PID(), !f.Served)
	}
	return f.Diagnose()
}

// sayKilled logs that the child did not end on its signal within stop.grace, and what to
// write so that it does.
func (i *Instance) sayKilled(stop schema.Stop) {
	text := fmt.Sprintf("it did not end within stop.grace (%v) after SIG%s", stop.Grace.D(), stop.Signal)
	i.p.log.LogAttrs(context.Background(), slog.LevelWarn, "killed", slog.Int("instance", i.number), slog.Int("pid", i.child.PID()),
		slog.String("signal", "SIG"+string(stop.Signal)), slog.String("grace", stop.Grace.D().String()),
		slog.String("why", text), slog.String("hint", why.KilledHint(i.spec.Process.FProcess, stop)))
}
