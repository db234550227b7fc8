package proxy

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestWhatAnUpstreamDidIsASentenceWithoutItsAddress(t *testing.T) {
	to := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80}
	for _, c := range []struct {
		err  error
		want string
	}{
		{&net.OpError{Op: "dial", Net: "tcp", Addr: to, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "the upstream refuses connections"},
		{&net.OpError{Op: "dial", Net: "tcp", Addr: to, Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}, "the upstream cannot be reached: network is unreachable"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "api.internal"}}, "the upstream cannot be reached"},
		{&net.OpError{Op: "dial", Net: "tcp", Addr: to, Err: os.ErrDeadlineExceeded}, "the upstream did not accept a connection in time"},
		{&net.OpError{Op: "read", Net: "tcp", Addr: to, Err: os.NewSyscallError("read", syscall.ETIMEDOUT)}, "the connection to the upstream failed: connection timed out"},
		{errors.New("malformed status line"), "the upstream sent an invalid HTTP response"},
	} {
		if got := upstreamFault(c.err); got != c.want {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
	}
}
