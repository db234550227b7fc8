package client

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAPatientConnectionIsProbedWhileItIsSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for _, test := range []struct {
		patience                  time.Duration
		idle, interval, unackedMs int
	}{
		{1500 * time.Millisecond, 1, 1, 1500},
		{0, 15, 15, 0}, // of package net
	} {
		c, err := NewDialer(test.patience).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got [4]int
		err = raw.Control(func(fd uintptr) {
			for i, option := range []struct{ level, name int }{
				{unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}, {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT},
			} {
				if got[i], err = unix.GetsockoptInt(int(fd), option.level, option.name); err != nil {
					t.Error(err)
				}
			}
		})
		if err != nil {
			t.Error(err)
		}
		if want := [4]int{1, test.idle, test.interval, test.unackedMs}; got != want {
			t.Errorf("patience %v: got keepalive, idle and interval in s and user timeout in ms %v, want %v", test.patience, got, want)
		}
		_ = c.Close()
	}
}
