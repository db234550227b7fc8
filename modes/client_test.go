package modes

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestWhatComesBetweenTwoCallsBelongsToNeither(t *testing.T) {
	stray, said := make(chan struct{}), make(chan struct{})
	up := upstreamOf(t, func(n int, p *peer) {
		for p.head() != "" {
			p.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			if n == 0 {
				<-stray
				p.say("HTTP/1.1 500 Stray\r\nContent-Length: 0\r\n\r\n")
				close(said)
			}
		}
	})
	client := dial(t, proxyTo(t, up))
	for range 2 {
		client.say("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		res, err := http.ReadResponse(client.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 || string(body) != "ok" {
			t.Errorf("%d %q", res.StatusCode, body)
		}
		if stray != nil {
			close(stray)
			await(t, said)
			stray = nil
		}
	}
}

func TestALargeBodyThatBreaksOffIsCut(t *testing.T) {
	for _, l := range leavings {
		up := upstreamOf(t, func(_ int, p *peer) {
			p.head()
			p.say("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + strings.Repeat("x", 5000000))
			l.leave(p)
		})
		client := dial(t, proxyTo(t, up))
		client.say("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		res, err := http.ReadResponse(client.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err == nil || n > 5000000 {
			t.Errorf("%s: %d bytes, %v", l.name, n, err)
		}
		_ = client.Close()
	}
}

// pairs makes connections for a pool, with the ends that an upstream would have.
func pairs(t *testing.T, cl *client, n int) (ours []*conn, theirs []net.Conn) {
	t.Helper()
	l := listen(t)
	defer func() { _ = l.Close() }()
	cl.network, cl.address = "tcp", l.Addr().String()
	for range n {
		c, err := cl.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = far.Close() })
		_ = far.SetDeadline(time.Now().Add(soonEnough))
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
	cl := newClient("", "", slog.New(slog.DiscardHandler))
	defer func() { _ = cl.Close() }()
	ours, _ := pairs(t, cl, 3)
	for _, c := range ours {
		cl.put(c, 0, false)
	}
	for i := 2; i >= 0; i-- {
		if c := cl.idleConn(idleTimeout); c != ours[i] {
			t.Errorf("not the one used last: %v", c)
		} else {
			defer c.close()
		}
	}
	if c := cl.idleConn(idleTimeout); c != nil {
		t.Errorf("one connection too many: %v", c)
	}
}

func TestAConnectionIsLeftBeforeItsUpstreamLeavesIt(t *testing.T) {
	cl := newClient("", "", slog.New(slog.DiscardHandler))
	defer func() { _ = cl.Close() }()
	ours, theirs := pairs(t, cl, 1)
	cl.put(ours[0], 4*time.Second, false) // Keep-Alive: timeout=4
	if left := time.Until(ours[0].expires); left > 3*time.Second {
		t.Errorf("kept for %v", left)
	}
	ours[0].expires = time.Now()
	if c := cl.idleConn(idleTimeout); c != nil || !closed(theirs[0]) {
		t.Errorf("%v is used", c)
	}
}

func TestOldConnectionsCarryNothingThatCannotBeRepeated(t *testing.T) {
	cl := newClient("", "", slog.New(slog.DiscardHandler))
	defer func() { _ = cl.Close() }()
	ours, theirs := pairs(t, cl, 2)
	for _, c := range ours {
		cl.put(c, 0, false)
		c.usable = time.Now().Add(-2 * freshness)
	}
	if c := cl.idleConn(freshness); c != nil || !closed(theirs[0]) || !closed(theirs[1]) {
		t.Errorf("%v is used", c)
	}
}

func TestAClosedClientKeepsNothing(t *testing.T) {
	cl := newClient("", "", slog.New(slog.DiscardHandler))
	ours, theirs := pairs(t, cl, 2)
	cl.put(ours[0], 0, false)
	if err := cl.Close(); err != nil {
		t.Fatal(err)
	}
	cl.put(ours[1], 0, false)
	if !closed(theirs[0]) || !closed(theirs[1]) || cl.idleConn(idleTimeout) != nil {
		t.Error("a connection is kept")
	}
}

func TestExpiredConnectionsAreClosedWithoutACall(t *testing.T) {
	cl := newClient("", "", slog.New(slog.DiscardHandler))
	defer func() { _ = cl.Close() }()
	ours, theirs := pairs(t, cl, 2)
	cl.put(ours[0], 0, false)
	cl.put(ours[1], 0, false)
	cl.mu.Lock()
	ours[0].expires = time.Now()
	cl.mu.Unlock()
	cl.closeExpired() // as its timer does
	if !closed(theirs[0]) {
		t.Error("kept")
	}
	if c := cl.idleConn(idleTimeout); c != ours[1] {
		t.Error("the other is gone, too")
	} else {
		c.close()
	}
}
