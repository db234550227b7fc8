package child

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/internal/sleep"
)

// A program that is killed with KILL cannot end its children itself. The parent-death
// signal ends each child that we started, but nobody below it. So beside this program
// there is a guard: this same program, started as the shim is, which reads from a pipe
// which groups live long and, at the end of that file, ends those and whoever bears a
// mark of ours. Forked calls need no line: they bear a mark. Then it removes the
// directories of TempDir, whose names do.
//
// It is a session of its own and ignores what is sent to ours, holds nothing but that
// pipe, and is killed when Run returns, for then nobody is left.

// guardName is the argv[0] of this program when it is the guard.
const guardName = "watchdogd: guard"

// Pauses before another guard is started in the place of one that ended.
const (
	guardPause    = 100 * time.Millisecond
	maxGuardPause = time.Minute
)

// Tend waits for orphans that this program adopted, kills those whose call is over, and
// keeps a guard beside this program, from its first child on until ctx ends.
func Tend(ctx context.Context, log *slog.Logger) {
	var wg sync.WaitGroup
	wg.Go(func() { reapOrphans(ctx, log) })
	wg.Go(func() { guard(ctx, log) })
	wg.Wait()
}

// guard keeps a guard from the first child on until ctx ends. As PID 1 none is needed:
// with it the kernel ends all others. A program whose main does not call Shim has none.
func guard(ctx context.Context, log *slog.Logger) {
	defer logwriter.LastWords(log)
	if os.Getpid() == 1 || !kernel.shim.Load() {
		return
	}
	n := kernel.tell()
	defer kernel.tellNoMore(n)
	for wait := guardPause; ; wait = min(wait*2, maxGuardPause) {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}
		began := time.Now()
		err := n.guard(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > maxGuardPause {
			wait = guardPause
		}
		log.LogAttrs(ctx, slog.LevelWarn, "guard started again", slog.String("pause", wait.String()), slog.String("why", err.Error()))
		if !sleep.For(ctx, wait) {
			return
		}
		n.nudge()
	}
}

// guard starts a guard and tells it all, until ctx ends or the guard does, of which it
// says how.
func (n *news) guard(ctx context.Context) error {
	child, lines, err := startGuard()
	if err != nil {
		return err
	}
	defer lines.Close()
	defer child.Kill() // before it sees the end of the file
	kernel.tellAll(n)
	for {
		if b := kernel.told(n); len(b) > 0 {
			_ = lines.SetWriteDeadline(time.Now().Add(sweepBound)) // of a pipe: cannot fail
			if _, err := lines.Write(b); err != nil {
				return fmt.Errorf("the guard does not read: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-child.Done():
			return errors.New("the guard ended: " + child.exit.String())
		case <-n.wake:
		}
	}
}

func startGuard() (*Child, *os.File, error) {
	self, err := guardProgram()
	if err != nil {
		return nil, nil, fmt.Errorf("start the guard: find watchdogd itself: %w", err)
	}
	null, err := devNull()
	if err != nil {
		return nil, nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("start the guard: make a pipe: %w", err)
	}
	defer r.Close()
	child, err := bear(self, []string{guardName, ourMark(), os.TempDir()}, &syscall.ProcAttr{
		Dir: "/",
		// One thread that works, and no descriptor of the runtime's own.
		Env:   []string{"GOMAXPROCS=1", "GODEBUG=containermaxprocs=0,updatemaxprocs=0", "GOTRACEBACK=none"},
		Files: []uintptr{r.Fd(), null.Fd(), null.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}, identity{})
	if err != nil {
		w.Close()
		return nil, nil, fmt.Errorf("start the guard %s: %w", self, err)
	}
	return child, w, nil
}

// beGuard is the guard: it reads which groups there are, and at the end of file ends
// those and whoever has a mark that begins with mark, and removes what is left in tmp.
func beGuard(lines io.Reader, mark, tmp string) {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	becomeAlone()
	groups := map[int]bool{}
	for in := bufio.NewScanner(lines); in.Scan(); {
		pgid, err := strconv.Atoi(in.Text()) // +PGID or -PGID
		switch {
		case err != nil:
		case pgid > 1:
			groups[pgid] = true
		default:
			delete(groups, -pgid)
		}
	}
	for pgid := range groups {
		_ = syscall.Kill(-pgid, syscall.SIGKILL) // gone is as good
	}
	killMarked(mark)
	left, _ := os.ReadDir(tmp) // nobody is there to be told, here and below
	for _, dir := range left {
		if strings.HasPrefix(dir.Name(), tempName+mark) {
			_ = os.RemoveAll(filepath.Join(tmp, dir.Name()))
		}
	}
}

const tempName = "watchdogd-"

// TempDir makes a directory of mode 0700 that is its caller's to remove, and the guard's
// if this program is killed before that.
func TempDir() (string, error) { return os.MkdirTemp("", tempName+ourMark()) }

// news is what a guard is to be told, guarded by the family's mu.
type news struct {
	lines []byte
	begun bool          // somebody was born
	wake  chan struct{} // there is something new
}

// born notes a birth, and died an end. Of those who live for one call, only the first
// is of interest: there is something to guard.
func (n *news) born(pid int, long bool) {
	if long {
		n.lines = append(strconv.AppendInt(append(n.lines, '+'), int64(pid), 10), '\n')
	}
	if long || !n.begun {
		n.begun = true
		n.nudge()
	}
}

func (n *news) died(pid int) {
	n.lines = append(strconv.AppendInt(append(n.lines, '-'), int64(pid), 10), '\n')
	n.nudge()
}

func (n *news) nudge() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// tell gives news of the children from now on, until tellNoMore.
func (f *family) tell() *news {
	n := &news{wake: make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.guards = append(f.guards, n)
	if len(f.children) > 0 {
		n.begun = true
		n.nudge()
	}
	return n
}

func (f *family) tellNoMore(n *news) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, o := range f.guards {
		if o == n {
			f.guards = append(f.guards[:i:i], f.guards[i+1:]...)
			return
		}
	}
}

// tellAll makes the news those of all children that live long.
func (f *family) tellAll(n *news) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n.lines = nil
	for pid, b := range f.children {
		if b.long {
			n.born(pid, true)
		}
	}
}

// told takes the news.
func (f *family) told(n *news) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := n.lines
	n.lines = nil
	return b
}
