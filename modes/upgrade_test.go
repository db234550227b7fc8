package modes

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

const upgrading = "GET /u HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: telnet/7, foo\r\nX-A: b\r\n\r\n"

func TestAnyProtocolCanBeSwitchedTo(t *testing.T) {
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		wantFields(t, p.Head(), "GET /u HTTP/1.1", "Host: h", "X-A: b", "Connection: Upgrade", "Upgrade: telnet/7, foo")
		p.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\nX-C: d\r\n\r\nfirst")
		for {
			line, err := p.ReadString('\n')
			if err != nil {
				p.Send("last") // after the caller said all
				return
			}
			p.Send("echo " + line)
		}
	})
	client := testkit.Dial(t, proxyTo(t, up))
	client.Send(upgrading + "early\n")
	wantFields(t, client.Head(), "HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: foo", "X-C: d", "Date: *")
	if got := client.Take(len("firstecho early\n")); got != "firstecho early\n" {
		t.Errorf("got %q, want %q", got, "firstecho early\n")
	}
	client.Send("more\n")
	if got := client.Take(len("echo more\n")); got != "echo more\n" {
		t.Errorf("got %q, want %q", got, "echo more\n")
	}
	_ = client.Conn.(*net.TCPConn).CloseWrite()
	if got := client.Tail(); got != "last" {
		t.Errorf(`after half the connection was closed: got %q, want "last"`, got)
	}
}

func TestTheUpstreamMayCloseItsHalfFirst(t *testing.T) {
	got := make(chan string, 1)
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		p.Head()
		p.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nall I say")
		_ = p.Conn.(*net.TCPConn).CloseWrite()
		got <- p.Tail()
	})
	client := testkit.Dial(t, proxyTo(t, up))
	client.Send(upgrading)
	client.Head()
	if got := client.Tail(); got != "all I say" {
		t.Errorf(`got %q, want "all I say"`, got)
	}
	client.Send("and I go on")
	_ = client.Conn.(*net.TCPConn).CloseWrite()
	if got := testkit.Await(t, "what was received", got); got != "and I go on" {
		t.Errorf(`got %q, want "and I go on"`, got)
	}
}

func TestAnUpgradeThatIsRefusedIsAnOrdinaryResponse(t *testing.T) {
	up := answering(t, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno")
	client := testkit.Dial(t, proxyTo(t, up))
	for range 2 {
		client.Send(upgrading)
		res, err := http.ReadResponse(client.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); res.StatusCode != 426 || string(body) != "no" {
			t.Errorf(`got %d %q, want 426 "no"`, res.StatusCode, body)
		}
	}
}

func TestASwitchThatWasNotRequestedIsAFailure(t *testing.T) {
	for request, answer := range map[string]string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n":                                          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: foo\r\n\r\n":                          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n":   "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n":   "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: bar\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n":  "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n":   "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
		"GET /xx HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\n\r\n",
	} {
		client := testkit.Dial(t, proxyTo(t, answering(t, answer)))
		client.Send(request)
		res, err := http.ReadResponse(client.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 502 {
			t.Errorf("%q: got %d, want 502", request, res.StatusCode)
		}
	}
}

func TestHTTP2CannotBeSmuggledPastTheRoute(t *testing.T) {
	heads := make(chan string, 1)
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		heads <- p.Head()
		p.Send("HTTP/1.1 204 No Content\r\n\r\n")
	})
	ask(t, proxyTo(t, up), "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")
	wantFields(t, testkit.Await(t, "a request", heads), "GET / HTTP/1.1", "Host: h")
}

func TestAnUpgradedConnectionEndsWithItsCall(t *testing.T) {
	closed := make(chan string, 1)
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		p.Head()
		p.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
		closed <- p.Tail()
	})
	front, calls := endingCalls(t, up)
	client := testkit.Dial(t, front)
	client.Send(upgrading)
	client.Head()
	client.Send("hello")
	(testkit.Await(t, "a call", calls))(&failure.Error{Kind: failure.Timeout, Timeout: "idle"})
	if got := client.Tail(); got != "" {
		t.Errorf(`got %q, want ""`, got)
	}
	testkit.Await(t, "the end of the connection", closed)
}

