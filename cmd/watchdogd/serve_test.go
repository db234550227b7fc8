package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/schema"
)

const oneServer = `
server: {listen: "LISTEN"}
defaults: {timeouts: {queue: 1m}}
routes:
  - name: app
    mode: http
    fprocess: SELF
`

// A call that comes before the server listens is held and answered.
func TestCallsWaitForAStartingServer(t *testing.T) {
	d := serveFile(t, oneServer)
	d.waitListening()
	if status, body := d.get("/app/x"); status != 200 || body != "GET /x prefix=/app version=" {
		t.Errorf("got %d %q, want 200 and GET /x prefix=/app version=", status, body)
	}
}

func TestPathsReachTheProcessAsTheyWereSent(t *testing.T) {
	d := serveFile(t, oneServer+`
  - {name: plain, strip_prefix: false, mode: http, fprocess: SELF}
`).waitListening()
	for _, rest := range []string{"/a%2Fb", "//a//b", "/./a", "/../a", "/a/../../b", "/%2e%2e/a", "/a?x=%zz&y=;", "/%00", "/a%20b+c"} {
		if _, body := d.get("/plain" + rest); !strings.HasPrefix(body, "GET /plain"+rest) {
			t.Errorf("/plain%s arrived as %q, want %q at its start", rest, body, "GET /plain"+rest)
		}
		if _, body := d.get("/app" + rest); !strings.HasPrefix(body, "GET "+rest) {
			t.Errorf("/app%s arrived as %q, want %q at its start", rest, body, "GET "+rest)
		}
	}
	if _, body := d.get("/app"); body != "GET / prefix=/app version=" {
		t.Errorf("the prefix alone arrived as %q, want GET / prefix=/app version=", body)
	}
}

func TestNoRouteAndWrongMethodAreSaid(t *testing.T) {
	d := serveFile(t, `
server: {listen: "LISTEN"}
routes:
  - {name: app, methods: [GET, PUT], mode: streaming, fprocess: cat}
`).waitListening()
	for path, want := range map[string]int{"/nothing": 404, "/": 404, "/application": 404, "/app/x": 200} {
		if status, header, body := d.request("GET", path, nil, ""); status != want || want == 404 && header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: got %d %s %s, want %d", path, status, header, body, want)
		}
	}
	status, header, body := d.request("POST", "/app", nil, "x")
	if status != 405 || header.Get("Allow") != "GET, PUT" {
		t.Errorf("%d Allow: got %q %s, want 405 and GET, PUT", status, header.Get("Allow"), body)
	}
}

func TestEveryModeAnswers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := serveFile(t, `
server: {listen: "LISTEN"}
routes:
  - {name: up, mode: streaming, fprocess: tr a-z A-Z}
  - {name: sorted, mode: serializing, fprocess: sort}
  - {name: files, mode: static, root: "`+dir+`"}
`).waitListening()
	if status, header, body := d.request("POST", "/up", nil, "hello"); status != 200 || body != "HELLO" || header.Get("X-Duration-Seconds") == "" {
		t.Errorf(`streaming: got %d %v %q, want 200, X-Duration-Seconds set and "HELLO"`, status, header, body)
	}
	if status, header, body := d.request("POST", "/sorted", nil, "b\na\n"); status != 200 || body != "a\nb\n" || header.Get("Content-Length") != "4" {
		t.Errorf("serializing: got %d %v %q, want 200 and a\nb\n and 4", status, header, body)
	}
	if status, header, body := d.request("GET", "/files/a.txt", nil, ""); status != 200 || body != "a file" || header.Get("X-Duration-Seconds") != "" {
		t.Errorf("static: got %d %v %q, want 200 and a file and nothing", status, header, body)
	}
}

