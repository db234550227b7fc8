package socket

import (
	"bytes"
	"syscall"
	"testing"
)

func TestReadAndWriteDoNotWait(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, b := uintptr(pair[0]), uintptr(pair[1])
	defer syscall.Close(pair[0])
	for _, fd := range pair {
		if err := syscall.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, 64)
	if n, err := Read(b, got); n != 0 || err != syscall.EAGAIN {
		t.Errorf("reading where nothing is: got %d, %v; want 0, EAGAIN", n, err)
	}
	if n, err := Write(a, []byte("hello")); n != 5 || err != nil {
		t.Errorf("writing: got %d, %v; want 5, nil", n, err)
	}
	if n, err := Read(b, got); err != nil || string(got[:n]) != "hello" {
		t.Errorf("reading: got %q, %v; want hello", got[:n], err)
	}
	sent := 0
	for piece := bytes.Repeat([]byte("x"), Most); ; {
		n, err := Write(a, piece)
		if sent += n; err == nil {
			continue
		}
		if n != 0 || err != syscall.EAGAIN {
			t.Errorf("writing where there is no room: got %d, %v; want 0, EAGAIN", n, err)
		}
		break
	}
	if sent == 0 {
		t.Error("nothing could be written")
	}
	_ = syscall.Close(pair[1])
	if n, err := Write(a, got[:1]); n != 0 || err != syscall.EPIPE {
		t.Errorf("writing to a closed socket: got %d, %v; want 0, EPIPE", n, err)
	}
}

func TestReadReturnsZeroAtTheEnd(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pair[0])
	_ = syscall.Close(pair[1])
	if n, err := Read(uintptr(pair[0]), make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("got %d, %v; want 0, nil", n, err)
	}
}
