package supervisor

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/fsnotify/fsnotify"

	"github.com/watchdogd/watchdogd/internal/telemetry"
)

// watch sees the files that match patterns change.
type watch struct {
	patterns []string // absolute
	events   *fsnotify.Watcher
	log      *slog.Logger
	running  sync.WaitGroup
}

const (
	settle    = 100 * time.Millisecond // of silence after a change
	settleMax = time.Second            // and no longer
)

// newWatch begins to watch, and has changed called after changes, with one file that
// did, once they have settled. Relative patterns are relative to dir. Folders whose name
// begins with a dot, and node_modules, are looked into only if a pattern begins in them.
func newWatch(log *slog.Logger, dir string, patterns []string, changed func(file string)) (*watch, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch files: %w (see fs.inotify.max_user_instances)", err)
	}
	w := &watch{events: events, log: log}
	for _, p := range patterns {
		if !filepath.IsAbs(p) {
			p = filepath.Join(dir, p)
		}
		w.patterns = append(w.patterns, filepath.ToSlash(p))
	}
	for _, p := range w.patterns {
		base, _ := doublestar.SplitPattern(p)
		if err := w.add(base); err != nil {
			_ = events.Close() // the other error is the one to tell
			return nil, fmt.Errorf("watch %s: %w", p, err)
		}
	}
	w.running.Go(func() { w.run(changed) })
	return w, nil
}

// close ends the watch, and returns when changed will not be called any more.
func (w *watch) close() {
	_ = w.events.Close() // nothing is lost
	w.running.Wait()
}

// add watches a folder and those below it that could hold a file that matches.
func (w *watch) add(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && path == dir:
			return err
		case err != nil || !d.IsDir():
			return nil // gone meanwhile, or not ours to read
		case path != dir && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return fs.SkipDir
		case !w.leadsOn(path):
			return fs.SkipDir
		}
		return w.events.Add(path)
	})
}

// leadsOn reports whether something in folder dir could match.
func (w *watch) leadsOn(dir string) bool {
	depth := strings.Count(filepath.ToSlash(dir), "/") + 1
	return slices.ContainsFunc(w.patterns, func(p string) bool {
		if i := strings.Index(p, "**"); i >= 0 {
			return true
		}
		return strings.Count(p, "/") >= depth
	})
}

func (w *watch) matches(file string) bool {
	return slices.ContainsFunc(w.patterns, func(p string) bool {
		ok, _ := doublestar.PathMatch(p, file) // a bad pattern matches nothing; schema refused it
		return ok
	})
}

func (w *watch) run(changed func(file string)) {
	defer telemetry.LastWords(w.log)
	var file string
	var first time.Time
	quiet := time.NewTimer(0)
	defer quiet.Stop()
	for {
		select {
		case e, ok := <-w.events.Events:
			if !ok {
				return
			}
			if e.Op == fsnotify.Chmod {
				continue
			}
			hit := ""
			if w.matches(e.Name) {
				hit = e.Name
			}
			if info, err := os.Stat(e.Name); e.Has(fsnotify.Create) && err == nil && info.IsDir() {
				if err := w.add(e.Name); err != nil {
					w.warn(err)
				}
				hit = w.within(e.Name)
			}
			if hit == "" {
				continue
			}
			if file == "" {
				first = time.Now()
			}
			file = hit
			quiet.Reset(min(settle, max(settleMax-time.Since(first), 0)))
		case <-quiet.C:
			if file != "" {
				changed(file)
				file = ""
			}
		case err, ok := <-w.events.Errors:
			if !ok {
				return
			}
			w.warn(err)
		}
	}
}

// within gives a file in a new folder that matches: it may have been there before the
// folder was watched.
func (w *watch) within(dir string) (hit string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { // what cannot be read has no match
		if err == nil && !d.IsDir() && w.matches(path) {
			hit = path
			return fs.SkipAll
		}
		return nil
	})
	return hit
}

func (w *watch) warn(err error) {
	w.log.LogAttrs(context.Background(), slog.LevelWarn, "watch", slog.String("error", err.Error()))
}

// watchFiles has the files watched that the recipe says, and no others. It is called by
// run only.
func (p *Process) watchFiles() {
	p.mu.Lock()
	patterns, dir := p.recipe.Process.Watch, p.recipe.program.plain.dir
	if p.wish == toLeave {
		patterns = nil
		p.forgetChanges()
	}
	p.mu.Unlock()
	if slices.Equal(patterns, p.watched) {
		return
	}
	if p.watch != nil {
		p.watch.close()
		p.watch = nil
	}
	p.watched = patterns
	if len(patterns) == 0 {
		return
	}
	w, err := newWatch(p.log, dir, patterns, p.fileChanged)
	if err != nil {
		p.log.LogAttrs(context.Background(), slog.LevelWarn, "watch", slog.String("error", err.Error()))
		return
	}
	p.watch = w
}
