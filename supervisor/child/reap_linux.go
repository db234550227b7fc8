package child

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/internal/sleep"
)

// This is what is done about processes that are our children though we did not start
// them: orphans among our descendants, and as PID 1 all orphans. There is one rule about
// waiting: whoever started a child waits for it, by its number, and nobody ever waits for
// just any child. So no exit status is stolen, neither from a Child nor from an os/exec
// elsewhere in the program.

// adoptOrphans makes this program the parent of all its descendants whose own parents
// have ended (PR_SET_CHILD_SUBREAPER(2const)). As PID 1 it is that already.
var adoptOrphans = sync.OnceFunc(func() {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // before Linux 3.4 orphans are init's
})

const (
	reapPause = 50 * time.Millisecond // so many ends are looked at together
	reapDeep  = 20                    // looks past a child that its owner has yet to wait for
)

// reapOrphans waits for adopted children that have ended, and kills those whose call is
// over, until ctx ends. It hears of an end at most once in reapPause: a program that
// forks for each call would otherwise be interrupted by each of its children.
func reapOrphans(ctx context.Context, log *slog.Logger) {
	defer logwriter.LastWords(log)
	ended := make(chan os.Signal, 1)
	defer signal.Stop(ended)
	for looks := 0; ; {
		signal.Notify(ended, syscall.SIGCHLD)
		if n := kernel.sweepCalls(); n > 0 {
			log.LogAttrs(ctx, slog.LevelInfo, "orphans swept", slog.Int("processes", n))
		}
		if kernel.reapStrangers() {
			looks = 0
		} else if looks++; looks == reapDeep {
			kernel.reapDeep()
			looks = 0
		}
		if looks == 0 {
			select {
			case <-ctx.Done():
				return
			case <-ended:
			case <-kernel.over:
			}
		}
		signal.Stop(ended)
		if !sleep.For(ctx, reapPause) {
			return
		}
	}
}

// sweepCalls kills the adopted children that bear the mark of a call that is over: those
// who had left the group of their call and closed its output. Who is adopted is a child
// of the first thread (find_alive_thread in the kernel's exit.c), and a list of its
// children is cheap. A kernel without such lists leaves them to the end. It returns how
// many there were.
func (f *family) sweepCalls() (n int) {
	pid := strconv.Itoa(os.Getpid())
	f.birth.Lock()
	defer f.birth.Unlock()
	list, _ := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	for word := range strings.FieldsSeq(string(list)) {
		child, err := strconv.Atoi(word)
		if err != nil || f.has(child) {
			continue
		}
		if mark := markOf(child); strings.HasPrefix(mark, callMarks()) && !f.marked(mark) {
			_ = syscall.Kill(child, syscall.SIGKILL) // gone is as good
			n++
		}
	}
	return n
}

// reapStrangers waits for each ended child that nobody in this program started. The
// kernel shows one ended child at a time; it reports false when that is one whose owner
// has yet to wait for it, and others may be behind.
func (f *family) reapStrangers() bool {
	f.birth.Lock()
	defer f.birth.Unlock()
	for {
		info, err := waitid(unix.P_ALL, 0, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT)
		if err != nil || info.pid == 0 {
			return true
		}
		if pid := int(info.pid); f.has(pid) || ownedElsewhere(pid) || !reap(pid) {
			return false
		}
	}
}

// reapDeep is reapStrangers by the process table, which shows all.
func (f *family) reapDeep() {
	f.birth.Lock()
	defer f.birth.Unlock()
	self := os.Getpid()
	for _, e := range census.take() {
		if e.ppid == self && !e.alive() && !f.has(e.pid) && !ownedElsewhere(e.pid) {
			reap(e.pid)
		}
	}
}

// ownedElsewhere reports whether a descriptor of this program is a pidfd of process pid:
// then somebody here, such as os/exec, started it and will wait for it.
func ownedElsewhere(pid int) bool {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return false
	}
	want := []byte("\nPid:\t" + strconv.Itoa(pid) + "\n")
	for _, fd := range fds {
		to, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if err != nil || !strings.Contains(to, "pidfd") {
			continue
		}
		info, err := os.ReadFile("/proc/self/fdinfo/" + fd.Name())
		if err == nil && bytes.Contains(info, want) {
			return true
		}
	}
	return false
}

// Sweep ends the descendants of the child, which has ended, that had left its group: by
// sig, and when ctx has ended by KILL. It returns how many there were, when they are gone.
// It reads the process table, so it is for a child of which there is reason to think that
// it left some. Those whose parents live are not found.
func (c *Child) Sweep(ctx context.Context, sig syscall.Signal) int {
	if c.origin != nil {
		return sweep(ctx, sig, c.origin.owns)
	}
	return sweep(ctx, sig, func(e entry) bool { return markOf(e.pid) == c.mark })
}

// SweepAll kills all descendants of this program that its children left, but those that
// the children of another Owner left.
func (o *Owner) SweepAll() {
	sweep(context.Background(), syscall.SIGKILL, func(e entry) bool {
		its := markOf(e.pid)
		return strings.HasPrefix(its, o.marks) || strings.HasPrefix(its, callMarks()) ||
			!strings.HasPrefix(its, ourMark()) && !ownedElsewhere(e.top)
	})
	kernel.reapDeep()
}

func sweep(ctx context.Context, sig syscall.Signal, of func(entry) bool) int {
	limit, cancel := context.WithTimeout(context.Background(), sweepBound)
	defer cancel()
	swept := map[int]bool{}
	for limit.Err() == nil {
		if ctx.Err() != nil {
			sig = syscall.SIGKILL
		}
		var left []int
		for _, e := range census.read().adopted {
			if of(e) {
				left = append(left, e.pid)
			}
		}
		if len(left) == 0 {
			break
		}
		for _, pid := range left {
			if !swept[pid] || sig == syscall.SIGKILL {
				_ = syscall.Kill(pid, sig) // gone is as good
				swept[pid] = true
			}
		}
		wait := ctx
		if sig == syscall.SIGKILL {
			wait = limit
		}
		for _, pid := range left {
			awaitEnd(wait, pid)
		}
	}
	return len(swept)
}

// markOf gives the mark of the life that a process descends from; empty when there is
// none that can be seen.
func markOf(pid int) string {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return ""
	}
	for kv := range bytes.SplitSeq(env, []byte{0}) {
		if m, ok := bytes.CutPrefix(kv, []byte(markName+"=")); ok {
			return string(m)
		}
	}
	return ""
}
