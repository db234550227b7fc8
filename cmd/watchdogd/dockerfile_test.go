package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The commands of the Dockerfile, run here because a test has no engine to build it with:
// they make a program under both names, and the last stage holds just these.
func TestTheDockerfileBuildsBothNames(t *testing.T) {
	for _, program := range []string{"go", "make", "sh"} {
		need(t, program)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.ReplaceAll(string(text), "\\\n", "")
	stages := strings.Split(lines, "\nFROM ")
	if want := "scratch\nCOPY --from=build /image/ /\nHEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD [\"/watchdogd\", \"healthcheck\"]\nENTRYPOINT [\"/watchdogd\"]\n"; stages[len(stages)-1] != want {
		t.Errorf("got the last stage %q, want %q", stages[len(stages)-1], want)
	}
	image := filepath.Join(t.TempDir(), "image")
	run := strings.ReplaceAll(between(t, lines, "\nRUN GOOS", "\n"), "/image/", image+"/")
	build := exec.Command("sh", "-ec", "GOOS"+run)
	build.Dir = root
	build.Env = append(os.Environ(), "TARGETOS=", "TARGETARCH=", "VERSION=1.2.3")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: got %v\n%s\nwant no error", run, err, out)
	}
	for _, name := range []string{"watchdogd", "fwatchdog"} {
		out, err := exec.Command(filepath.Join(image, name), "-version").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Version: 1.2.3\t") {
			t.Errorf("%s -version: got %q, %v, want version 1.2.3", name, out, err)
		}
	}
}
