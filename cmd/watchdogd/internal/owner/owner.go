// Package owner finds out and names the users whom files belong to.
package owner

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Of is the user whom a file belongs to; -1 where the system does not say.
func Of(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// Above is the user whom a path, or the nearest folder above it that can be looked at,
// belongs to.
func Above(path string) int {
	for {
		if info, err := os.Lstat(path); err == nil {
			return Of(info)
		}
		above := filepath.Dir(path)
		if above == path {
			return -1
		}
		path = above
	}
}

// Name names a user: "user app (uid 1000)".
func Name(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return fmt.Sprintf("user %s (uid %d)", u.Username, uid)
	}
	return fmt.Sprintf("uid %d", uid)
}
