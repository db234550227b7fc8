package pty

import (
	"bufio"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestATerminalHasASizeAndCarriesLines(t *testing.T) {
	master, terminal, err := Open(100, 30)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if size, err := unix.IoctlGetWinsize(int(terminal.Fd()), unix.TIOCGWINSZ); err != nil || size.Col != 100 || size.Row != 30 {
		t.Errorf("got %+v, %v, want 100 columns and 30 rows", size, err)
	}
	if _, err := io.WriteString(terminal, "hello\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(master)
	if line, err := in.ReadString('\n'); err != nil || line != "hello\r\n" {
		t.Errorf("got %q, %v, want hello and the end of a terminal's line", line, err)
	}
	if err := master.SetReadDeadline(time.Now()); err != nil {
		t.Errorf("got %v, want a read that can be interrupted", err)
	}
	_ = master.SetReadDeadline(time.Time{})
	if err := terminal.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := in.Read(make([]byte, 1)); err == nil {
		t.Errorf("when no process has it open: got %d bytes and no error, want an error", n)
	}
}
