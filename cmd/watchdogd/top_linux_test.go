package main

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// topped is a stack to watch: a server, a program for each call, and services, of which one
// prints what a terminal would obey and one does not start.
const topped = `
name: shop
server: {listen: "LISTEN"}
routes:
  - {name: api, path: /api, fprocess: "SELF"}
  - {name: upper, path: /upper, mode: streaming, fprocess: "tr a-z A-Z"}
services:
  - {name: says, shell: true, fprocess: "printf '\\033]0;stolen\\007\\033[31mred\\033[0m \\033[2J\\377\\302\\2332J\\000 end\\n'; exec sleep 1000"}
  - {name: broken, shell: true, fprocess: "cat /no/such/file; exit 7"}
`

// top watches the stack of d on a terminal of that size.
func (d *daemonUnderTest) top(columns, rows int, env ...string) *session {
	d.t.Helper()
	return onScreen(d.t, columns, rows, "", append(d.cmd.Env, env...), "top", "-c", d.file)
}

// row is the row of a name on the screen.
func (s *session) row(name string) string {
	for line := range strings.Lines(s.shown()) {
		if regexp.MustCompile(`^[ ›]`+name+` +[a-z-]+( |\n|$)`).MatchString(line) && !strings.Contains(line, ",") { // no message
			return strings.TrimRight(line, "\n")
		}
	}
	return ""
}

// awaitRow waits until the row of a name matches a pattern.
func (s *session) awaitRow(name, pattern string) string {
	s.t.Helper()
	is := regexp.MustCompile(pattern)
	testkit.Eventually(s.t, fmt.Sprintf("a row of %s that matches %s", name, pattern), func() bool { return is.MatchString(s.row(name)) })
	return s.row(name)
}

// restored waits until the terminal shows what it did before top, with its cursor, and returns
// all that top wrote.
func (s *session) restored() string {
	s.t.Helper()
	testkit.Eventually(s.t, "the terminal as it was", func() bool {
		all := s.wrote()
		return strings.Contains(all, "\x1b[?1049l") && strings.Contains(all, "\x1b[?25h")
	})
	return s.wrote()
}

func TestTopShowsTheStackAndWhatChanges(t *testing.T) {
	d := serveFile(t, topped).waitListening()
	first := d.pid("/api")
	s := d.top(100, 24)
	s.awaitRow("api", `^›api +ready +1/1`)
	s.awaitRow("upper", `^ upper +ready +- `)
	s.awaitRow("broken", `crash-loop|backoff`)
	s.await(fmt.Sprintf("2 routes, 2 services  pid %d", d.cmd.Process.Pid))
	s.await("listening on") // the log of the first one
	for range 3 {
		d.get("/api")
		d.get("/api/status/503")
	}
	s.awaitRow("api", `^›api +ready +1/1 +(\d\.\d|[1-9]\d*) +[\d.]+ms`)
	s.await("in all")

	killed := time.Now()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.await("1 restart")
	t.Logf("a kill -9 was seen after %v", time.Since(killed)) // the events promise 250 ms
	s.awaitRow("api", "ready +1/1")

	second := d.pid("/api")
	s.press("r")
	s.await("api restarted, now ready")
	if got := d.pid("/api"); got == second {
		t.Errorf("after r: got process %d again, want another", got)
	}
	s.press("=2\r")
	s.awaitRow("api", "2/2")
	s.press("-")
	s.awaitRow("api", "1/1")
	s.press("x")
	s.await("stop api? y/n")
	s.press("n")
	s.press("xy")
	s.await("api stopped")
	s.awaitRow("api", "stopped")
	s.press("s")
	s.awaitRow("api", "ready +1/1")

	s.press("/brok\r")
	s.awaitRow("broken", "^›broken")
	if got := s.row("api"); got != "" {
		t.Errorf("filtered: got the row %q, want none", got)
	}
	s.press("w")
	s.await("/no/such/file")
	s.await("any other key: back")
	s.press("q\x1b")
	s.awaitRow("api", "^ api")
	s.press("?")
	s.await("Columns")
	s.press("qq")
	if status := s.wait(); status != 0 {
		t.Errorf("got status %d, want 0", status)
	}
	s.restored()
}

