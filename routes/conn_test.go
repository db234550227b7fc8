package routes

import (
	"net"
	"strings"
	"testing"
)

// FuzzLook compares what is seen of a head that comes at once with what is seen of
// one that comes in pieces, and both with a plain reading of it.
func FuzzLook(f *testing.F) {
	f.Add("GET / HTTP/1.1\r\nContent-Length: 1\r\ntransfer-encoding:x\r\n\r\nbody\ncontent-length", 3)
	f.Add("GET / HTTP/1.1\r\n folded\r\n\r\n", 1)
	f.Add("a\n\nb\n", 2)
	f.Add("\r\r\n\r\n\n", 1)
	f.Add("content-content-length\ncontent-lengthy", 5)
	f.Fuzz(func(t *testing.T, head string, size int) {
		whole, pieces := &conn{}, &conn{}
		whole.look([]byte(head))
		for rest := []byte(head); len(rest) > 0; {
			n := min(len(rest), max(1, size))
			pieces.look(rest[:n])
			rest = rest[n:]
		}
		lengths, codings, loose := plainReading(head)
		for name, c := range map[string]*conn{"at once": whole, "in pieces": pieces} {
			if int(c.lengths.Load()) != lengths || int(c.codings.Load()) != codings || c.loose.Load() != loose {
				t.Errorf("%s: %d lengths, %d codings, loose %v; want %d, %d, %v",
					name, c.lengths.Load(), c.codings.Load(), c.loose.Load(), lengths, codings, loose)
			}
		}
	})
}

func plainReading(text string) (lengths, codings int, loose bool) {
	low := []byte(text)
	for i := range low {
		low[i] |= 0x20
	}
	inBody := false
	for at := 0; at < len(text); {
		end := strings.IndexByte(text[at:], '\n')
		line, ended := text[at:], end >= 0
		if ended {
			line = text[at : at+end]
		}
		seen := string(low[at : at+len(line)])
		if strings.HasPrefix(seen, lengthName) {
			lengths++
		}
		if strings.HasPrefix(seen, codingName) {
			codings++
		}
		if !inBody {
			loose = loose || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") || ended && !strings.HasSuffix(line, "\r")
			inBody = ended && (line == "" || line == "\r")
		}
		at += len(line) + 1
	}
	return lengths, codings, loose
}

func TestARequestThatFollowsIsLookedAtFromItsHead(t *testing.T) {
	c := &conn{}
	c.look([]byte("POST / HTTP/1.1\r\n\r\n{\n a\n"))
	if c.loose.Load() {
		t.Error("a body was looked at as if it were a head")
	}
	c.look([]byte("G")) // what net/http reads ahead while the handler runs
	c.next.Store(true)
	c.look([]byte("ET / HTTP/1.1\r\nHost: x\n\r\n"))
	if !c.loose.Load() {
		t.Error("a bare LF was missed")
	}
}

func TestPlainFindsTheSystemsConnectionBeneath(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, ok := plain(a); ok {
		t.Error("a pipe is none")
	}
	if _, ok := plain(&conn{Conn: a}); ok {
		t.Error("nor is what wraps it")
	}
	tcp := &net.TCPConn{}
	if c, ok := plain(&tcpConn{conn{Conn: tcp}}); !ok || c != tcp {
		t.Errorf("%v %v", c, ok)
	}
}
