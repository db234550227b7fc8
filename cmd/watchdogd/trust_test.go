package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

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
	from, err := os.Open(self(t))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o755)
	if err == nil {
		_, err = io.Copy(to, from)
	}
	if err == nil {
		err = to.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
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
	name := socketName(&schema.Config{Name: "shop"}, d.file)
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

func TestAFolderThatOthersMayChangeIsNoPlaceForASocket(t *testing.T) {
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := ownDir(filepath.Join(open, "watchdogd-1")); err == nil || !strings.Contains(err.Error(), "can be replaced by every user") {
		t.Errorf("in a folder of all: got %v, want an error with can be replaced by every user", err)
	}
	dir := filepath.Join(t.TempDir(), "watchdogd")
	if err := ownDir(dir); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v, want mode 0700", info.Mode(), err)
	}
	socket := filepath.Join(dir, "a.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		dir, socket os.FileMode
		want        string
	}{
		{0o700, 0o600, ""},
		{0o777, 0o600, "can be changed by other users"},
		{0o700, 0o666, "is open to every user (mode 0666)"},
	} {
		if err := os.Chmod(dir, c.dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(socket, c.socket); err != nil {
			t.Fatal(err)
		}
		uid, err := vet(socket, true)
		if c.want == "" && (err != nil || uid != os.Geteuid()) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("folder %o, socket %o: got %d, %v, want %q", c.dir, c.socket, uid, err, c.want)
		}
	}
	link := filepath.Join(t.TempDir(), "watchdogd")
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if err := ownDir(link); err == nil {
		t.Error("a link in the place of the folder: got no error")
	}
	if _, err := vet(filepath.Join(link, "a.sock"), true); err == nil {
		t.Error("a socket in a folder that is a link: got no error")
	}
}

func TestTheAdminAPIOverTCPAnswersNoBrowser(t *testing.T) {
	var passed http.Header
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { passed = r.Header })
	ask := func(token, host, method string, header http.Header) int {
		r := httptest.NewRequest(method, "http://"+host+"/v1/call/api", nil)
		r.Header = header
		w := httptest.NewRecorder()
		guard(next, schema.Admin{Listen: "127.0.0.1:9", Token: token}).ServeHTTP(w, r)
		return w.Code
	}
	for name, header := range map[string]http.Header{
		"an image":        {"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}},
		"the same site":   {"Sec-Fetch-Site": {"same-site"}},
		"the address bar": {"Sec-Fetch-Site": {"none"}, "Sec-Fetch-Mode": {"navigate"}},
		"a script":        {"Origin": {"https://evil.example"}},
		"a sandbox":       {"Origin": {"null"}},
		"an old browser":  {"User-Agent": {"Mozilla/5.0 (X11)"}},
		"a link":          {"Referer": {"https://evil.example/"}},
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS"} {
			if status := ask("", "127.0.0.1:9", method, header.Clone()); status != 403 {
				t.Errorf("%s, %s: got %d, want 403", name, method, status)
			}
			if status := ask("t", "127.0.0.1:9", method, header.Clone()); status != 401 {
				t.Errorf("%s, %s, where there is a token: got %d, want 401", name, method, status)
			}
		}
	}
	for host, want := range map[string]int{"127.0.0.1:9": 200, "localhost:9": 200, "[::1]:9": 200, "rebound.example:9": 403, "127.0.0.1.example": 403} {
		if status := ask("", host, "GET", http.Header{"User-Agent": {"curl/8"}}); status != want {
			t.Errorf("host %s: got %d, want %d", host, status, want)
		}
	}
	if status := ask("t", "host", "GET", http.Header{"Authorization": {"Bearer t"}, callAuthorization: {"Basic x"}}); status != 200 || passed.Get("Authorization") != "Basic x" || passed[callAuthorization] != nil {
		t.Errorf("with the token: got %d, and passed on %v, want 200 and the call's own Authorization", status, passed)
	}
	if status := ask("t", "host", "GET", http.Header{"Authorization": {"Bearer t"}}); status != 200 || passed["Authorization"] != nil {
		t.Errorf("with the token: got %d, and passed on %v, want 200 and no token", status, passed)
	}
}

// A page whose name was made to resolve to this machine must not read its metrics.
func TestTheMetricsAnswerNoReboundPage(t *testing.T) {
	h := unrebound(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	firefox, prometheus := http.Header{"Accept-Language": {"en"}, "User-Agent": {"Prometheus/3"}}, http.Header{"User-Agent": {"Prometheus/3"}}
	chrome := http.Header{"User-Agent": {"Mozilla/5.0"}}
	for _, c := range []struct {
		local, host string
		header      http.Header
		want        int
	}{
		{"127.0.0.1:8081", "rebound.example:8081", chrome, 403},
		{"127.0.0.1:8081", "rebound.example:8081", firefox, 403},
		{"[::1]:8081", "127.0.0.1.example", chrome, 403},
		{"127.0.0.1:8081", "localhost:8081", chrome, 200},
		{"127.0.0.1:8081", "127.0.0.1:8081", chrome, 200},
		{"127.0.0.1:8081", "[::1]", chrome, 200},
		{"127.0.0.1:8081", "host.docker.internal:8081", prometheus, 200},
		{"192.0.2.1:8081", "metrics.example:8081", chrome, 200},
	} {
		r := httptest.NewRequest("GET", "http://"+c.host+"/metrics", nil)
		r.Header = c.header
		local, err := net.ResolveTCPAddr("tcp", c.local)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local)))
		if w.Code != c.want {
			t.Errorf("%s asked at %s with %v: got %d, want %d", c.host, c.local, c.header, w.Code, c.want)
		}
	}
}

// net/http keeps far more than its bytes of a head of many fields.
func TestTheMetricsTakeNoLargeHead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &side{log: slog.New(slog.DiscardHandler), servers: []sideServer{{what: "metrics", listener: l, handler: http.NotFoundHandler()}}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for _, c := range []struct{ size, want int }{{sideHeader / 2, 404}, {2 * sideHeader, 431}} {
		r, err := http.NewRequest("GET", "http://"+l.Addr().String()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X", strings.Repeat("x", c.size))
		transport := &http.Transport{DisableKeepAlives: true}
		response, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != c.want {
			t.Errorf("a head of %d bytes: got %d, want %d", c.size, response.StatusCode, c.want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