func TestKilledServerIsReplacedAndCallersWait(t *testing.T) {
	d := serveFile(t, oneServer).waitListening()
	pid := d.pid("/app")
	for range 3 { // each time a request waits, for timeouts.queue at most
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		waitGone(t, pid)
		status, body := d.get("/app/pid")
		next, err := strconv.Atoi(body)
		if status != 200 || err != nil || next == pid {
			t.Fatalf("got %d %q, want 200 and another process than %d", status, body, pid)
		}
		pid = next
	}
}

// pid asks the test server of a route for its pid, however long that takes to start.
func (d *daemonUnderTest) pid(prefix string) int {
	d.t.Helper()
	var status int
	var body string
	poll(d.t, "an answer of "+prefix, func() bool {
		status, body = d.get(prefix + "/pid")
		return !waitedInVain(status, body)
	})
	pid, err := strconv.Atoi(body)
	if status != 200 || err != nil {
		d.t.Fatalf("%s/pid: got %d %q, want 200 and no error", prefix, status, body)
	}
	return pid
}

// waitedInVain reports whether a request was answered with 503 because its program takes longer
// to start than a request waits, as it may on a busy machine.
func waitedInVain(status int, body string) bool {
	return status == http.StatusServiceUnavailable && strings.Contains(body, `"timeout":"queue"`)
}

// TERM and INT let a call in flight end, then leave no process behind.
func TestFirstSignalDrains(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			d := serveFile(t, oneServer).waitListening()
			child := d.pid("/app")
			answer, release := d.slow()
			d.signal(sig)
			d.waitLog("draining")
			release()
			if got := <-answer; got.status != 200 || got.body != "done" {
				t.Errorf("the call in flight got %d %q, want 200 and done", got.status, got.body)
			}
			if status := d.wait(); status != 0 {
				t.Errorf("got exit status %d, want 0", status)
			}
			if !gone(child) {
				t.Errorf("process %d was left behind", child)
			}
		})
	}
}

// slow begins a call of /app/slow and returns when the server has it.
func (d *daemonUnderTest) slow() (answer <-chan answered, release func()) {
	d.t.Helper()
	dir := d.t.TempDir()
	arrived, until := filepath.Join(dir, "arrived"), filepath.Join(dir, "until")
	result := make(chan answered, 1)
	go func() {
		got, _ := d.try("GET", "/app/slow?arrived="+arrived+"&until="+until, nil, "")
		result <- got
	}()
	waitFile(d.t, arrived)
	return result, func() {
		if err := os.WriteFile(until, nil, 0o600); err != nil {
			d.t.Error(err)
		}
	}
}

// The second signal does not wait: the call is cut, and the status says so.
func TestSecondSignalHurries(t *testing.T) {
	d := serveFile(t, oneServer).waitListening()
	child := d.pid("/app")
	answer, _ := d.slow()
	d.signal(syscall.SIGTERM)
	d.waitLog("draining")
	d.hurry()
	if status := d.wait(); status != exit.Cut {
		t.Errorf("got exit status %d, want %d", status, exit.Cut)
	}
	if got := <-answer; got.status == 200 {
		t.Errorf("the cut call got %d %q, want not 200", got.status, got.body)
	}
	if !gone(child) {
		t.Errorf("process %d was left behind", child)
	}
}

// hurry signals until it counts as a second wish.
func (d *daemonUnderTest) hurry() {
	d.t.Helper()
	poll(d.t, "the second signal", func() bool {
		_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		return strings.Contains(d.logged(), "asked again")
	})
}

