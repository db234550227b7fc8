package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hinshun/vt10x"
	"golang.org/x/sys/unix"
)

// session is watchdogd on a terminal of its own, and what that terminal shows.
type session struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	ended  chan error

	mu    sync.Mutex
	vt    vt10x.Terminal
	sent  []byte        // all that the program wrote
	grown chan struct{} // closed and made anew when something is shown
}

// onScreen starts watchdogd on a terminal of that size, as a shell in dir would.
func onScreen(t *testing.T, columns, rows int, dir string, env []string, args ...string) *session {
	t.Helper()
	master, terminal := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(columns), Row: uint16(rows)}); err != nil {
		t.Fatal(err)
	}
	s := &session{t: t, master: master, vt: vt10x.New(vt10x.WithSize(columns, rows)), grown: make(chan struct{}), ended: make(chan error, 1)}
	s.cmd = exec.Command(self(t), args...)
	s.cmd.Dir = dir
	s.cmd.Env = append(os.Environ(), "WATCHDOGD_TEST_AS=watchdogd", "TERM=xterm", "NO_COLOR=")
	s.cmd.Env = append(s.cmd.Env, env...)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = terminal, terminal, terminal
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = terminal.Close() // the program has it
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			s.mu.Lock()
			_, _ = s.vt.Write(buf[:n]) // memory takes all
			s.sent = append(s.sent, buf[:n]...)
			close(s.grown)
			s.grown = make(chan struct{})
			s.mu.Unlock()
			if err != nil { // the program has ended, or the test
				return
			}
		}
	}()
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended meanwhile
		}
		if t.Failed() {
			t.Logf("the screen:\n%s", s.shown())
		}
	})
	return s
}

// shown is the screen, without the space at the ends of its lines and below them.
func (s *session) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := strings.Split(s.vt.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// await waits until the screen shows text.
func (s *session) await(text string) string {
	s.t.Helper()
	for deadline := time.After(patience); ; {
		s.mu.Lock()
		grown := s.grown
		s.mu.Unlock()
		if shown := s.shown(); strings.Contains(shown, text) {
			return shown
		}
		select {
		case <-grown:
		case <-deadline:
			s.t.Fatalf("got the screen\n%s\nwant %q on it", s.shown(), text)
		}
	}
}

// wrote is all that the program wrote to the terminal.
func (s *session) wrote() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.sent)
}

// resize gives the terminal another size.
func (s *session) resize(columns, rows int) {
	s.t.Helper()
	s.mu.Lock()
	s.vt.Resize(columns, rows)
	s.mu.Unlock()
	if err := unix.IoctlSetWinsize(int(s.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(columns), Row: uint16(rows)}); err != nil {
		s.t.Fatal(err)
	}
}

