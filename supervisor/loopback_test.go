package supervisor

import (
	"net"
	"strconv"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// listen6 listens on a port of ::1, or skips the test.
func listen6(t *testing.T, port int) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort("::1", strconv.Itoa(port)))
	if err != nil {
		t.Skip("this machine has no IPv6 loopback: ", err)
	}
	t.Cleanup(func() { _ = l.Close() })
}

func TestAServerOnTheOtherLoopbackIsReady(t *testing.T) {
	listen6(t, 0)
	t.Setenv("HOST", "")
	fixed := strconv.Itoa(testkit.FreePort(t))
	for name, at := range map[string]string{
		"a port that is chosen":      "http://127.0.0.1:${PORT}",
		"a chosen port of localhost": "http://localhost:${PORT}",
		"a fixed port":               "http://127.0.0.1:" + fixed,
	} {
		t.Run(name, func(t *testing.T) {
			spec := server(t, "api", "serve6")
			spec.Upstream = upstream(t, at)
			s := newStack(t, spec)
			i := s.acquire("api")
			defer i.Release()
			if host, _, _ := net.SplitHostPort(i.Upstream().Address); host != "::1" {
				t.Errorf("got upstream %s, want ::1", i.Upstream().Address)
			}
			if c, err := net.Dial("tcp", i.Upstream().Address); err == nil {
				_ = c.Close()
			} else {
				t.Error(err)
			}
		})
	}
}

func TestAnotherServerOnTheOtherLoopbackIsNotTakenForOurs(t *testing.T) {
	port := testkit.FreePort(t)
	listen6(t, port)
	spec := server(t, "api", "serve 200ms")
	spec.Upstream = upstream(t, "http://127.0.0.1:"+strconv.Itoa(port))
	i := newStack(t, spec).acquire("api")
	defer i.Release()
	if host, _, _ := net.SplitHostPort(i.Upstream().Address); host != "127.0.0.1" {
		t.Errorf("got upstream %s, want 127.0.0.1", i.Upstream().Address)
	}
}

func TestAServiceOnTheOtherLoopbackIsReady(t *testing.T) {
	port := testkit.FreePort(t)
	listen6(t, port)
	spec := service(t, "db", "sleep")
	spec.Process.Ready = schema.Probe{TCP: schema.Text(":" + strconv.Itoa(port))}
	newStack(t, spec).awaitState("db", Ready)
}
