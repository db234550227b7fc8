// Package fd makes the pipes and the sockets between this program and a child: our end waits
// in the poller, and the child's end blocks.
package fd

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// ReadPipe returns a pipe for what a child prints: the reading end, ours, waits in the
// poller, and the writing end blocks.
func ReadPipe() (r, w *os.File, err error) { return halfPipe(0) }

// WritePipe returns a pipe for what a child reads: the writing end, ours, waits in the
// poller, and the reading end blocks.
func WritePipe() (r, w *os.File, err error) { return halfPipe(1) }

// halfPipe returns a pipe of which the end numbered ours does not block.
func halfPipe(ours int) (r, w *os.File, err error) {
	fds, err := Pipe()
	if err != nil {
		return nil, nil, err
	}
	_ = syscall.SetNonblock(fds[ours], true) // otherwise a thread waits, and all works
	return os.NewFile(uintptr(fds[0]), "|0"), os.NewFile(uintptr(fds[1]), "|1"), nil
}

// Socketpair returns a connection, and the file of its other end for a child.
func Socketpair() (net.Conn, *os.File, error) {
	var fds [2]int
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("make a socketpair for stdin and stdout: %w", err)
	}
	f := os.NewFile(uintptr(fds[0]), "socketpair")
	defer f.Close()
	theirs := os.NewFile(uintptr(fds[1]), "socketpair")
	conn, err := net.FileConn(f)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("make a socketpair for stdin and stdout: %w", err)
	}
	return conn, theirs, nil
}
