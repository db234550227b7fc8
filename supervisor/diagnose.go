package supervisor

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/internal/holder"
	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
	"github.com/watchdogd/watchdogd/supervisor/probe"
	"github.com/watchdogd/watchdogd/supervisor/why"
)

// Here the facts are gathered of which package why makes sentences: while an instance
// starts, where it listens and what its probe is answered; and when it has ended, how, what
// it left behind, and what it printed.

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
	f := why.Facts{
		Shell: p.Shell, Dir: i.dir, User: string(p.User), Server: i.spec.Listens, Worker: i.spec.Socketpair,
		Again: p.Restart.Policy == "always", Served: i.wasUp(), CPU: uint64(p.RLimits["cpu"]), Upstream: i.address.Stated.Address,
	}
	if f.Worker {
		i.p.locked(func() { f.Served = i.calls+i.served > 0 })
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
	return f
}

// printed adds what the instance's child printed to f.
func (i *Instance) printed(f *why.Facts) {
	f.Errors, f.Prints = nil, nil
	for _, l := range i.p.output.Lines() {
		switch {
		case l.PID != i.child.PID():
		case l.Stream == "stderr":
			f.Errors = append(f.Errors, l.Text)
		case l.Stream == "stdout":
			f.Prints = append(f.Prints, l.Text)
		}
	}
}

// lookAround says why the instance does not become ready, once it is seen, until ctx
// ends. That it listens elsewhere is believed when it has been seen twice, and the program is
// not busy meanwhile: it may open another port first.
func (i *Instance) lookAround(ctx context.Context) {
	f := i.facts()
	f.Probe, f.Log = i.spec.ready.Name(i.target()), i.spec.ready.Log != ""
	var before []string
	var cpu time.Duration
	for wait := lookPause; sleep.For(ctx, wait); {
		f.Uptime = time.Since(i.began)
		if f.Uptime > busyFor {
			wait = min(wait*2, maxLookPause)
		}
		var listens []string
		if f.Upstream != "" {
			listens = i.listens(f.Upstream)
		}
		var spent time.Duration
		if len(listens) > 0 || f.Uptime > why.SlowAfter-wait { // otherwise nothing is said yet
			spent = i.child.Usage().CPU
		}
		f.Busy = spent-cpu > time.Duration(float64(wait)*idleShare)
		f.Idle, f.Listens = cpu > 0 && !f.Busy, nil
		if slices.Equal(listens, before) && (!f.Busy || f.Uptime > busyFor) {
			f.Listens = listens
			if len(listens) > 0 && i.spec.AnyPort {
				i.adopt(listens[0])
				return
			}
		}
		f.Answer, f.Body = "", ""
		if err := i.answer.Load(); err != nil {
			f.Answer, f.Body = probe.Said(*err)
		}
		if f.Uptime > why.SlowAfter {
			i.printed(&f)
		}
		if d := f.Diagnose(); d.Certain || f.Uptime > why.SlowAfter && d.What != "" {
			i.sayStuck(d)
		}
		before, cpu = listens, spent
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

// unready is why the instance is not ready after its readiness probe ended with err, where
// lookAround has not seen it.
func (i *Instance) unready(err error) why.Diagnosis {
	f := i.facts()
	f.Probe, f.Log = i.spec.ready.Name(i.target()), i.spec.ready.Log != ""
	if last := i.answer.Load(); last != nil {
		err = *last
	}
	f.Answer, f.Body = probe.Said(err)
	i.printed(&f)
	return f.Diagnose()
}

// sayStuck notes why a starting instance does not become ready, and logs it: the first
// time, and when it is certain and new.
func (i *Instance) sayStuck(d why.Diagnosis) {
	i.p.mu.Lock()
	defer i.p.mu.Unlock()
	s := i.slot
	if s.life != i || s.state != lifecycle.Starting {
		return
	}
	isNew := s.why != d.What && (s.why == "" || d.Certain) // a slow start is logged once, whatever it waits for later
	changed := s.why != d.What || s.certain != d.Certain || s.printed != d.Printed
	s.why, s.certain, s.printed = d.What, d.Certain, d.Printed
	if changed {
		i.p.change()
	}
	if !isNew {
		return
	}
	level := slog.LevelWarn
	if !d.Certain {
		d, level = why.Slow(time.Since(i.began), i.spec.Start, d), slog.LevelInfo
	}
	i.p.tell(level, slog.String("state", string(s.state)), slog.Int("instance", s.number),
		slog.Int("pid", i.child.PID()), slog.String("why", d.String()))
}

// stuck is what sayStuck noted; empty when it noted nothing.
func (i *Instance) stuck() why.Diagnosis {
	i.p.mu.Lock()
	defer i.p.mu.Unlock()
	if s := i.slot; s.life == i && s.state == lifecycle.Starting {
		return why.Diagnosis{What: s.why, Printed: s.printed, Certain: s.certain}
	}
	return why.Diagnosis{}
}

// listens is where the instance's processes listen, but for the address that they are
// asked to; none when that is among them.
func (i *Instance) listens(asked string) []string {
	var at []string
	for _, address := range i.child.Listeners() {
		if why.Reaches(address, asked, i.address.Either) {
			return nil
		}
		if !slices.Contains(at, address) && !why.DebugPort(address) {
			at = append(at, address)
		}
	}
	slices.SortFunc(at, func(a, b string) int { // sockets with a path last
		return cmp.Or(cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")), cmp.Compare(a, b))
	})
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
		i.printed(&f)
		if port := f.AskedPort(); port != 0 {
			f.Taken = holder.Name(holder.OfPort(port))
		}
	}
	if e.Core {
		f.Cores = child.CorePattern()
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
