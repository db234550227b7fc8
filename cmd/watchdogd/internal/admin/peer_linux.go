package admin

import "golang.org/x/sys/unix"

// peerUID is the user whose process listens at the other end of a unix socket.
func peerUID(fd int) (int, error) {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(peer.Uid), nil
}