// What stands on the screen, character by character, but for numbers that differ from run to run.
func TestTheScreenOfTopIsThis(t *testing.T) {
	d := serveFile(t, `
name: shop
server: {listen: "LISTEN"}
routes:
  - {name: files, path: /, mode: static, root: .}
  - {name: upper, path: /upper, mode: streaming, fprocess: "tr a-z A-Z"}
`).waitListening()
	s := d.top(80, 12)
	s.await("0 in flight, 0 in all")
	d.get("/missing?secret")
	s.await("GET /missing 404")
	s.await("0 in flight, 1 in all")
	s.awaitRow("files", ` 0\.\d +[\d.]+m?s`)
	s.press("\x1b[B") // down, and up again
	s.awaitRow("upper", "^›")
	s.press("\x1b[A")
	s.awaitRow("files", "^›")
	s.await("GET /missing 404")
	shown := s.shown()
	for pattern, is := range map[string]string{
		`pid \d+`: "pid N", ` [\d.]+ calls/s`: " N calls/s", `\d\d:\d\d:\d\d`: "TIME", `404 [\d.]+(ms|µs|s)`: "404 T",
		`(files +ready +-) +[\d.]+ +([\d.]+m?s|-) +([\d.]+m?s|-)`: "$1 N T T", ` *[▁-█]+`: " TREND",
	} {
		shown = regexp.MustCompile(pattern).ReplaceAllString(shown, is)
	}
	want := ` shop  N calls/s  CPU 0%  RSS 0K  2 routes  pid N
 NAME  STATE         UP CALLS/S    P95    P99 ERR/S QUEUE   CPU   RSS      TREND
›files ready          - N T T     0     0     -     - TREND
 upper ready          -       0      -      -     0     0     -     - TREND
─ files ready  0 in flight, 1 in all ───────────────────────────────────────────
TIME GET /missing 404 T: file not found





 ?:help q:quit /:filter enter:log f:find w:why r:restart s:start x:stop +-:scale`
	if shown != want {
		t.Errorf("got the screen\n%s\nwant\n%s", shown, want)
	}
	s.press("q")
	if status := s.wait(); status != 0 {
		t.Errorf("got status %d, want 0", status)
	}
}

func TestTopLetsNoLogActOnTheTerminal(t *testing.T) {
	d := serveFile(t, topped).waitListening()
	d.waitLog("stolen")
	s := d.top(80, 24)
	s.awaitRow("says", "ready")
	s.press("jj")
	s.await("red ")
	s.await("\ufffd")
	s.press("\r") // the whole screen
	s.await(`\u009b`)
	s.press("q")
	s.wait()
	got := s.restored()
	for _, not := range []string{"stolen", "\x1b]0", "\u009b", "\xff", "\x00"} {
		if strings.Contains(got, not) {
			t.Errorf("got %q on the terminal, want none of it", not)
		}
	}
}

func TestTopIn40And20ColumnsWithoutColoursAndWithAMouse(t *testing.T) {
	d := serveFile(t, topped).waitListening()
	d.pid("/api")
	s := d.top(40, 12, "NO_COLOR=1")
	s.awaitRow("api", `^›api +ready +`)
	if got := s.shown(); !strings.Contains(got, "CALLS/S") || strings.Contains(got, "RSS  ") {
		t.Errorf("got\n%s\nwant the columns that fit", got)
	}
	s.press("\x1b[<0;5;4M\x1b[<0;5;4m") // a click on the second row
	s.awaitRow("upper", "^›upper")
	s.press("\x1b[<65;5;4M") // the wheel
	s.awaitRow("says", "^›says")
	s.resize(20, 5)
	s.awaitRow("says", `^›says +ready$`)
	if got := s.shown(); strings.Count(got, "\n") != 4 || strings.Contains(got, "CALLS") {
		t.Errorf("in 20x5: got\n%s\nwant five lines of two columns", got)
	}
	s.resize(120, 30)
	s.awaitRow("says", `^›says +ready +1/1 .*M`)
	s.await("TREND")
	s.press("q")
	s.wait()
	if got := regexp.MustCompile(`\x1b\[[\d;]*3\d[\d;]*m`).FindString(s.restored()); got != "" {
		t.Errorf("got the colour %q, want none", got)
	}
}

