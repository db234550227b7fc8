package modes

import "golang.org/x/sys/unix"

// knowsUnread is that unreadBytes knows.
const knowsUnread = true

// unreadBytes is more than 0 when the other end of a unix socket has not read all that
// was written (SIOCOUTQ of unix(7)).
func unreadBytes(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