// press sends keys.
func (s *session) press(keys string) {
	s.t.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// wait returns the exit status.
func (s *session) wait() int {
	s.t.Helper()
	select {
	case <-s.ended:
		return s.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		s.t.Fatalf("got the screen\n%s\nwant the program to end", s.shown())
		return -1
	}
}

// numbers are what differs from one run to the next.
var numbers = regexp.MustCompile(`pid \d+|on port \d+|localhost:\d+|127\.0\.0\.1:\d+|[\d.]+(µs|ms|s)\b`)

// sorted is a screen without what differs from one run to the next: the table, and then the
// lines, which come in the order in which the programs get a processor.
func sorted(shown string) string {
	shown = numbers.ReplaceAllStringFunc(shown, func(s string) string {
		return regexp.MustCompile(`[\d.]+`).ReplaceAllString(s, "N")
	})
	table, lines, _ := strings.Cut(shown, "\n\n")
	all := strings.Split(lines, "\n")
	slices.Sort(all)
	return table + "\n\n" + strings.Join(all, "\n")
}

const screened = `
name: shop
server: {listen: "%s"}
routes:
  - {name: files, path: /, mode: static, root: .}
  - {name: app, fprocess: "%s"}
services:
  - {name: ticker, shell: true, fprocess: "printf '\\033[31mred\\033[0m and \\033[2Jplain\\n'; exec sleep 1000"}
`

func TestATerminalSession(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	program := "env WATCHDOGD_TEST_AS=server " + self(t)
	if err := os.WriteFile(filepath.Join(dir, "watchdog.yaml"), fmt.Appendf(nil, screened, address, program), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"XDG_RUNTIME_DIR=" + shortDir(t)}
	s := onScreen(t, 78, 24, dir, env)
	s.await("NAME")
	s.await("app       | ready")
	d := &daemonUnderTest{t: t, base: "http://" + address}
	if status, _ := d.get("/missing?secret"); status != 404 {
		t.Errorf("got %d, want 404", status)
	}
	arrived, until := filepath.Join(dir, "arrived"), filepath.Join(dir, "until")
	slow := make(chan int, 1)
	go func() {
		got, err := d.try(http.MethodGet, "/app/slow?arrived="+arrived+"&until="+until, nil, "")
		if err != nil {
			t.Error(err)
		}
		slow <- got.status
	}()
	waitFile(t, arrived)
	s.await("404")
	s.press("\x03")
	s.await("waiting up to 30s")
	if err := os.WriteFile(until, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status := <-slow; status != 200 {
		t.Errorf("the request in flight: got %d, want 200", status)
	}
	if status := s.wait(); status != 0 {
		t.Errorf("got status %d, want 0", status)
	}
	s.await("| stopped")
	shown := s.shown()
	shown = regexp.MustCompile(`(?m)^((?:app|ticker) .*) (starting|ready)( +(?:http|-))`).ReplaceAllString(shown, "$1 STATE$3") // as fast as the machine is
	want := `NAME    MODE     STATE  URL
files   static   ready  http://localhost:N/
app     http     STATE  http://localhost:N/app
ticker  service  STATE  -

          | app)
app       | GET /app/slow 200 Ns
app       | listening on N
app       | ready on port N (pid N)
app       | starting (pid N)
app       | stopping
files     | GET /missing 404 Ns: file not found
ticker    | ready (pid N)
ticker    | red and plain
ticker    | starting (pid N)
ticker    | stopping
watchdogd | stopped
watchdogd | stopping (Ctrl-C); press Ctrl-C again to cut off what is left
watchdogd | waiting up to Ns for GET /app/slow from N:N (route`
	shown = regexp.MustCompile(`listening on \d+`).ReplaceAllString(shown, "listening on N")
	shown = regexp.MustCompile(`(?m)^watchdogd \| still waiting for.*\n(?: +\| .*\n)*`).ReplaceAllString(shown, "") // when the machine is slow
	if got := sorted(shown); spaces(got) != spaces(want) {
		t.Errorf("got the screen\n%s\nwant\n%s", got, want)
	}
}

func TestAResponseThatBreaksOffIsOneLineWithItsReason(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	const file = `
server: {listen: "%s"}
routes:
  - {name: half, path: /, mode: streaming, shell: true, fprocess: "echo half; exit 4"}
`
	if err := os.WriteFile(filepath.Join(dir, "watchdog.yaml"), fmt.Appendf(nil, file, address), 0o600); err != nil {
		t.Fatal(err)
	}
	s := onScreen(t, 100, 24, dir, []string{"XDG_RUNTIME_DIR=" + shortDir(t)})
	s.await("NAME")
	d := &daemonUnderTest{t: t, base: "http://" + address}
	if _, err := d.try(http.MethodGet, "/", nil, ""); err == nil {
		t.Error("got a whole response, want one that breaks off")
	}
	s.await("cut short: the program ended with exit status 4")
	if shown := s.shown(); strings.Count(shown, "exit status 4") != 1 {
		t.Errorf("got the screen\n%s\nwant the reason in it once", shown)
	}
	s.press("\x03")
	if status := s.wait(); status != 0 {
		t.Errorf("got status %d, want 0", status)
	}
}

// spaces makes the width of columns of no account.
func spaces(s string) string {
	return regexp.MustCompile(`(?m) +`).ReplaceAllString(strings.NewReplacer("µs", "s", "ms", "s").Replace(s), " ")
}

func TestASessionIn20ColumnsFits(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	program := "env WATCHDOGD_TEST_AS=server " + self(t)
	if err := os.WriteFile(filepath.Join(dir, "watchdog.yaml"), fmt.Appendf(nil, screened, address, program), 0o600); err != nil {
		t.Fatal(err)
	}
	s := onScreen(t, 20, 60, dir, []string{"XDG_RUNTIME_DIR=" + shortDir(t), "TERM=dumb"})
	s.await("app   | ready on")
	shown := s.await("tick… | red and") // and no row was broken by the terminal itself:
	for row := range strings.Lines(shown) {
		row = strings.TrimRight(row, "\n")
		if row == "" || strings.HasPrefix(row, "  ") && !strings.Contains(row, "|") || !strings.Contains(row, " ") && !strings.Contains(row, "|") {
			continue // the blocks of the table
		}
		if len(row) > 6 && []rune(row)[6] != '|' {
			t.Errorf("got the row %q, want it in its column", row)
		}
	}
	s.press("\x03")
	s.press("\x03") // an echo of the first
	if status := s.wait(); status != 0 {
		t.Errorf("got status %d, want 0", status)
	}
}

func TestASecondCtrlCCutsOffWhatIsLeft(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	program := "env WATCHDOGD_TEST_AS=server " + self(t)
	if err := os.WriteFile(filepath.Join(dir, "watchdog.yaml"), fmt.Appendf(nil, screened, address, program), 0o600); err != nil {
		t.Fatal(err)
	}
	s := onScreen(t, 100, 40, dir, []string{"XDG_RUNTIME_DIR=" + shortDir(t)})
	s.await("app       | ready")
	d := &daemonUnderTest{t: t, base: "http://" + address}
	arrived := filepath.Join(dir, "arrived")
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		_, _ = d.try(http.MethodGet, "/app/slow?arrived="+arrived+"&until=/nowhere/x", nil, "") // it is cut off
	}()
	waitFile(t, arrived)
	s.press("\x03")
	s.await("still waiting for GET /app/slow") // later than what counts as an echo of the first
	s.press("\x03")
	if status := s.wait(); status != 3 {
		t.Errorf("got status %d, want 3", status)
	}
	<-cut
	s.await("requests that were cut off: 1")
}

func TestLogsThatFollowEndWithTheirTerminalOrReader(t *testing.T) {
	d := serveFile(t, steered).waitListening()
	d.pid("/app")
	s := onScreen(t, 80, 24, "", d.cmd.Env, "logs", "-f", "-c", d.file)
	s.await("app     | listening on")
	_ = s.master.Close() // as a terminal's window does
	s.wait()

	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	logs := exec.Command(self(t), "logs", "-f", "-c", d.file)
	logs.Env, logs.Stdout = d.cmd.Env, write
	if err := logs.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()                                                    // the command has it
	_, _ = read.Read(make([]byte, 1))                                    // it follows
	_ = read.Close()                                                     // and nothing is printed from now on
	late := time.AfterFunc(patience, func() { _ = logs.Process.Kill() }) // so that Wait returns
	if err := logs.Wait(); err != nil || !late.Stop() {
		t.Errorf("the reader of a pipe: got %v, want status 0", err)
	}
}

func TestLogsShowStartsEndsAndRequests(t *testing.T) {
	d := serveFile(t, steered).waitListening()
	d.pid("/app")
	d.get("/app/a?secret")
	d.waitLog(`"service":"migrate","state":"exited"`)
	for args, want := range map[string]string{
		"logs":                       `app starting \(pid \d+\)`,
		"logs app":                   `app ready on port \d+ \(pid \d+\)`,
		"logs --requests":            `app GET /app/a 200 `,
		"logs --requests app":        `app GET /app/pid 200 `,
		"logs --since 1h":            `migrate ended: exit status 0`,
		"logs --since 1h --json":     `"stream":"event","text":"ended: exit status 0"`,
		"logs --requests -n 1 app":   `app GET /app/a 200 `,
		"logs --requests --since 1h": `app starting`,
	} {
		out, errOut, status := d.command(strings.Fields(args)...)
		if status != 0 || !regexp.MustCompile(want).MatchString(out) || strings.Contains(out, "secret") || !strings.Contains(args, "requests") && strings.Contains(out, "GET") {
			t.Errorf("%s: got %d, %s%s, want %s", args, status, out, errOut, want)
		}
	}
	for args, want := range map[string]string{
		"logs other":       "no route or service is named other; there are ",
		"logs --since yes": "must be how long ago, such as 5m, or a time",
	} {
		out, errOut, status := d.command(strings.Fields(args)...)
		if status == 0 || !strings.Contains(errOut, want) {
			t.Errorf("%s: got %d, %s%s, want %s", args, status, out, errOut, want)
		}
	}
}
