package listen

import (
	"net"
	"os"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/activation"
)

// sockets are those that systemd opened for this process and passed on: sd_listen_fds(3).
type sockets struct {
	mu   sync.Mutex
	left []net.Listener // not taken yet
}

// inherited are the sockets of this process.
var inherited = sync.OnceValue(func() *sockets {
	s := new(sockets)
	if os.Getenv("LISTEN_FDS") != "" {
		all, _ := activation.Listeners() // what is not a listener is nil
		for _, l := range all {
			if l != nil {
				s.left = append(s.left, l)
			}
		}
	}
	return s
})

// take returns the socket for an address of the configuration, or nil. It is not opened
// again after it was closed: then the address is opened as any other.
func (s *sockets) take(address string) net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, l := range s.left {
		if sameAddress(address, l.Addr()) {
			s.left = append(s.left[:i], s.left[i+1:]...)
			return l
		}
	}
	return nil
}

// sameAddress reports whether a socket listens where the configuration says: at its path, or
// on its port, at its host or at all.
func sameAddress(address string, at net.Addr) bool {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return at.Network() == "unix" && at.String() == path
	}
	tcp, ok := at.(*net.TCPAddr)
	want, err := net.ResolveTCPAddr("tcp", address)
	if !ok || err != nil || tcp.Port != want.Port {
		return false
	}
	return tcp.IP.IsUnspecified() || want.IP == nil || want.IP.IsUnspecified() || tcp.IP.Equal(want.IP)
}

// Unclaimed are the addresses of sockets that systemd passed and that Open was not asked for.
func Unclaimed() (addresses []string) {
	s := inherited()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.left {
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}
