package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/internal/testkit"
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
func (d *daemonUnderTest) lock() string { return filepath.Join(d.variable("TMPDIR"), ".lock") }

// variable is what a variable of the environment is for watchdogd.
func (d *daemonUnderTest) variable(name string) (value string) {
	for _, pair := range d.cmd.Env {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			value = v // of two the last counts, for exec.Cmd
		}
	}
	return value
}

func TestEnvironmentIsTheConfigurationWhereThereIsNoFile(t *testing.T) {
	d := serveEnv(t, "fprocess=tr a-z A-Z", "exec_timeout=soon")
	d.waitListening()
	if status, _, body := d.request("POST", "/any/path", nil, "hello"); status != 200 || body != "HELLO" {
		t.Errorf("got %d %q, want 200 and HELLO", status, body)
	}
	first, rest, _ := strings.Cut(d.logged(), "\n")
	if !strings.Contains(first, "Configured by the environment, as of-watchdog: mode is not set; ") {
		t.Errorf("the first line is %q, want %q in it", first, "Configured by the environment, as of-watchdog: mode is not set; ")
	}
	if !strings.Contains(rest, "is not a valid duration; using 30s") {
		t.Errorf("not told: got %s, want %q in it", rest, "is not a valid duration; using 30s")
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
		t.Errorf("got %d %q, want 0 and %q at its start", status, out, filepath.Join(dir, "watchdog.yaml"))
	}
	if out, _, status := command(t, env, "validate", "--env"); status != 0 || out != "the environment is valid: 1 route, 0 services.\n" {
		t.Errorf("got %d %q, want 0 and the environment is valid: 1 route, 0 services.\n", status, out)
	}
	if _, errOut, status := command(t, nil, "validate", "--env"); status != exit.Failed || !strings.Contains(errOut, `provide a "function_process" or "fprocess"`) {
		t.Errorf("got %d %q, want %v with provide a \"function_process\" or \"fprocess\"", status, errOut, exit.Failed)
	}
	if _, errOut, status := command(t, env, "validate", "--env", "-c", "watchdog.yaml"); status != exit.Usage {
		t.Errorf("got %d %q, want %v", status, errOut, exit.Usage)
	}
}

// The other commands find the stack by the same environment.
func TestCommandsReachTheEnvironmentsStack(t *testing.T) {
	d := serveEnv(t, "fprocess=cat", "OPENFAAS_NAME=echo").waitListening()
	poll(t, "the admin socket, for which no call waits", func() bool {
		_, _, status := command(t, d.cmd.Env, "ps")
		return status == 0
	})
	if out, errOut, status := command(t, d.cmd.Env, "ps"); status != 0 || !strings.Contains(out, "echo  streaming  ready") {
		t.Errorf("got %d %q %q, want 0 with echo  streaming  ready", status, out, errOut)
	}
	if out, errOut, status := command(t, d.cmd.Env, "call", "echo", "-d", "hi"); status != 0 || out != "hi" {
		t.Errorf("got %d %q %q, want 0 and hi", status, out, errOut)
	}
	if out, errOut, status := command(t, d.cmd.Env, "healthcheck"); status != 0 || out != "OK\n" {
		t.Errorf("got %d %q %q, want 0 and OK\n", status, out, errOut)
	}
	if _, errOut, status := command(t, d.cmd.Env, "reload"); status != exit.Failed || !strings.Contains(errOut, "the configuration comes from environment variables") {
		t.Errorf("got %d %q, want %v with the configuration comes from environment variables", status, errOut, exit.Failed)
	}
	d.signal(syscall.SIGHUP)
	d.waitLog("reload refused")
	if status, _, body := d.request("POST", "/", nil, "still here"); status != 200 || body != "still here" {
		t.Errorf("got %d %q, want 200 and still here", status, body)
	}
}

