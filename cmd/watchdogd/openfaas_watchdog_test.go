package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// watchdog is one watchdog under test, with the scenario that holds it.
type watchdog struct {
	*testing.T
	bench   *bench
	path    string
	classic bool
	args    []string // of the command line
	name    string   // argv[0], if not the path
	hidden  bool     // it runs where it cannot look

	dir      string // where it runs, and its TMPDIR
	mark     string // a variable by which its processes are known
	port     int
	metrics  int
	upstream int // the port of the function in mode http
	cmd      *exec.Cmd
	log, out *printed
	ended    chan struct{}
	err      error
}

func newWatchdog(t *testing.T, b *bench) *watchdog {
	w := &watchdog{T: t, bench: b, path: b.path, dir: shortDir(t), port: freePort(t), metrics: 8081}
	if b.ours {
		w.metrics = freePort(t)
	}
	w.mark = fmt.Sprintf("SCENARIO=%d.%d", os.Getpid(), w.port)
	w.log, w.out = newPrinted(), newPrinted()
	t.Cleanup(w.clear)
	return w
}

// start runs the watchdog with these variables, and waits until it takes connections.
func (w *watchdog) start(env ...string) *watchdog {
	w.Helper()
	w.launch(env...)
	w.waitPort(w.port)
	return w
}

// exits runs it and waits for its end, which has to be with that status.
func (w *watchdog) exits(status int, env ...string) *watchdog {
	w.Helper()
	w.launch(env...)
	if got := w.wait(); got != status {
		w.Errorf("the exit status is %d, want %d; %v\n%s", got, status, env, w.log)
	}
	return w
}

// refuses: it does not start, with status 1, and the message has all of these words.
func (w *watchdog) refuses(words string, env ...string) {
	w.Helper()
	w.exits(1, env...)
	for word := range strings.FieldsSeq(words) {
		if !strings.Contains(w.log.String(), word) {
			w.Errorf("%v: the message does not name %s:\n%s", env, word, w.log)
		}
	}
}

// launch runs it. The variables come after those of every scenario, and win; "-name"
// takes one of those away.
func (w *watchdog) launch(env ...string) {
	w.Helper()
	with := []string{
		"PATH=" + os.Getenv("PATH"), "TMPDIR=" + w.dir, "XDG_RUNTIME_DIR=" + w.dir, w.mark, fmt.Sprintf("port=%d", w.port),
		"healthcheck_interval=1ms", // 30 seconds otherwise, and for ever at 0 in the originals
	}
	if w.bench.ours {
		with = append(with, fmt.Sprintf("metrics_port=%d", w.metrics))
	}
	if w.classic {
		with = append(with, "mode=classic")
	}
	w.cmd = exec.Command(w.path, w.args...)
	switch {
	case w.name != "":
		w.cmd.Args[0] = w.name
	case w.bench.ours && w.path == w.bench.path:
		w.cmd.Args[0] = "watchdogd" // whatever the file is called: the name has a meaning
	}
	w.cmd.Dir = w.dir
	for _, v := range append(w.bench.env, env...) {
		if name, ok := strings.CutPrefix(v, "-"); ok {
			with = slices.DeleteFunc(with, func(v string) bool { return strings.HasPrefix(v, name+"=") })
			continue
		}
		with = append(with, v)
	}
	w.cmd.Env = with
	w.cmd.Stdout, w.cmd.Stderr = w.out, w.log
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if !w.bench.ours {
		w.cmd.WaitDelay = time.Second // what an original leaves behind keeps the pipes open
	}
	w.ended = make(chan struct{})
	if w.hidden {
		w.hide()
	}
	if err := w.cmd.Start(); err != nil {
		w.Fatal(err)
	}
	go func(cmd *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		w.err = cmd.Wait()
	}(w.cmd, w.ended)
}

