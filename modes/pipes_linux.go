package modes

import (
	"os"

	"golang.org/x/sys/unix"
)

// pipe2 makes a pipe of which no child inherits an end that it is not given.
func pipe2() (read, write int, err error) {
	var fds [2]int
	err = unix.Pipe2(fds[:], unix.O_CLOEXEC)
	return fds[0], fds[1], err
}

// nameless makes a file that never has a name, where the file system can.
func nameless(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), dir+"/(body)"), nil
}
