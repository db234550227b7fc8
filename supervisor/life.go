package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/oklog/run"

	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/internal/fd"
	"github.com/watchdogd/watchdogd/internal/pty"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
	"github.com/watchdogd/watchdogd/supervisor/ports"
	"github.com/watchdogd/watchdogd/supervisor/why"
)

// live is one life: it starts a child, watches over it, and returns when no process of
// it is left. The first actor to return says why it ended; the child's is interrupted first,
// and so the others are there until it is gone.
func (s *slot) live() ending {
	i, err := s.begin()
	if i == nil && err == nil { // asked to leave before there was a child
		return ending{outcome: lifecycle.AskedFor}
	}
	if err != nil {
		return ending{outcome: lifecycle.StartFailed, exit: child.Exit{Code: 127, At: time.Now()}, why: err.Error()}
	}

	var g run.Group
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	held := make(chan struct{}) // closed when the kernel holds the child beyond KILL
	g.Add(func() error {
		select {
		case <-i.child.Done():
		case <-held:
			return errHeld
		}
		i.over(errEnded.Error(), false)
		return errEnded
	}, func(why error) {
		if !i.stop(why) {
			close(held)
		}
		cancel()
	})
	g.Add(func() error {
		select {
		case <-s.leave:
		case why := <-i.replace:
			return replaced(why)
		case <-ctx.Done():
		}
		return errAsked
	}, func(error) {})
	g.Add(func() error { return i.watchReady(ctx) }, func(error) {})
	if i.spec.live != nil {
		g.Add(func() error { return i.watchLive(ctx) }, func(error) {})
	}
	if c := i.spec.Process.Recycle; c.Age > 0 || c.Memory > 0 {
		g.Add(func() error { return i.watchAge(ctx) }, func(error) {})
	}
	why := g.Run()

	i.finish()
	return i.ending(why)
}

// ending is how a life ended.
type ending struct {
	outcome lifecycle.Outcome
	exit    child.Exit
	why     string
	uptime  time.Duration
	printed string // what the program said of why; empty when nothing
	certain bool   // no other life will fare better
}

// ending says how this life ended, for that cause, and releases its port.
func (i *Instance) ending(cause error) ending {
	e := ending{exit: child.Exit{Code: -1, At: time.Now()}}
	select {
	case <-i.child.Done():
		e.exit = i.child.Exit()
	default: // the kernel holds it
	}
	e.why, e.uptime = e.exit.String(), e.exit.At.Sub(i.began)
	switch {
	case errors.Is(cause, errEnded):
		e.outcome = lifecycle.EndedItself
		d := i.why(e.exit)
		e.why, e.printed, e.certain = d.What, d.Printed, d.Certain
		if i.spec.choosesPort() && !i.wasUp() && !e.exit.OK() && ports.Taken("", i.port) != nil {
			e.outcome = lifecycle.PortLost
		}
	case errors.Is(cause, errPort):
		e.outcome = lifecycle.PortLost
	case errors.Is(cause, errUnwell):
		e.outcome, e.why = lifecycle.Unwell, cause.Error()
	case errors.Is(cause, errLate):
		e.outcome, e.why = lifecycle.LateStart, cause.Error()
		if l, ok := errors.AsType[*late](cause); ok {
			e.why, e.printed = l.What, l.Printed
		}
	}
	if e.outcome == lifecycle.PortLost {
		e.why, e.printed, e.certain = errPort.Error(), "", false
	}
	if i.port != 0 {
		i.p.sup.ports.Release(i.port)
	}
	return e
}

// Why lives end, as their actors say it.
var (
	errAsked  = errors.New("it was asked to stop")
	errEnded  = errors.New(event.ItsChildEnded)
	errUnwell = errors.New("its liveness probe")
	errLate   = errors.New("it was not ready")
	errPort   = errors.New("another process took its port before it did")
	errHeld   = errors.New("it is still running after SIGKILL")
)

// late is why a life ended that was not ready in time, as far as it was seen.
type late struct{ why.Diagnosis }

func (l *late) Error() string { return l.What }

// Is reports that it is errLate.
func (l *late) Is(target error) bool { return target == errLate }

// replaced is why a caller had a life replaced.
type replaced string

func (r replaced) Error() string { return string(r) }

