package signals

import (
	"context"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal opens the terminal that controls this process, and returns nil if there is
// none.
func openTerminal() *os.File {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	return f
}

// hungUp reports whether a terminal was closed, or no longer controls this process.
func hungUp(terminal *os.File) (gone bool) {
	raw, err := terminal.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { gone = refuses(fd) })
	}
	return gone || err != nil
}

// refuses reports whether a terminal answers no question any more.
func refuses(fd uintptr) bool {
	_, err := unix.IoctlGetInt(int(fd), unix.TIOCGPGRP)
	return err != nil
}

// untilHungUp closes lost when the terminal was hung up. It returns then, or when ctx
// ends; at once where the system cannot wait for that. It reads nothing.
func untilHungUp(ctx context.Context, terminal *os.File, lost chan<- struct{}) {
	stop := context.AfterFunc(ctx, func() {
		_ = terminal.SetReadDeadline(time.Unix(1, 0)) // where it fails nothing waits
	})
	defer stop()
	raw, err := terminal.SyscallConn()
	if err != nil {
		return
	}
	gone := false
	err = raw.Read(func(fd uintptr) bool {
		gone = refuses(fd)
		return gone
	})
	if err == nil && gone {
		close(lost)
	}
}
