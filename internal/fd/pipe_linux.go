package fd

import (
	"os"

	"golang.org/x/sys/unix"
)

// Pipe makes a pipe of which no child inherits an end that it is not given. It does not
// wait for forks that are under way, as without pipe2(2) it must.
func Pipe() (fds [2]int, err error) {
	err = unix.Pipe2(fds[:], unix.O_CLOEXEC)
	return fds, os.NewSyscallError("make a pipe", err)
}

// Unread is how many bytes are in a pipe, or -1.
func Unread(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		return -1
	}
	return n
}
