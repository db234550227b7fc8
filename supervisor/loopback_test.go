package supervisor

import (
	"net"
	"testing"
	"time"
)

func TestAServerOnTheOtherLoopbackIsReady(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6 loopback: ", err)
	}
	_ = l.Close()
	t.Setenv("HOST", "")
	s := newStack(t, server(t, "api", "serve6"))
	i := s.acquire("api")
	defer i.Release()
	if host, _, _ := net.SplitHostPort(i.Upstream().Address); host != "::1" {
		t.Errorf("got upstream %s, want ::1", i.Upstream().Address)
	}
	c, err := net.DialTimeout("tcp", i.Upstream().Address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}
