package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// The shell sets LISTEN_PID, as systemd does, to the process that becomes watchdogd.
func TestASocketThatSystemdPassedIsServedAndStaysOpen(t *testing.T) {
	l := testkit.Listen(t).(*net.TCPListener)
	socket, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	dir := shortDir(t)
	file := filepath.Join(dir, "watchdog.yaml")
	content := fmt.Sprintf("server: {listen: %q}\nadmin: {listen: \"unix:%s/admin.sock\"}\nroutes: [{name: env, path: /, mode: streaming, fprocess: env}]\n", l.Addr(), dir)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds the same socket
		var log testkit.Log
		cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`, self(t), "run", "-c", file)
		cmd.Env = append(os.Environ(), "WATCHDOGD_TEST_AS=watchdogd")
		cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{socket}, &log, &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		response, err := http.Get("http://" + l.Addr().String()) // it waits in the socket until it is served
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != 200 {
			t.Errorf("got %d, want 200\n%s\n%s", response.StatusCode, body, log.String())
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("got %v, want the end with status 0\n%s", err, log.String())
		}
	}
}
