package admin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/owner"
	"github.com/watchdogd/watchdogd/internal/listen"
	"github.com/watchdogd/watchdogd/schema"
)

// errHeld is a socket that a live watchdogd serves.
var errHeld = errors.New("the socket is in use")

// listenAdmin opens the admin address of cfg: admin.listen, or a socket in the first of
// this user's folders that can be used. A socket is of mode 0600; one that no process
// serves any more is replaced.
func listenAdmin(cfg *schema.Config) (net.Listener, error) {
	if path, isSocket := strings.CutPrefix(cfg.Admin.Listen, "unix:"); isSocket {
		return listenSocket(path)
	}
	if cfg.Admin.Listen != "" {
		return listen.Open(cfg.Admin.Listen)
	}
	var failures []error
	for _, dir := range append(ownFolders(), "") {
		var err error
		if dir == "" { // another user may have taken all those names
			dir, err = spareDir()
		}
		if err == nil {
			err = ownDir(dir)
		}
		if err == nil {
			var l net.Listener
			if l, err = listenSocket(filepath.Join(dir, SocketName(cfg, cfg.File))); err == nil {
				return l, nil
			}
		}
		if errors.Is(err, errHeld) {
			return nil, err
		}
		failures = append(failures, err)
	}
	return nil, errors.Join(failures...)
}

func listenSocket(path string) (net.Listener, error) {
	if _, err := os.Lstat(path); err == nil {
		held, err := (Client{address: "unix:" + path}).Info()
		if err == nil {
			return nil, fmt.Errorf("%w: watchdogd with pid %d serves this stack already (%s); stop it, or give this one a name or an admin.listen of its own", errHeld, held.PID, path)
		}
		if silent(err) {
			return nil, fmt.Errorf("%w: the process that serves %s does not answer; end it, or give this stack a name or an admin.listen of its own", errHeld, path)
		}
	}
	return listen.OpenPrivate(path)
}

// spareDir is a folder for the admin socket whose name no other user could foresee: one
// that was made before, or a new one.
func spareDir() (string, error) {
	for _, dir := range spareDirs() {
		if ownDir(dir) == nil {
			return dir, nil
		}
	}
	dir, err := os.MkdirTemp("", ownDirName()+"-")
	if err != nil {
		return "", fmt.Errorf("make the directory of the admin socket: %w", err)
	}
	return dir, nil
}

// ownDir makes a directory that only this user may change, or checks that it is one.
// Whoever may change the directory that holds it could put another in its place.
func ownDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of the admin socket: %w", err)
	}
	parent, err := os.Stat(filepath.Dir(dir))
	if err == nil && parent.Mode().Perm()&0o002 != 0 && parent.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("the directory of the admin socket, %s, can be replaced by every user: chmod +t %s, or set admin.listen", dir, filepath.Dir(dir))
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the directory of the admin socket: %w", err)
	}
	if uid := owner.Of(info); uid != os.Geteuid() {
		return fmt.Errorf("the directory of the admin socket, %s, was made by %s: remove it, or set admin.listen", dir, owner.Name(uid))
	}
	if !info.IsDir() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("the directory of the admin socket, %s, is not this user's alone: remove it, or set admin.listen", dir)
	}
	return nil
}
