package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/supervisor/child"
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
func (i *Instance) facts() facts {
	p := &i.spec.Process
	f := facts{Shell: p.Shell, Server: i.spec.Listens, Worker: i.spec.Socketpair, Served: i.wasUp()}
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
	if i.spec.port == portChosen {
		f.Port = i.port
	}
	f.Upstream = i.upstream.Address
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
			i.sayStuck(f.diagnose())
		}
		before, cpu = f.Listens, spent
	}
}

// sayStuck notes and logs, once, why a starting instance does not become ready.
func (i *Instance) sayStuck(d diagnosis) {
	i.p.mu.Lock()
	defer i.p.mu.Unlock()
	s := i.slot
	if s.life != i || s.state != Starting || s.why == d.What {
		return
	}
	s.why, s.certain = d.What, d.Certain
	i.p.change()
	i.p.log.LogAttrs(context.Background(), slog.LevelWarn, event.Process, slog.String("state", string(s.state)), slog.Int("instance", s.number),
		slog.Int("pid", i.child.PID()), slog.String("why", d.What))
}

// whyStuck is what sayStuck noted; empty when it noted nothing.
func (i *Instance) whyStuck() string {
	i.p.mu.Lock()
	defer i.p.mu.Unlock()
	if s := i.slot; s.life == i && s.state == Starting && s.certain {
		return s.why
	}
	return ""
}

// listens is where the instance's processes listen, but for the address that they are
// asked to; none when that is among them.
func (i *Instance) listens(asked string) []string {
	var at []string
	for _, address := range i.child.Listeners() {
		if sameListener(address, asked) {
			return nil
		}
		if !slices.Contains(at, address) && !debugPort(address) {
			at = append(at, address)
		}
	}
	slices.Sort(at)
	return at
}

// sameListener reports whether a listener on address can be reached at asked: at that
// port on any loopback address, as localhost may mean one or the other.
func sameListener(address, asked string) bool {
	if address == asked {
		return true
	}
	host, port, err := net.SplitHostPort(address)
	_, want, wantErr := net.SplitHostPort(asked)
	if err != nil || wantErr != nil || port != want {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && (ip.IsUnspecified() || ip.IsLoopback())
}

// debugPort reports whether an address is where debuggers and the like wait by default:
// those of Node.js, Java, Python and Vite's reloading.
func debugPort(address string) bool {
	return slices.Contains([]string{"9229", "5005", "5678", "24678"}, address[strings.LastIndexByte(address, ':')+1:])
}

// left notes, before it is swept, what the life left running whose child has ended by
// itself with 0.
func (i *Instance) left() {
	if !i.child.Exit().OK() || i.child.Exit().At.Sub(i.began) > soon {
		return
	}
	i.behind = i.child.Leftovers()
}

// why is the diagnosis of a life whose child has ended by itself.
func (i *Instance) why(e child.Exit) diagnosis {
	f := i.facts()
	f.Exit, f.Uptime, f.Behind = &e, e.At.Sub(i.began), i.behind
	f.CRLF = child.CRLF(script(&f, i.path, i.dir))
	if !e.OK() && !e.OutOfMemory && !fromOutside(e.Signal) {
		f.Printed = tellingOf(i.p.output.Lines(), i.child.PID(), !f.Served)
	}
	return f.diagnose()
}

// fromOutside reports whether a signal comes from another process, so that the program can
// have said nothing about it.
func fromOutside(s syscall.Signal) bool {
	return slices.Contains([]syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT}, s)
}

// tellingOf is the line that says best why process pid failed: on its standard error, and
// where that is silent, with stdout, on its standard output.
func tellingOf(lines []child.Line, pid int, stdout bool) string {
	var err, out []string
	for _, l := range lines {
		switch {
		case l.PID != pid:
		case l.Stream == "stderr":
			err = append(err, l.Text)
		default:
			out = append(out, l.Text)
		}
	}
	if s := telling(err); s != "" || !stdout {
		return s
	}
	return telling(out)
}

// leaveStuck takes w out of the line if its wait is in vain, and returns why; nil when it
// is not certain, or w has been answered.
func (p *Process) leaveStuck(w *waiter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.stuck(); err != nil && p.line.Remove(w) {
		return err
	}
	return nil
}

// stuck is why no call can be answered before the program or the configuration changes,
// or nil when that is not certain: what a developer should be told soon.
func (p *Process) stuck() *failure.Error {
	if len(p.ready) > 0 {
		return nil
	}
	var s *slot
	for _, o := range p.slots {
		if o.leaving {
			continue
		}
		if !o.certain || o.why == "" {
			return nil
		}
		s = o
	}
	if s == nil {
		return nil
	}
	return &failure.Error{
		Kind: failure.NotReady, Route: p.name, State: string(p.state()), RetryAfter: time.Second, Timeout: "queue", Local: s.printed,
		Detail: fmt.Sprintf("%s is %s: %s", p.name, p.state(), s.why), NextStart: s.next,
	}
}

// script is the file that the command of f starts, which is at path when no shell finds it.
func script(f *facts, file, dir string) string {
	words := f.words()
	if !f.Shell || len(words) == 0 {
		return file
	}
	if !strings.Contains(words[0], "/") {
		return "" // of the PATH
	}
	if filepath.IsAbs(words[0]) {
		return words[0]
	}
	return filepath.Join(dir, words[0])
}