func TestTopSurvivesARestartOfTheStack(t *testing.T) {
	d := serveFile(t, topped).waitListening()
	s := d.top(80, 24)
	s.awaitRow("api", "ready")
	env := []string{"XDG_RUNTIME_DIR=" + d.runtimeDir()}
	d.signal(syscall.SIGKILL)
	d.wait()
	s.await("trying again")
	s.awaitRow("api", "ready") // as it was last
	d.start([]string{"-c", d.file}, env)
	s.await("watchdogd was started again")
	s.await(fmt.Sprintf("pid %d", d.cmd.Process.Pid)[:5])
	s.awaitRow("api", "ready")
	s.await("listening on") // its log is followed again
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if status := s.wait(); status != 0 {
		t.Errorf("got status %d, want 0", status)
	}
	s.restored()
}

func TestTopReachesAnotherMachineByItsToken(t *testing.T) {
	address := freeAddress(t)
	d := serveFile(t, topped+fmt.Sprintf("admin: {listen: %q, token: right}\n", address)).waitListening()
	at := func(token string, args ...string) *session {
		return onScreen(t, 100, 24, t.TempDir(), []string{"WATCHDOG_ADMIN_TOKEN=" + token}, append(args, "--admin", address)...)
	}
	for token, want := range map[string]string{"": "requires a token", "wrong": "did not accept the token"} {
		s := at(token, "top")
		if status := s.wait(); status != 1 {
			t.Errorf("the token %q: got status %d, want 1", token, status)
		}
		s.await(want)
	}
	s := at("right", "top")
	s.awaitRow("api", "ready")
	s.await(address)
	s.press("q")
	s.wait()
	s = at("right", "ps")
	s.await("broken  service")
	s.wait()
	if status, _ := d.get("/api"); status != 200 {
		t.Errorf("got %d, want the stack to go on", status)
	}
}

func TestTopNeedsATerminalThatCanBeDrawnOn(t *testing.T) {
	d := serveFile(t, topped).waitListening()
	if _, errOut, status := d.command("top"); status != 1 || !strings.Contains(errOut, "needs a terminal") || strings.Count(errOut, "\n") != 1 {
		t.Errorf("in a pipe: got %d, %q, want 1 and a sentence", status, errOut)
	}
	s := d.top(200, 24, "TERM=dumb")
	if status := s.wait(); status != 1 {
		t.Errorf("TERM=dumb: got status %d, want 1", status)
	}
	s.await("TERM is dumb; `watchdogd ps` prints a list")
}

// A terminal that is not read any more, as over a connection that is gone, holds up neither
// the stack nor the end.
func TestTopOnATerminalThatIsNotReadEnds(t *testing.T) {
	d := serveFile(t, `
server: {listen: "LISTEN"}
services:
  - {name: loud, shell: true, fprocess: "while :; do seq 10000; sleep 0.1; done"}
`).waitListening()
	master, terminal := openTerminal(t)
	cmd := exec.Command(self(t), "top", "-c", d.file)
	cmd.Env = append(d.cmd.Env, "TERM=xterm")
	cmd.Stdin, cmd.Stdout = terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 200, Row: 60}); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "a terminal that is full", func() bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(terminal.Fd()), Events: unix.POLLOUT}}, 0)
		return err == nil && n == 0 // the next write waits
	})
	if _, err := master.WriteString("?"); err != nil { // what it would draw for that waits too
		t.Fatal(err)
	}
	testkit.Eventually(t, "the key to be read", func() bool {
		n, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCINQ)
		return err == nil && n == 0
	})
	if _, errOut, status := d.command("ps"); status != 0 {
		t.Errorf("got %d, %s, want the stack to go on", status, errOut)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }) // so that Wait returns
	_ = cmd.Wait()
	if !late.Stop() {
		t.Error("after SIGTERM: got no end, want one")
	}
}
