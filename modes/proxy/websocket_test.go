package proxy

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// frame makes an unfragmented frame.
func frame(op byte, masked bool, size int) []byte {
	b := []byte{0x80 | op, 0}
	switch {
	case size < 126:
		b[1] = byte(size)
	case size < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(size))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(size))
	}
	if masked {
		b[1] |= 0x80
		size += 4
	}
	return append(b, make([]byte, size)...)
}

func TestTheEndOfAFrameIsFoundHoweverItIsCut(t *testing.T) {
	for _, masked := range []bool{false, true} {
		for _, size := range []int{0, 1, 125, 126, 127, 65535, 65536} {
			one := frame(2, masked, size)
			for _, step := range []int{1, 2, 3, 7, len(one)} {
				if step == 1 && size > 1000 {
					continue
				}
				var f frames
				for rest := one; len(rest) > 0; {
					part := rest[:min(step, len(rest))]
					if n := f.next(part); n != len(part) {
						t.Fatalf("size %d, masked %t, in steps of %d: got %d bytes of %d, want all", size, masked, step, n, len(part))
					}
					rest = rest[len(part):]
					if f.between() != (len(rest) == 0) {
						t.Fatalf("size %d, masked %t, in steps of %d: got the end of the frame %t with %d bytes to come", size, masked, step, f.between(), len(rest))
					}
				}
			}
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(append(frame(1, true, 5), frame(8, false, 2)...), uint8(3))
	f.Add(frame(2, false, 70000), uint8(0))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		var whole, parts frames
		var ends, cut []int
		for at := 0; at < len(stream); {
			at += whole.next(stream[at:])
			if whole.between() {
				ends = append(ends, at)
			}
		}
		for at := 0; at < len(stream); {
			n := parts.next(stream[at:min(at+int(step)+1, len(stream))])
			if n == 0 {
				t.Fatalf("got no progress at %d of %x", at, stream)
			}
			if at += n; parts.between() {
				cut = append(cut, at)
			}
		}
		if len(ends) != len(cut) || whole != parts {
			t.Errorf("got ends %v in parts of %d, want %v as in one", cut, step+1, ends)
		}
	})
}

// connected returns both ends of a connection over TCP.
func connected(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	theirs, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if ours, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func TestAWebSocketGetsACloseFrameBehindTheFrameThatIsOnItsWay(t *testing.T) {
	down, client := connected(t)
	up, server := connected(t)
	tn := tunnel{down: down, up: up, touch: func() {}, webSocket: true}
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer up.Close()
		defer down.Close()
		tn.run(nil, nil)
	}()
	message := frame(2, false, 100)
	if _, err := server.Write(message[:40]); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 40)
	if _, err := io.ReadFull(client, got); err != nil {
		t.Fatal(err)
	}
	tn.leave()
	toServer := closeFrame(true)
	got = make([]byte, len(toServer))
	if _, err := io.ReadFull(server, got); err != nil {
		t.Fatalf("reading the close frame of the upstream: %v", err)
	}
	if code := binary.BigEndian.Uint16([]byte{got[6] ^ got[2], got[7] ^ got[3]}); got[0] != 0x88 || got[1] != 0x82 || code != goingAway {
		t.Errorf("got %x to the upstream, want a masked close frame of %d", got, goingAway)
	}
	if _, err := server.Write(append(message[40:], frame(1, false, 3)...)); err != nil {
		t.Fatal(err)
	}
	_, _ = server.Write(closeFrame(false))
	_, _ = client.Write(closeFrame(true))
	_ = client.SetReadDeadline(time.Now().Add(testkit.Patience))
	rest, err := io.ReadAll(client)
	if want := append(bytes.Clone(message[40:]), 0x88, 2, 3, 0xe9); err != nil || !bytes.Equal(rest, want) {
		t.Errorf("got %x (%v), want the rest of the message and a close frame: %x", rest, err, want)
	}
	testkit.Await(t, "the end", over)
}

func TestAWebSocketWhoseEndsDoNotAnswerIsClosedAllTheSame(t *testing.T) {
	down, client := connected(t)
	up, _ := connected(t)
	tn := tunnel{down: down, up: up, touch: func() {}, webSocket: true}
	over := make(chan struct{})
	go func() { defer close(over); defer down.Close(); tn.run(nil, nil) }()
	tn.leave()
	testkit.Await(t, "the end", over)
	if got, _ := io.ReadAll(client); !bytes.Equal(got, closeFrame(false)) {
		t.Errorf("got %x, want a close frame alone", got)
	}
}

func TestAnotherProtocolIsCutWithoutAFrame(t *testing.T) {
	down, client := connected(t)
	up, _ := connected(t)
	tn := tunnel{down: down, up: up, touch: func() {}}
	over := make(chan struct{})
	go func() { defer close(over); defer down.Close(); tn.run(nil, nil) }()
	tn.leave()
	testkit.Await(t, "the end", over)
	if got, _ := io.ReadAll(client); len(got) > 0 {
		t.Errorf("got %x, want nothing", got)
	}
}
