package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/signals"
)

// loose is a watchdogd whose outputs the test chooses, and so cannot read.
type loose struct {
	*daemonUnderTest
	metrics string // the address
}

// serveLoose serves a server at /app and a program at /up, which prints a line to stderr for
// each request, with these files as standard output and error. A nil one is closed.
func serveLoose(t *testing.T, stdout, stderr *os.File, log string) *loose {
	t.Helper()
	d := &daemonUnderTest{t: t, base: "http://" + freeAddress(t), ended: make(chan struct{}), file: filepath.Join(t.TempDir(), "watchdog.yaml")}
	l := &loose{daemonUnderTest: d, metrics: freeAddress(t)}
	d.write(`
server: {listen: LISTEN}
metrics: {listen: "` + l.metrics + `"}
log: ` + log + `
routes:
  - {name: app, mode: http, fprocess: SELF}
  - {name: up, mode: streaming, shell: true, fprocess: "echo up >&2; tr a-z A-Z"}
`)
	closed := ""
	if stdout == nil {
		closed += " >&-"
	}
	if stderr == nil {
		closed += " 2>&-"
	}
	d.cmd = exec.Command("sh", "-c", "exec \"$0\" -c \"$1\""+closed, self(t), d.file)
	d.cmd.Env = append(os.Environ(), "WATCHDOGD_TEST_AS=watchdogd", "XDG_RUNTIME_DIR="+shortDir(t))
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if stdout != nil {
		d.cmd.Stdout = stdout
	}
	if stderr != nil {
		d.cmd.Stderr = stderr
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.ended)
		d.err = d.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill() // which has ended long ago, unless the test failed
		<-d.ended
	})
	poll(t, "the server", func() bool {
		status, _, _ := d.tryStatus("/app/x")
		return status == 200
	})
	return l
}

// tryStatus is a GET that may fail.
func (d *daemonUnderTest) tryStatus(path string) (int, http.Header, error) {
	client := http.Client{Timeout: 10 * time.Second}
	res, err := client.Get(d.base + path)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	return res.StatusCode, res.Header, nil
}

// dropped is the metric of lost lines.
func (l *loose) dropped() (n int) {
	l.t.Helper()
	res, err := http.Get("http://" + l.metrics + "/metrics")
	if err != nil {
		l.t.Fatal(err)
	}
	defer res.Body.Close()
	var text strings.Builder
	if err := res.Write(&text); err != nil {
		l.t.Fatal(err)
	}
	_, value, _ := strings.Cut(text.String(), "\nwatchdogd_log_lines_dropped_total ")
	if _, err := fmt.Sscan(value, &n); err != nil {
		l.t.Errorf("no watchdogd_log_lines_dropped_total in\n%s", text.String())
	}
	return n
}

func TestTheReaderOfTheLogMayGoAway(t *testing.T) {
	for _, log := range []string{"{format: json}", "{format: classic, output: true, headers: true}"} {
		t.Run(log, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			read := make(chan struct{})
			go func() { // a reader, for the start
				defer close(read)
				_, _ = r.Read(make([]byte, 1))
			}()
			l := serveLoose(t, w, w, log)
			<-read
			child := l.pid("/app")
			answer, release := l.slow()
			_ = r.Close() // as of "| tee" that was killed
			for range 5 {
				if status, _, body := l.request("POST", "/up", nil, "x"); status != 200 || body != "X" {
					t.Errorf("got %d %q, want 200 X", status, body)
				}
			}
			poll(t, "the count of lost lines", func() bool { return l.dropped() >= 10 })
			if got := l.pid("/app"); got != child {
				t.Errorf("got process %d, want still %d", got, child)
			}
			release()
			if got := <-answer; got.status != 200 || got.body != "done" {
				t.Errorf("the request in flight: got %d %q, want 200 done", got.status, got.body)
			}
			l.signal(syscall.SIGTERM)
			if status := l.wait(); status != 0 {
				t.Errorf("got exit status %d, want 0", status)
			}
			if !gone(child) {
				t.Errorf("process %d was left behind", child)
			}
		})
	}
}

func TestOutputsThatAreClosedOrFullDisturbNothing(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("this system has no /dev/full: %v", err)
	}
	defer full.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, row := range map[string]struct {
		stdout, stderr *os.File
		loses          bool
	}{
		"stdout closed": {nil, null, false},
		"stderr closed": {null, nil, false}, // Go opens /dev/null in its place
		"both closed":   {nil, nil, false},
		"stdout full":   {full, null, true},
		"stderr full":   {null, full, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := serveLoose(t, row.stdout, row.stderr, "{format: classic, output: true, headers: true}")
			for range 3 {
				if status, _, body := l.request("POST", "/up", nil, "x"); status != 200 || body != "X" {
					t.Errorf("got %d %q, want 200 X", status, body)
				}
			}
			if row.loses {
				poll(t, "the count of lost lines", func() bool { return l.dropped() > 0 })
			}
			l.signal(syscall.SIGTERM)
			if status := l.wait(); status != 0 {
				t.Errorf("got exit status %d, want 0", status)
			}
		})
	}
}

// QUIT and WINCH are the STOPSIGNAL of images; a process without a terminal takes both.
func TestQuitDrainsAndStrangeSignalsAreIgnored(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGWINCH} {
		t.Run(signals.Name(sig), func(t *testing.T) {
			if sig == syscall.SIGWINCH && onTerminal() {
				t.Skip("this test runs on a terminal, where WINCH says that it was resized")
			}
			d := serveFile(t, oneServer).waitListening()
			child := d.pid("/app")
			for _, strange := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE} {
				d.signal(strange)
			}
			d.waitLog("SIGUSR2")
			answer, release := d.slow()
			d.signal(sig)
			d.waitLog("draining")
			release()
			if got := <-answer; got.status != 200 || got.body != "done" {
				t.Errorf("the request in flight: got %d %q, want 200 done", got.status, got.body)
			}
			if status := d.wait(); status != 0 {
				t.Errorf("got exit status %d, want 0", status)
			}
			if !strings.Contains(d.logged(), signals.Name(sig)) {
				t.Errorf("the log does not name %s: got\n%s\nwant strings.Contains(d.logged(), signals.Name(sig))", signals.Name(sig), d.logged())
			}
			if !gone(child) {
				t.Errorf("process %d was left behind", child)
			}
		})
	}
}

func TestAbortDumpsAllStacks(t *testing.T) {
	d := serveFile(t, oneServer).waitListening()
	child := d.pid("/app")
	d.signal(syscall.SIGABRT)
	if status := d.wait(); status != 2 {
		t.Errorf("got exit status %d, want 2, that of a crash", status)
	}
	for _, want := range []string{"SIGABRT", "goroutine ", "run.(*Group).Run"} {
		if !strings.Contains(d.logged(), want) {
			t.Errorf("no %q in the dump", want)
		}
	}
	waitGone(t, child)
}

// As from a person who presses Ctrl-C until the prompt is back.
func TestSignalsUntilTheEndChangeNoExitStatus(t *testing.T) {
	d := serveFile(t, oneServer).waitListening()
	d.pid("/app")
	for d.cmd.Process.Signal(syscall.SIGTERM) == nil {
		select {
		case <-d.ended:
		case <-time.After(time.Millisecond):
		}
	}
	if status := d.wait(); status != 0 {
		t.Errorf("got exit status %d, want 0", status)
	}
	if got := strings.Count(d.logged(), "asked again"); got > 1 {
		t.Errorf("got %d lines of a second signal, want 1 at most", got)
	}
}

// onTerminal reports whether this test has a controlling terminal.
func onTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	_ = f.Close() // nothing was read
	return true
}