// hide runs it where it cannot look: a shell enters a directory while it may still do so.
// Root can look everywhere, and so becomes nobody.
func (w *watchdog) hide() {
	hidden, program, as := filepath.Join(w.dir, "hidden"), w.path, ""
	if err := os.Mkdir(hidden, 0o700); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = os.Chmod(hidden, 0o700) })
	if os.Getuid() == 0 {
		as = w.program("setpriv") + " --reuid 65534 --regid 65534 --clear-groups "
		program = filepath.Join(w.dir, "watchdog") // which may stand where only root can look
		testkit.WriteProgram(w.T, program, readFile(w.T, w.path))
		if err := os.Chmod(w.dir, 0o755); err != nil {
			w.Fatal(err)
		}
	}
	w.cmd.Path, w.cmd.Args = "/bin/sh", []string{"sh", "-c", fmt.Sprintf("cd %s && chmod 0 . && exec %s%s", hidden, as, program)}
}

// function is the command of a program of openfaas_function_test.go.
func (w *watchdog) function(name string) string {
	return "env WATCHDOGD_TEST_AS=" + name + " " + self(w.T)
}

// script is the command of a shell script.
func (w *watchdog) script(text string) string {
	w.Helper()
	return "sh " + w.file("function.sh", text)
}

// file writes a file of the scenario.
func (w *watchdog) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

// written writes a program of the scenario.
func (w *watchdog) written(name, text string) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	testkit.WriteProgram(w.T, path, text)
	return path
}

// serve starts it in mode http before the upstream of openfaas_function_test.go.
func (w *watchdog) serve(env ...string) *watchdog {
	w.Helper()
	w.upstream = freePort(w.T)
	w.start(append([]string{
		"mode=http", "fprocess=" + w.function("upstream"), fmt.Sprintf("UPSTREAM_PORT=%d", w.upstream),
		fmt.Sprintf("http_upstream_url=http://127.0.0.1:%d", w.upstream),
	}, env...)...)
	w.waitPort(w.upstream)
	w.poll("readiness", func() bool { return w.get("/_/ready").status != 503 })
	return w
}

