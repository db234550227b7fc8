package systemd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// manager is the other end of $NOTIFY_SOCKET.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return c
}

// await reads messages until one holds all of want.
func await(t *testing.T, c *net.UnixConn, want ...string) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("got %v, want a message with %q", err, want)
		}
		missing := false
		for _, w := range want {
			missing = missing || !strings.Contains("\n"+string(buf[:n])+"\n", "\n"+w+"\n")
		}
		if !missing {
			return
		}
	}
}

func TestSystemdHearsOfReadinessLifeAndTheEnd(t *testing.T) {
	c := manager(t)
	t.Setenv("WATCHDOG_USEC", "40000")
	var ready atomic.Bool
	n := &Notifier{Log: slog.New(slog.DiscardHandler), Ready: func() error {
		if ready.Load() {
			return nil
		}
		return errors.New("api is starting\nREADY=1")
	}}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	await(t, c, "STATUS=api is starting READY=1")
	await(t, c, "WATCHDOG=1")
	ready.Store(true)
	await(t, c, "READY=1", "STATUS=Ready")
	reloaded := n.Reloading()
	await(t, c, "RELOADING=1")
	reloaded()
	await(t, c, "READY=1")
	stop()
	await(t, c, "STOPPING=1")
	if err := testkit.Await(t, "the notifier's end", done); err != nil {
		t.Errorf("got %v, want no error", err)
	}
}

func TestWithoutSystemdNothingIsSent(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n := &Notifier{Log: slog.New(slog.DiscardHandler), Ready: func() error {
		t.Error("readiness was asked for, want no look")
		return nil
	}}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := n.Run(ctx); err != nil {
		t.Errorf("got %v, want no error", err)
	}
	n.Reloading()()
}
