//go:build !linux

package child

import (
	"context"
	"log/slog"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/internal/sleep"
)

// leaderAttr has a child lead a group of its own. Where there is no parent-death signal,
// only the guard ends it when watchdogd is killed.
func leaderAttr(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: cred}
}

// started begins to wait for the end of the child.
func (c *Child) started() { c.Done() }

func adoptOrphans() {}

// watch waits for the leader's end; without pidfds, in a thread.
func (c *Child) watch() {
	var ws syscall.WaitStatus
	_, err := syscall.Wait4(c.pid, &ws, 0, nil)
	for err == syscall.EINTR {
		_, err = syscall.Wait4(c.pid, &ws, 0, nil)
	}
	e := exitOf(ws)
	if err != nil {
		e = Exit{Code: -1, At: time.Now()}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended(e, false)
}

// look reports whether the leader has ended: watch knows.
func (c *Child) look() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

func reapLeader(int) {}

// awaitGroup waits until no process of the group is left, and reports false when ctx ended
// before that.
func awaitGroup(ctx context.Context, pgid int, _ *missed) bool {
	for syscall.Kill(-pgid, 0) != syscall.ESRCH {
		if !sleep.For(ctx, 5*time.Millisecond) {
			return false
		}
	}
	return true
}

func exitOf(ws syscall.WaitStatus) Exit {
	e := Exit{Code: ws.ExitStatus(), At: time.Now()}
	if ws.Signaled() {
		e.Code, e.Signal, e.Core = -1, ws.Signal(), ws.CoreDump()
	}
	return e
}

func now() uint64 { return 0 }

type ledger struct{}

func newLedger() *ledger { return &ledger{} }

type account struct{}

func (*ledger) open(bool) account { return account{} }

func (c *Child) explain(e Exit) Exit { return e }

func guardProgram() (string, error) { return executable() }

func becomeAlone() {}

// Elsewhere a process's environment cannot be seen, and what left its group is not found.
func sweepMarked(string) {}

// keepInherited keeps descriptors above 2, which were open when this program was started,
// from its children.
func keepInherited() {
	for fd := 3; fd < 256; fd++ {
		syscall.CloseOnExec(fd)
	}
}

// Elsewhere orphans are init's.
func reapOrphans(ctx context.Context, _ *slog.Logger) { <-ctx.Done() }

// Sweep ends nothing: descendants that left the group are not found on this system.
func (c *Child) Sweep(context.Context, syscall.Signal) int {
	if c.origin != nil {
		ours.swept(c.origin)
	}
	return 0
}

// SweepAll does nothing, as Sweep.
func (*Owner) SweepAll() {}

type origin struct{ all func() []*origin }

func newOrigin(string, string) *origin { return &origin{} }

// LostPort reports false: the owner of a listener is not known on this system.
func (*Child) LostPort(int) bool { return false }

// Listeners returns none, as LostPort.
func (*Child) Listeners() []string { return nil }

// Leftovers returns none: descendants are not found on this system.
func (*Child) Leftovers() []string { return nil }

var resources = [...]struct {
	name     string
	resource int
}{
	{"nofile", syscall.RLIMIT_NOFILE}, {"as", syscall.RLIMIT_AS}, {"core", syscall.RLIMIT_CORE},
	{"cpu", syscall.RLIMIT_CPU}, {"data", syscall.RLIMIT_DATA}, {"fsize", syscall.RLIMIT_FSIZE},
	{"stack", syscall.RLIMIT_STACK},
}

// execLimited sets the limit of the address space and executes path. It returns only if it fails.
func execLimited(as rlimit, path string, argv, env []string) error {
	if err := as.set(); err != nil {
		return err
	}
	return syscall.Exec(path, argv, env)
}

func dieWithParent(string) error { return nil }

func peak(int) int64 { return 0 }

// Usages returns a function that reports nothing: it is not known on this system.
func Usages() func(*Child) Usage { return func(*Child) Usage { return Usage{} } }
