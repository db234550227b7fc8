package admin

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFolderThatOthersMayChangeIsNoPlaceForASocket(t *testing.T) {
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := ownDir(filepath.Join(open, "watchdogd-1")); err == nil || !strings.Contains(err.Error(), "can be replaced by every user") {
		t.Errorf("in a folder of all: got %v, want an error with can be replaced by every user", err)
	}
	dir := filepath.Join(t.TempDir(), "watchdogd")
	if err := ownDir(dir); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v, want mode 0700", info.Mode(), err)
	}
	socket := filepath.Join(dir, "a.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		dir, socket os.FileMode
		want        string
	}{
		{0o700, 0o600, ""},
		{0o777, 0o600, "can be changed by other users"},
		{0o700, 0o666, "is open to every user (mode 0666)"},
	} {
		if err := os.Chmod(dir, c.dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(socket, c.socket); err != nil {
			t.Fatal(err)
		}
		uid, err := vet(socket, true)
		if c.want == "" && (err != nil || uid != os.Geteuid()) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("folder %o, socket %o: got %d, %v, want %q", c.dir, c.socket, uid, err, c.want)
		}
	}
	link := filepath.Join(t.TempDir(), "watchdogd")
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if err := ownDir(link); err == nil {
		t.Error("a link in the place of the folder: got no error")
	}
	if _, err := vet(filepath.Join(link, "a.sock"), true); err == nil {
		t.Error("a socket in a folder that is a link: got no error")
	}
}
