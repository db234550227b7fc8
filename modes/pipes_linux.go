package modes

import (
	"golang.org/x/sys/unix"
)

// pipe2 makes a pipe of which no child inherits an end that it is not given.
func pipe2() (read, write int, err error) {
	var fds [2]int
	err = unix.Pipe2(fds[:], unix.O_CLOEXEC)
	return fds[0], fds[1], err
}
