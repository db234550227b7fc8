package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// post is a POST that must be answered.
func (d *daemonUnderTest) post(path, body string) (int, string) {
	d.t.Helper()
	a, err := d.try(http.MethodPost, path, nil, body)
	if err != nil {
		d.t.Errorf("POST %s: %v", path, err)
	}
	return a.status, a.body
}

// Where no temporary file can be written, the log says so at the start, and calls that
// need one are answered with 507, or in the form of the OpenFaaS watchdogs with 500.
func TestWithoutATemporaryDirectoryCallsThatNeedItFail(t *testing.T) {
	for errorsKey, want := range map[string]int{"problem": 507, "openfaas": 500, "classic": 500} {
		t.Run(errorsKey, func(t *testing.T) {
			missing := filepath.Join(t.TempDir(), "missing")
			d := &daemonUnderTest{t: t, file: filepath.Join(t.TempDir(), "watchdog.yaml"), base: "http://" + freeAddress(t)}
			d.write("server: {listen: LISTEN, errors: " + errorsKey + "}\nroutes: [{name: cat, mode: serializing, fprocess: cat}]\n")
			d.start([]string{"-c", d.file}, []string{"TMPDIR=" + missing})
			d.waitListening().waitLog("will be answered with 507")
			status, body := d.post("/cat", strings.Repeat("x", 2<<20))
			if status != want || !strings.Contains(body, missing) || !strings.Contains(body, "no such file or directory") {
				t.Errorf("got %d %s, want %d and the folder", status, body, want)
			}
			if status, body := d.post("/cat", "x"); status != 200 || body != "x" {
				t.Errorf("a small body: got %d %s, want 200", status, body)
			}
			d.waitLog("no room for a temporary file")
		})
	}
}

// The limit of a file's size, which sends a signal too, is no other end.
func TestAFileThatMayNotGrowIsNoRoom(t *testing.T) {
	d := serveFile(t, "server: {listen: LISTEN}\nroutes: [{name: cat, mode: serializing, fprocess: cat}]\n").waitListening()
	if err := unix.Prlimit(d.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 512 << 10, Max: 512 << 10}, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if status, body := d.post("/cat", strings.Repeat("x", 2<<20)); status != 507 || !strings.Contains(body, "file too large") {
			t.Errorf("got %d %s, want 507", status, body)
		}
	}
}
