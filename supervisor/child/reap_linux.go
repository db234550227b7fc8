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
// waiting: the code that started a child waits for it, by its number, and nothing ever waits
// for just any child. So no exit status is stolen, neither from a Child nor from an os/exec
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
		if n := ours.sweepCalls(); n > 0 {
			log.LogAttrs(ctx, slog.LevelInfo, "orphans swept", slog.Int("processes", n))
		}
		if ours.reapStrangers() {
			looks = 0
		} else if looks++; looks == reapDeep {
			ours.reapDeep()
			looks = 0
		}
		if looks == 0 {
			select {
			case <-ctx.Done():
				return
			case <-ended:
			case <-ours.over:
			}
		}
		signal.Stop(ended)
		if !sleep.For(ctx, reapPause) {
			return
		}
	}
}

// reapStrangers waits for each ended child that nothing in this program started. The
// kernel shows one ended child at a time; it reports false when that is one whose owner
// has yet to wait for it, and others may be behind.
func (f *children) reapStrangers() bool {
	f.forkLock.Lock()
	defer f.forkLock.Unlock()
	for {
		info, err := waitid(unix.P_ALL, 0, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err != nil || info.pid == 0 {
			return true
		}
		if pid := int(info.pid); f.has(pid) || ownedElsewhere(pid) || !reap(pid) {
			return false
		}
	}
}

// reapDeep is reapStrangers by the process table, which shows all.
func (f *children) reapDeep() {
	f.forkLock.Lock()
	defer f.forkLock.Unlock()
	self := os.Getpid()
	for _, e := range census.take() {
		if e.ppid == self && !e.alive() && !f.has(e.pid) && !ownedElsewhere(e.pid) {
			reap(e.pid)
		}
	}
}

// ownedElsewhere reports whether a descriptor of this program is a pidfd of process pid:
// then code here, such as os/exec, started it and will wait for it.
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
