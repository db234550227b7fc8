package client

import (
	"syscall"
	"unsafe"
)

// readAtOnce is one read(2) of a descriptor that does not block. The scheduler is not told of
// it, which costs as much as the call itself.
func readAtOnce(fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
