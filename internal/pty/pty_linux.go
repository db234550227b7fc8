package pty

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// unlock lets the terminal of a master be opened, and returns its name (pts(4)).
func unlock(master int) (name string, err error) {
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return "", err
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	return fmt.Sprintf("/dev/pts/%d", n), err
}
