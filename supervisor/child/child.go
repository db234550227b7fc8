package child

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Child is a process that Program.Start began, the leader of a process group of its
// own. What started it ends it with Stop or Kill, also after it has ended by
// itself: only then is no process of its group left, and its number free again.
type Child struct {
	pid     int
	mark    string        // in the environment of its descendants
	origin  *origin       // of an Owner's child; nil for others
	done    chan struct{} // closed when the leader is known to have ended
	watcher sync.WaitGroup

	mu      sync.Mutex
	over    bool // the leader is known to have ended
	watched bool // watcher has been started
	exit    Exit // once it is over
	held    bool // it is over, and the leader is still in the process table
	swept   bool // no process is left; the group's number may be another's by now

	killed  bool    // KILL was sent, by us
	account account // the kills for want of memory that were counted before its start
}

// Exit is how a process ended.
type Exit struct {
	Code   int            // the exit status; -1 when a signal ended it or it is unknown
	Signal syscall.Signal // the signal that ended it, or 0
	Core   bool           // it left a core dump
	At     time.Time
	CPU    time.Duration // that it and those whose end it saw had used
	Peak   int64         // bytes: the most memory that it, or one of those, had at once

	OutOfMemory bool  // the kernel killed it, or one of whose end its status speaks, for want of memory
	MemoryLimit int64 // of the cgroup that had no more, in bytes; 0 is that the machine had not
}

// OK reports whether the process ended by itself with status 0.
func (e Exit) OK() bool { return e.Code == 0 && e.Signal == 0 }

// String is "exit status 3" or "killed by SIGKILL".
func (e Exit) String() string {
	switch {
	case e.OutOfMemory && e.Signal != 0:
		return "killed by the kernel: " + e.memory()
	case e.OutOfMemory:
		return "exit status " + strconv.Itoa(e.Code) + ", one of its processes killed by the kernel: " + e.memory()
	case e.Signal != 0 && e.Core:
		return "killed by " + signalName(e.Signal) + " (core dumped)"
	case e.Signal != 0:
		return "killed by " + signalName(e.Signal)
	case e.Code < 0:
		return "exited, status unknown"
	}
	return "exit status " + strconv.Itoa(e.Code)
}

// memory says which memory was not enough.
func (e Exit) memory() string {
	if e.MemoryLimit == 0 {
		return "out of memory (no cgroup limit: the machine has no more)"
	}
	n, unit := float64(e.MemoryLimit)/(1<<20), "MiB"
	if n >= 1024 {
		n, unit = n/1024, "GiB"
	}
	return "out of memory (cgroup limit " + strconv.FormatFloat(math.Round(n*10)/10, 'f', -1, 64) + " " + unit + ")"
}

// Status is the exit status as a shell has it: 128 and the signal's number for a
// process that a signal ended.
func (e Exit) Status() int {
	switch {
	case e.Signal != 0:
		return 128 + int(e.Signal)
	case e.Code < 0:
		return 1
	}
	return e.Code
}

// sweepBound is how long the killed may take to be gone. Only a process that the
// kernel holds in an uninterruptible wait needs more than milliseconds.
const sweepBound = 10 * time.Second

// PID is the leader's process number, which is also the group's.
func (c *Child) PID() int { return c.pid }

// Exit is how the leader ended, once it has. Before that it is of the code -1.
func (c *Child) Exit() Exit {
	if !c.Ended() {
		return Exit{Code: -1, At: time.Now()}
	}
	return c.exit
}

// Done is closed when the leader has ended. Others of its group may live on until
// Stop or Kill.
func (c *Child) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.watched && !c.over {
		c.watched = true
		c.watcher.Go(c.watch) // release waits for it
	}
	return c.done
}

// Ended reports whether the leader has ended. It never waits, and costs less than Done
// for a child whose end is not waited for.
func (c *Child) Ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return c.look()
	}
}