// begin chooses a port and starts a child. It returns nothing when the slot is to leave.
func (s *slot) begin() (*Instance, error) {
	p := s.p
	r := s.current()
	i := &Instance{
		p: p, slot: s, spec: r, number: s.number,
		done: make(chan struct{}), up: make(chan struct{}), said: make(chan struct{}), replace: make(chan string, 1),
	}
	if ok, err := i.takePort(); !ok || err != nil {
		return nil, err
	}
	if r.Listens {
		i.listenAt(r.Upstream.At(i.vars()))
		ports.RemoveStale(i.address.Stated)
	}
	below, above := i.environ()
	command, err := r.program.Command(i.vars(), below, above)
	if err == nil {
		err = i.start(&command)
	}
	if err != nil {
		if i.port != 0 {
			p.sup.ports.Release(i.port)
		}
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.life, s.certain, s.printed = i, false, ""
	s.lives++
	p.move(s, lifecycle.Starting, "")
	if s.leaving { // asked during its start
		p.move(s, lifecycle.Stopping, "")
	}
	return i, nil
}

// takePort chooses the instance's port or takes the fixed one. It reports false when the
// slot was to leave before that one was free.
func (i *Instance) takePort() (ok bool, err error) {
	r, free := i.spec, &i.p.sup.ports
	switch {
	case r.choosesPort():
		i.port, err = free.Choose()
	case r.fixesPort():
		host, port, err := ports.Split(r.Upstream.At(i.vars()).Address)
		if err != nil {
			return false, err
		}
		if r.several && r.Upstream.PortFrom == schema.PortFixed { // the host tells instances apart
			i.port = port
			break
		}
		waits := func() { i.slot.waitsFor(fmt.Sprintf("port %d, which another instance has", port), false) }
		if !free.Claim(port, i.slot.leave, waits) {
			return false, nil
		}
		i.port = port
		if !r.SharedPort {
			if err := ports.Taken(host, port); err != nil {
				free.Release(port)
				return false, err
			}
		}
	}
	return err == nil, err
}

// environ is what the child's environment has besides what the configuration says:
// below returns way to it, above does not.
func (i *Instance) environ() (below, above []string) {
	below = []string{"INSTANCE=" + strconv.Itoa(i.number), "NAME=" + i.p.name}
	switch {
	case i.spec.choosesPort():
		above = append(above, "PORT="+strconv.Itoa(i.port))
	case i.spec.fixesPort():
		below = append(below, "PORT="+strconv.Itoa(i.port))
	}
	return below, above
}

// start begins the child and the reading of its output.
func (i *Instance) start(command *child.Command) (err error) {
	var files [3]*os.File
	var ours []*os.File
	defer func() {
		for _, f := range files {
			if f != nil {
				f.Close()
			}
		}
		if err != nil {
			for _, f := range ours {
				f.Close()
			}
			if i.conn != nil {
				i.conn.Close()
			}
			_ = i.stdin.Close() // which may not be there
		}
	}()
	if ours, err = i.openStreams(&files); err != nil {
		return err
	}
	o := child.StartOptions{Command: command, Owner: i.p.sup.owner, Stdin: files[0], Stdout: files[1], Stderr: files[2]}
	if o.Stdout == nil {
		o.Stdout = o.Stdin // the socket is both
	}
	if o.Stderr == nil {
		o.Stderr = o.Stdout // one terminal
	}
	i.path, i.dir = command.Path(), command.Dir()
	if i.child, err = i.spec.program.Start(o); err != nil {
		return err
	}
	i.began = time.Now() // not before: when many start at once each waits for its turn
	i.copies.files = ours
	seen := i.lookout()
	streams := []string{"stdout", "stderr"}
	if i.spec.Socketpair {
		streams = streams[1:]
	}
	for n, f := range ours {
		stream := streams[n]
		i.copies.wg.Go(func() { i.p.output.CopyInstance(i.number, i.child.PID(), stream, f, seen) })
	}
	return nil
}

// openStreams makes the child's ends of its streams, and returns ours of those that it prints
// to; also those that were made before an error. A socket is stdin and stdout, a terminal
// stdout and stderr: the other one is nil.
func (i *Instance) openStreams(files *[3]*os.File) (ours []*os.File, err error) {
	if i.spec.OpenStdin {
		if files[0], i.stdin, err = fd.WritePipe(); err != nil {
			return nil, err
		}
	}
	if i.spec.Socketpair {
		if i.conn, files[0], err = fd.Socketpair(); err != nil {
			return nil, err
		}
	}
	oneTerminal := i.spec.Process.TTY && !i.spec.Socketpair
	for n, has := range []bool{1: !i.spec.Socketpair, 2: !oneTerminal} {
		if !has {
			continue
		}
		r, w, err := i.outlet()
		if err != nil {
			return ours, err
		}
		files[n], ours = w, append(ours, r)
	}
	return ours, nil
}

// printed returns where the child prints, and the end of it that is read: a pipe, or with
// "tty: true" a terminal.
func (i *Instance) outlet() (r, w *os.File, err error) {
	if !i.spec.Process.TTY {
		return fd.ReadPipe()
	}
	return pty.Open(ttyColumns, ttyRows)
}

// The size of the terminals that programs get. What they print is shown on screens of any
// width, or is in a log.
const ttyColumns, ttyRows = 100, 30

// lookout returns what looks at each line of output for the one that says that the
// instance is ready; nil without a log probe.
func (i *Instance) lookout() func([]byte) {
	r := i.spec.ready
	if r == nil || r.Log == "" {
		return nil
	}
	expr, err := r.Line(i.vars())
	if err != nil { // good for other values of the variables, as probe.New saw
		return nil
	}
	return func(line []byte) {
		select {
		case <-i.said:
		default:
			if expr.Match(line) {
				i.seen.Do(func() { close(i.said) })
			}
		}
	}
}

// over makes this life over for callers: none is given to it any more, and those it has
// are told. Unless they are cut, they may still read what its child sent.
func (i *Instance) over(why string, cut bool) {
	i.end.Do(func() {
		hangUp := false
		i.p.locked(func() {
			i.retire(why)
			i.ended = true
			hangUp = i.conn != nil && (cut || i.calls == 0)
		})
		i.how = "stopped by watchdogd (" + why + ")"
		select {
		case <-i.child.Done():
			i.how = i.child.Exit().String()
		default:
		}
		i.peak = i.child.Peak()
		close(i.done)
		i.kept.Lock()
		i.closed = true
		keep := i.keep
		i.kept.Unlock()
		if keep != nil {
			_ = keep.Close() // there is nothing more to do with it
		}
		if hangUp {
			_ = i.conn.Close() // as above
		}
	})
}

// retire has no call given to the instance any more. p.mu is held.
func (i *Instance) retire(why string) {
	if s := i.slot; s.state != lifecycle.Stopping {
		i.p.move(s, lifecycle.Stopping, why)
	}
}

// stop ends the child, for the reason why: first its calls, then the signal, then KILL.
// It returns when no process of it is left, or reports false when the kernel holds its child.
func (i *Instance) stop(why error) bool {
	stop := i.slot.current().Process.Stop
	_, replaced := errors.AsType[replaced](why)
	switch {
	case errors.Is(why, errEnded) || replaced:
		i.over(why.Error(), true)
		if errors.Is(why, errEnded) {
			i.left()
		}
		i.child.Kill() // and with it what it left behind
		i.sweep(context.Background(), syscall.SIGKILL)
		return i.gone()
	case errors.Is(why, errAsked):
		i.p.locked(func() { i.retire(i.slot.stale) })
		i.drain(stop.Drain.D())
	}
	i.over(why.Error(), true)
	ctx, cancel := context.WithTimeout(context.Background(), stop.Grace.D())
	defer cancel()
	var hurry sync.WaitGroup
	hurry.Go(func() {
		select {
		case <-i.p.sup.hurry:
			cancel()
		case <-ctx.Done():
		}
	})
	i.child.StopUntil(ctx, child.SignalOf(string(stop.Signal)))
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		i.sayKilled(stop)
	}
	i.sweep(ctx, child.SignalOf(string(stop.Signal)))
	cancel()
	hurry.Wait()
	return i.gone()
}

