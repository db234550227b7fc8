//go:build !linux

package fd

import (
	"os"
	"syscall"
)

// Pipe makes a pipe of which no child inherits an end that it is not given.
func Pipe() (fds [2]int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err = syscall.Pipe(fds[:]); err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	return fds, os.NewSyscallError("make a pipe", err)
}

// Unread is how many bytes are in a pipe, or -1 for not known.
func Unread(int) int { return -1 }