// waitPort waits until the port is open.
func (w *watchdog) waitPort(port int) {
	w.Helper()
	w.poll(fmt.Sprintf("port %d to be open", port), func() bool {
		select {
		case <-w.ended:
			w.Fatalf("the watchdog ended (%v):\n%s", w.err, w.log)
		default:
		}
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// poll waits for what is not announced.
func (w *watchdog) poll(what string, done func() bool) {
	w.Helper()
	testkit.Eventually(w.T, what, done) // the log is printed when the test has failed
}

// signal sends a signal to the watchdog alone.
func (w *watchdog) signal(sig syscall.Signal) {
	w.Helper()
	if err := w.cmd.Process.Signal(sig); err != nil {
		w.Fatal(err)
	}
}

// stop asks it to end, and returns its exit status.
func (w *watchdog) stop() int {
	w.Helper()
	w.signal(syscall.SIGTERM)
	return w.wait()
}

// hurry asks it to end until it has, and returns its exit status.
func (w *watchdog) hurry() int {
	w.Helper()
	w.poll("the end, hurried", func() bool {
		_ = w.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-w.ended:
			return true
		default:
			return false
		}
	})
	return w.wait()
}

// wait returns the exit status; -1 is the end by a signal.
func (w *watchdog) wait() int {
	w.Helper()
	select {
	case <-w.ended:
		return w.cmd.ProcessState.ExitCode()
	case <-time.After(soon):
		w.Fatalf("the watchdog did not end:\n%s", w.log)
		return 0
	}
}

// clear ends what is left. Ours leaves no process behind, whatever happened.
func (w *watchdog) clear() {
	if w.cmd != nil && w.cmd.Process != nil {
		select {
		case <-w.ended:
		default:
			_ = w.cmd.Process.Signal(syscall.SIGTERM)
			if !w.bench.ours {
				_ = w.cmd.Process.Kill()
			}
			select {
			case <-w.ended:
			case <-time.After(soon):
				w.Error("the watchdog did not end when asked to")
				_ = w.cmd.Process.Kill()
				<-w.ended
			}
		}
	}
	left := w.processes()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(soon); w.bench.ours && len(left) > 0 && time.Now().Before(end); <-tick.C {
		left = w.processes() // who was killed takes a moment to be gone
	}
	for _, pid := range left {
		if w.bench.ours {
			command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			w.Errorf("process %d was left behind: %q", pid, command)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if w.Failed() {
		w.Logf("stderr:\n%s\nstdout:\n%s", w.log, w.out)
	}
}

// processes lists those that came from this watchdog, itself too. Elsewhere than on
// Linux nobody can tell.
func (w *watchdog) processes() (pids []int) {
	if runtime.GOOS != "linux" {
		return nil
	}
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || !slices.Contains(strings.Split(string(data), "\x00"), w.mark) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// needPort skips where another program has a port that a scenario cannot choose.
func (w *watchdog) needPort(port int) {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		w.Skipf("this scenario needs a port of this host that is in use: %v", err)
	}
	_ = l.Close()
}

// lock is its lock file.
func (w *watchdog) lock() string { return filepath.Join(w.dir, ".lock") }

// exists reports whether a file is there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Requests.

// get is GET on a connection of its own, with the path exactly as given.
func (w *watchdog) get(path string, headers ...string) *answer {
	w.Helper()
	return w.call("GET "+path, "", headers...)
}

// post is POST likewise.
func (w *watchdog) post(path, body string, headers ...string) *answer {
	w.Helper()
	return w.call("POST "+path, body, headers...)
}

// call sends one request: method and target, body, header lines. With the header
// Transfer-Encoding the body goes as one chunk.
func (w *watchdog) call(line, body string, headers ...string) *answer {
	w.Helper()
	c := w.dial(w.port)
	defer c.Close()
	c.write(requestText(line, body, headers...))
	return c.answer(strings.Fields(line)[0])
}

func requestText(line, body string, headers ...string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s HTTP/1.1\r\n", line)
	has := func(name string) bool {
		return slices.ContainsFunc(headers, func(h string) bool { return strings.HasPrefix(strings.ToLower(h), name+":") })
	}
	if !has("host") {
		text.WriteString("Host: localhost\r\n")
	}
	for _, h := range headers {
		text.WriteString(h + "\r\n")
	}
	switch method := strings.Fields(line)[0]; {
	case has("transfer-encoding"):
		body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	case has("content-length"):
	case body != "" || method == "POST" || method == "PUT" || method == "PATCH":
		fmt.Fprintf(&text, "Content-Length: %d\r\n", len(body))
	}
	return text.String() + "\r\n" + body
}

// conn is one connection, all of whose reading is bounded.
type conn struct {
	net.Conn
	w    *watchdog
	in   *bufio.Reader
	read bytes.Buffer // all that was read
}

func (w *watchdog) dial(port int) *conn {
	w.Helper()
	raw, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		w.Fatalf("%v; the log:\n%s", err, w.log)
	}
	_ = raw.SetDeadline(time.Now().Add(soon))
	c := &conn{Conn: raw, w: w}
	c.in = bufio.NewReader(io.TeeReader(raw, &c.read))
	return c
}

func (c *conn) write(text string) {
	c.w.Helper()
	if _, err := io.WriteString(c, text); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		c.w.Fatal(err)
	}
}

// until reads on until the text was read.
func (c *conn) until(text string) {
	c.w.Helper()
	var got []byte
	for !bytes.Contains(got, []byte(text)) {
		b, err := c.in.ReadByte()
		if err != nil {
			c.w.Fatalf("%v while waiting for %q, after %q; the log:\n%s", err, text, got, c.w.log)
		}
		got = append(got, b)
	}
}

// answer reads one response to its end.
func (c *conn) answer(method string) *answer {
	c.w.Helper()
	response, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		return &answer{w: c.w, err: err, head: c.read.String()}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	head, _, _ := strings.Cut(c.read.String(), "\r\n\r\n")
	return &answer{c.w, response.StatusCode, response.Header, head, string(body), response.ContentLength, response.TransferEncoding, response.Trailer, err}
}

// answer is one response, or the error that came in its place.
type answer struct {
	w        *watchdog
	status   int
	header   http.Header
	head     string // as it came
	body     string
	length   int64
	encoding []string
	trailer  http.Header
	err      error
}

func (a *answer) String() string { return fmt.Sprintf("%s\n\n%.2000s\n(%v)", a.head, a.body, a.err) }

// is checks status and body.
func (a *answer) is(status int, body string) *answer {
	a.w.Helper()
	if a.status != status || a.body != body || a.err != nil {
		a.w.Errorf("want %d %q, got\n%v\nthe log:\n%s", status, body, a, a.w.log)
	}
	return a
}

// code checks the status alone.
func (a *answer) code(status int) *answer {
	a.w.Helper()
	if a.status != status || a.err != nil {
		a.w.Errorf("want %d, got\n%v\nthe log:\n%s", status, a, a.w.log)
	}
	return a
}

// has checks all values of a header.
func (a *answer) has(name string, values ...string) *answer {
	a.w.Helper()
	if got := a.header.Values(name); !slices.Equal(got, values) {
		a.w.Errorf("%s is %q, want %q in\n%v", name, got, values, a)
	}
	return a
}

// like checks one header against a pattern.
func (a *answer) like(name, pattern string) *answer {
	a.w.Helper()
	if !regexp.MustCompile("^" + pattern + "$").MatchString(a.header.Get(name)) {
		a.w.Errorf("%s is %q, want %s in\n%v", name, a.header.Get(name), pattern, a)
	}
	return a
}

// lacks checks that headers are not there.
func (a *answer) lacks(names ...string) *answer {
	a.w.Helper()
	for _, name := range names {
		if _, there := a.header[http.CanonicalHeaderKey(name)]; there {
			a.w.Errorf("%s is there in\n%v", name, a)
		}
	}
	return a
}

// holds checks that the body contains texts.
func (a *answer) holds(texts ...string) *answer {
	a.w.Helper()
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			a.w.Errorf("%q is not in\n%v\nthe log:\n%s", text, a, a.w.log)
		}
	}
	return a
}

