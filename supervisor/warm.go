package supervisor

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/watchdogd/watchdogd/internal/fd"
	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
	"github.com/watchdogd/watchdogd/supervisor/lives"
)

// WarmEnv is the variable that tells a program that was started ahead on which
// descriptor the variables of its request come: NAME=VALUE, each ended by a NUL, until
// the end of file.
const WarmEnv = "WATCHDOG_ENV_FD"

// WarmChild is a process that was started before its request, and is used for one. Its
// taker owns it as one that child.Program.Start returned, and closes the files by Close.
type WarmChild struct {
	*child.Child
	Stdin  *os.File // what is written here is its stdin
	Stdout *os.File // what it prints is read here
	Stderr *os.File // nil with Spec.OneOutput
	Env    *os.File // the request's variables; its descriptor 3

	reads [2]*os.File   // the other ends of Stdin and Env
	taken chan struct{} // closed when it is not the pool's any more
	began time.Time
}

// Close closes the four files, as far as they are still open. It leaves the child alone.
func (w *WarmChild) Close() {
	for _, f := range [...]*os.File{w.Stdin, w.Stdout, w.Stderr, w.Env} {
		_ = f.Close() // may be closed already
	}
	w.LetGo()
}

// Unread is how many bytes of what was written to Stdin and Env the process has not
// read, also when it has ended; -1 after LetGo. Until that no writer is told
// that the process has closed its end.
func (w *WarmChild) Unread() (n int) {
	for _, f := range w.reads {
		held := -1
		if conn, err := f.SyscallConn(); err == nil {
			_ = conn.Control(func(n uintptr) { held = fd.Unread(int(n)) }) // held says it
		}
		if held < 0 {
			return -1
		}
		n += held
	}
	return n
}

// LetGo closes what Unread needs. It may be called again.
func (w *WarmChild) LetGo() {
	for _, f := range w.reads {
		_ = f.Close() // as in Close
	}
}

// pool is the processes of a forking route that wait for a request, guarded by the
// Process's mu.
type pool struct {
	waiting []*WarmChild // the oldest first
	from    *Spec        // of those waiting
	history lifecycle.History
	ending  int       // those that are being killed
	next    time.Time // no start before it
	stale   bool      // those waiting are to be replaced
}

// replaceAfter is how long after one was taken another is started: its start-up is not to
// cost the one that was taken CPU time while its client waits.
const replaceAfter = 2 * time.Millisecond

// TakeWarm returns a process started ahead, by Spec.Warm, if one waits. It never waits
// itself: without one the caller forks. Another is soon started in its place.
func (p *Process) TakeWarm() (*WarmChild, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := slices.IndexFunc(p.pool.waiting, func(w *WarmChild) bool { return !w.Ended() }) // of others their watchers see to it
	if n < 0 {
		return nil, false
	}
	w := p.pool.waiting[n]
	p.pool.waiting = slices.Delete(p.pool.waiting, n, n+1)
	close(w.taken)
	if next := time.Now().Add(replaceAfter); p.pool.next.Before(next) {
		p.pool.next = next
	}
	p.nudge()
	return w, true
}

