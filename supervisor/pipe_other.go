//go:build !linux

package supervisor

import "syscall"

// pipe2 makes a pipe of which no child inherits an end that it is not given.
func pipe2() (fds [2]int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err = syscall.Pipe(fds[:]); err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	return fds, err
}

// unread is how many bytes are in a pipe, or -1 for not known.
func unread(int) int { return -1 }
