package modes

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/spill"
	"github.com/watchdogd/watchdogd/internal/testkit"
)

// noRooms are temporary directories that take no file of more than 1 MiB, each with the
// system's word for it.
func noRooms(t *testing.T) map[string]string {
	t.Helper()
	rooms := map[string]string{filepath.Join(t.TempDir(), "missing"): "no such file or directory"}
	full := t.TempDir()
	if err := unix.Mount("tmpfs", full, "tmpfs", 0, "size=64k"); err != nil {
		t.Logf("a full tmpfs is not tried: only a missing folder is: mount: %v", err) // root of a container may not
		return rooms
	}
	t.Cleanup(func() { _ = unix.Unmount(full, unix.MNT_DETACH) })
	rooms[full] = "no space left on device"
	readOnly := t.TempDir()
	if err := unix.Mount("tmpfs", readOnly, "tmpfs", unix.MS_RDONLY, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(readOnly, unix.MNT_DETACH) })
	rooms[readOnly] = "read-only file system"
	return rooms
}

func TestNoRoomForATemporaryFileIs507(t *testing.T) {
	large := strings.Repeat("x", 2<<20)
	type request struct {
		body func() (typ string, body io.Reader)
		what string
	}
	plain := request{func() (string, io.Reader) { return "text/plain", strings.NewReader(large) }, "a large body"}
	form := request{func() (string, io.Reader) { typ, body := testkit.Form(t, "up@a", large); return typ, body }, "a form"}
	little := request{func() (string, io.Reader) { return "text/plain", strings.NewReader("x") }, "a small body"}
	for dir, why := range noRooms(t) {
		t.Setenv("TMPDIR", dir)
		for route, r := range map[string]request{
			"mode: serializing\nfprocess: cat":                                    plain,
			"mode: serializing\nshell: true\nfprocess: head -c 2000000 /dev/zero": little,
			"mode: serializing\nrequest: json\nfprocess: cat":                     plain,
			"mode: streaming\nform: json\nfprocess: cat":                          form,
			"mode: streaming\nform: files\nfprocess: cat":                         form,
			"mode: serializing\nform: files\nfprocess: cat":                       form,
			"mode: http\nbuffer_body: true\nupstream: 127.0.0.1:1":                plain,
		} {
			s := serveRoute(t, route)
			typ, body := r.body()
			resp, text := s.do(t, "POST", "/", body, "Content-Type", typ)
			wantProblem(t, resp, text, 507, "no-room", dir, why, "TMPDIR")
			s.close(t)
			if t.Failed() {
				t.Fatalf("that was %s to %s, into %s", r.what, route, dir)
			}
		}
		s := serveWorkers(t, "worker", "")
		resp, text := s.do(t, "POST", "/echo", strings.NewReader(large))
		wantProblem(t, resp, text, 507, "no-room", dir, why, "TMPDIR")
		if resp, text = s.do(t, "POST", "/echo", strings.NewReader("x")); text != "x" {
			t.Errorf("afterburn, a small body after that: got %d %s, want x", resp.StatusCode, text)
		}
		if err := spill.Check(); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), why) || strings.Count(err.Error(), "make room there") != 1 {
			t.Errorf("Check: got %v, want %s: %s", err, dir, why)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: got %v left, want nothing", dir, left)
		}
	}
	t.Setenv("TMPDIR", t.TempDir())
	if err := spill.Check(); err != nil {
		t.Errorf("Check: got %v, want none", err)
	}
}
