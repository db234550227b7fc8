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
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/internal/sleep"
)

// A program that is killed with KILL cannot end its children itself. The parent-death
// signal ends each child that we started, but not its descendants. So beside this program
// there is a guard: this same program, started as the shim is, which reads from a pipe
// which groups live long and, at the end of that file, ends those and all processes with a
// mark of ours. Forked calls need no line: they bear a mark. Then it removes the
// directories of TempDir, whose names do.
//
// It is a session of its own and ignores what is sent to ours, holds nothing but that
// pipe, and is killed when Run returns, for then no process is left.

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
	if os.Getpid() == 1 || !ours.shim.Load() {
		return
	}
	feed := ours.feed()
	defer ours.endFeed(feed)
	for wait := guardPause; ; wait = min(wait*2, maxGuardPause) {
		select {
		case <-ctx.Done():
			return
		case <-feed.wake:
		}
		began := time.Now()
		err := feed.guard(ctx)
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
		feed.nudge()
	}
}

// guard starts a guard and feeds it until ctx ends, or returns how the guard ended.
func (n *guardFeed) guard(ctx context.Context) error {
	child, lines, err := startGuard()
	if err != nil {
		return err
	}
	defer lines.Close()
	defer child.Kill() // before it sees the end of the file
	ours.refill(n)
	for {
		if b := ours.take(n); len(b) > 0 {
			_ = lines.SetWriteDeadline(time.Now().Add(sweepBound)) // of a pipe: cannot fail
			if _, err := lines.Write(b); err != nil {
				return fmt.Errorf("the guard does not read its pipe: %w", err)
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
	child, err := ours.start(identity{}, self, []string{guardName, ourMark(), os.TempDir()}, &syscall.ProcAttr{
		Dir: "/",
		// One thread that works, and no descriptor of the runtime's own.
		Env:   []string{"GOMAXPROCS=1", "GODEBUG=containermaxprocs=0,updatemaxprocs=0", "GOTRACEBACK=none"},
		Files: []uintptr{r.Fd(), null.Fd(), null.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		w.Close()
		return nil, nil, fmt.Errorf("start the guard %s: %w", self, err)
	}
	return child, w, nil
}

// beGuard is the guard: it reads which groups there are, and at the end of file ends
// those and all processes whose mark begins with mark, and removes what is left in tmp.
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
	sweepMarked(mark)
	left, _ := os.ReadDir(tmp) // errors have no reader, here and below
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

// guardFeed is what is to be written to a guard; the mu of children guards it.
type guardFeed struct {
	lines []byte
	begun bool          // there was a child
	wake  chan struct{} // there is something new
}

// started notes the start of a child, and ended its end. Of those that live for one call,
// only the first is of interest: there is something to guard.
func (g *guardFeed) started(pid int, long bool) {
	if long {
		g.lines = append(strconv.AppendInt(append(g.lines, '+'), int64(pid), 10), '\n')
	}
	if long || !g.begun {
		g.begun = true
		g.nudge()
	}
}

func (g *guardFeed) ended(pid int) {
	g.lines = append(strconv.AppendInt(append(g.lines, '-'), int64(pid), 10), '\n')
	g.nudge()
}

func (g *guardFeed) nudge() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// feed returns what a guard is to know from now on, until endFeed.
func (f *children) feed() *guardFeed {
	g := &guardFeed{wake: make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.feeds = append(f.feeds, g)
	if len(f.running) > 0 {
		g.begun = true
		g.nudge()
	}
	return g
}

func (f *children) endFeed(g *guardFeed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.feeds = slices.DeleteFunc(f.feeds, func(o *guardFeed) bool { return o == g })
}

// refill makes the feed name all children that live long, for a guard that knows none.
func (f *children) refill(g *guardFeed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g.lines = nil
	for pid, i := range f.running {
		if i.long {
			g.started(pid, true)
		}
	}
}

// take empties the feed.
func (f *children) take(g *guardFeed) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := g.lines
	g.lines = nil
	return b
}
