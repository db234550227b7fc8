// Package watch sees files change: those that match patterns, in folders that come and go,
// through links, by one inotify instance for all of them.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/fsnotify/fsnotify"

	"github.com/watchdogd/watchdogd/internal/logwriter"
)

// Files sees the files that match patterns change.
type Files struct {
	patterns []string // absolute
	eyes     *Eyes
	log      *slog.Logger
	changes  chan fsnotify.Event
	over     chan struct{}
	running  sync.WaitGroup

	// run's own, and New's before it
	links   map[string][]string // by the path of what a link leads to, or over: the links that match
	folders int
}

const (
	settle     = 100 * time.Millisecond // of silence after a change
	settleLong = time.Second            // after a burst that lasts longer than twice as long
	settleMax  = 10 * time.Second       // a burst that lasts longer is not waited for

	mostFolders = 100_000 // of one process, with those that links lead to
	mostChanges = 4096    // that wait to be looked at; of more, one restart is as good
)

// New begins to watch, and has changed called after changes, with one file that
// did, once they have settled. Relative patterns are relative to dir.
//
// A pattern that names a folder means all that is in it. Links are followed, to files and
// to folders. Folders whose name begins with a dot, and node_modules, are looked into
// only where a pattern names them. What is not there yet is watched when it comes.
func New(y *Eyes, log *slog.Logger, dir string, patterns []string, changed func(file string)) (*Files, error) {
	w := &Files{eyes: y, log: log, changes: make(chan fsnotify.Event, mostChanges), over: make(chan struct{}), links: map[string][]string{}}
	for _, p := range patterns {
		if !filepath.IsAbs(p) {
			p = filepath.Join(dir, p)
		}
		p = strings.TrimRight(filepath.ToSlash(p), "/")
		w.patterns = append(w.patterns, p)
		if _, rest := doublestar.SplitPattern(p); !strings.ContainsAny(rest, "*?[{") {
			w.patterns = append(w.patterns, p+"/**") // in case it is a folder
		}
	}
	for _, p := range w.patterns {
		base, _ := doublestar.SplitPattern(p)
		for base != "/" && base != "." { // the nearest folder that is there
			if info, err := os.Stat(base); err == nil && info.IsDir() {
				break
			}
			base = path.Dir(base)
		}
		if above, err := filepath.EvalSymlinks(path.Dir(base)); err == nil {
			_ = y.add(w, above, path.Dir(base)) // it tells when base itself comes back; without it, all else is told
		}
		if _, err := w.add(base, nil); err != nil {
			y.remove(w)
			return nil, err
		}
	}
	w.running.Go(func() { w.run(changed) })
	return w, nil
}

// Close ends the watch, and returns when changed will not be called any more.
func (w *Files) Close() {
	close(w.over)
	w.running.Wait()
	w.eyes.remove(w)
}

// put hands the watch a change to look at, and never waits.
func (w *Files) put(e fsnotify.Event) {
	select {
	case w.changes <- e:
	default:
	}
}

// add watches a folder and those below it that could hold a file that matches, and
// returns one that does, if there is any. inside are the real paths of the folders above.
func (w *Files) add(dir string, inside []string) (hit string, err error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil || slices.Contains(inside, real) || !w.leadsOn(dir) || w.skips(dir) {
		return "", nil // gone meanwhile, a circle of links, or of no interest
	}
	if w.folders++; w.folders > mostFolders {
		return "", fmt.Errorf("watch %s: there are more than %d folders to watch: write a narrower pattern", dir, mostFolders)
	}
	switch err := w.eyes.add(w, real, dir); {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil // gone meanwhile
	case errors.Is(err, fs.ErrPermission):
		w.warn(fmt.Errorf("%w: changes in it are not seen; let watchdogd read it, or leave it out of watch", err))
		return "", nil
	case err != nil:
		return "", err
	}
	entries, _ := os.ReadDir(real) // what cannot be read has no match
	for _, e := range entries {
		file := path.Join(filepath.ToSlash(dir), e.Name())
		linked := e.Type()&fs.ModeSymlink != 0
		isDir := e.IsDir()
		if linked {
			info, err := os.Stat(file)
			isDir = err == nil && info.IsDir()
		}
		if isDir {
			found, err := w.add(file, append(slices.Clip(inside), real))
			if err != nil {
				return hit, err
			}
			hit = or(hit, found)
		}
		if w.matches(file) {
			if linked {
				w.follow(file)
			}
			if !isDir {
				hit = or(hit, file)
			}
		}
	}
	return hit, nil
}

func or(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}

// follow watches what the link at file leads to, and each link on the way: a change of
// one of them is a change of file.
func (w *Files) follow(file string) {
	at := file
	for range 40 { // as many as the kernel follows
		real, err := filepath.EvalSymlinks(filepath.Dir(at))
		if err != nil {
			return
		}
		step := filepath.Join(real, filepath.Base(at))
		if at != file {
			w.note(step, file)
		}
		to, err := os.Readlink(step)
		if err != nil {
			return
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(real, to)
		}
		// A folder on the way may be a link too, as in the volumes of Kubernetes.
		for dir := filepath.Dir(to); dir != "/" && dir != "."; dir = filepath.Dir(dir) {
			if _, err := os.Readlink(dir); err == nil {
				if above, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
					w.note(filepath.Join(above, filepath.Base(dir)), file)
				}
			}
		}
		at = to
	}
}

