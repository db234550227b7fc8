package health

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/owner"
)

// asNobody makes what is at path another user's, as far as this one may.
func asNobody(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make another user's files")
	}
	if err := os.Lchown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
}

func TestTheLockFileFollowsNoLinkAndWaitsForNoPipe(t *testing.T) {
	for name, prepare := range map[string]func(lock, victim string) error{
		"nothing":             func(string, string) error { return nil },
		"a link":              func(lock, victim string) error { return os.Symlink(victim, lock) },
		"a link to nothing":   func(lock, victim string) error { return os.Symlink(victim+"2", lock) },
		"a pipe":              func(lock, _ string) error { return syscall.Mkfifo(lock, 0o666) },
		"another's file":      func(lock, _ string) error { return os.WriteFile(lock, []byte("theirs"), 0o666) },
		"a hard link to ours": func(lock, victim string) error { return os.Link(victim, lock) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			lock, victim := filepath.Join(dir, ".lock"), filepath.Join(dir, "victim")
			if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := prepare(lock, victim); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(name, "another") {
				asNobody(t, lock)
			}
			for range 2 { // the second finds its own
				if err := writeLock(lock); err != nil {
					t.Fatal(err)
				}
			}
			info, err := os.Lstat(lock)
			if err != nil || !info.Mode().IsRegular() || owner.Of(info) != os.Geteuid() {
				t.Errorf("got %v, %v, want a file of this user", info, err)
			}
			if got, err := os.ReadFile(victim); err != nil || string(got) != "precious" {
				t.Errorf("the file that the link leads to: got %q, %v, want it as it was", got, err)
			}
			if _, err := os.Lstat(victim + "2"); err == nil {
				t.Error("the link was followed, and a file made")
			}
		})
	}
	dir := t.TempDir()
	if err := writeLock(dir); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: got %v, want an error with is a folder", err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		t.Errorf("the folder: got %v, %v, want it as it was", info, err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	asNobody(t, link)
	if err := writeLock(filepath.Join(link, "lock")); err == nil || !strings.Contains(err.Error(), "is a link that ") {
		t.Errorf("a folder that is another user's link: got %v, want an error with is a link that ", err)
	}
}

// Where another user's file may not be removed the error says whose it is.
