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
	port, err := reserve(t, 0)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// FreePair returns a port that ends in 0, and is free as that of FreePort is, and the one
// after it too.
func FreePair(t testing.TB) int {
	t.Helper()
	for range 1000 {
		one := FreePort(t)
		first := one / 10 * 10
		var errs []error
		for port := first; port < first+2; port++ {
			if port != one {
				_, err := reserve(t, port)
				errs = append(errs, err)
			}
		}
		if errors.Join(errs...) == nil {
			return first
		}
	}
	t.Fatal("got no free pair of ports in 1000 tries, want one")
	return 0
}

// reserve keeps a port, or any for 0, from all who ask for any, until the test ends.
func reserve(t testing.TB, port int) (int, error) {
	t.Helper()
	if runtime.GOOS != "linux" { // where such a socket keeps servers away too
		return freeNow(port)
	}
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return freeNow(port) // without IPv6
	}
	t.Cleanup(func() { _ = syscall.Close(fd) }) // nothing was sent
	name, err := syscall.Sockaddr(nil), errors.Join(
		syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 0),
		syscall.Bind(fd, &syscall.SockaddrInet6{Port: port}),
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)) // not before: nor may another have reserved it
	if err == nil {
		name, err = syscall.Getsockname(fd)
	}
	if err != nil {
		return 0, err
	}
	return name.(*syscall.SockaddrInet6).Port, nil
}

// freeNow returns a port that was free a moment ago.
func freeNow(port int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
