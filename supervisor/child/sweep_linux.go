package child

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// sweep ends the processes that find returns, and repeats that until it returns none: they
// may be forking. Each gets sig, and all get KILL from the end of until on. It returns how
// many there were, and gives up after sweepBound.
func sweep(find func() []int, sig syscall.Signal, until context.Context) int {
	bound, cancel := context.WithTimeout(context.Background(), sweepBound)
	defer cancel()
	swept := map[int]bool{}
	for bound.Err() == nil {
		if until.Err() != nil {
			sig = syscall.SIGKILL
		}
		left := find()
		if len(left) == 0 {
			break
		}
		for _, pid := range left {
			if !swept[pid] || sig == syscall.SIGKILL {
				_ = syscall.Kill(pid, sig) // gone is as good
				swept[pid] = true
			}
		}
		wait := until
		if sig == syscall.SIGKILL {
			wait = bound
		}
		for _, pid := range left {
			awaitEnd(wait, pid)
		}
	}
	return len(swept)
}

// adopted returns a function that finds the adopted processes that match.
func adopted(match func(entry) bool) func() []int {
	return func() (pids []int) {
		for _, e := range census.read().adopted() {
			if match(e) {
				pids = append(pids, e.pid)
			}
		}
		return pids
	}
}

// Sweep ends the descendants of the child, which has ended, that had left its group: by
// sig, and from the end of until on by KILL. It returns how many there were, when they are
// gone. It reads the process table, so it is for a child of which there is reason to think
// that it left some. Those whose parents live are not found.
func (c *Child) Sweep(until context.Context, sig syscall.Signal) int {
	match := func(e entry) bool { return markOf(e.pid) == c.mark }
	if c.origin != nil {
		match = c.origin.owns
		defer ours.swept(c.origin)
	}
	return sweep(adopted(match), sig, until)
}

// SweepAll kills all that the children of this program left, but what the children of
// another Owner left.
func (o *Owner) SweepAll() {
	sweep(adopted(func(e entry) bool {
		its := markOf(e.pid)
		return strings.HasPrefix(its, o.marks) || strings.HasPrefix(its, callMarks()) ||
			!strings.HasPrefix(its, ourMark()) && !ownedElsewhere(e.top)
	}), syscall.SIGKILL, context.Background())
	ours.reapDeep()
}

// sweepMarked kills all processes whose mark begins with mark, whatever their parents are.
func sweepMarked(mark string) {
	sweep(func() (pids []int) {
		dir, err := os.Open("/proc")
		if err != nil {
			return nil
		}
		defer dir.Close()
		names, _ := dir.Readdirnames(-1) // what could be read is what there is
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil && pid > 1 && strings.HasPrefix(markOf(pid), mark) {
				pids = append(pids, pid)
			}
		}
		return pids
	}, syscall.SIGKILL, context.Background())
}

// sweepCalls kills the adopted children that bear the mark of a call that is over: they had
// left the group of their call and closed its output. It does not wait for them. An adopted
// process is a child of the first thread (find_alive_thread in the kernel's exit.c), and a
// list of its children is cheap. On a kernel without such lists SweepAll ends them. It
// returns how many there were.
func (f *children) sweepCalls() (n int) {
	pid := strconv.Itoa(os.Getpid())
	f.forkLock.Lock()
	defer f.forkLock.Unlock()
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

// markOf returns the mark of a process; empty when it has none that can be seen.
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
