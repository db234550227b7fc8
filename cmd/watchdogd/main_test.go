package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// patience bounds every wait for something that must happen.
const patience = testkit.Patience

// The test binary is also watchdogd, and the programs that it runs.
func TestMain(m *testing.M) {
	if child.Shim() {
		return
	}
	switch role := os.Getenv("WATCHDOGD_TEST_AS"); role {
	case "": // the tests
	case "watchdogd":
		os.Exit(execute(os.Args, os.Stdin, os.Stdout, os.Stderr))
	case "server":
		testServer()
		return
	case "upstream":
		testUpstream()
		return
	case "imposter":
		imposterMain()
		return
	case "worker":
		testWorker()
		return
	default: // a program that ran its tests here would start itself for ever
		fmt.Fprintf(os.Stderr, "no such program in this test binary: %q\n", role)
		os.Exit(2)
	}
	testkit.Main(m)
}

// self is this test binary, to be run as a program of a route.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// testServer is an HTTP server on $PORT: /pid, /slow (waits for a file to appear),
// /exit, and an echo of the request line for the rest.
func testServer() {
	mux := http.NewServeMux()
	mux.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(7) })
	mux.HandleFunc("/read", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		_ = os.WriteFile(r.URL.Query().Get("arrived"), nil, 0o600)
		for {
			if _, err := os.Stat(r.URL.Query().Get("until")); err == nil {
				fmt.Fprint(w, "done")
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s prefix=%s version=%s", r.Method, r.RequestURI, r.Header.Get("X-Forwarded-Prefix"), os.Getenv("VERSION"))
	})
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "..") || strings.Contains(r.URL.Path, "//") || strings.Contains(r.URL.Path, "/./") {
			fmt.Fprintf(w, "%s %s", r.Method, r.RequestURI) // what ServeMux would redirect
			return
		}
		mux.ServeHTTP(w, r)
	})}
	fmt.Println("listening on", os.Getenv("PORT"))
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
	os.Exit(1)
}

// daemonUnderTest is a running watchdogd.
type daemonUnderTest struct {
	t    *testing.T
	cmd  *exec.Cmd
	file string    // the configuration
	name string    // that it is started by, where that is not the test binary's
	dir  string    // where it is started, where that is not the test's
	base string    // http://127.0.0.1:PORT
	uid  uint32    // of the user that runs it, where that is not the test's
	out  io.Writer // its standard output; nil is nowhere
	tty  *os.File  // its controlling terminal, if it has one
	sh   string    // the shell command that starts it as "$@"; empty starts it directly

	mu    sync.Mutex
	log   bytes.Buffer
	grew  chan struct{} // closed and made anew whenever the log grows
	ended chan struct{}
	err   error
}

// serveFile starts watchdogd on yaml, in which LISTEN stands for a free address and
// SELF for this test binary as a program. Args come before -c.
func serveFile(t *testing.T, yaml string, args ...string) *daemonUnderTest {
	t.Helper()
	address := freeAddress(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "watchdog.yaml")
	d := &daemonUnderTest{t: t, file: file, base: "http://" + address}
	d.write(yaml)
	d.start(append(args, "-c", file), nil)
	return d
}

// write replaces the configuration file.
func (d *daemonUnderTest) write(yaml string) {
	d.t.Helper()
	text := strings.NewReplacer("LISTEN", strings.TrimPrefix(d.base, "http://"), "SELF", "env WATCHDOGD_TEST_AS=server "+self(d.t)).Replace(yaml)
	if err := os.WriteFile(d.file, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemonUnderTest) start(args, env []string) {
	t := d.t
	t.Helper()
	d.cmd = exec.Command(self(t), args...)
	if d.uid != 0 {
		d.cmd = exec.Command(selfForAll(t), args...)
	}
	if d.sh != "" {
		d.cmd = exec.Command("sh", append([]string{"-c", d.sh, "sh", self(t)}, args...)...)
	}
	if d.name != "" {
		d.cmd.Args[0] = d.name
	}
	d.cmd.Dir = d.dir
	d.cmd.Env = append(append(os.Environ(), "WATCHDOGD_TEST_AS=watchdogd", "XDG_RUNTIME_DIR="+shortDir(t)), env...)
	d.grew, d.ended = make(chan struct{}), make(chan struct{})
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.cmd.Stdout = d.out
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if d.tty != nil {
		d.cmd.Stdin = d.tty
		d.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}
	if d.uid != 0 {
		d.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: d.uid, Gid: d.uid}
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.ended)
		in := bufio.NewReader(stderr)
		for {
			line, err := in.ReadString('\n')
			d.mu.Lock()
			d.log.WriteString(line)
			close(d.grew)
			d.grew = make(chan struct{})
			d.mu.Unlock()
			if err != nil {
				break
			}
		}
		d.err = d.cmd.Wait()
	}()
	t.Cleanup(func() {
		select {
		case <-d.ended:
		default:
			_ = d.cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-d.ended:
			case <-time.After(patience):
				_ = d.cmd.Process.Kill()
				<-d.ended
				t.Error("watchdogd did not end when asked to")
			}
		}
		if t.Failed() {
			t.Logf("the log of watchdogd:\n%s", d.logged())
		}
	})
}

