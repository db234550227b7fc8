package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

const (
	// mostRewatches within rewatchSpan are no person's doing: the program changes its own
	// files.
	mostRewatches = 3
	rewatchSpan   = 10 * time.Second
)

// rewatch is what the policy of watch remembers. The zero value is that of a process whose
// files never changed.
type rewatch struct {
	Restarts []time.Time // those of the last rewatchSpan
	Last     time.Time   // the last change
	Loop     bool        // slowed down, until no file changed for restart.reset

	due   *time.Timer // starts the next restart; nil when none waits
	file  string      // that changed last
	until time.Time   // when the next restart is due
}

// next decides when a restart for a change at now may follow: in pause from now. A loop is
// slowed as a crash loop is: one restart in each most. It is left after reset without a
// change.
func (w rewatch) next(now time.Time, most, reset time.Duration) (pause time.Duration, after rewatch) {
	if w.Loop && now.Sub(w.Last) >= reset {
		w.Loop = false
	}
	recent := make([]time.Time, 0, mostRewatches)
	for _, t := range w.Restarts {
		if now.Sub(t) < max(rewatchSpan, most) {
			recent = append(recent, t)
		}
	}
	within := 0
	for _, t := range recent {
		if now.Sub(t) < rewatchSpan {
			within++
		}
	}
	w.Restarts, w.Last = recent, now
	w.Loop = w.Loop || within >= mostRewatches
	if w.Loop && len(recent) > 0 {
		pause = max(most-now.Sub(recent[len(recent)-1]), 0)
	}
	return pause, w
}

// fileChanged has the process restarted because a watched file changed, now or, where its
// files change again and again, later.
func (p *Process) fileChanged(file string) {
	if p.restartsNow(file) {
		p.restartForFile()
	}
}

// restartsNow notes that a file changed, and reports whether the restart for it is due at
// once.
func (p *Process) restartsNow(file string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wish != toRun {
		return false // it will start with the file as it is then
	}
	w := &p.rewatch
	w.file = file
	if w.due != nil {
		w.Last = time.Now()
		return false // that restart is for this change too
	}
	wasLoop, policy := w.Loop, p.spec.Process.Restart
	pause, after := w.next(time.Now(), policy.Max.D(), policy.Reset.D())
	*w = after
	if w.Loop && !wasLoop {
		p.log.LogAttrs(context.Background(), slog.LevelWarn, "watch: restarts are slowed down", slog.String("file", file),
			slog.String("pause", policy.Max.D().String()), slog.String("why", selfChanging(file)))
	}
	if pause <= 0 {
		return true
	}
	w.until = time.Now().Add(pause)
	w.due = time.AfterFunc(pause, p.restartForFile)
	p.change()
	return false
}

// forgetChanges takes back a restart that is to come, and all that led to it.
func (p *Process) forgetChanges() {
	if p.rewatch.due != nil {
		p.rewatch.due.Stop() // one that begins just now is one more restart
	}
	p.rewatch = rewatch{}
}

// restartForFile does the restart that fileChanged decided upon.
func (p *Process) restartForFile() {
	if err := p.refresh(); err != nil {
		p.log.LogAttrs(context.Background(), slog.LevelWarn, "watch: the restart uses the environment of before", slog.String("error", err.Error()))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	w := &p.rewatch
	w.due, w.until = nil, time.Time{}
	if p.wish != toRun {
		return
	}
	w.Restarts = append(w.Restarts, time.Now())
	p.renew("watch: " + w.file + " has changed")
}

// rewatching says, while a restart is held back, why; empty while none is.
func (p *Process) rewatching() string {
	w := &p.rewatch
	if !w.Loop || w.until.IsZero() {
		return ""
	}
	return fmt.Sprintf("watch: %s; the next restart is in %v", selfChanging(w.file), max(time.Until(w.until), 0).Round(time.Second))
}

func selfChanging(file string) string {
	return fmt.Sprintf("%d restarts within %v, the last because %s changed: if the program changes its own watched files, leave them out of watch", mostRewatches, rewatchSpan, file)
}
