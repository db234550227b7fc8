package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// serveEnv starts watchdogd on an environment, with a lock file of its own and on free
// ports unless it says otherwise. It is started by name, in an empty folder.
func serveEnv(t *testing.T, environ ...string) *daemonUnderTest {
	t.Helper()
	return serveEnvAs(t, "watchdogd", nil, environ...)
}

func serveEnvAs(t *testing.T, name string, args []string, environ ...string) *daemonUnderTest {
	t.Helper()
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemonUnderTest{t: t, base: "http://" + address, name: name, dir: t.TempDir()}
	d.start(args, append([]string{"TMPDIR=" + d.dir, "port=" + port, "metrics_port=0", "healthcheck_interval=0"}, environ...))
	return d
}

// lock is the lock file of an environment's watchdogd.
func (d *daemonUnderTest) lock() string { return filepath.Join(d.dir, ".lock") }

func TestEnvironmentIsTheConfigurationWhereThereIsNoFile(t *testing.T) {
	d := serveEnv(t, "fprocess=tr a-z A-Z", "exec_timeout=soon")
	d.waitListening()
	if status, _, body := d.request("POST", "/any/path", nil, "hello"); status != 200 || body != "HELLO" {
		t.Errorf("%d %q", status, body)
	}
	first, rest, _ := strings.Cut(d.logged(), "\n")
	if !strings.Contains(first, "The environment is the configuration, in the dialect of of-watchdog: mode is not set.") {
		t.Errorf("the first line is %q", first)
	}
	if !strings.Contains(rest, "is no duration: 30s holds") {
		t.Errorf("not told: %s", rest)
	}
}

func TestFileGoesBeforeTheEnvironmentUnlessItIsForced(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "watchdog.yaml"), []byte("routes: [{name: app, mode: streaming, fprocess: cat}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	env := []string{"fprocess=cat"}
	if out, _, status := command(t, env, "validate"); status != 0 || !strings.HasPrefix(out, filepath.Join(dir, "watchdog.yaml")) {
		t.Errorf("%d %q", status, out)
	}
	if out, _, status := command(t, env, "validate", "--env"); status != 0 || out != "the environment is valid: 1 route, 0 services.\n" {
		t.Errorf("%d %q", status, out)
	}
	if _, errOut, status := command(t, nil, "validate", "--env"); status != statusFailed || !strings.Contains(errOut, `provide a "function_process" or "fprocess"`) {
		t.Errorf("%d %q", status, errOut)
	}
	if _, errOut, status := command(t, env, "validate", "--env", "-c", "watchdog.yaml"); status != statusUsage {
		t.Errorf("%d %q", status, errOut)
	}
}

// The other commands find the stack by the same environment.
func TestCommandsReachTheEnvironmentsStack(t *testing.T) {
	d := serveEnv(t, "fprocess=cat", "OPENFAAS_NAME=echo").waitListening()
	if out, errOut, status := command(t, d.cmd.Env, "ps"); status != 0 || !strings.Contains(out, "echo  streaming  ready") {
		t.Errorf("%d %q %q", status, out, errOut)
	}
	if out, errOut, status := command(t, d.cmd.Env, "call", "echo", "-d", "hi"); status != 0 || out != "hi" {
		t.Errorf("%d %q %q", status, out, errOut)
	}
	if out, errOut, status := command(t, d.cmd.Env, "healthcheck"); status != 0 || out != "OK\n" {
		t.Errorf("%d %q %q", status, out, errOut)
	}
	if _, errOut, status := command(t, d.cmd.Env, "reload"); status != statusFailed || !strings.Contains(errOut, "the configuration is the environment, which does not change") {
		t.Errorf("%d %q", status, errOut)
	}
	d.signal(syscall.SIGHUP)
	d.waitLog("not reloaded")
	if status, _, body := d.request("POST", "/", nil, "still here"); status != 200 || body != "still here" {
		t.Errorf("%d %q", status, body)
	}
}

func TestFwatchdogIsTheEnvironmentsName(t *testing.T) {
	d := serveEnvAs(t, "/usr/bin/fwatchdog", []string{"some", "words"}, "fprocess=cat").waitListening()
	if status, _, body := d.request("POST", "/", nil, "x"); status != 200 || body != "x" {
		t.Errorf("%d %q", status, body)
	}
}

func TestFwatchdogsFlags(t *testing.T) {
	dir := t.TempDir()
	env := []string{"TMPDIR=" + dir}
	link := filepath.Join(dir, "fwatchdog")
	if err := os.Symlink(self(t), link); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{self(t), link} {
		_ = os.Remove(filepath.Join(dir, ".lock"))
		for _, dash := range []string{"-", "--"} {
			if out, errOut, status := commandOf(t, program, env, dash+"version"); status != 0 || out != "" || !strings.Contains(errOut, " Version: ") || strings.Count(errOut, "\n") != 1 {
				t.Errorf("%sversion: %d %q %q", dash, status, out, errOut)
			}
			if _, errOut, status := commandOf(t, program, env, dash+"run-healthcheck"); status != 1 || errOut != "unable to find lock file.\n" {
				t.Errorf("%srun-healthcheck: %d %q", dash, status, errOut)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, ".lock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, errOut, status := commandOf(t, program, env, "--run-healthcheck"); status != 0 || out+errOut != "" {
			t.Errorf("with the lock file: %d %q", status, out+errOut)
		}
		if _, errOut, status := commandOf(t, program, env, "-v"); status != statusUsage || errOut == "" {
			t.Errorf("-v: %d %q", status, errOut)
		}
		if _, _, status := commandOf(t, program, env, "-h"); status != 0 {
			t.Errorf("-h: %d", status)
		}
	}
	if _, errOut, status := commandOf(t, link, env, "ps"); status != statusFailed || !strings.Contains(errOut, "fprocess") {
		t.Errorf("a word: %d %q", status, errOut)
	}
}
