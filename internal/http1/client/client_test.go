package client

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// pairs makes connections for a pool, with the ends that an upstream would have.
func pairs(t *testing.T, cl *Client, n int) (ours []*Conn, theirs []net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	cl.network, cl.address = "tcp", l.Addr().String()
	for range n {
		c, err := cl.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = far.Close() })
		_ = far.SetDeadline(time.Now().Add(testkit.Patience))
		ours, theirs = append(ours, c), append(theirs, far)
	}
	return ours, theirs
}

// closed reports whether the other side has closed, waiting for it.
func closed(c net.Conn) bool {
	_, err := c.Read(make([]byte, 1))
	return err == io.EOF
}

func TestTheConnectionUsedLastIsUsedNext(t *testing.T) {
	cl := New("", "", slog.New(slog.DiscardHandler))
	defer func() { _ = cl.Close() }()
	ours, _ := pairs(t, cl, 3)
	for _, c := range ours {
		cl.Put(c, 0, false)
	}
	for i := 2; i >= 0; i-- {
		if c := cl.Idle(MaxIdle); c != ours[i] {
			t.Errorf("not the one used last: got %v, want %v", c, ours[i])
		} else {
			defer func() { _ = c.Close() }()
		}
	}
	if c := cl.Idle(MaxIdle); c != nil {
		t.Errorf("one connection too many: got %v, want nil", c)
	}
}

func TestAConnectionIsLeftBeforeItsUpstreamLeavesIt(t *testing.T) {
	cl := New("", "", slog.New(slog.DiscardHandler))
	defer func() { _ = cl.Close() }()
	ours, theirs := pairs(t, cl, 1)
	cl.Put(ours[0], 4*time.Second, false) // Keep-Alive: timeout=4
	if left := time.Until(ours[0].expires); left > 3*time.Second {
		t.Errorf("kept: got %v, want at most %v", left, 3*time.Second)
	}
	ours[0].expires = time.Now()
	if c := cl.Idle(MaxIdle); c != nil || !closed(theirs[0]) {
		t.Errorf("%v is used", c)
	}
}

func TestOldConnectionsCarryNothingThatCannotBeRepeated(t *testing.T) {
	cl := New("", "", slog.New(slog.DiscardHandler))
	defer func() { _ = cl.Close() }()
	ours, theirs := pairs(t, cl, 2)
	for _, c := range ours {
		cl.Put(c, 0, false)
		c.usable = time.Now().Add(-2 * Fresh)
	}
	if c := cl.Idle(Fresh); c != nil || !closed(theirs[0]) || !closed(theirs[1]) {
		t.Errorf("%v is used", c)
	}
}

func TestAClosedClientKeepsNothing(t *testing.T) {
	cl := New("", "", slog.New(slog.DiscardHandler))
	ours, theirs := pairs(t, cl, 2)
	cl.Put(ours[0], 0, false)
	if err := cl.Close(); err != nil {
		t.Fatal(err)
	}
	cl.Put(ours[1], 0, false)
	if !closed(theirs[0]) || !closed(theirs[1]) || cl.Idle(MaxIdle) != nil {
		t.Error("a connection is kept")
	}
}

func TestExpiredConnectionsAreClosedWithoutACall(t *testing.T) {
	cl := New("", "", slog.New(slog.DiscardHandler))
	defer func() { _ = cl.Close() }()
	ours, theirs := pairs(t, cl, 2)
	cl.Put(ours[0], 0, false)
	cl.Put(ours[1], 0, false)
	cl.mu.Lock()
	ours[0].expires = time.Now()
	cl.mu.Unlock()
	cl.closeExpired() // as its timer does
	if !closed(theirs[0]) {
		t.Error("kept")
	}
	if c := cl.Idle(MaxIdle); c != ours[1] {
		t.Error("the other is gone, too")
	} else {
		_ = c.Close()
	}
}
