package server

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// hungUp reports whether the peer has closed its half of a connection, unread bytes or not.
func hungUp(c syscall.RawConn) bool {
	return polled(c, unix.POLLRDHUP, unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR)
}

// hasInput reports whether a read would not wait.
func hasInput(c syscall.RawConn) bool { return polled(c, unix.POLLIN, unix.POLLIN) }

// polled reports whether a connection is in one of some states; one that is closed on
// our side is in all.
func polled(c syscall.RawConn, asked, any int16) bool {
	is := false
	err := c.Control(func(fd uintptr) {
		set := []unix.PollFd{{Fd: int32(fd), Events: asked}}
		n, err := unix.Poll(set, 0)
		is = err == nil && n > 0 && set[0].Revents&any != 0
	})
	return is || err != nil
}
