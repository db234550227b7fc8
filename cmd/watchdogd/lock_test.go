package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestALockFileThatAnotherUserHoldsIsNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make another user's files")
	}
	dir := dirForAll(t)
	if err := os.Chmod(dir, fs.ModeSticky|0o777); err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(dir, ".lock")
	if err := os.Symlink("/etc/passwd", lock); err != nil {
		t.Fatal(err)
	}
	d := &daemonUnderTest{t: t, file: filepath.Join(dir, "watchdog.yaml"), base: "http://" + freeAddress(t), uid: 65534}
	d.write("server: {listen: LISTEN}\nhealth: {lock_file: " + lock + ", live: lock}\nroutes: [{name: a, mode: static, root: " + dir + "}]\n")
	if err := os.Chmod(d.file, 0o644); err != nil {
		t.Fatal(err)
	}
	d.start([]string{"-c", d.file}, []string{"XDG_RUNTIME_DIR="})
	if status := d.wait(); status != 1 || !strings.Contains(d.logged(), "a link is in its place, made by user root (uid 0)") {
		t.Errorf("got status %d, %s, want 1 and who made the link", status, d.logged())
	}
}
