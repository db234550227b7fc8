package testprogram

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Alive reports whether there is a process pid, other than a zombie.
func Alive(pid int) bool {
	state, _ := stat(pid)
	return state != "" && state != "Z" && state != "X"
}

// AwaitEnd waits until process pid, of whatever parent, has ended, and reports false when
// ctx ended before that.
func AwaitEnd(ctx context.Context, pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err == unix.ESRCH
	}
	defer unix.Close(fd)
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(100*time.Millisecond/time.Millisecond))
		if n > 0 && err == nil {
			return true
		}
	}
	return false
}

// Children returns the processes whose parent is parent, zombies among them.
func Children(parent int) (pids []int) {
	for _, pid := range PIDs() {
		if _, of := stat(pid); of == parent {
			pids = append(pids, pid)
		}
	}
	return pids
}

// PIDs returns the numbers of all processes.
func PIDs() (pids []int) {
	all, _ := os.ReadDir("/proc") // without it there is none
	for _, entry := range all {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat returns the state of a process and its parent; empty when there is none.
func stat(pid int) (state string, parent int) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	words := strings.Fields(string(line[strings.LastIndexByte(string(line), ')')+1:]))
	parent, _ = strconv.Atoi(words[1])
	return words[0], parent
}