func TestActivityInAnUpgradedConnectionIsSeen(t *testing.T) {
	up := testkit.Upstream(t, func(_ int, p *testkit.Conn) {
		p.Head()
		p.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n")
		for {
			line, err := p.ReadString('\n')
			if err != nil {
				return
			}
			p.Send(line)
		}
	})
	h, err := New(&schema.Route{Name: "api", Mode: schema.HTTP, Upstream: upstreamAt(up)}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.(io.Closer).Close() }()
	calls := make(chan *call.Call, 1)
	client := testkit.Dial(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, r := call.Enter(w, r)
		defer c.Leave()
		c.KeepTouched()
		calls <- c
		h.ServeHTTP(w, r)
	})))
	client.Send(upgrading)
	client.Head()
	c := testkit.Await(t, "a call", calls)
	for range 5 {
		before := c.Touched()
		client.Send("x\n")
		if got := client.Take(2); got != "x\n" {
			t.Fatalf("got %q, want %q", got, "x\n")
		}
		if after := c.Touched(); after <= before {
			t.Errorf("touched after a round trip: got %v, want more than %v", after, before)
		}
	}
}

func TestAWebSocketWorks(t *testing.T) {
	up := testkit.Upstream(t, webSocketEcho)
	client := testkit.Dial(t, proxyTo(t, up))
	client.Send("GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	head := client.Head()
	if !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, "\r\nSec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") {
		t.Fatalf("got %q, want %q at its start and %q in it", head, "HTTP/1.1 101 ", "\r\nSec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
	}
	for _, size := range []int{0, 5, 125, 126, 70000, 1 << 20} {
		message := randomBytes(size)
		writeFrame(client, 2, message, true)
		if op, got := readFrame(client); op != 2 || string(got) != string(message) {
			t.Fatalf("opcode %d and %d bytes came back of %d", op, len(got), size)
		}
	}
	writeFrame(client, 8, []byte{3, 232}, true)
	if op, _ := readFrame(client); op != 8 {
		t.Errorf("closing was answered by opcode %d, want 8", op)
	}
	if rest := client.Tail(); rest != "" {
		t.Errorf("%q after the end", rest)
	}
}

// webSocketEcho is a server of RFC 6455 that says what it is told.
func webSocketEcho(_ int, p *testkit.Conn) {
	r, err := http.ReadRequest(p.Reader)
	if err != nil {
		return
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	p.Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n")
	for {
		op, message := readFrame(p)
		if op < 0 {
			return
		}
		writeFrame(p, op, message, false)
		if op == 8 {
			return
		}
	}
}

func writeFrame(p *testkit.Conn, op int, message []byte, masked bool) {
	b := []byte{0x80 | byte(op), 0}
	switch n := len(message); {
	case n < 126:
		b[1] = byte(n)
	case n < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if masked {
		b[1] |= 0x80
		b = append(b, 0, 0, 0, 0) // a mask that changes nothing
	}
	_, _ = p.Write(append(b, message...))
}

func readFrame(p *testkit.Conn) (op int, message []byte) {
	var b [8]byte
	if _, err := io.ReadFull(p, b[:2]); err != nil {
		return -1, nil
	}
	masked, n := b[1]&0x80 != 0, uint64(b[1]&0x7f)
	op = int(b[0] & 0xf)
	switch n {
	case 126:
		_, _ = io.ReadFull(p, b[:2])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		_, _ = io.ReadFull(p, b[:8])
		n = binary.BigEndian.Uint64(b[:])
	}
	if masked {
		_, _ = io.ReadFull(p, b[:4])
	}
	message = make([]byte, n)
	if _, err := io.ReadFull(p, message); err != nil {
		return -1, nil
	}
	return op, message
}

func TestUpgradeRequiredNamesTheProtocol(t *testing.T) {
	up := answering(t, "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n")
	answer := ask(t, proxyTo(t, up), get)
	if !strings.HasPrefix(answer, "HTTP/1.1 426") || !strings.Contains(answer, "\r\nUpgrade: websocket\r\n") || !strings.Contains(answer, "\r\nConnection: Upgrade\r\n") {
		t.Errorf("got %q, want %q at its start, %q in it and %q in it", answer, "HTTP/1.1 426", "\r\nUpgrade: websocket\r\n", "\r\nConnection: Upgrade\r\n")
	}
}
