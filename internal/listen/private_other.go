//go:build !linux

package listen

import (
	"fmt"
	"net"
	"os"
)

// listenPrivate changes the mode of a socket that is there already: who connects in
// between is let in, so that path should stand in a directory of its own.
func listenPrivate(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close() // nobody has been served yet
		return nil, fmt.Errorf("make it this user's alone: %w", err)
	}
	return l, nil
}