// note has a change of the real path step be one of the link at file.
func (w *Files) note(step, file string) {
	if slices.Contains(w.links[step], file) {
		return
	}
	if err := w.eyes.add(w, filepath.Dir(step), filepath.Dir(step)); err != nil {
		w.warn(err)
		return
	}
	w.links[step] = append(w.links[step], file)
}

// leadsOn reports whether something in folder dir could match.
func (w *Files) leadsOn(dir string) bool {
	parts := strings.Split(filepath.ToSlash(dir), "/")
	return slices.ContainsFunc(w.patterns, func(p string) bool {
		if strings.Contains(p, "{") { // whose alternatives may hold a /
			base, _ := doublestar.SplitPattern(p)
			return beneath(base, dir) || beneath(dir, base)
		}
		of := strings.Split(p, "/")
		for n, part := range parts {
			if n >= len(of) {
				return false
			}
			if of[n] == "**" {
				return true
			}
			if ok, _ := doublestar.Match(of[n], part); !ok && part != "" {
				return false
			}
		}
		return len(of) > len(parts) || dir == "/"
	})
}

// beneath reports whether path is dir or in it.
func beneath(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

// skips reports whether a folder is one that no pattern names, of those that are looked
// into only by name.
func (w *Files) skips(dir string) bool {
	name := path.Base(filepath.ToSlash(dir))
	if !strings.HasPrefix(name, ".") && name != "node_modules" {
		return false
	}
	return !slices.ContainsFunc(w.patterns, func(p string) bool {
		base, rest := doublestar.SplitPattern(p)
		if beneath(base, dir) {
			return true
		}
		for part := range strings.SplitSeq(rest, "/") {
			if !strings.HasPrefix(part, ".") && !strings.Contains(part, "node_modules") {
				continue
			}
			if ok, _ := doublestar.Match(part, name); ok {
				return true
			}
		}
		return false
	})
}

func (w *Files) matches(file string) bool {
	return slices.ContainsFunc(w.patterns, func(p string) bool {
		ok, _ := doublestar.PathMatch(p, file) // a bad pattern matches nothing; schema refused it
		return ok
	})
}

func (w *Files) run(changed func(file string)) {
	defer logwriter.LastWords(w.log)
	var file string
	var first time.Time
	quiet := time.NewTimer(0)
	defer quiet.Stop()
	note := func(e fsnotify.Event) {
		if e.Op == fsnotify.Chmod && !touched(e.Name) {
			return
		}
		hit := w.hit(e)
		if hit == "" {
			return
		}
		if file == "" {
			first = time.Now()
		}
		file = hit
		quiet.Reset(silence(time.Since(first)))
	}
	for {
		select {
		case <-w.over:
			return
		case e := <-w.changes:
			note(e)
		case <-quiet.C:
			if file == "" {
				continue
			}
			select {
			case e := <-w.changes: // it is not quiet: on a busy machine both come to this at once
				quiet.Reset(silence(time.Since(first)))
				note(e)
			default:
				changed(file)
				file = ""
			}
		}
	}
}

// touched reports whether a file, of which only the attributes have changed, was given the
// time of now, as touch(1) does; chmod(1) and the like leave its time.
func touched(file string) bool {
	info, err := os.Stat(file)
	return err == nil && time.Since(info.ModTime()).Abs() < 2*time.Second
}

// silence is how long nothing must have changed before a burst of changes, which has lasted
// so long, counts as over: a checkout of many files pauses for longer than an editor does.
func silence(lasted time.Duration) time.Duration {
	return min(max(settle, min(lasted/2, settleLong)), max(settleMax-lasted, 0))
}

// hit is the file that matches and that a change concerns; empty when there is none. New
// folders and links are watched from then on.
func (w *Files) hit(e fsnotify.Event) (hit string) {
	if links := w.links[e.Name]; len(links) > 0 {
		hit = links[0]
		for _, link := range links {
			w.follow(link) // which may lead elsewhere now
		}
	}
	matches := w.matches(e.Name)
	info, err := os.Stat(e.Name)
	if err == nil && info.IsDir() {
		if e.Has(fsnotify.Create) {
			found, err := w.add(e.Name, nil)
			if err != nil {
				w.warn(err)
			}
			hit = or(hit, found)
		}
		return hit
	}
	if matches {
		if e.Has(fsnotify.Create) {
			if _, err := os.Readlink(e.Name); err == nil {
				w.follow(e.Name)
			}
		}
		hit = or(hit, e.Name)
	}
	return hit
}

func (w *Files) warn(err error) {
	w.log.LogAttrs(context.Background(), slog.LevelWarn, "watch", slog.String("error", err.Error()))
}
