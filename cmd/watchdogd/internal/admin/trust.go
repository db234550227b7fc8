package admin

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/owner"
)

// foreign is the error for a socket that is served, or could have been made, by a user
// whom a client of the admin API does not trust.
type foreign struct {
	path string
	uid  int
}

func (f *foreign) Error() string {
	return fmt.Sprintf("%s belongs to %s", f.path, owner.Name(f.uid))
}

// trusts reports whether this process speaks to a watchdogd of the user uid: its own
// user's and root's; and root to that of any user.
func trusts(uid int) bool { return uid == os.Geteuid() || uid == 0 || os.Geteuid() == 0 }

// vet returns the owner of an admin socket, after it has checked that no other user can
// have put it there. In one of watchdogd's own folders, that folder is its owner's too.
func vet(path string, ownFolder bool) (uid int, err error) {
	dir, err := os.Stat(filepath.Dir(path))
	if ownFolder {
		dir, err = os.Lstat(filepath.Dir(path))
	}
	if err != nil {
		return -1, err
	}
	socket, err := os.Lstat(path)
	if err != nil {
		return -1, err
	}
	uid = owner.Of(socket)
	mode := dir.Mode()
	switch {
	case socket.Mode().Type() != fs.ModeSocket:
		return uid, fmt.Errorf("%s is not a socket", path)
	case !trusts(uid):
		return uid, &foreign{path, uid}
	case ownFolder && owner.Of(dir) != uid:
		return uid, &foreign{filepath.Dir(path), owner.Of(dir)}
	case ownFolder && (!dir.IsDir() || mode.Perm()&0o022 != 0):
		return uid, fmt.Errorf("%s can be changed by other users: remove it, and restart watchdogd", filepath.Dir(path))
	case mode.Perm()&0o002 != 0 && mode&fs.ModeSticky == 0:
		return uid, fmt.Errorf("%s can be changed by every user: the admin socket in it cannot be trusted; move it by admin.listen", filepath.Dir(path))
	case socket.Mode().Perm()&0o002 != 0:
		return uid, fmt.Errorf("%s is open to every user (mode %04o): chmod 600 it", path, socket.Mode().Perm())
	}
	return uid, nil
}
