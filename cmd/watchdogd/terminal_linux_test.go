package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/pty"
)

// openTerminal returns a terminal and its other end, until the end of the test.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, terminal, err := pty.Open(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = master.Close() // the test may have done it
		_ = terminal.Close()
	})
	return master, terminal
}

// onTerminal is what a command shows on a terminal.
func (d *daemonUnderTest) onTerminal(args ...string) string {
	t := d.t
	t.Helper()
	master, terminal := openTerminal(t)
	cmd := exec.Command(self(t), append(args, "-c", d.file)...)
	cmd.Env = append(slices.Clip(d.cmd.Env), "NO_COLOR=1")
	cmd.Stdout, cmd.Stderr = terminal, terminal
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	shown := make(chan string, 1)
	go func() {
		var b strings.Builder
		buf := make([]byte, 4096)
		for !strings.Contains(b.String(), "END") {
			n, err := master.Read(buf)
			b.Write(buf[:n])
			if err != nil {
				break
			}
		}
		shown <- b.String()
	}()
	_ = cmd.Wait() // what it shows is compared
	fmt.Fprintln(terminal, "END")
	select {
	case text := <-shown:
		return text
	case <-time.After(patience):
		t.Fatal("the terminal shows nothing")
		return ""
	}
}

func TestNoTextOfAProgramActsOnATerminal(t *testing.T) {
	d := serveFile(t, `
server: {listen: "LISTEN"}
routes:
  - {name: up, mode: streaming, fprocess: "printf '\\033]0;title\\007body\\n'"}
services:
  - {name: says, shell: true, fprocess: "printf '\\033[2Jline\\n'; exec sleep 1000"}
`).waitListening()
	d.waitLog("line")
	for _, args := range [][]string{{"logs"}, {"call", "up"}, {"ps", "--json"}, {"call", "up\x1b[2J"}, {"start", "\x1b[2J"}} {
		if got := d.onTerminal(args...); strings.Contains(got, "\x1b") {
			t.Errorf("%q: got %q on a terminal, want no control characters", args, got)
		}
	}
	if got := d.onTerminal("call", "up"); !strings.Contains(got, `\x1b]0;title\x07body`) {
		t.Errorf("call: got %q on a terminal, want the sequence to be seen", got)
	}
	if got := d.onTerminal("logs"); !strings.Contains(got, "says | line\r\n") {
		t.Errorf("logs: got %q on a terminal, want the line without what erases", got)
	}
	if got, _, _ := d.command("logs"); !strings.Contains(got, "\x1b[2Jline\n") {
		t.Errorf("logs: got %q in a pipe, want what the program printed", got)
	}
	if got, _, _ := d.command("call", "up"); got != "\x1b]0;title\abody\n" {
		t.Errorf("call: got %q in a pipe, want the body", got)
	}
	d.file = filepath.Join(t.TempDir(), "w\x1b[2J.yaml")
	d.write("routes: [{name: \"a\\e[2J\", mode: \"\\u009b2J\", \"\\e[2J\": 1}]\n")
	if got := d.onTerminal("validate"); strings.ContainsAny(got, "\x1b\u009b") || !strings.Contains(got, "routes[0]") {
		t.Errorf("validate: got %q on a terminal", got)
	}
}

// onTerminalServer serves one program with a controlling terminal, whose master it returns.
func onTerminalServer(t *testing.T, sh string) (*daemonUnderTest, *os.File) {
	t.Helper()
	master, terminal := openTerminal(t)
	d := &daemonUnderTest{t: t, file: filepath.Join(t.TempDir(), "watchdog.yaml"), base: "http://" + freeAddress(t), tty: terminal, sh: sh}
	d.write(oneServer)
	d.start([]string{"-c", d.file}, nil)
	d.waitListening()
	_ = terminal.Close() // watchdogd has its own
	return d, master
}

func TestClosingTheTerminalEndsAForegroundRun(t *testing.T) {
	for name, sh := range map[string]string{"the leader of the session": "", "under a shell": `"$@"; exit $?`} {
		t.Run(name, func(t *testing.T) {
			d, master := onTerminalServer(t, sh)
			child := d.pid("/app")
			answer, release := d.slow()
			_ = master.Close() // as a terminal's window does
			d.waitLog("draining")
			release()
			if got := <-answer; got.status != 200 || got.body != "done" {
				t.Errorf("the request in flight: got %d %q, want 200 done", got.status, got.body)
			}
			status := d.wait()
			if sh == "" && status != 0 {
				t.Errorf("got exit status %d, want 0", status)
			}
			if !strings.Contains(d.logged(), "SIGHUP") || !strings.Contains(d.logged(), `"msg":"stopped"`) {
				t.Errorf("got the log\n%s\nwant a stop by SIGHUP", d.logged())
			}
			if !gone(child) {
				t.Errorf("process %d was left behind", child)
			}
		})
	}
}

func TestAHangupThatWasSentReloadsOnATerminalToo(t *testing.T) {
	d, _ := onTerminalServer(t, "")
	child := d.pid("/app")
	d.signal(unix.SIGHUP)
	d.waitLog("reloaded")
	if got := d.pid("/app"); got != child {
		t.Errorf("got process %d, want still %d", got, child)
	}
}

func TestUnderNohupTheEndOfTheTerminalChangesNothing(t *testing.T) {
	d, master := onTerminalServer(t, `exec nohup "$@"`)
	child := d.pid("/app")
	_ = master.Close()
	d.waitLog("reloaded") // the hangup has arrived
	if got := d.pid("/app"); got != child {
		t.Errorf("got process %d, want still %d", got, child)
	}
}