func TestFwatchdogIsTheEnvironmentsName(t *testing.T) {
	d := serveEnvAs(t, "/usr/bin/fwatchdog", []string{"some", "words"}, "fprocess=cat").waitListening()
	if status, _, body := d.request("POST", "/", nil, "x"); status != 200 || body != "x" {
		t.Errorf("got %d %q, want 200 and x", status, body)
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
				t.Errorf("%sversion: got %d %q %q, want 0 and nothing with  Version:  and 1", dash, status, out, errOut)
			}
			if _, errOut, status := commandOf(t, program, env, dash+"run-healthcheck"); status != 1 || errOut != "unable to find lock file.\n" {
				t.Errorf("%srun-healthcheck: got %d %q, want 1 and unable to find lock file.\n", dash, status, errOut)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, ".lock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, errOut, status := commandOf(t, program, env, "--run-healthcheck"); status != 0 || out+errOut != "" {
			t.Errorf("with the lock file: got %d %q, want 0 and nothing", status, out+errOut)
		}
		if _, errOut, status := commandOf(t, program, env, "-v"); status != exit.Usage || errOut == "" {
			t.Errorf("-v: got %d %q, want %d and something", status, errOut, exit.Usage)
		}
		if _, _, status := commandOf(t, program, env, "-h"); status != 0 {
			t.Errorf("-h: got %d, want 0", status)
		}
	}
	if _, errOut, status := commandOf(t, link, env, "ps"); status != exit.Failed || !strings.Contains(errOut, "fprocess") {
		t.Errorf("a word: got %d %q, want %v with fprocess", status, errOut, exit.Failed)
	}
}

// server is the environment of an http function that is this test binary.
func server(t *testing.T, more ...string) []string {
	t.Helper()
	return append([]string{"mode=http", "fprocess=env WATCHDOGD_TEST_AS=server " + self(t), "http_upstream_url=http://127.0.0.1:${PORT}"}, more...)
}

func TestHealthIsAsOfWatchdogHasIt(t *testing.T) {
	d := serveEnv(t, server(t)...).waitListening()
	d.waitReady()
	for _, row := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/_/health", 200, "OK"},
		{"GET", "/_/health?x=1", 200, "OK"},
		{"HEAD", "/_/health", 405, ""},
		{"POST", "/_/health", 405, ""},
		{"GET", "/_/ready", 200, ""},
		{"HEAD", "/_/ready", 405, ""},
		{"GET", "/_/health/", 200, "GET /_/health/ prefix= version="},
		{"GET", "/_/ready/function", 200, "GET /_/ready/function prefix= version="},
	} {
		status, header, body := d.request(row.method, row.path, nil, "")
		if status != row.status || body != row.body || header.Get("Allow") != "" {
			t.Errorf("%s %s: got %d %q %v, want %d, %q and no Allow", row.method, row.path, status, body, header, row.status, row.body)
		}
	}
	info, err := os.Stat(d.lock())
	if err != nil || info.Size() != 0 || info.Mode().Perm()&^0o660 != 0 {
		t.Errorf("the lock file: got %v %v, want no error and 0", info, err)
	}
	if err := os.Remove(d.lock()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/_/health", "/_/ready"} {
		if status, body := d.get(path); status != 503 || body != "" {
			t.Errorf("%s without the lock file: got %d %q, want 503 and nothing", path, status, body)
		}
	}
	if status, _ := d.get("/x"); status != 200 {
		t.Errorf("a call without the lock file: got %d, want 200", status)
	}
}

// waitReady waits until the process takes calls.
func (d *daemonUnderTest) waitReady() {
	d.t.Helper()
	poll(d.t, "readiness", func() bool {
		status, _ := d.get("/_/ready")
		return status == 200
	})
}

func TestWithoutALockFileTheServerIsHealthy(t *testing.T) {
	d := serveEnv(t, "fprocess=cat", "suppress_lock=true", "healthcheck_interval=1m").waitListening()
	for _, path := range []string{"/_/health", "/_/ready"} {
		if status, _ := d.get(path); status != 200 {
			t.Errorf("%s: got %d, want 200", path, status)
		}
	}
	d.signal(syscall.SIGTERM)
	d.waitLog("SIGTERM: no new connections in 1m0s")
	poll(t, "the end of health", func() bool { status, _ := d.get("/_/health"); return status == 503 })
	if status, _ := d.get("/_/ready"); status != 503 {
		t.Errorf("ready: got %d, want 503", status)
	}
	if _, err := os.Stat(d.lock()); !os.IsNotExist(err) {
		t.Errorf("a lock file: got %v, want no file", err)
	}
	d.hurry()
	d.wait()
}