// gone reports whether the child has ended, as it must after KILL.
func (i *Instance) gone() bool {
	select {
	case <-i.child.Done():
		return true
	default:
		i.p.tell(slog.LevelError, slog.Int("instance", i.number), slog.Int("pid", i.child.PID()), slog.String("why", errHeld.Error()))
		return false
	}
}

// sweep ends the processes of the life that had left its group.
func (i *Instance) sweep(ctx context.Context, sig syscall.Signal) {
	if n := i.child.Sweep(ctx, sig); n > 0 {
		i.p.log.LogAttrs(ctx, slog.LevelInfo, "orphans swept", slog.Int("instance", i.number), slog.Int("pid", i.child.PID()), slog.Int("processes", n))
	}
}

// finish waits for the last of the output.
func (i *Instance) finish() {
	done := make(chan struct{})
	go func() {
		i.copies.wg.Wait()
		close(done)
	}()
	t := time.NewTimer(outputBound)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		// A process that we do not know holds the pipe.
		for _, f := range i.copies.files {
			_ = f.SetReadDeadline(time.Unix(1, 0)) // ends the copies
		}
		<-done
	}
	for _, f := range i.copies.files {
		f.Close()
	}
	_ = i.stdin.Close() // which may not be there
}

// outputBound is how long a life's output is read after everybody of it is gone.
const outputBound = time.Second

func (i *Instance) wasUp() bool {
	select {
	case <-i.up:
		return true
	default:
		return false
	}
}
