package server

import (
	"time"

	"golang.org/x/sys/unix"
)

// setLossAfter bounds what is not acknowledged; the number of probes is kept as it is.
func setLossAfter(fd int, d time.Duration) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_RXT_CONNDROPTIME, int(d.Seconds()))
}
