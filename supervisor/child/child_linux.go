package child

import (
	"context"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/sleep"
)

// leaderAttr has a child lead a group of its own, and be killed with this program.
func leaderAttr(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: cred}
}

// started does nothing: a child is watched when its end is waited for.
func (*Child) started() {}

// watch waits for the leader's end in the poller of the Go runtime, by pidfd, so that a
// child costs no thread. The leader is left in the process table: as long as it is
// there its number, which is the group's, cannot become another's.
func (c *Child) watch() {
	if f := c.pidfd(); f != nil {
		defer f.Close()
		if conn, err := f.SyscallConn(); err == nil {
			_ = conn.Read(func(uintptr) bool { return c.look() }) // without a poller, as without pidfds
		}
	}
	if c.Ended() {
		return
	}
	// A kernel before 5.3, or one that forbids pidfds: a thread waits.
	_, _ = peek(c.pid, 0)
	c.look()
}

// pidfd returns one of the leader, while its number is certain to be its own.
func (c *Child) pidfd() *os.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return nil
	}
	f, _ := openPidfd(c.pid) // nil says it
	return f
}

// look notes the leader's end if it has come, and reports whether it has.
func (c *Child) look() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		if e, ok := peek(c.pid, unix.WNOHANG); ok {
			c.ended(e, e.Signal != 0 || e.Code >= 0)
		}
	}
	return c.over
}

// openPidfd returns a pidfd of process pid that waits in the poller.
func openPidfd(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err == unix.EINVAL { // before Linux 5.10
		if fd, err = unix.PidfdOpen(pid, 0); err == nil {
			_ = syscall.SetNonblock(fd, true) // otherwise a thread waits
		}
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// peek returns how child pid ended, and leaves it in the process table. It reports
// false when the child runs on, which with options of 0 cannot be.
func peek(pid, options int) (Exit, bool) {
	var used syscall.Rusage
	info, err := waitid(unix.P_PID, pid, unix.WEXITED|unix.WNOWAIT|options, &used)
	if err != nil { // not our child any more: a stranger has waited for it
		return Exit{Code: -1, At: time.Now()}, true
	}
	if info.pid == 0 {
		return Exit{}, false
	}
	e := Exit{
		Code: int(info.status), At: time.Now(),
		CPU:  time.Duration(used.Utime.Nano() + used.Stime.Nano()),
		Peak: used.Maxrss << 10,
	}
	if info.code != cldExited {
		e.Code, e.Signal, e.Core = -1, syscall.Signal(info.status), info.code == cldDumped
	}
	return e, true
}

// siginfo is the kernel's siginfo_t of a SIGCHLD (sigaction(2)).
type siginfo struct {
	signo, errno, code int32
	_                  [unsafe.Sizeof(uintptr(0)) / 8]int32
	pid                int32
	uid                uint32
	status             int32
	_                  [128]byte
}

const (
	cldExited = 1
	cldDumped = 3
)

// waitid is waitid(2). used may be nil.
func waitid(idType, id, options int, used *syscall.Rusage) (info siginfo, err error) {
	for {
		_, _, e := syscall.Syscall6(syscall.SYS_WAITID, uintptr(idType), uintptr(id), uintptr(unsafe.Pointer(&info)), uintptr(options), uintptr(unsafe.Pointer(used)), 0)
		switch e {
		case 0:
			return info, nil
		case syscall.EINTR:
		default:
			return info, e
		}
	}
}

func reapLeader(pid int) { _ = reap(pid) }

// reap takes one ended child out of the process table, if there is one that pid names
// as in wait4(2), and reports whether there was.
func reap(pid int) bool {
	for {
		got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		if err != syscall.EINTR {
			return err == nil && got > 0
		}
	}
}

// awaitGroup waits until no process of the group is alive, and reports false when ctx ended
// before that. The group's leader has been waited for.
//
// Orphans of the group have become our own children, so their zombies are reaped here.
// A zombie whose parent is alive elsewhere and does not wait for it stays in the group
// for ever; it is dead, and does not count.
func awaitGroup(ctx context.Context, pgid int, m *missed) bool {
	told := map[int]time.Time{} // when each is told again; zero for not any more
	for {
		for reap(-pgid) {
		}
		if syscall.Kill(-pgid, 0) == syscall.ESRCH {
			return true
		}
		alive := census.take().group(pgid)
		if len(alive) == 0 {
			for reap(-pgid) { // that ended meanwhile
			}
			return true
		}
		again := false // one is to get the signal once more
		for _, p := range alive {
			if m == nil || !m.by(p.began) {
				continue
			}
			next, ok := told[p.pid]
			if ok && (next.IsZero() || time.Now().Before(next)) {
				again = again || !next.IsZero()
				continue
			}
			_ = syscall.Kill(p.pid, m.signal) // gone is as good
			told[p.pid] = time.Time{}
			if !ok {
				told[p.pid], again = time.Now().Add(againAfter), true
			}
		}
		wait, cancel := ctx, context.CancelFunc(func() {})
		if again {
			wait, cancel = context.WithTimeout(ctx, againAfter)
		}
		for _, p := range alive {
			if !awaitEnd(wait, p.pid) {
				break
			}
		}
		cancel()
		if ctx.Err() != nil {
			return false
		}
	}
}

// awaitEnd waits until process pid, of whatever parent, has ended, and reports false
// when ctx ended before that.
func awaitEnd(ctx context.Context, pid int) bool {
	f, err := openPidfd(pid)
	if err == unix.ESRCH {
		return true
	}
	if err != nil {
		return sleep.For(ctx, 5*time.Millisecond) // the caller looks again
	}
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) }) // fails only without a poller, and then Read does too
	defer stop()
	conn, err := f.SyscallConn()
	if err != nil {
		return sleep.For(ctx, 5*time.Millisecond)
	}
	err = conn.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(p, 0)
		return n > 0
	})
	if err != nil && ctx.Err() == nil {
		return sleep.For(ctx, 5*time.Millisecond)
	}
	return err == nil
}

// now is the time as the process table has it.
func now() uint64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // cannot fail with a clock that is there
	return uint64(t.Nano()) / (1e9 / ticksPerSecond)
}