// A reload replaces what changed, and only that.
func TestHangupReloads(t *testing.T) {
	two := `
server: {listen: "LISTEN"}
defaults: {timeouts: {queue: 1m}}
routes:
  - {name: app, mode: http, fprocess: SELF}
  - {name: other, mode: http, fprocess: SELF, env: {VERSION: "1"}}
`
	d := serveFile(t, two).waitListening()
	app, other := d.pid("/app"), d.pid("/other")

	d.write(strings.Replace(two, `"1"`, `"2"`, 1) + "  - {name: up, mode: streaming, fprocess: tr a-z A-Z}\n")
	d.signal(syscall.SIGHUP)
	d.waitLog("reloaded")
	if now := d.pid("/app"); now != app {
		t.Errorf("the unchanged process was replaced: got %d, want %d", now, app)
	}
	if _, _, body := d.request("POST", "/up", nil, "x"); body != "X" {
		t.Errorf("the new route gave %q, want X", body)
	}
	waitGone(t, other)
	if _, body := d.get("/other/"); !strings.HasSuffix(body, "version=2") {
		t.Errorf("the changed process gave %q, want %q at its end", body, "version=2")
	}

	d.write(strings.Replace(two, "mode: http", "mode: htpp", 1))
	d.signal(syscall.SIGHUP)
	d.waitLog("reload failed")
	d.waitLog("htpp")
	if now := d.pid("/app"); now != app {
		t.Errorf("a bad file replaced the process: got %d, then %d, want %v", app, now, app)
	}

	d.write(strings.Split(two, "  - {name: other")[0])
	d.signal(syscall.SIGHUP)
	d.waitLog(`"routes":1`)
	if status, _ := d.get("/other/"); status != 404 {
		t.Errorf("a removed route gave %d, want 404", status)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	d := serveFile(t, oneServer+`
  - {name: up, mode: streaming, fprocess: cat}
  - {name: broken, mode: http, fprocess: sh -c 'exit 3'}
`).waitListening()
	d.get("/app/") // it is ready now
	for path, want := range map[string]int{"/_/health": 200, "/_/ready/app": 200, "/_/ready/up": 200, "/_/ready/nobody": 404, "/_/ready/broken": 503} {
		if status, body := d.get(path); status != want {
			t.Errorf("%s: got %d %q, want %d", path, status, body, want)
		}
	}
	if out, errOut, status := d.command("healthcheck", "--timeout", "1m"); status != 0 {
		t.Errorf("healthcheck: got %d %q %q, want 0", status, out, errOut)
	}
	if _, errOut, status := d.command("healthcheck", "broken", "--timeout", "1m"); status != 1 || !strings.Contains(errOut, "503") {
		t.Errorf("healthcheck broken: got %d %q, want 1 with 503", status, errOut)
	}
}

func TestMetricsAreServed(t *testing.T) {
	metrics := freeAddress(t)
	d := serveFile(t, "metrics: {listen: \""+metrics+"\"}\n"+oneServer).waitListening()
	d.get("/app/x")
	d.get("/nowhere")
	response, err := http.Get("http://" + metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var text strings.Builder
	_ = response.Write(&text)
	for _, want := range []string{
		`http_requests_total{code="200",method="get",route="app"} 1`,
		`http_request_duration_seconds_bucket{`,
		`http_requests_in_flight`,
		`watchdogd_process_state{`,
		`watchdogd_build_info{`,
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %s in\n%s", want, text.String())
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// A port in use is said before anything is started.
func TestPortInUseIsStatusOne(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	marker := filepath.Join(t.TempDir(), "started")
	d := serveFile(t, `
server: {listen: "`+l.Addr().String()+`"}
routes: [{name: a, mode: http, fprocess: "touch `+marker+`"}]
`)
	if status := d.wait(); status != 1 || !strings.Contains(d.logged(), l.Addr().String()) {
		t.Errorf("status %d: got\n%s\nwant status == 1 && strings.Contains(d.logged(), l.Addr().String())", status, d.logged())
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a process was started")
	}
}

func TestBadFilesAreStatusOneAndSayWhy(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, test := range []struct{ file, want string }{
		{filepath.Join(dir, "missing.yaml"), "missing.yaml"},
		{dir, "directory"},
		{write("empty.yaml", ""), "empty"},
		{write("latin1.yaml", "name: caf\xe9\n"), "UTF-8"},
		{write("typo.yaml", "routes:\n  - name: a\n    mode: htp\n    fprocess: cat\n"), "typo.yaml:3:11: routes[0].mode"},
		{write("program.yaml", "routes:\n  - name: a\n    mode: streaming\n    fprocess: no-such-program\n"), "no-such-program"},
		{write("root.yaml", "routes:\n  - name: a\n    mode: static\n    root: nowhere\n"), "nowhere"},
		{write("issuer.yaml", "server: {listen: 127.0.0.1:0}\nroutes:\n  - name: a\n    mode: streaming\n    fprocess: cat\n    auth: {openfaas: {gateway: http://127.0.0.1:1, function: dev:a}}\n"), "route a: auth: ask the issuer at http://127.0.0.1:1 where its keys are"},
	} {
		_, errOut, status := command(t, nil, "-c", test.file)
		if status != 1 || !strings.Contains(errOut, test.want) {
			t.Errorf("%s: status %d, %q lacks %q", test.file, status, errOut, test.want)
		}
	}
}

func TestValidateJSONListsEveryMistake(t *testing.T) {
	file := filepath.Join(t.TempDir(), "watchdog.yaml")
	if err := os.WriteFile(file, []byte("routes:\n  - name: a\n    mode: htp\n    fproces: cat\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errOut, status := command(t, nil, "validate", "--json", "-c", file)
	var problems []map[string]any
	if err := json.Unmarshal([]byte(out), &problems); err != nil || status != 1 || len(problems) < 2 {
		t.Fatalf("got status %d, %v: %s%s, want no error, and status == 1 && len(problems) >= 2", status, err, out, errOut)
	}
	for _, key := range []string{"file", "line", "column", "path", "message", "hint"} {
		if _, ok := problems[0][key]; !ok {
			t.Errorf("no %s in %v", key, problems[0])
		}
	}
}

func TestWrongUseIsStatusTwoWithASuggestion(t *testing.T) {
	for _, args := range [][]string{{"valdate"}, {"--nonsense"}, {"run", "extra"}, {"scale", "api"}} {
		if _, errOut, status := command(t, nil, args...); status != 2 || errOut == "" {
			t.Errorf("%v: got status %d, %q, want 2 and something", args, status, errOut)
		}
	}
	if _, errOut, _ := command(t, nil, "valdate"); !strings.Contains(errOut, "validate") {
		t.Errorf("no suggestion in %q, want with validate", errOut)
	}
}

func TestNothingToServeSaysWhatWasTried(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	_, errOut, status := command(t, []string{"WATCHDOG_CONFIG="})
	if status != 1 || !strings.Contains(errOut, "watchdog.yaml") || !strings.Contains(errOut, "-c") {
		t.Errorf("got status %d, %q, want 1 with watchdog.yaml with -c", status, errOut)
	}
}

// The example mentions every key that the file may have.
func TestExampleMentionsEveryKey(t *testing.T) {
	text, err := os.ReadFile("../../watchdog.yaml.example")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range schema.Keys() {
		last := key[strings.LastIndexByte(key, '.')+1:]
		if !strings.Contains(string(text), last+":") {
			t.Errorf("%s is not mentioned", key)
		}
	}
}

// waitFile waits until a file is there.
func waitFile(t *testing.T, path string) {
	t.Helper()
	poll(t, "the file "+path, func() bool { _, err := os.Stat(path); return err == nil })
}

// The lock file is there once everything is ready, and gone when the drain begins.
func TestLockFileStandsForReadiness(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "run", "lock")
	d := serveFile(t, "health: {lock_file: \""+lock+"\"}\n"+oneServer).waitListening()
	waitFile(t, lock)
	if status, body := d.get("/_/ready"); status != 200 {
		t.Errorf("the lock file is there while /_/ready says %d %s, want 200", status, body)
	}
	_, release := d.slow()
	d.signal(syscall.SIGTERM)
	d.waitLog("draining")
	if _, err := os.Stat(lock); err == nil {
		t.Error("the lock file is there while draining")
	}
	release()
	d.wait()
}

// drain.delay serves on while readiness is off already.
func TestDrainDelayServesWhileUnready(t *testing.T) {
	d := serveFile(t, strings.Replace(oneServer, "server: {", "server: {drain: {delay: 1h}, ", 1)).waitListening()
	d.pid("/app")
	d.signal(syscall.SIGTERM)
	d.waitLog("asked to stop")
	poll(t, "it is not ready any more", func() bool {
		status, _ := d.get("/_/ready")
		return status == 503
	})
	if status, _ := d.get("/_/health"); status != 200 {
		t.Errorf("/_/health: got %d, want 200", status)
	}
	d.pid("/app")
	d.hurry()
	if status := d.wait(); status != 0 {
		t.Errorf("got exit status %d, want 0: nothing was cut", status)
	}
}

// With live: lock the file stands for the server from its first moment, and whoever
// removes it takes the server out.
func TestLockFileStandsForLife(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	text := `
server: {listen: "LISTEN", drain: {status: 9}}
health: {lock_file: "` + lock + `", live: lock, ready: limit, ready_path: /app/version}
routes:
  - {name: app, mode: http, fprocess: SELF, env: {VERSION: "3"}, limits: {inflight: 1}}
  - {name: never, mode: http, fprocess: sleep 1000, timeouts: {start: 0}}
`
	d := serveFile(t, text).waitListening()
	waitFile(t, lock)
	if status, _ := d.get("/_/health"); status != 200 {
		t.Errorf("/_/health before all is ready: got %d, want 200", status)
	}
	if status, _ := d.get("/_/ready"); status != 503 {
		t.Errorf("/_/ready before all is ready: got %d, want 503", status)
	}
	d.write(strings.Replace(text, "  - {name: never, mode: http, fprocess: sleep 1000, timeouts: {start: 0}}\n", "", 1))
	if _, errOut, status := d.command("reload"); status != 0 {
		t.Fatalf("got %v %v, want 0", errOut, status)
	}
	d.pid("/app")
	if status, body := d.get("/_/ready"); status != 200 || body != "GET /version prefix=/app version=3" {
		t.Errorf("/_/ready: got %d %q, want 200 and GET /version prefix=/app version=3", status, body)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/_/health", "/_/ready"} {
		if status, body := d.get(path); status != 503 || !strings.Contains(body, "the lock file "+lock+" is missing") {
			t.Errorf("%s without the file: got %d %s, want 503 and %q in it", path, status, body, "the lock file "+lock+" is missing")
		}
	}
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _ = d.slow()
	if status, _ := d.get("/_/ready"); status != 429 {
		t.Errorf("/_/ready at the limit: got %d, want 429", status)
	}
	d.write(strings.Replace(text, lock, lock+"-other", 1))
	if out, errOut, status := d.command("reload"); status != 0 || !strings.Contains(out, "health.lock_file or health.live changed; restart watchdogd to apply it") {
		t.Errorf("got %d %s %s, want 0 and %q in it", status, out, errOut, "health.lock_file or health.live changed; restart watchdogd to apply it")
	}
	d.signal(syscall.SIGTERM)
	d.waitLog("draining")
	d.hurry()
	if status := d.wait(); status != 9 {
		t.Errorf("got status %d, not that of drain.status, want 9", status)
	}
	if _, err := os.Stat(lock); !os.IsNotExist(err) {
		t.Errorf("the lock file is left: got %v, want no file", err)
	}
}

func TestLockFileThatCannotBeWrittenStopsTheStart(t *testing.T) {
	d := serveFile(t, `
server: {listen: "LISTEN"}
health: {lock_file: /proc/nowhere/lock, live: lock}
routes: [{name: app, mode: streaming, fprocess: cat}]
`)
	if status := d.wait(); status != exit.Failed || !strings.Contains(d.logged(), "/proc/nowhere") || !strings.Contains(d.logged(), "set another path with health.lock_file") {
		t.Errorf("got %d %s, want %v with /proc/nowhere with set another path with health.lock_file", status, d.logged(), exit.Failed)
	}
}

// A reload opens new addresses before it closes old ones, and refuses one in use.
func TestReloadMovesTheListener(t *testing.T) {
	d := serveFile(t, oneServer).waitListening()
	old := d.base
	d.pid("/app")
	d.base = "http://" + freeAddress(t)
	d.write(oneServer)
	if out, errOut, status := d.command("reload"); status != 0 {
		t.Fatalf("got %d %s%s, want 0", status, out, errOut)
	}
	d.pid("/app")
	if c, err := net.Dial("tcp", strings.TrimPrefix(old, "http://")); err == nil {
		c.Close()
		t.Error("the old address is still open")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d.write(strings.Replace(oneServer, "LISTEN", l.Addr().String(), 1))
	if _, errOut, status := d.command("reload"); status != 1 || !strings.Contains(errOut, "in use") {
		t.Errorf("got %d %q, want 1 with in use", status, errOut)
	}
	d.pid("/app")
}

// What is missing besides the file is said all at once, by validate too, and nothing
// is started.
func TestMissingProgramsAreAllSaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "watchdog.yaml")
	yaml := `
server: {listen: "127.0.0.1:0"}
routes:
  - {name: a, mode: http, fprocess: no-such-a}
  - {name: b, mode: streaming, fprocess: no-such-b}
  - {name: c, mode: serializing, fprocess: cat, user: no-such-user}
services:
  - {name: d, fprocess: /etc/passwd}
`
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"validate"}, {"validate", "--json"}, {"run"}} {
		out, errOut, status := command(t, nil, append(args, "-c", file)...)
		if status != 1 {
			t.Errorf("%v: got status %d, want 1", args, status)
		}
		for _, want := range []string{"no-such-a", "no-such-b", "no-such-user", "/etc/passwd"} {
			if !strings.Contains(out+errOut, want) {
				t.Errorf("%v does not say %s: got\n%s%s\nwant strings.Contains(out+errOut, want)", args, want, out, errOut)
			}
		}
	}
}

// A route that forks waits for what it depends on, and its readiness says so.
func TestForkingRoutesWaitForTheirDependencies(t *testing.T) {
	done := filepath.Join(t.TempDir(), "done")
	d := serveFile(t, `
server: {listen: "LISTEN"}
routes:
  - {name: up, mode: streaming, fprocess: tr a-z A-Z, depends_on: {migrate: completed}, timeouts: {queue: 1m}}
services:
  - {name: migrate, restart: never, shell: true, fprocess: "until [ -e `+done+` ]; do sleep 0.01; done"}
`).waitListening()
	if status, body := d.get("/_/ready/up"); status != 503 || !strings.Contains(body, "migrate") {
		t.Errorf("got %d %s, want 503 with migrate", status, body)
	}
	answer := make(chan answered, 1)
	go func() {
		got, _ := d.try("POST", "/up", nil, "x")
		answer <- got
	}()
	if err := os.WriteFile(done, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := <-answer; got.status != 200 || got.body != "X" {
		t.Errorf("got %d %q, want 200 and X", got.status, got.body)
	}
	if status, body := d.get("/_/ready/up"); status != 200 {
		t.Errorf("got %d %s, want 200", status, body)
	}
}

// An upstream that is run elsewhere is ready when it takes connections.
func TestReadinessOfAnUpstreamElsewhere(t *testing.T) {
	address := freeAddress(t)
	d := serveFile(t, `
server: {listen: "LISTEN"}
routes: [{name: far, mode: http, upstream: "`+address+`"}]
`).waitListening()
	if status, _ := d.get("/_/ready/far"); status != 503 {
		t.Errorf("got %d while nobody listens, want 503", status)
	}
	if status, body := d.get("/far"); status != 502 {
		t.Errorf("got %d %s, want 502", status, body)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if status, body := d.get("/_/ready/far"); status != 200 {
		t.Errorf("got %d %s while somebody listens, want 200", status, body)
	}
}

// A body that comes too slowly is answered with 408 in every mode that reads one.
func TestSlowBodiesAre408(t *testing.T) {
	d := serveFile(t, `
server: {listen: "LISTEN"}
defaults: {timeouts: {read: 100ms}}
routes:
  - {name: app, mode: http, fprocess: SELF}
  - {name: buffered, mode: http, fprocess: SELF, buffer_body: true}
  - {name: up, mode: streaming, fprocess: wc -c}
  - {name: all, mode: serializing, fprocess: wc -c}
`).waitListening()
	d.pid("/app")
	d.pid("/buffered")
	for _, path := range []string{"/app/read", "/buffered/read", "/up", "/all"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab", path)
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if response.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%s: got %s, want %v", path, response.Status, http.StatusRequestTimeout)
		}
	}
}

func TestCallSendsABodyFromStandardInput(t *testing.T) {
	d := serveFile(t, "server: {listen: \"LISTEN\"}\nroutes: [{name: up, mode: streaming, fprocess: tr a-z A-Z}]\n").waitListening()
	body := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(body, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errOut, status := d.command("call", "up", "-d", "@"+body); status != 0 || out != "FROM A FILE" {
		t.Errorf("got %d %q %q, want 0 and FROM A FILE", status, out, errOut)
	}
}

// What the programs of a forking route print is in logs.
func TestLogsOfForkingRoutes(t *testing.T) {
	d := serveFile(t, `server: {listen: "LISTEN"}
services: [{name: base, fprocess: sleep 600}]
defaults: {mode: streaming, shell: true, fprocess: 'echo spoken >&2'}
routes:
  - name: plain
  - {name: compressed, compress: true}
  - {name: dependent, compress: true, depends_on: [base]}
`).waitListening()
	for _, route := range []string{"plain", "compressed", "dependent"} {
		d.get("/" + route)
		d.waitLog(`"route":"` + route + `","stream":"stderr"`)
		if out, errOut, status := d.command("logs", route); status != 0 || !strings.Contains(out, "spoken") {
			t.Errorf("logs %s: got status %d, %q, %q, want the line of its program", route, status, out, errOut)
		}
	}
}

// The name watchdogd means the running program where the PATH has none, wherever a command
// may stand.
func TestTheWordWatchdogdIsThisProgram(t *testing.T) {
	dir := t.TempDir()
	inner := filepath.Join(dir, "inner.yaml")
	if err := os.WriteFile(inner, []byte("admin: {optional: true}\nroutes: [{name: up, path: /, mode: streaming, fprocess: tr a-z A-Z}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &daemonUnderTest{t: t, file: filepath.Join(dir, "watchdog.yaml"), base: "http://" + freeAddress(t)}
	d.write(`
server: {listen: LISTEN}
routes:
  - {name: fork, mode: streaming, fprocess: watchdogd version}
  - {name: warm, mode: streaming, fprocess: "watchdogd env -- printenv Http_Method", warm: 1}
  - {name: http, mode: http, fprocess: "watchdogd -c ` + inner + `", live: {exec: watchdogd version}, umask: "022"}
services:
  - {name: side, fprocess: "watchdogd -c ` + inner + `", env: {PORT: "0"}}
`)
	d.start([]string{"-c", d.file}, []string{"PATH=/usr/bin:/bin"})
	d.waitListening()
	if status, _, body := d.request("POST", "/http", nil, "x"); status != 200 || body != "X" {
		t.Errorf("http: got %d %q, want 200 X", status, body)
	}
	if status, body := d.get("/fork"); status != 200 || !strings.HasPrefix(body, "watchdogd ") {
		t.Errorf("streaming: got %d %q, want the version", status, body)
	}
	if status, body := d.get("/warm"); status != 200 || body != "GET\n" {
		t.Errorf("warm: got %d %q, want GET", status, body)
	}
	poll(t, "the service", func() bool {
		status, _ := d.get("/_/ready/side")
		return status == 200
	})
}
