package routes

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
)

// upgrade is a connection that a mode took over. Its call goes on until it is
// closed: it keeps its place, and counts as in flight.
type upgrade struct {
	net.Conn
	written atomic.Int64
	once    atomic.Bool
	closed  chan struct{} // closed by the first Close
}

// newUpgrade gives what the mode gets of c, and the upgrade in it. Where what is read
// from c is what came on the wire, it is a syscall.Conn and moves bytes within the kernel.
func newUpgrade(c net.Conn) (net.Conn, *upgrade) {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
		u := &plainUpgrade{upgrade{Conn: c, closed: make(chan struct{})}}
		return u, &u.upgrade
	}
	u := &upgrade{Conn: c, closed: make(chan struct{})}
	return u, u
}

// Close closes the connection. All but the first do nothing.
func (u *upgrade) Close() error {
	if u.once.Swap(true) {
		return nil
	}
	defer close(u.closed)
	return u.Conn.Close()
}

// Write counts what it sends.
func (u *upgrade) Write(p []byte) (int, error) {
	n, err := u.Conn.Write(p)
	u.written.Add(int64(n))
	return n, err
}

// CloseWrite ends the sending half, where the connection can.
func (u *upgrade) CloseWrite() error {
	if half, ok := u.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// plainUpgrade is an upgrade whose Conn is a *net.TCPConn or *net.UnixConn.
type plainUpgrade struct{ upgrade }

// SyscallConn gives the descriptor.
func (u *plainUpgrade) SyscallConn() (syscall.RawConn, error) {
	return u.Conn.(syscall.Conn).SyscallConn()
}

// ReadFrom sends what src gives.
func (u *plainUpgrade) ReadFrom(src io.Reader) (int64, error) {
	var n int64
	var err error
	if tcp, ok := u.Conn.(*net.TCPConn); ok && movable(src) {
		n, err = tcp.ReadFrom(src)
	} else {
		n, err = copyPooled(u.Conn, src)
	}
	u.written.Add(n)
	return n, err
}

// WriteTo gives dst all that comes.
func (u *plainUpgrade) WriteTo(dst io.Writer) (int64, error) {
	if tcp, ok := dst.(*net.TCPConn); ok {
		return tcp.ReadFrom(u.Conn)
	}
	return copyPooled(dst, u.Conn)
}
