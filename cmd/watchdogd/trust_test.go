package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// dirForAll is a folder of this test that every user can reach.
func dirForAll(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "wd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// selfForAll is the test binary, where every user can run it.
func selfForAll(t *testing.T) string {
	t.Helper()
	path := filepath.Join(dirForAll(t), "watchdogd")
	testkit.WriteProgram(t, path, readFile(t, self(t)))
	return path
}

// as runs a command as another user in an environment, and returns what it prints.
func as(t *testing.T, uid uint32, binary string, env []string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append([]string{"WATCHDOGD_TEST_AS=watchdogd", "PATH=" + os.Getenv("PATH")}, env...)
	cmd.Dir = "/"
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	out, _ := cmd.CombinedOutput() // the status says it
	return string(out), cmd.ProcessState.ExitCode()
}

func onlyRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can act as other users")
	}
}

// A stack of one user, started in an environment of its own, is found by that user and by
// root from any other environment and by any way to its file; another user learns whose it is.
func TestAStackIsFoundWhereverItsSocketIs(t *testing.T) {
	onlyRoot(t)
	const app, other = 61001, 61002
	dir, temp, binary := dirForAll(t), dirForAll(t), selfForAll(t)
	if err := os.Chmod(temp, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dirForAll(t), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	d := &daemonUnderTest{t: t, file: filepath.Join(dir, "watchdog.yaml"), base: "http://" + freeAddress(t), uid: app}
	d.write("server: {listen: LISTEN}\nroutes: [{name: files, mode: static, root: .}]\n")
	if err := os.Chmod(d.file, 0o644); err != nil {
		t.Fatal(err)
	}
	d.start([]string{"-c", filepath.Join(link, "watchdog.yaml")}, []string{"XDG_RUNTIME_DIR=", "TMPDIR=" + temp})
	d.waitLog(`"listening"`)
	for name, env := range map[string][]string{"the same": {"TMPDIR=" + temp}, "none": nil, "another": {"XDG_RUNTIME_DIR=/nowhere", "TMPDIR=" + dir}} {
		for _, file := range []string{d.file, filepath.Join(link, "watchdog.yaml")} {
			if out, status := as(t, app, binary, env, "ps", "-c", file); status != 0 || !strings.Contains(out, "files") || strings.Contains(out, "served by") {
				t.Errorf("its user, environment %s, %s: got status %d, %s, want 0 with files and no served by", name, file, status, out)
			}
			if out, status := as(t, 0, binary, env, "ps", "-c", file); status != 0 || !strings.Contains(out, "files") || !strings.Contains(out, "is served by uid 61001\n") {
				t.Errorf("root, environment %s, %s: got status %d, %s, want 0 with files with is served by uid 61001\n", name, file, status, out)
			}
		}
		out, status := as(t, other, binary, env, "ps", "-c", filepath.Join(link, "watchdog.yaml"))
		if status != 1 || !strings.Contains(out, "is served by a watchdogd of uid 61001, which answers that user and root") {
			t.Errorf("another user, environment %s: got status %d, %s, want 1 and the user", name, status, out)
		}
	}
	// After the stack's name in the file has changed, too.
	d.write("name: renamed\nserver: {listen: LISTEN}\nroutes: [{name: files, mode: static, root: .}]\n")
	if out, status := as(t, app, binary, nil, "ps", "-c", d.file); status != 0 || !strings.Contains(out, "files") {
		t.Errorf("after an edit of name: got status %d, %s, want 0 with files", status, out)
	}
	if out, status := as(t, other, binary, nil, "ps", "-c", filepath.Join(link, "watchdog.yaml")); status != 1 || !strings.Contains(out, "is served by a watchdogd of uid 61001") {
		t.Errorf("another user, after an edit of name: got status %d, %s, want 1 and the user", status, out)
	}
	d.signal(syscall.SIGTERM)
	<-d.ended
	if out, status := as(t, app, binary, nil, "ps", "-c", d.file); status != 1 || !strings.Contains(out, "no watchdogd serves ") || !strings.Contains(out, "/tmp/watchdogd-61001") {
		t.Errorf("when it has ended: got status %d, %s, want 1 and the places", status, out)
	}
}

// imposter is a process of another user that accepts connections at a socket and prints
// what it is sent.
func imposter(t *testing.T, uid uint32, binary, socket string) (got func() string) {
	t.Helper()
	cmd := exec.Command(binary)
	cmd.Env = []string{"WATCHDOGD_TEST_AS=imposter", "SOCKET=" + socket}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	if line, err := in.ReadString('\n'); err != nil || line != "listening\n" {
		t.Fatalf("the imposter: got %q, %v, want no error and listening\n", line, err)
	}
	return func() string {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		text, _ := io.ReadAll(in) // until it has ended
		_ = cmd.Wait()            // by the signal
		return string(text)
	}
}

// imposterMain is that process.
func imposterMain() {
	path := os.Getenv("SOCKET")
	_ = os.MkdirAll(filepath.Dir(path), 0o777) // Listen says it
	l, err := net.Listen("unix", path)
	if err != nil {
		panic(err)
	}
	_ = os.Chmod(path, 0o777) // as far as it goes
	os.Stdout.WriteString("listening\n")
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() { _, _ = io.Copy(os.Stdout, c) }()
	}
}

