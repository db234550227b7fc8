// Package socket reads and writes sockets that do not block, one system call at a time.
//
// A call of package syscall tells the scheduler that its thread may be away for long, and the
// scheduler watches for that from another thread. A socket that does not block never is: on
// Linux these calls leave the scheduler alone, which is a twentieth of what a small request
// costs.
package socket

import "syscall"

// Most is how many bytes a Write should have at most. To send more takes so long that the
// scheduler should know of it.
const Most = 16 << 10

// Read is one recv(2). It returns syscall.EAGAIN when nothing is there, and 0 without an error
// at the end.
func Read(fd uintptr, p []byte) (int, error) {
	for {
		if n, err := recv(fd, p); err != syscall.EINTR {
			return n, err
		}
	}
}

// Write is one send(2). It returns syscall.EAGAIN when there is no room for any of p.
func Write(fd uintptr, p []byte) (int, error) {
	for {
		if n, err := send(fd, p); err != syscall.EINTR {
			return n, err
		}
	}
}
