package client

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/http1"
)

// reused returns a connection as Idle returns it, and its far end.
func reused(t *testing.T) (*Conn, net.Conn) {
	t.Helper()
	cl := New("", "", slog.New(slog.DiscardHandler))
	ours, theirs := pairs(t, cl, 1)
	cl.Put(ours[0], 0, false)
	c := cl.Idle(MaxIdle)
	if c != ours[0] {
		t.Fatalf("Idle: got %v, want the connection that was put", c)
	}
	t.Cleanup(func() { _ = c.Close(); _ = cl.Close() })
	return c, theirs[0]
}

func TestSendWaitsForTheResponse(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		answer  []string // each in a write of its own
		want    error    // of ReadHead
	}{
		"at once":                  {"GET", []string{"HTTP/1.1 204 No Content\r\n\r\n"}, nil},
		"in pieces":                {"GET", []string{"HTTP/1.1 ", "204 No", " Content\r\n\r\n"}, nil},
		"more than a socket takes": {strings.Repeat("x", 16<<20), []string{"HTTP/1.1 204 No Content\r\n\r\n"}, nil},
		"none":                     {"GET", nil, io.EOF},
		"half":                     {"GET", []string{"HTTP/1.1 204"}, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := reused(t)
			got := make(chan []byte, 1)
			go func() {
				p := make([]byte, len(c.request))
				_, _ = io.ReadFull(theirs, p)
				for _, s := range c.answer {
					_, _ = io.WriteString(theirs, s)
				}
				if c.want != nil {
					_ = theirs.Close()
				}
				got <- p
			}()
			if n, err := ours.Send([]byte(c.request)); n != len(c.request) || err != nil {
				t.Fatalf("Send: got %d, %v, want %d, nil", n, err, len(c.request))
			}
			var h http1.Response
			if err := ours.ReadHead(&h); err != c.want {
				t.Errorf("ReadHead: got %v, want %v", err, c.want)
			}
			if c.want == nil && h.Status != 204 {
				t.Errorf("got status %d, want 204", h.Status)
			}
			if p := <-got; !bytes.Equal(p, []byte(c.request)) {
				t.Errorf("the upstream got %d bytes, want the %d that were sent", len(p), len(c.request))
			}
		})
	}
}

func TestInterruptEndsTheWaitOfSend(t *testing.T) {
	ours, theirs := reused(t)
	go func() {
		_, _ = io.ReadFull(theirs, make([]byte, 3))
		ours.Interrupt() // while no response comes
	}()
	if n, err := ours.Send([]byte("GET")); n != 3 || err != nil {
		t.Fatalf("Send: got %d, %v, want 3, nil", n, err)
	}
	if err := ours.ReadHead(new(http1.Response)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ReadHead: got %v, want %v", err, os.ErrDeadlineExceeded)
	}
	if n, err := ours.Send([]byte("GET")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Send again: got %d, %v, want 0, %v", n, err, os.ErrDeadlineExceeded)
	}
}

func TestSendOnAConnectionThatTheUpstreamClosed(t *testing.T) {
	ours, theirs := reused(t)
	_ = theirs.Close()
	n, err := ours.Send([]byte("GET"))
	if err == nil {
		err = ours.ReadHead(new(http1.Response))
	}
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %d, %v, want an end", n, err)
	}
}
