package client

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// acknowledgedWithin breaks the connection when what was sent is not acknowledged in time:
// TCP_USER_TIMEOUT, tcp(7). On a socket of another kind it does nothing.
func acknowledgedWithin(c syscall.RawConn, d time.Duration) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}
