//go:build !linux || race || 386 || s390x

package socket

import "syscall"

// These are also what the race detector sees: what one end did before it wrote has happened
// before what the other does after it has read.

func recv(fd uintptr, p []byte) (int, error) {
	n, err := syscall.Read(int(fd), p)
	return max(n, 0), err
}

func send(fd uintptr, p []byte) (int, error) {
	n, err := syscall.Write(int(fd), p)
	return max(n, 0), err
}
