package watch

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// tree is a folder of files that a test changes.
type tree struct {
	t       *testing.T
	dir     string
	eyes    Eyes
	changed chan string
	before  map[string]bool // what was wanted before
}

func newTree(t *testing.T) *tree {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &tree{t: t, dir: dir, changed: make(chan string, 100), before: map[string]bool{}}
}

func (tr *tree) path(name string) string { return filepath.Join(tr.dir, name) }

func (tr *tree) write(name string) {
	tr.t.Helper()
	if err := os.MkdirAll(filepath.Dir(tr.path(name)), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.WriteFile(tr.path(name), []byte("x"), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) link(to, name string) {
	tr.t.Helper()
	if err := os.MkdirAll(filepath.Dir(tr.path(name)), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.Symlink(to, tr.path(name)); err != nil {
		tr.t.Fatal(err)
	}
}

// watch watches patterns, from the folder app.
func (tr *tree) watch(patterns ...string) {
	tr.t.Helper()
	if err := os.MkdirAll(tr.path("app"), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	w, err := New(&tr.eyes, slog.New(slog.DiscardHandler), tr.path("app"), patterns, func(file string) { tr.changed <- file })
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(w.Close)
}

// want waits for a change of name. One of before may come once more: on a busy machine that
// write was two changes, with a silence in between.
func (tr *tree) want(name string) {
	tr.t.Helper()
	got := testkit.Await(tr.t, "a change of "+tr.path(name), tr.changed)
	for got != tr.path(name) && tr.before[got] {
		got = testkit.Await(tr.t, "a change of "+tr.path(name), tr.changed)
	}
	if got != tr.path(name) {
		tr.t.Errorf("got a change of %s, want one of %s", got, tr.path(name))
	}
	tr.before[got] = true
}

func TestAPatternFindsItsFiles(t *testing.T) {
	for name, c := range map[string]struct {
		before  func(*tree)
		pattern string
		change  string // the file that is written
		want    string // the file that is named; empty is change
	}{
		"in the folder":           {nil, "*.py", "app/a.py", ""},
		"at any depth":            {nil, "**/*.py", "app/b/c/a.py", ""},
		"above":                   {func(tr *tree) { tr.write("x/a.py") }, "../x/*.py", "x/a.py", ""},
		"above, and not yet":      {nil, "../x/*.py", "x/a.py", ""},
		"one file":                {func(tr *tree) { tr.write("app/a.py") }, "a.py", "app/a.py", ""},
		"one file, not yet":       {nil, "b/c/a.py", "app/b/c/a.py", ""},
		"a bare folder":           {func(tr *tree) { tr.write("app/src/a.py") }, "src", "app/src/b/c.txt", ""},
		"a bare folder, not yet":  {nil, "src/", "app/src/c.txt", ""},
		"the folder itself":       {nil, ".", "app/c.txt", ""},
		"through a linked folder": {func(tr *tree) { tr.write("real/a.py"); tr.link("../real", "app/src") }, "src/*.py", "real/a.py", "app/src/a.py"},
		"a linked folder within":  {func(tr *tree) { tr.write("real/b/a.py"); tr.link("../../real", "app/src/lib") }, "**/*.py", "real/b/a.py", "app/src/lib/b/a.py"},
		"a linked file":           {func(tr *tree) { tr.write("real/a.py"); tr.link("../real/a.py", "app/a.py") }, "*.py", "real/a.py", "app/a.py"},
		"a link to a link": {func(tr *tree) {
			tr.write("real/a.py")
			tr.link("a.py", "real/b.py")
			tr.link("../real/b.py", "app/a.py")
		}, "*.py", "real/a.py", "app/a.py"},
		"a circle of links":    {func(tr *tree) { tr.link("..", "app/b/up"); tr.link("../..", "app/b/top") }, "**/*.py", "app/b/a.py", ""},
		"a dot folder by name": {func(tr *tree) { tr.write("app/.config/a.py") }, "**/.config/*.py", "app/.config/a.py", ""},
		"a dot file":           {nil, ".env", "app/.env", ""},
		"alternatives":         {nil, "{src,lib/x}/*.py", "app/lib/x/a.py", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTree(t)
			if c.before != nil {
				c.before(tr)
			}
			tr.watch(c.pattern)
			tr.write(c.change)
			tr.want(or(c.want, c.change))
		})
	}
}

func TestATouchIsAChangeAndAChangedModeIsNot(t *testing.T) {
	tr := newTree(t)
	long := time.Now().Add(-time.Hour)
	for _, name := range []string{"mode.py", "touched.py"} {
		tr.write(name)
		if err := os.Chtimes(tr.path(name), long, long); err != nil {
			t.Fatal(err)
		}
	}
	tr.watch("../*.py")
	if err := os.Chmod(tr.path("mode.py"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(tr.path("touched.py"), time.Time{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	tr.want("touched.py")
}

func TestALinkThatIsReplacedIsAChange(t *testing.T) {
	tr := newTree(t) // as a volume of Kubernetes
	tr.write("app/..1/a.yaml")
	tr.write("app/..2/a.yaml")
	tr.link("..1", "app/..data")
	tr.link("..data/a.yaml", "app/a.yaml")
	tr.watch("*.yaml")
	tr.link("..2", "app/..new")
	if err := os.Rename(tr.path("app/..new"), tr.path("app/..data")); err != nil {
		t.Fatal(err)
	}
	tr.want("app/a.yaml")
	tr.write("app/..2/a.yaml")
	tr.want("app/a.yaml")
}

func TestAFolderThatComesBackIsWatchedAgain(t *testing.T) {
	tr := newTree(t)
	tr.write("app/src/a.py")
	tr.watch("src/*.py")
	if err := os.RemoveAll(tr.path("app/src")); err != nil {
		t.Fatal(err)
	}
	tr.want("app/src/a.py")
	tr.write("app/src/b.py")
	tr.want("app/src/b.py")
	tr.write("app/src/c.py")
	tr.want("app/src/c.py")
}

func TestFoldersThatAreSkippedAreSkippedLaterToo(t *testing.T) {
	tr := newTree(t)
	tr.write("app/node_modules/a/b.js")
	tr.watch("**/*.js")
	tr.write("app/sub/node_modules/a/b.js")
	tr.write("app/sub/.cache/b.js")
	tr.write("app/z/a.js")
	tr.want("app/z/a.js")
	tr.eyes.mu.Lock()
	defer tr.eyes.mu.Unlock()
	for dir := range tr.eyes.folders {
		if strings.Contains(dir, "node_modules") || strings.Contains(dir, ".cache") {
			t.Errorf("got %s watched, want it skipped", dir)
		}
	}
}

func TestOneInotifyInstanceServesAll(t *testing.T) {
	tr := newTree(t)
	for n := range 300 {
		tr.watch(fmt.Sprintf("f%d.py", n))
	}
	tr.write("app/f299.py")
	tr.want("app/f299.py")
	count := 0
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.Contains(to, "inotify") {
			count++
		}
	}
	if count != 1 {
		t.Errorf("got %d inotify instances, want 1", count)
	}
}

// unprivileged has the goroutine look at files as a user who is not root.
func unprivileged() error {
	if os.Getuid() != 0 {
		return nil
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	return unix.Setfsuid(65534)
}

func TestAFolderThatCannotBeReadIsLeftOut(t *testing.T) {
	tr := newTree(t)
	for dir := tr.dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"app/a/x.py", "app/closed/x.py", "app/z/x.py"} {
		tr.write(name)
	}
	if err := os.Chmod(tr.path("app/closed"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(tr.path("app/closed"), 0o755) }) // to be removed
	var log testkit.Log
	begun := make(chan error)
	go func() {
		if err := unprivileged(); err != nil {
			begun <- err
			return
		}
		w, err := New(&tr.eyes, slog.New(slog.NewTextHandler(&log, nil)), tr.path("app"), []string{"**/*.py"}, func(file string) { tr.changed <- file })
		if err == nil {
			t.Cleanup(w.Close)
		}
		begun <- err
	}()
	if err := <-begun; err != nil {
		t.Fatalf("got %v, want the other folders watched", err)
	}
	for _, name := range []string{"app/a/x.py", "app/z/x.py"} {
		tr.write(name)
		tr.want(name)
	}
	if got := log.String(); !strings.Contains(got, tr.path("app/closed")+": permission denied: changes in it are not seen") || strings.Contains(got, "max_user_watches") {
		t.Errorf("got the log %q, want it to name the folder and no limit of inotify", got)
	}
}

func TestALimitOfInotifyIsNamed(t *testing.T) {
	for err, want := range map[error]string{
		watches(syscall.ENOSPC):   "no space left on device: raise fs.inotify.max_user_watches (sysctl), or write narrower patterns",
		watches(syscall.EACCES):   "permission denied",
		instances(syscall.EMFILE): "too many open files: raise fs.inotify.max_user_instances (sysctl) or rlimits.nofile",
		instances(syscall.ENOSYS): "function not implemented",
	} {
		if err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}