// without checks that the body does not contain texts.
func (a *answer) without(texts ...string) *answer {
	a.w.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			a.w.Errorf("%q is in\n%v", text, a)
		}
	}
	return a
}

// isCut checks that the response ended in a way that its reader can tell.
func (a *answer) isCut() *answer {
	a.w.Helper()
	if a.err == nil || errors.Is(a.err, os.ErrDeadlineExceeded) {
		a.w.Errorf("not cut off:\n%v\nthe log:\n%s", a, a.w.log)
	}
	return a
}

// comes checks that the answer ended, in whatever way, before the reading was given up.
func (a *answer) comes() *answer {
	a.w.Helper()
	if errors.Is(a.err, os.ErrDeadlineExceeded) {
		a.w.Errorf("got no end of the answer within %v, want one:\n%v\nthe log:\n%s", soon, a, a.w.log)
	}
	return a
}

// What was printed.

// clock begins a line of Go's standard logger.
const clock = `\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `

// line waits until a whole line of stderr matches.
func (w *watchdog) line(pattern string) {
	w.Helper()
	w.log.wait(w, pattern)
}

// prints waits until a whole line of stdout matches.
func (w *watchdog) prints(pattern string) {
	w.Helper()
	w.out.wait(w, pattern)
}

// noLine ends the watchdog and checks that no line of stderr matches.
func (w *watchdog) noLine(pattern string) {
	w.Helper()
	select {
	case <-w.ended:
	default:
		w.stop()
	}
	if line := regexp.MustCompile("(?m)^" + pattern + "$").FindString(w.log.String()); line != "" {
		w.Errorf("logged: got %q, want nothing", line)
	}
}

// printed is one of its outputs.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
	grew chan struct{} // closed and made anew when the text grows
}

func newPrinted() *printed { return &printed{grew: make(chan struct{})} }

func (p *printed) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.grew)
	p.grew = make(chan struct{})
	return p.text.Write(data)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text.Len() > 20000 {
		return p.text.String()[:10000] + "\n...\n" + p.text.String()[p.text.Len()-10000:]
	}
	return p.text.String()
}

func (p *printed) wait(w *watchdog, pattern string) {
	w.Helper()
	re := regexp.MustCompile("(?m)^" + pattern + "$")
	deadline := time.After(soon)
	for ended := false; ; {
		p.mu.Lock()
		found, grew := re.Match(p.text.Bytes()), p.grew
		p.mu.Unlock()
		if found {
			return
		}
		if ended {
			w.Errorf("it ended without a line %q; stderr:\n%s\nstdout:\n%s", pattern, w.log, w.out)
			return
		}
		select {
		case <-grew:
		case <-w.ended:
			ended = true
		case <-deadline:
			w.Errorf("no line %q; stderr:\n%s\nstdout:\n%s", pattern, w.log, w.out)
			return
		}
	}
}
