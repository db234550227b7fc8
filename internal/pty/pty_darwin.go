package pty

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// unlock lets the terminal of a master be opened, and returns its name: what grantpt,
// unlockpt and ptsname of the C library ask for.
func unlock(master int) (name string, err error) {
	for _, request := range []uint{unix.TIOCPTYGRANT, unix.TIOCPTYUNLK} {
		if err := unix.IoctlSetInt(master, request, 0); err != nil {
			return "", err
		}
	}
	var buf [128]byte
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCPTYGNAME, uintptr(unsafe.Pointer(&buf[0]))); errno != 0 {
		return "", errno
	}
	return unix.ByteSliceToString(buf[:]), nil
}