func TestReadyIs429AtTheLimitAndAsksTheFunction(t *testing.T) {
	dir := t.TempDir()
	arrived, until := filepath.Join(dir, "arrived"), filepath.Join(dir, "until")
	d := serveEnv(t, server(t, "max_inflight=1", "ready_path=/is/ready?deep=1", "VERSION=7")...).waitListening()
	d.waitReady()
	if status, header, body := d.request("GET", "/_/ready?mine=1", http.Header{"X-Forwarded-Prefix": {"/probe"}}, ""); status != 200 || body != "GET /is/ready?deep=1 prefix=/probe version=7" || header.Get("X-Duration-Seconds") == "" {
		t.Errorf("got %d %q %v, want 200, %q and X-Duration-Seconds set", status, body, header, "GET /is/ready?deep=1 prefix=/probe version=7")
	}
	answer := make(chan answered, 1)
	go func() {
		got, _ := d.try("GET", "/slow?arrived="+arrived+"&until="+until, nil, "")
		answer <- got
	}()
	waitFile(t, arrived)
	if status, header, body := d.request("GET", "/_/ready", nil, ""); status != 429 || body != "" || header.Get("Content-Type") != "" {
		t.Errorf("at the limit: got %d %q %v, want 429 and nothing", status, body, header)
	}
	if status, _ := d.get("/x"); status != 429 {
		t.Errorf("a call at the limit: got %d, want 429", status)
	}
	if err := os.WriteFile(until, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := <-answer; got.status != 200 {
		t.Errorf("the call that held the place: got %d, want 200", got.status)
	}
}

func TestClassicsReadyIsTheFunctions(t *testing.T) {
	d := serveEnv(t, "mode=classic", "fprocess=env").waitListening()
	if status, body := d.get("/_/ready"); status != 200 || !strings.Contains(body, "Http_Path=/_/ready") {
		t.Errorf("got %d %q, want 200 with Http_Path=/_/ready", status, body)
	}
	if status, body := d.get("/_/health"); status != 200 || body != "OK" {
		t.Errorf("got %d %q, want 200 and OK", status, body)
	}
}

// The server goes on while others learn that it leaves; then it drains; and only then
// is the function asked to end.
func TestShutdownOfAnImage(t *testing.T) {
	d := serveEnv(t, server(t, "healthcheck_interval=1m", "TMPDIR="+t.TempDir()+"/made/for/it")...).waitListening()
	child := d.pid("")
	waitFile(t, d.lock())
	d.signal(syscall.SIGINT)
	d.waitLog("SIGINT: no new connections in 1m0s")
	d.waitLog("Removing lock-file : " + d.lock())
	if _, err := os.Stat(d.lock()); !os.IsNotExist(err) {
		t.Errorf("the lock file is there: got %v, want no file", err)
	}
	if status, _ := d.get("/_/health"); status != 503 {
		t.Errorf("health: got %d, want 503", status)
	}
	if again := d.pid(""); again != child {
		t.Errorf("the function was ended before the drain: got process %d, want %d", again, child)
	}
	d.hurry()
	if status := d.wait(); status != 0 {
		t.Errorf("got status %d, want 0", status)
	}
	if !gone(child) {
		t.Errorf("process %d was left behind", child)
	}
	for _, line := range []string{"Version: ", "Watchdog mode: http\tfprocess: ", "Timeouts: read: 30s write: 30s hard: 30s health: 1m0s", "Listening on port: ", "Writing lock-file to: " + d.lock(), "No new connections allowed, draining: 0 requests", "Exiting. Active connections: 0"} {
		if !strings.Contains(strings.ReplaceAll(d.logged(), `\t`, "\t"), line) { // as JSON has it
			t.Errorf("not logged: got %q, want strings.Contains(strings.ReplaceAll(d.logged(), `\\t`, \"\\t\"), line)", line)
		}
	}
}

// Calls that are cut at the end of write_timeout are no failure of the container.
func TestCutCallsAreNoFailureOfAnImage(t *testing.T) {
	d := serveEnv(t, server(t, "write_timeout=1s")...).waitListening()
	d.waitReady()
	dir := t.TempDir()
	go func() { _, _ = d.try("GET", "/slow?arrived="+dir+"/arrived&until="+dir+"/never", nil, "") }()
	waitFile(t, dir+"/arrived")
	d.signal(syscall.SIGTERM)
	if status := d.wait(); status != 0 || !strings.Contains(d.logged(), "Exiting. Active connections: 1") {
		t.Errorf("got status %d, want 0 with Exiting. Active connections: 1", status)
	}
}

func TestNegativeIntervalIsNone(t *testing.T) {
	d := serveEnv(t, "fprocess=cat", "healthcheck_interval=-1s").waitListening()
	d.signal(syscall.SIGTERM)
	if status := d.wait(); status != 0 {
		t.Errorf("got status %d, want 0", status)
	}
}

// The end of the function is that of the container, with its status; 1 if that was 0.
func TestFunctionsEndIsOurs(t *testing.T) {
	for script, want := range map[string]int{
		"exit 7":        7,
		"exit 0":        1,
		"kill -KILL $$": 128 + 9,
		"kill -TERM $$": 128 + 15,
		"sleep 0.2; :":  1,
	} {
		for _, mode := range []string{"mode=http", "mode=afterburn"} {
			dir := t.TempDir()
			program := filepath.Join(dir, "function")
			testkit.WriteProgram(t, program, "#!/bin/sh\n"+script+"\n")
			d := serveEnv(t, mode, "fprocess="+program, "http_upstream_url=http://127.0.0.1:1", "healthcheck_interval=10m", "write_timeout=10m")
			if status := d.wait(); status != want {
				t.Errorf("%s %q: status %d, not %d\n%s", mode, script, status, want, d.logged())
			}
			if _, err := os.Stat(d.lock()); !os.IsNotExist(err) {
				t.Errorf("got %s %q: the lock file is left: %v, want no file", mode, script, err)
			}
		}
	}
}

func TestCallsInFlightGetAnErrorWhenTheFunctionEnds(t *testing.T) {
	d := serveEnv(t, server(t, "healthcheck_interval=10m", "write_timeout=10m")...).waitListening()
	d.waitReady()
	dir := t.TempDir()
	answer := make(chan answered, 1)
	go func() {
		got, err := d.try("GET", "/slow?arrived="+dir+"/arrived&until="+dir+"/never", nil, "")
		if err != nil {
			t.Errorf("the call in flight: %v", err)
		}
		answer <- got
	}()
	waitFile(t, dir+"/arrived")
	if status, _ := d.get("/exit"); status != 500 {
		t.Errorf("the call that ended it: got %d, want 500", status)
	}
	if got := <-answer; got.status != 500 {
		t.Errorf("the call in flight: got %d, want 500", got.status)
	}
	if status := d.wait(); status != 7 {
		t.Errorf("got status %d, want 7", status)
	}
}

func TestRestartSupervisesTheFunction(t *testing.T) {
	d := serveEnv(t, server(t, "restart=always")...).waitListening()
	pid := d.pid("")
	_, _ = d.get("/exit")
	waitGone(t, pid)
	if next := d.pid(""); next == pid {
		t.Errorf("still %d", pid)
	}
	if status, _ := d.get("/_/health"); status != 200 {
		t.Errorf("health: got %d, want 200", status)
	}
}

func TestWhatCannotBeServedIsASentence(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, port, _ := net.SplitHostPort(busy.Addr().String())
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for environ, want := range map[string]string{
		"fprocess=cat|mode=magic":        `mode="magic" is not a mode`,
		"fprocess=cat|mode=inproc":       `mode="inproc"`,
		"fprocess=cat|port=abc":          `port="abc" is not a number`,
		"fprocess=cat|port=" + port:      "port=" + port + ": listen on :" + port + ": the port is in use",
		"fprocess=cat|max_inflight=x":    `max_inflight="x" is not a number`,
		"fprocess=cat|log_buffer_size=x": `log_buffer_size="x" is not a number`,
		"fprocess=cat|write_timeout=0":   `write_timeout="0" must be longer than 0`,
		"fprocess=cat|TMPDIR=" + file:    file + ": not a directory; set another path with TMPDIR, or write none with suppress_lock=true",
		"mode=http|fprocess=cat":         `"http_upstream_url"`,
		"fprocess=":                      `"fprocess"`,
	} {
		env := []string{"port=0", "metrics_port=0", "TMPDIR=" + t.TempDir(), "XDG_RUNTIME_DIR=" + shortDir(t)}
		_, errOut, status := command(t, append(env, strings.Split(environ, "|")...), "--env")
		if status != exit.Failed || !strings.Contains(errOut, want) {
			t.Errorf("%s: got %d %q, want %v with %q", environ, status, errOut, exit.Failed, want)
		}
	}
}

// A port of the metrics that is in use is done without, and a folder that cannot hold the
// socket of the commands is replaced by another.
func TestBesideThePortAllIsOptional(t *testing.T) {
	busy, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, port, _ := net.SplitHostPort(busy.Addr().String())
	d := serveEnv(t, "fprocess=cat", "metrics_port="+port, "XDG_RUNTIME_DIR=/proc/nowhere", "HOME=").waitListening()
	d.waitLog("no metrics")
	if strings.Contains(d.logged(), "no admin socket") {
		t.Error("got no admin socket, want one in another folder")
	}
	if status, _, body := d.request("POST", "/", nil, "x"); status != 200 || body != "x" {
		t.Errorf("got %d %q, want 200 and x", status, body)
	}
}

func TestMetricsOfAnImageHaveNoRoute(t *testing.T) {
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	d := serveEnv(t, "fprocess=cat", "metrics_port="+port).waitListening()
	d.waitLog("Metrics listening on port: " + port)
	for _, method := range []string{"GET", "POST", "PURGE"} {
		d.request(method, "/", nil, "")
	}
	d.get("/_/health")
	d.get("/_/ready")
	main := d.base
	d.base = "http://127.0.0.1:" + port
	_, text := d.get("/metrics")
	d.base = main
	for _, line := range []string{
		`http_requests_total{code="200",method="get"} 1`,
		`http_requests_total{code="200",method="post"} 1`,
		`http_requests_total{code="200",method="unknown"} 1`,
		`http_request_duration_seconds_count{code="200",method="get"} 1`,
		`http_request_duration_seconds_bucket{code="200",method="post",le="+Inf"} 1`,
		`http_requests_in_flight 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%s is not in\n%s", line, text)
		}
	}
}

// Calls that come before the function listens wait for it, up to exec_timeout.
func TestCallsWaitForAFunctionThatStartsSlowly(t *testing.T) {
	open := filepath.Join(t.TempDir(), "open")
	program := filepath.Join(t.TempDir(), "slow.sh")
	testkit.WriteProgram(t, program, "#!/bin/sh\nuntil test -e "+open+"; do sleep 0.01; done\nexec env WATCHDOGD_TEST_AS=server "+self(t)+"\n")
	d := serveEnv(t, server(t, "function_process="+program)...).waitListening()
	answer := make(chan answered, 1)
	go func() {
		got, err := d.try("GET", "/first", nil, "")
		if err != nil {
			t.Error(err)
		}
		answer <- got
	}()
	poll(t, "the call to be there", func() bool {
		out, _, _ := command(t, d.cmd.Env, "ps", "--json")
		return strings.Contains(out, `"queued": 1`)
	})
	if status, _ := d.get("/_/health"); status != 200 {
		t.Errorf("health while it starts: got %d, want 200", status)
	}
	if status, _ := d.get("/_/ready"); status != 503 {
		t.Errorf("readiness while it starts: got %d, want 503", status)
	}
	if err := os.WriteFile(open, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := <-answer; got.status != 200 {
		t.Errorf("got %d %q, want 200", got.status, got.body)
	}
}

func TestCallsWaitNoLongerThanExecTimeout(t *testing.T) {
	d := serveEnv(t, "mode=http", "fprocess=sleep 1000", "http_upstream_url=127.0.0.1:1", "exec_timeout=200ms").waitListening()
	if status, _ := d.get("/"); status != 504 && status != 500 {
		t.Errorf("got %d, want status == 504 || status == 500", status)
	}
}

func TestMigratedFileBehavesAsItsEnvironment(t *testing.T) {
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	env := server(t, "port="+port, "metrics_port=0", "TMPDIR="+dir, "healthcheck_interval=0", "max_inflight=3", "VERSION=9", "write_debug=true")
	text, errOut, status := command(t, env, "migrate")
	if status != 0 || !strings.HasPrefix(text, "# Migrated from environment variables, read as of-watchdog: mode=http.\n# write_debug=\"true\" has no effect in this mode\n") {
		t.Fatalf("got %d %q %q, want 0 and a comment that says what was migrated", status, text, errOut)
	}
	if _, errOut, status := command(t, []string{"mode=nothing"}, "migrate"); status != exit.Failed || !strings.Contains(errOut, `mode="nothing" is not a mode`) {
		t.Errorf("got %d %q, want %v with mode=\"nothing\" is not a mode", status, errOut, exit.Failed)
	}
	d := &daemonUnderTest{t: t, base: "http://127.0.0.1:" + port, dir: dir, file: filepath.Join(dir, "watchdog.yaml")}
	d.write(text)
	// What the function reads is still in its environment; what chose the mode is not.
	d.start([]string{"-c", d.file}, []string{"VERSION=9", "TMPDIR=" + dir})
	d.waitLog("Listening on port: " + port)
	d.waitReady()
	if _, body := d.get("/a?b"); body != "GET /a?b prefix= version=9" {
		t.Errorf("got %q, want GET /a?b prefix= version=9", body)
	}
	if status, body := d.get("/_/health"); status != 200 || body != "OK" {
		t.Errorf("health: got %d %q, want 200 and OK", status, body)
	}
	if status, _, _ := d.request("HEAD", "/_/health", nil, ""); status != 405 {
		t.Errorf("HEAD: got %d, want 405", status)
	}
	waitFile(t, d.lock())
	if status, _ := d.get("/exit"); status != 500 {
		t.Errorf("the call that ended it: got %d, want 500", status)
	}
	if status := d.wait(); status != 7 {
		t.Errorf("got status %d, want 7", status)
	}
}
