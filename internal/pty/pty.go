// Package pty opens terminals: what one end writes, the other one reads, with all that a
// terminal does on its way.
package pty

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Open returns a terminal of that size, and its other end, the master, on which Read may be
// interrupted by a deadline or by Close. Reading the master when no process has the terminal
// open any more is an error, EIO on Linux. Both are closed in programs that are started, which
// get the terminal as a file of their own.
func Open(columns, rows int) (master, terminal *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open a terminal: /dev/ptmx: %w", err)
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	name, err := unlock(fd)
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(columns), Row: uint16(rows)})
	}
	if err == nil {
		var other int
		if other, err = unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err == nil {
			return master, os.NewFile(uintptr(other), name), nil
		}
	}
	_ = master.Close() // nothing was written
	return nil, nil, fmt.Errorf("open a terminal: %w", err)
}
