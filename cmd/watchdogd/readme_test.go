package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/schema"
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
		t.Fatalf("make build: got %v\n%s\nwant no error", err, out)
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
		t.Errorf("make run does %q, want bin/watchdogd -c watchdog.yaml.example", got)
	}
}

func TestMakeInstallPutsTheProgramBelowDESTDIRAndPREFIX(t *testing.T) {
	for _, program := range []string{"go", "make", "install"} {
		need(t, program)
	}
	dir := filepath.Join(t.TempDir(), "a folder")
	install := exec.Command("make", "-C", "../..", "install", "DESTDIR="+dir, "PREFIX=/opt/w", "BINARY="+filepath.Join(t.TempDir(), "watchdogd"))
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("make install: got %v\n%s\nwant no error", err, out)
	}
	program := filepath.Join(dir, "opt/w/bin/watchdogd")
	if info, err := os.Stat(program); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("got %v, %v, want mode 0755", info, err)
	}
	if out, err := exec.Command(program, "version").CombinedOutput(); err != nil {
		t.Errorf("version: got %v\n%s\nwant no error", err, out)
	}
}

// "make run" compiles the standard library once: the example's programs are run with the
// flags that make builds with.
func TestTheExampleCompilesWithTheFlagsOfMake(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(makefile), "CGO_ENABLED=0 go build -trimpath -ldflags") {
		t.Error("make builds with other flags: change those of watchdog.yaml.example too")
	}
	cfg, err := schema.Load("../../watchdog.yaml.example", os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range cfg.Routes {
		words := make([]string, len(r.FProcess.Words))
		for i, w := range r.FProcess.Words {
			words[i] = w.Expand(schema.Vars{})
		}
		line := strings.Join(words, " ")
		if !strings.HasPrefix(line, "go run") {
			continue
		}
		if got := r.Env["CGO_ENABLED"].Expand(schema.Vars{}); !strings.HasPrefix(line, "go run -trimpath ") || got != "0" {
			t.Errorf("route %s: got %q with CGO_ENABLED=%q, want -trimpath and 0", r.Name, line, got)
		}
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
