package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/watchdogd/watchdogd/supervisor/watch"
)

// rewatch is what a process remembers of its watched files. The zero value is that of one
// whose files never changed.
type rewatch struct {
	watch.Restarts

	due   *time.Timer // starts the next restart; nil when none waits
	file  string      // that changed last
	until time.Time   // when the next restart is due
}

// toWatch is which files are to be watched now, and where.
func (p *Process) toWatch() (patterns []string, dir string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wish == toLeave {
		p.forgetChanges()
		return nil, p.spec.program.Dir()
	}
	return p.spec.Process.Watch, p.spec.program.Dir()
}

// watchFiles has the files watched that the spec names, and no others. It is called by
// run only.
func (p *Process) watchFiles() {
	patterns, dir := p.toWatch()
	if slices.Equal(patterns, p.watched) {
		return
	}
	if p.watch != nil {
		p.watch.Close()
		p.watch = nil
	}
	p.watched = patterns
	if len(patterns) == 0 {
		return
	}
	w, err := watch.New(&p.sup.files, p.log, dir, patterns, p.fileChanged)
	if err != nil {
		p.log.LogAttrs(context.Background(), slog.LevelWarn, "watch", slog.String("error", err.Error()))
		return
	}
	p.watch = w
}

// fileChanged has the process restarted because a watched file changed, now or, where its
// files change repeatedly, later.
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
	pause, after := w.Restarts.Next(time.Now(), policy.Max.D(), policy.Reset.D())
	w.Restarts = after
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
	w.Times = append(w.Times, time.Now())
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
	return fmt.Sprintf("%d restarts within %v, the last because %s changed: if the program changes its own watched files, leave them out of watch", watch.Most, watch.Span, file)
}