func (d *daemonUnderTest) logged() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// waitLog waits until the log holds text.
func (d *daemonUnderTest) waitLog(text string) {
	d.t.Helper()
	deadline := time.After(patience)
	for {
		d.mu.Lock()
		found, grew := strings.Contains(d.log.String(), text), d.grew
		d.mu.Unlock()
		if found {
			return
		}
		select {
		case <-grew:
		case <-d.ended:
			if !strings.Contains(d.logged(), text) {
				d.t.Fatalf("watchdogd ended (%v) without logging %q:\n%s", d.err, text, d.logged())
			}
		case <-deadline:
			d.t.Fatalf("not logged: %q in\n%s", text, d.logged())
		}
	}
}

// waitListening waits until the port is open.
func (d *daemonUnderTest) waitListening() *daemonUnderTest {
	d.t.Helper()
	d.waitLog("istening")
	return d
}

// signal sends sig to watchdogd alone.
func (d *daemonUnderTest) signal(sig syscall.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatal(err)
	}
}

// wait returns the exit status.
func (d *daemonUnderTest) wait() int {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(patience):
		d.t.Fatalf("watchdogd did not end:\n%s", d.logged())
	}
	if exit, ok := errors.AsType[*exec.ExitError](d.err); ok {
		return exit.ExitCode()
	}
	if d.err != nil {
		d.t.Fatal(d.err)
	}
	return 0
}

// get returns the status and body of a GET.
func (d *daemonUnderTest) get(path string) (int, string) {
	d.t.Helper()
	status, _, body := d.request(http.MethodGet, path, nil, "")
	return status, body
}

// request sends one request with path exactly as given, on a connection of its own.
func (d *daemonUnderTest) request(method, path string, header http.Header, body string) (int, http.Header, string) {
	d.t.Helper()
	response, err := d.try(method, path, header, body)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	return response.status, response.header, response.body
}

type answered struct {
	status int
	header http.Header
	body   string
}

func (d *daemonUnderTest) try(method, path string, header http.Header, body string) (answered, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(d.base, "http://"))
	if err != nil {
		return answered{}, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n", method, path, len(body))
	_ = header.Write(&head)
	if _, err := io.WriteString(conn, head.String()+"\r\n"+body); err != nil {
		return answered{}, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return answered{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answered{response.StatusCode, response.Header, string(text)}, err
}

// command runs one command of watchdogd on the same file.
func (d *daemonUnderTest) command(args ...string) (stdout, stderr string, status int) {
	d.t.Helper()
	return command(d.t, d.cmd.Env, append(args, "-c", d.file)...)
}

// command runs watchdogd until it ends.
func command(t *testing.T, env []string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	return commandOf(t, self(t), env, args...)
}

// commandOf runs program, which is watchdogd by some name, until it ends. A command may wait for
// several things, each of which has patience.
func commandOf(t *testing.T, program string, env []string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(append(os.Environ(), env...), "WATCHDOGD_TEST_AS=watchdogd")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), errOut.String(), exit.ExitCode()
	}
	if err != nil {
		t.Fatalf("watchdogd %v: got %v, want no error\n%s", args, err, errOut.String())
	}
	return out.String(), errOut.String(), 0
}

// freeAddress is an address of this machine that is the test's to listen on.
func freeAddress(t *testing.T) string { t.Helper(); return testkit.FreeAddress(t) }

// freePort is a port that no one else is given until the test ends.
func freePort(t *testing.T) int { t.Helper(); return testkit.FreePort(t) }

// shortDir is a directory whose path leaves room for a socket's name (unix(7): 108 bytes).
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// gone reports whether no process has the pid any more.
func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// waitGone waits until no process has the pid.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	poll(t, fmt.Sprintf("the end of process %d", pid), func() bool { return gone(pid) })
}

// poll waits for what is not announced: another process's files and children.
func poll(t *testing.T, what string, done func() bool) { t.Helper(); testkit.Eventually(t, what, done) }
