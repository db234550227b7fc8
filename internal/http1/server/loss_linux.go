package server

import (
	"time"

	"golang.org/x/sys/unix"
)

// setLossAfter bounds both what is not acknowledged and probes that are not answered
// (tcp(7), TCP_USER_TIMEOUT; it takes the place of the number of probes).
func setLossAfter(fd int, d time.Duration) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}
