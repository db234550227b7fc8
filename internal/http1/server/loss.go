package server

import (
	"crypto/tls"
	"net"
	"time"
)

// A client whose network is gone sends nothing, not even that it has left. Without these,
// the system finds out after two and a half minutes of silence, or a quarter of an hour
// after something was sent to it. Together they find out within 60 seconds in every case:
// also where the silence ends, by something that we send, just before it is noticed.
const (
	probeAfter = 10 * time.Second // of silence, the system asks whether the client is there
	probeEvery = 5 * time.Second
	probes     = 4
	lossAfter  = 28 * time.Second // what was sent and not acknowledged, or asked and not answered, for so long ends the connection
)

// noticeLoss has the system end nc when its client is not there any more. A client on this
// machine cannot be lost. One that is there, but takes nothing at all for lossAfter
// while there is something to take, is lost too on Linux.
func noticeLoss(nc net.Conn) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	c, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	if peer, ok := c.RemoteAddr().(*net.TCPAddr); ok && peer.IP.IsLoopback() {
		return
	}
	endLost(c)
}

// endLost sets the options of a connection. An error means that the connection is over, or
// that the system has no such option; its own times hold then.
func endLost(c *net.TCPConn) {
	_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: probeAfter, Interval: probeEvery, Count: probes})
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = setLossAfter(int(fd), lossAfter) })
	}
}
