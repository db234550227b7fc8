package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// Each file of testdata/init is a tiny project of one kind. Its comment has lines "needs:"
// with programs, "python:" with modules of Python, "wants:" with what the file of init
// contains, and "answers:" with what a POST of "hello" to /x gets (empty is not started).
func TestInitWritesAFileThatRunsAsItIs(t *testing.T) {
	files, err := filepath.Glob("testdata/init/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("got %d projects and %v, want at least 10", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "project")
			for _, f := range archive.Files {
				path := filepath.Join(dir, f.Name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, f.Data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			initAndServe(t, dir, commentOf(archive))
		})
	}
}

// commentOf are the lines KEY: VALUE of a comment.
func commentOf(a *txtar.Archive) map[string][]string {
	all := map[string][]string{}
	for line := range strings.Lines(string(a.Comment)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			all[key] = append(all[key], value)
		}
	}
	return all
}

func initAndServe(t *testing.T, dir string, comment map[string][]string) {
	t.Helper()
	env := append(os.Environ(), "WATCHDOGD_TEST_AS=watchdogd", "WATCHDOG_CONFIG=", "PATH=/usr/bin:"+os.Getenv("PATH")) // Debian's python3 has its modules
	port := strings.TrimPrefix(testkit.FreeAddress(t), "127.0.0.1:")
	for _, pair := range comment["env"] {
		env = append(env, strings.ReplaceAll(pair, "FREE_PORT", port))
	}
	watchdogd := func(args ...string) (string, error) {
		cmd := exec.Command(self(t), args...)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := watchdogd("init"); err != nil {
		t.Fatalf("init: got %v\n%s\nwant no error", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "watchdog.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range comment["wants"] {
		if !strings.Contains(string(text), want) {
			t.Errorf("got\n%s\nwant %q in it", text, want)
		}
	}
	if out, err := watchdogd("init"); err == nil || !strings.Contains(out, "exists already and is not overwritten") {
		t.Errorf("a second init: got %v, %s, want it to refuse", err, out)
	}
	if len(comment["answers"]) == 0 {
		return
	}
	for _, program := range comment["needs"] {
		need(t, program)
	}
	for _, module := range comment["python"] {
		if err := exec.Command("/usr/bin/python3", "-c", "import "+module).Run(); err != nil {
			t.Skipf("Debian's python3-%s is not installed", module)
		}
	}
	if out, err := watchdogd("validate"); err != nil {
		t.Fatalf("validate: got %v\n%s\n%s\nwant no error", err, out, text)
	}
	serveProject(t, dir, append(env, "PORT="+port), comment["answers"][0], string(text))
}

// serveProject runs watchdogd in dir until it has answered.
func serveProject(t *testing.T, dir string, env []string, want, file string) {
	t.Helper()
	var log testkit.Log
	cmd := exec.Command(self(t))
	cmd.Dir, cmd.Env, cmd.Stderr = dir, env, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		_ = cmd.Wait()                       // its log says how
	}()
	port := strings.TrimPrefix(env[len(env)-1], "PORT=")
	last := ""
	testkit.Eventually(t, "an answer of "+want, func() bool {
		response, err := http.Post("http://127.0.0.1:"+port+"/x", "text/plain", bytes.NewBufferString("hello"))
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			return false
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Error(err)
		}
		last = response.Status + " " + string(body)
		return response.StatusCode != http.StatusServiceUnavailable // its start takes longer than a request waits
	})
	if !strings.Contains(last, want) {
		t.Errorf("got %s, want %q in it\n%s\n%s", last, want, file, log.String())
	}
}
