package server

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The options are read back; how the system keeps them is the system's business.
func TestTheSystemIsToldToEndTheConnectionOfALostClientWithinAMinute(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	endLost(near.(*net.TCPConn))
	get := func(level, option int) (value int) {
		raw, err := near.(*net.TCPConn).SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), level, option) })
		}
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	if got := get(unix.SOL_SOCKET, unix.SO_KEEPALIVE); got == 0 {
		t.Error("SO_KEEPALIVE: got off, want on")
	}
	seconds := func(option int) time.Duration {
		return time.Duration(get(unix.IPPROTO_TCP, option)) * time.Second
	}
	silence := seconds(unix.TCP_KEEPIDLE) + seconds(unix.TCP_KEEPINTVL)*time.Duration(get(unix.IPPROTO_TCP, unix.TCP_KEEPCNT))
	sent := time.Duration(get(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)) * time.Millisecond
	if sent <= 0 || silence+sent > time.Minute {
		t.Errorf("got %v until silence is noticed and then %v for what is sent, want a minute at most together", silence, sent)
	}
}