// runWarm is run for a process of a forking route: it keeps Spec.Warm processes waiting.
func (p *Process) runWarm() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p.watchFiles()
		next := p.stepWarm()
		for _, w := range next.surplus {
			w.Close()
			w.Kill()
		}
		if n := len(next.surplus); n > 0 {
			p.ended(n)
		}
		switch {
		case next.leave:
			return
		case next.need && next.wait <= 0:
			p.startWarm(next.spec)
			continue
		case next.need:
			timer.Reset(next.wait)
		}
		select {
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// ended notes that n of those that were being killed are gone.
func (p *Process) ended(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pool.ending -= n
	p.change()
}

// warmStep is what runWarm does next.
type warmStep struct {
	surplus []*WarmChild  // to be ended
	spec    *Spec         // of one more, which is
	need    bool          // wanted,
	wait    time.Duration // not before this
	leave   bool          // there will be no more
}

// stepWarm decides what runWarm does next, and takes what is to be ended out of the pool.
func (p *Process) stepWarm() warmStep {
	p.mu.Lock()
	defer p.mu.Unlock()
	want := 0
	if p.wish == toRun {
		want = p.spec.Warm
	}
	keep := want
	if p.pool.stale || p.pool.from != p.spec {
		p.pool.stale, p.pool.from, keep = false, p.spec, 0
	}
	next := warmStep{spec: p.spec, wait: time.Until(p.pool.next), leave: p.wish == toLeave}
	if n := len(p.pool.waiting); n > keep {
		next.surplus = slices.Clone(p.pool.waiting[keep:])
		p.pool.waiting = p.pool.waiting[:keep]
		for _, w := range next.surplus {
			close(w.taken)
		}
	}
	p.pool.ending += len(next.surplus)
	next.need = want > len(p.pool.waiting)
	p.change()
	return next
}

// startWarm starts one process, or sees to it that the next start is later.
func (p *Process) startWarm(r *Spec) {
	w, err := newWarm(r)
	if err != nil {
		p.locked(func() { p.lostWarm(err.Error(), lifecycle.StartFailed, child.Exit{Code: 127, At: time.Now()}, 0) })
		return
	}
	p.locked(func() {
		p.pool.waiting = append(p.pool.waiting, w)
		p.change()
	})
	p.slotwg.Go(func() {
		defer logwriter.LastWords(p.log)
		select {
		case <-w.taken:
			return
		case <-w.Done():
		}
		ours := false
		p.locked(func() { // one step: no other is started before the pause after this end is known
			n := slices.Index(p.pool.waiting, w)
			if ours = n >= 0; ours {
				p.pool.waiting = slices.Delete(p.pool.waiting, n, n+1)
				p.pool.ending++ // with what it has left
				p.lostWarm(w.Exit().String(), lifecycle.EndedItself, w.Exit(), time.Since(w.began))
			}
		})
		if ours { // and not its taker's
			w.Close()
			w.Kill()
			p.ended(1)
		}
	})
}

// lostWarm is called when a process could not be started, or ended while it waited. p.mu is
// held.
func (p *Process) lostWarm(why string, o lifecycle.Outcome, exit child.Exit, uptime time.Duration) {
	policy := p.spec.Process.Restart
	policy.Policy = "always"
	now := time.Now()
	var d lifecycle.Decision
	d, p.pool.history = lifecycle.Next(policy, p.pool.history, o, exit, uptime, now, lifecycle.Jitter)
	p.pool.next = now.Add(d.Pause)
	p.last = &lastExit{why: why, exit: exit, at: now}
	p.restarts++
	p.lives.Add(lives.Life{Started: now.Add(-uptime), Ended: &now, Reason: why, Peak: exit.Peak})
	p.log.LogAttrs(context.Background(), slog.LevelWarn, "a process started ahead ended before its request", slog.String("pause", d.Pause.Round(time.Millisecond).String()), slog.String("why", why))
	p.change()
	p.nudge()
}

// newWarm starts a process with pipes as its stdin, stdout, stderr and descriptor 3.
func newWarm(r *Spec) (_ *WarmChild, err error) {
	command, err := r.program.Command(schema.Vars{Name: r.Name}, nil, []string{WarmEnv + "=3"})
	if err != nil {
		return nil, err
	}
	w := &WarmChild{taken: make(chan struct{}), began: time.Now()}
	var theirs [4]*os.File
	ours := [4]**os.File{&w.Stdin, &w.Stdout, &w.Stderr, &w.Env}
	defer func() {
		for n := range theirs {
			if theirs[n] != nil && (err != nil || n == 1 || n == 2) {
				_ = theirs[n].Close() // the child has its own
			}
			if err != nil && *ours[n] != nil {
				_ = (*ours[n]).Close() // nothing was written
			}
		}
	}()
	for n := range theirs {
		switch {
		case n == 2 && r.OneOutput:
			continue
		case n == 1 || n == 2:
			*ours[n], theirs[n], err = fd.ReadPipe()
		default:
			theirs[n], *ours[n], err = fd.WritePipe()
		}
		if err != nil {
			return nil, err
		}
	}
	o := child.StartOptions{Command: &command, Long: true, Stdin: theirs[0], Stdout: theirs[1], Stderr: theirs[2], Extra: theirs[3:]}
	if r.OneOutput {
		o.Stderr = o.Stdout
	}
	w.Child, err = r.program.Start(o)
	if err != nil {
		return nil, err
	}
	w.reads = [2]*os.File{theirs[0], theirs[3]}
	return w, nil
}
