// Package listen opens the sockets that watchdogd itself serves, reports who holds one that is
// taken, and keeps the certificate of TLS.
package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/internal/holder"
)

// Open opens a listener for host:port, or for unix:/path, where a socket that
// no program serves any more is replaced. A port or socket that is taken is an error that
// names the holder, if the system tells. Closing it removes the socket. A socket of that
// address that systemd passed to this process is used instead, and stays when it is closed.
func Open(address string) (net.Listener, error) {
	if l := inherited().take(address); l != nil {
		return l, nil
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return listenUnix(path, listenOpen)
	}
	l, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &InUse{address: address, PID: holderOf(address)}
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("listen on %s: this user may not listen there; choose a port above 1023 or grant the right: %w", address, err)
	}
	return nil, fmt.Errorf("listen on %s: %w", address, err)
}

// InUse is the error of Open for a port that is in use.
type InUse struct {
	address string
	PID     int // of the process that has it; 0 if that cannot be seen
}

func (e *InUse) Error() string {
	return fmt.Sprintf("listen on %s: the port is in use%s; stop that program or choose another port", e.address, by(e.PID))
}

// OpenPrivate is Open for the socket at path, of mode 0600: on Linux from its
// first moment, elsewhere from the next.
func OpenPrivate(path string) (net.Listener, error) {
	if strings.HasPrefix(path, "@") {
		return nil, fmt.Errorf("listen on unix:%s: an abstract socket has no mode and is open to every user; choose a path", path)
	}
	return listenUnix(path, listenPrivate)
}

func listenOpen(path string) (net.Listener, error) { return net.Listen("unix", path) }

// listenUnix listens by listen, in the place of a socket that is left over.
func listenUnix(path string, listen func(path string) (net.Listener, error)) (net.Listener, error) {
	if err := RemoveStale(path); err != nil {
		return nil, fmt.Errorf("listen on unix:%s: %w", path, err)
	}
	l, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("listen on unix:%s: %w", path, err)
	}
	return l, nil
}

// RemoveStale removes a socket whose server is gone, and refuses everything else
// that may stand at path.
func RemoveStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || strings.HasPrefix(path, "@") {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("a file that is not a socket stands there; move it or choose another path")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		defer c.Close()
		return fmt.Errorf("another program serves this socket%s; stop it or choose another path", by(holder.OfSocket(c)))
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("a socket stands there, and it is not known whether a program serves it; remove it or choose another path: %w", err)
}

// by names who holds something, where that is known.
func by(pid int) string {
	if pid == 0 {
		return ""
	}
	return " by " + holder.Name(pid)
}

// holderOf returns the process that listens on the port of address, 0 if it cannot be seen.
func holderOf(address string) int {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	port, err := net.LookupPort("tcp", text)
	if err != nil {
		return 0
	}
	return holder.OfPort(port)
}