// Wait returns how the leader ended, when it has. It may be called again, and by
// several. When ctx ends first it returns ctx's error.
func (c *Child) Wait(ctx context.Context) (Exit, error) {
	if c.Ended() {
		return c.exit, nil
	}
	select {
	case <-c.Done():
		return c.exit, nil
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
}

// Signal sends sig to all processes of the group. It returns os.ErrProcessDone when none
// is left.
func (c *Child) Signal(sig syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.swept {
		return os.ErrProcessDone
	}
	if sig == syscall.SIGKILL && !c.over {
		c.killed = true
	}
	err := syscall.Kill(-c.pid, sig)
	if err == syscall.ESRCH {
		return os.ErrProcessDone
	}
	if err != nil {
		return fmt.Errorf("send %s to process group %d: %w", signalName(sig), c.pid, err)
	}
	return nil
}

// Stop sends sig to the group and, to those of it that are still there after grace,
// KILL. It returns the moment no process of the group is left, with the leader's end. It
// may be called at any time, and again.
func (c *Child) Stop(sig syscall.Signal, grace time.Duration) Exit {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return c.StopUntil(ctx, sig)
}

// Kill sends KILL to the group and returns when no process of it is left. After the
// leader's end it sweeps what the leader left behind.
func (c *Child) Kill() {
	if c.Ended() {
		// What forking modes do for each call: nearly always no other process is there,
		// and three system calls say so.
		_ = c.Signal(syscall.SIGKILL) // none left is what we want
		c.release()
		if c.gone() {
			return
		}
	}
	_ = c.Signal(syscall.SIGKILL) // as above
	ctx, cancel := context.WithTimeout(context.Background(), sweepBound)
	defer cancel()
	c.emptied(ctx, nil)
}

// StopUntil is Stop with a grace that lasts until ctx ends.
func (c *Child) StopUntil(ctx context.Context, sig syscall.Signal) Exit {
	m := &missed{signal: sig, since: now()}
	_ = c.Signal(sig)             // if none is left, emptied says so
	_ = c.Signal(syscall.SIGCONT) // one that is stopped would not see sig
	if !c.emptied(ctx, m) {
		c.Kill()
	}
	if !c.Ended() {
		return Exit{Code: -1, At: time.Now()} // held by the kernel beyond KILL
	}
	return c.exit
}

// missed is a signal that some of a group have not had: a shell that was about to start
// a program blocks signals meanwhile, dies of the one that waited for it, and leaves a
// child that began after it, or that had not become its program when it came. A process
// that began since, or shortly before, gets it when the leader has ended, and once more a
// moment later.
type missed struct {
	signal syscall.Signal
	since  uint64 // in ticks after boot
}

const (
	youth      = 100 // a process may need so many ticks, a second, to become its program
	againAfter = 100 * time.Millisecond
)

// by reports whether a process that began then may have missed it.
func (m *missed) by(began uint64) bool { return began+youth >= m.since }

// emptied waits until no process of the group is left, and reports false when ctx ended
// before that. m may be nil.
func (c *Child) emptied(ctx context.Context, m *missed) bool {
	if _, err := c.Wait(ctx); err != nil {
		return false
	}
	c.release()
	if c.gone() {
		return true
	}
	if !awaitGroup(ctx, c.pid, m) {
		return false
	}
	c.mu.Lock()
	c.swept = true
	c.mu.Unlock()
	return true
}

// release takes the ended leader out of the process table.
func (c *Child) release() {
	c.mu.Lock()
	watched := c.watched
	c.mu.Unlock()
	if watched {
		c.watcher.Wait() // it sees the end as well
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		c.held = false
		reapLeader(c.pid)
		ours.forget(c.pid)
	}
}

// gone reports whether no process of the group is left, as far as one system call can
// tell. It is asked after release.
func (c *Child) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.swept && syscall.Kill(-c.pid, 0) == syscall.ESRCH {
		c.swept = true
	}
	return c.swept
}

// ended is called once, with mu held, when the leader has ended.
func (c *Child) ended(e Exit, held bool) {
	c.over, c.exit, c.held = true, c.explain(e), held
	if !held {
		ours.forget(c.pid)
	}
	close(c.done)
}

func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(int(s))
}

// SignalOf returns the signal that a name of schema.SignalNames stands for, and SIGTERM
// for an empty name.
func SignalOf(name string) syscall.Signal {
	if s := unix.SignalNum("SIG" + name); s != 0 {
		return s
	}
	return syscall.SIGTERM
}