// Whoever makes the folder of a user's admin socket first learns nothing of that user's
// commands, and does not keep that user's watchdogd from having a socket.
func TestNoByteIsSentToAnotherUsersSocket(t *testing.T) {
	onlyRoot(t)
	const app, thief = 61003, 61004
	binary, dir := selfForAll(t), dirForAll(t)
	shared := dirForAll(t)
	if err := os.Chmod(shared, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	d := &daemonUnderTest{t: t, file: filepath.Join(dir, "watchdog.yaml"), base: "http://" + freeAddress(t), uid: app}
	text := "name: shop\nserver: {listen: LISTEN}\nroutes: [{name: files, mode: static, root: .}]\n"
	d.write(text)
	if err := os.Chmod(d.file, 0o644); err != nil {
		t.Fatal(err)
	}
	name := admin.SocketName(&schema.Config{Name: "shop"}, d.file)
	got := imposter(t, thief, binary, filepath.Join(shared, "watchdogd-61003", name))
	got2 := imposter(t, thief, binary, "/tmp/watchdogd-61003/"+name)
	t.Cleanup(func() { _ = os.RemoveAll("/tmp/watchdogd-61003") })
	env := []string{"XDG_RUNTIME_DIR=", "TMPDIR=" + shared}
	if out, status := as(t, app, binary, env, "call", "files", "-d", "secret", "-c", d.file); status != 1 || !strings.Contains(out, "uid 61004") {
		t.Errorf("without a server: got status %d, %s, want 1 and the user of the socket", status, out)
	}
	d.start([]string{"-c", d.file}, env)
	d.waitLog(`"listening"`)
	if out, status := as(t, app, binary, env, "ps", "-c", d.file); status != 0 || !strings.Contains(out, "files") {
		t.Errorf("with its server: got status %d, %s, want its routes", status, out)
	}
	configured := filepath.Join(shared, "chosen.sock")
	got3 := imposter(t, thief, binary, configured)
	d.write("admin: {listen: \"unix:" + configured + "\", token: hidden}\n" + text)
	if out, status := as(t, app, binary, env, "ps", "-c", d.file); status != 1 || !strings.Contains(out, "uid 61004") {
		t.Errorf("at admin.listen: got status %d, %s, want 1 and the user of the socket", status, out)
	}
	for _, got := range []func() string{got, got2, got3} {
		if text := got(); text != "" {
			t.Errorf("the other user was sent %q, want nothing", text)
		}
	}
}
