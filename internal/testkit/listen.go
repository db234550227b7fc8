package testkit

import (
	"errors"
	"net"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// Listen listens on a free port of 127.0.0.1. Whoever serves the listener closes it.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Server is what Serve runs: http.Server, and ours.
type Server interface {
	Serve(net.Listener) error
	Close() error
}

// Serve runs s on a free port of 127.0.0.1, whose address it returns. At the end of the test
// it closes s and waits for Serve.
func Serve(t testing.TB, s Server) (address string) {
	t.Helper()
	l := Listen(t)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		_ = l.Close() // in case Serve had not begun
		<-done
	})
	return l.Addr().String()
}

// Upstream has each connection to the address that it returns answered by serve, which gets
// the number of the connection, from 0. The connection is closed when serve returns. The end
// of the test waits for all of them.
func Upstream(t testing.TB, serve func(n int, c *Conn)) (address string) {
	t.Helper()
	l := Listen(t)
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; ; n++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = nc.Close() }()
				serve(n, NewConn(t, nc))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// FreeAddress is 127.0.0.1 with a FreePort.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}

// FreePort returns a port that no one else is given until the test ends: a socket that is
// bound to it and does not listen keeps it from all who ask for any port, and not from those
// who ask for this one with SO_REUSEADDR, as servers do.
func FreePort(t testing.TB) int {
	t.Helper()
	if runtime.GOOS != "linux" { // where such a socket keeps servers away too
		return someFreePort(t)
	}
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return someFreePort(t) // without IPv6
	}
	t.Cleanup(func() { _ = syscall.Close(fd) }) // nothing was sent
	name, err := syscall.Sockaddr(nil), errors.Join(
		syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 0),
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
		syscall.Bind(fd, new(syscall.SockaddrInet6)))
	if err == nil {
		name, err = syscall.Getsockname(fd)
	}
	if err != nil {
		t.Fatal(err)
	}
	return name.(*syscall.SockaddrInet6).Port
}

// someFreePort returns a port that was free a moment ago.
func someFreePort(t testing.TB) int {
	t.Helper()
	l := Listen(t)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
