package watch

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/fsnotify/fsnotify"

	"github.com/watchdogd/watchdogd/internal/logwriter"
)

// Eyes watch folders for all processes of a Supervisor, by one inotify instance: a user
// has 128 of them by default (fs.inotify.max_user_instances). The zero value is of use.
//
// The kernel knows a folder by its inode, so each is watched under its real path, and
// each watch says by which path it was reached.
type Eyes struct {
	mu      sync.Mutex
	events  *fsnotify.Watcher                        // nil while there is no watch
	folders map[string]map[*Files]map[string]nothing // by real path: the watches of it, and their paths
	done    chan struct{}                            // closed when the instance is
}

type nothing struct{}

// add has w see what changes in the folder real, as if it were at shown.
func (y *Eyes) add(w *Files, real, shown string) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.events == nil {
		events, err := fsnotify.NewWatcher()
		if err != nil {
			return fmt.Errorf("watch files: %w", instances(err))
		}
		y.events, y.folders = events, map[string]map[*Files]map[string]nothing{}
		done := make(chan struct{})
		y.done = done
		go func() {
			defer close(done)
			y.run(events, w.log)
		}()
	}
	if y.folders[real] == nil {
		if err := y.events.Add(real); err != nil {
			return fmt.Errorf("watch %s: %w", real, watches(err))
		}
		y.folders[real] = map[*Files]map[string]nothing{}
	}
	if y.folders[real][w] == nil {
		y.folders[real][w] = map[string]nothing{}
	}
	y.folders[real][w][shown] = nothing{}
	return nil
}

// instances explains why there is no inotify instance.
func instances(err error) error {
	if errors.Is(err, syscall.EMFILE) {
		return fmt.Errorf("%w: raise fs.inotify.max_user_instances (sysctl) or rlimits.nofile", err)
	}
	return err
}

// watches explains why a folder is not watched.
func watches(err error) error {
	if errors.Is(err, syscall.ENOSPC) { // what inotify_add_watch(2) says of its limit
		return fmt.Errorf("%w: raise fs.inotify.max_user_watches (sysctl), or write narrower patterns", err)
	}
	return err
}

// remove ends what w sees. The last one to leave closes the instance.
func (y *Eyes) remove(w *Files) {
	y.mu.Lock()
	for real, watches := range y.folders {
		if _, ok := watches[w]; !ok {
			continue
		}
		if delete(watches, w); len(watches) == 0 {
			delete(y.folders, real)
			_ = y.events.Remove(real) // it may be gone
		}
	}
	var last *fsnotify.Watcher
	done := y.done
	if y.events != nil && len(y.folders) == 0 {
		last, y.events = y.events, nil
	}
	y.mu.Unlock()
	if last != nil {
		_ = last.Close() // nothing is lost
		<-done
	}
}

// run gives each change to those who watch its folder, until the instance is closed.
func (y *Eyes) run(events *fsnotify.Watcher, log *slog.Logger) {
	defer logwriter.LastWords(log)
	for {
		select {
		case e, ok := <-events.Events:
			if !ok {
				return
			}
			y.tell(events, e)
		case err, ok := <-events.Errors:
			if !ok {
				return
			}
			log.Warn("watch", "error", err.Error())
		}
	}
}

func (y *Eyes) tell(events *fsnotify.Watcher, e fsnotify.Event) {
	dir, name := filepath.Split(e.Name)
	dir = filepath.Clean(dir)
	y.mu.Lock()
	defer y.mu.Unlock()
	for w, shown := range y.folders[dir] {
		for path := range shown {
			w.put(fsnotify.Event{Name: filepath.Join(path, name), Op: e.Op})
		}
	}
	if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
		if _, err := os.Lstat(e.Name); err != nil {
			delete(y.folders, e.Name) // the kernel has forgotten it; the next of that name is another
			_ = events.Remove(e.Name) // as above
		}
	}
}
