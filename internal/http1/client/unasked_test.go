package client

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// TestAConnectionIsUsedAgainOnceItWasQuiet looks at the pool after responses that end
// with their head.
func TestAConnectionIsUsedAgainOnceItWasQuiet(t *testing.T) {
	cl := New("", "", slog.New(slog.DiscardHandler))
	defer func() { _ = cl.Close() }()
	ours, theirs := pairs(t, cl, 2)
	cl.Put(ours[0], 0, true)
	cl.Put(ours[1], 0, true)
	if c := cl.Idle(MaxIdle); c != nil {
		t.Fatal("a connection is used before it was quiet")
	}
	_, _ = io.WriteString(theirs[1], "late")
	if !readable(ours[1]) {
		t.Fatal("what was sent did not come")
	}
	for _, c := range ours {
		c.usable = time.Now().Add(-time.Millisecond)
	}
	if c := cl.Idle(Fresh); c != ours[0] {
		t.Error("the connection that was quiet is not used")
	} else {
		_ = c.Close()
	}
	if _, err := theirs[1].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a connection on which something came is kept")
	}
	if !cl.suspect() {
		t.Error("an upstream that sent bytes unasked is trusted")
	}
}

func TestAnUpstreamThatSentBytesUnaskedIsTrustedLess(t *testing.T) {
	cl := New("", "", slog.New(slog.DiscardHandler))
	defer func() { _ = cl.Close() }()
	ours, theirs := pairs(t, cl, 2)
	cl.SentUnasked()
	cl.Put(ours[0], 0, true)
	if _, err := theirs[0].Read(make([]byte, 1)); err == nil {
		t.Error("a connection that may carry a body is kept")
	}
	cl.Put(ours[1], 0, false)
	if c := cl.Idle(MaxIdle); c != nil {
		t.Error("a connection is used at once")
	}
	ours[1].usable = time.Now()
	if c := cl.Idle(MaxIdle); c != ours[1] {
		t.Error("the connection that was quiet is not used")
	} else {
		_ = c.Close()
	}
}

func TestConnectionsThatSettleAreBounded(t *testing.T) {
	cl := New("", "", slog.New(slog.DiscardHandler))
	defer func() { _ = cl.Close() }()
	ours, theirs := pairs(t, cl, mostAside+1)
	for _, c := range ours {
		cl.Put(c, 0, true)
	}
	if _, err := theirs[mostAside].Read(make([]byte, 1)); err == nil || len(cl.aside) != mostAside {
		t.Errorf("got %d connections settle, want %d", len(cl.aside), mostAside)
	}
}

// TestAServerOfOneConnectionIsNotKeptFromTheNextCall has an upstream attend to one
// connection at a time: one that settles is closed, and later ones are not kept at all.
func TestAServerOfOneConnectionIsNotKeptFromTheNextCall(t *testing.T) {
	cl := New("", "", slog.New(slog.DiscardHandler))
	defer func() { _ = cl.Close() }()
	ours, theirs := pairs(t, cl, 2)
	cl.Put(ours[0], 0, true)
	cl.clear(-1) // as MakeRoom does
	cl.Put(ours[1], 0, true)
	for i := range theirs {
		if _, err := theirs[i].Read(make([]byte, 1)); err == nil {
			t.Errorf("connection %d is kept (%v), want an error", i, err)
		}
	}
}

// readable waits until something has come on an idle connection.
func readable(c *Conn) (yes bool) {
	_ = c.raw.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10_000)
		yes = n == 1 && err == nil
	})
	return yes
}

// counted counts the reads of a connection.
type counted struct {
	*net.TCPConn
	reads int
}

func (c *counted) Read(p []byte) (int, error) {
	c.reads++
	return c.TCPConn.Read(p)
}

func TestALargeHeadTakesFewReads(t *testing.T) {
	for _, size := range []int{8 << 10, 64 << 10, 640 << 10, MaxHead - 100} {
		cl := New("", "", slog.New(slog.DiscardHandler))
		ours, theirs := pairs(t, cl, 1)
		c := counted{TCPConn: ours[0].Conn.(*net.TCPConn)}
		ours[0].Conn = &c
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.WriteString(theirs[0], "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", size)+"\r\n\r\n")
		}()
		var h http1.Response
		if err := ours[0].ReadHead(&h); err != nil || h.Fields.Len() != 1 || len(h.Fields.All()[0].Value) != size {
			t.Errorf("%d bytes: got %v, want no error, and h.Fields.Len() == 1 && len(h.Fields.All()[0].Value) == size", size, err)
		}
		if most := 4 + size/1024; c.reads > most {
			t.Errorf("a head of %d bytes: got %d reads, want %d at most", size, c.reads, most)
		}
		<-done
		_ = ours[0].Close()
	}
}
