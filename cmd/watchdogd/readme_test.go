package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

func TestTheREADMEPrintsWhatItSays(t *testing.T) {
	need(t, "python3")
	f := follow(t, "README.md")
	f.run("mkdir ann && cd ann") // the folder is the name of the stack
	f.read(strings.ReplaceAll(document(t, f.name), "/home/ann/watchdog.yaml", "/home/ann/ann/watchdog.yaml"))
}

// What "make run" serves, and what it answers.
func TestTheExampleFileAnswers(t *testing.T) {
	for _, program := range []string{"go", "make"} {
		need(t, program)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command("make", "build")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make build: got %v\n%s\nwant no error", err, out)
	}
	for _, program := range []string{"./examples/01-bundle/hello", "./examples/02-afterburn-go"} {
		compile(t, root, []string{"CGO_ENABLED=0"}, "-trimpath", "-o", os.DevNull, program)
	}
	_, port, _ := strings.Cut(freeAddress(t), ":")
	_, metricsPort, _ := strings.Cut(freeAddress(t), ":")
	file := filepath.Join(root, "watchdog.yaml.example")
	d := &daemonUnderTest{t: t, file: file, base: "http://127.0.0.1:" + port}
	d.start([]string{"-c", file}, []string{"PORT=" + port, "METRICS_PORT=" + metricsPort})
	d.waitListening()
	for _, r := range []struct{ method, path, body, want string }{
		{"GET", "/hello/world", "", "Hello, world!\n"},
		{"POST", "/upper", "any program is a function", "ANY PROGRAM IS A FUNCTION"},
		{"POST", "/sort", "b\na\n", "a\nb\n"},
		{"POST", "/worker", "hello", "call 1 of this worker: 5 bytes\n"},
		{"POST", "/worker", "hello again", "call 2 of this worker: 11 bytes\n"},
		{"GET", "/", "", "<!doctype html>\n<title>watchdogd</title>\n<p>Five programs, one port.</p>\n"},
		{"GET", "/_/ready", "", "OK"},
	} {
		if status, _, got := d.request(r.method, r.path, nil, r.body); status != 200 || got != r.want {
			t.Errorf("%s %s: got %d %q, want 200 %q", r.method, r.path, status, got, r.want)
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
	dry, err := exec.Command("make", "-C", "../..", "-n", "run").CombinedOutput()
	if err != nil {
		t.Fatalf("make -n run: got %v\n%s\nwant no error", err, dry)
	}
	if build := string(dry); !strings.Contains(build, "CGO_ENABLED=0 go build -trimpath -ldflags") || strings.Contains(build, "-pgo") {
		t.Errorf("make run: got %q, want the flags with which watchdog.yaml.example compiles its programs", build)
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
