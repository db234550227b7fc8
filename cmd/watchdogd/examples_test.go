package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// needs lists the programs that an example asks for beyond Go and POSIX.
var needs = map[string][]string{
	"01-bundle":           {"go", "python3"},
	"03-git-http-backend": {"git"},
	"04-php-cgi":          {"php-cgi"},
	"05-warm":             {"python3"},
}

// Every example answers as its requests.txt says: "watchdogd test" says so.
func TestExamplesAnswerAsTheirRequestsSay(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/requests.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples found: got %v, want no error and len(files) other than 0", err)
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			for _, program := range needs[filepath.Base(dir)] {
				need(t, program)
			}
			yaml, err := filepath.Abs(filepath.Join(dir, "watchdog.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			env := []string{"TMPDIR=" + shortDir(t), "PATH=" + withWatchdogd(t)}
			if out, errOut, status := command(t, env, "-c", yaml, "test"); status != 0 || errOut != "" || !strings.HasSuffix(out, "all as the file says\n") {
				t.Errorf("got exit status %d, %q and\n%s, want 0 and all as the file says", status, errOut, out)
			}
		})
	}
}

// withWatchdogd returns a PATH on which this test binary is found as watchdogd.
func withWatchdogd(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(self(t), filepath.Join(dir, "watchdogd")); err != nil {
		t.Fatal(err)
	}
	return dir + string(filepath.ListSeparator) + os.Getenv("PATH")
}

// need skips the test where a program is missing; in CI a missing program fails.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must install %s, want nothing", program)
		}
		t.Skipf("needs %s, which is not installed", program)
	}
}
