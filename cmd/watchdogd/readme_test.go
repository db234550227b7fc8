package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The README's quick start: its make target builds and serves the example, and each
// curl prints what stands below it.
func TestREADMECommandsPrintWhatItSays(t *testing.T) {
	for _, program := range []string{"go", "make", "curl"} {
		need(t, program)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	session := between(t, string(readme), "```console\n", "```")

	_, port, _ := strings.Cut(freeAddress(t), ":")
	_, metricsPort, _ := strings.Cut(freeAddress(t), ":")
	build := exec.Command("make", "build")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	// what "make run" then does, with other ports
	file := filepath.Join(root, "watchdog.yaml.example")
	d := &daemonUnderTest{t: t, file: file, base: "http://127.0.0.1:" + port}
	d.start([]string{"-c", file}, []string{"PORT=" + port, "METRICS_PORT=" + metricsPort})
	d.waitListening()

	for _, part := range strings.Split("\n"+session, "\n$ ")[1:] {
		line, want, _ := strings.Cut(part, "\n")
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		sh := exec.Command("sh", "-c", strings.Replace(line, "curl ", "curl -sS --max-time 120 ", 1))
		sh.Args[2] = strings.ReplaceAll(sh.Args[2], "localhost:8080", "127.0.0.1:"+port)
		sh.WaitDelay = 5 * time.Second
		out, err := sh.CombinedOutput()
		got := string(out)
		if got != "" && !strings.HasSuffix(got, "\n") {
			got += "\n"
		}
		if err != nil || got != want {
			t.Errorf("$ %s\n%s (error %v); the README says\n%s", line, got, err, want)
		}
	}
}

// The Makefile's run target is what the test above stands for.
func TestMakeRunServesTheExample(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if got := between(t, string(makefile), "\nrun: build\n\t", "\n"); got != "bin/watchdogd -c watchdog.yaml.example" {
		t.Errorf("make run does %q", got)
	}
}

func between(t *testing.T, text, begin, end string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, begin)
	if !ok {
		t.Fatalf("no %q", begin)
	}
	part, _, ok := strings.Cut(rest, end)
	if !ok {
		t.Fatalf("no %q after %q", end, begin)
	}
	return part
}
