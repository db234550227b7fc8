//go:build !linux

package client

import "syscall"

// readAtOnce is one read(2) of a descriptor that does not block.
func readAtOnce(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }
