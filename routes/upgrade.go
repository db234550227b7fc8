package routes

import (
	"io"
	"net"
	"sync/atomic"
)

// upgrade is a connection that a mode took over. Its call goes on until it is
// closed: it keeps its place, and counts as in flight.
type upgrade struct {
	net.Conn
	written atomic.Int64
	closed  chan struct{} // closed by the first Close
	once    atomic.Bool
}

func newUpgrade(c net.Conn) *upgrade {
	return &upgrade{Conn: c, closed: make(chan struct{})}
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

// ReadFrom lets the kernel move bytes from another socket.
func (u *upgrade) ReadFrom(src io.Reader) (int64, error) {
	var n int64
	var err error
	if to, ok := u.Conn.(io.ReaderFrom); ok && movable(src) {
		n, err = to.ReadFrom(src)
	} else {
		buf := copyBuffers.Get().(*[32 << 10]byte)
		n, err = io.CopyBuffer(struct{ io.Writer }{u.Conn}, struct{ io.Reader }{src}, buf[:])
		copyBuffers.Put(buf)
	}
	u.written.Add(n)
	return n, err
}

// WriteTo lets the kernel move bytes to another socket.
func (u *upgrade) WriteTo(dst io.Writer) (int64, error) {
	if to, ok := dst.(io.ReaderFrom); ok {
		if from, ok := plain(u.Conn); ok {
			return to.ReadFrom(from)
		}
	}
	buf := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{u.Conn}, buf[:])
}

// CloseWrite ends the sending half, where the connection can.
func (u *upgrade) CloseWrite() error { return closeWrite(u.Conn) }

// NetConn gives the connection itself.
func (u *upgrade) NetConn() net.Conn { return u.Conn }
