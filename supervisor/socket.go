package supervisor

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// removeStale removes the socket at which an instance is to listen, if it is one that a
// killed life has left: most servers cannot listen where a file stands. A socket that
// is served and a file of another kind stay; the child will say.
func removeStale(u schema.Endpoint) {
	if u.Network != "unix" {
		return
	}
	info, err := os.Lstat(u.Address)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return
	}
	c, err := net.DialTimeout("unix", u.Address, time.Second)
	if err == nil {
		_ = c.Close() // it is not ours
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(u.Address) // or the child says why it cannot listen
	}
}
