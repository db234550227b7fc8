package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const steered = `
server: {listen: "LISTEN"}
defaults: {timeouts: {queue: 1m}}
routes:
  - {name: app, mode: http, fprocess: SELF}
  - {name: up, mode: streaming, fprocess: tr a-z A-Z}
services:
  - {name: migrate, fprocess: "true", restart: never}
`

func TestPsShowsEveryRouteAndService(t *testing.T) {
	d := serveFile(t, steered).waitListening()
	pid := d.pid("/app")
	d.waitLog(`"service":"migrate","state":"exited"`)
	out, errOut, status := d.command("ps", "--json")
	var list []struct {
		Name, Kind, Mode, State string
		Instances               []struct {
			PID int   `json:"pid"`
			RSS int64 `json:"rss_bytes"`
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || status != 0 {
		t.Fatalf("got status %d, %v: %s%s, want no error and 0", status, err, out, errOut)
	}
	byName := map[string]int{}
	for i, s := range list {
		byName[s.Name] = i
	}
	if len(list) != 3 {
		t.Fatalf("%d rows: got %s, want 3", len(list), out)
	}
	app := list[byName["app"]]
	if app.Kind != "route" || app.Mode != "http" || app.State != "ready" || len(app.Instances) != 1 || app.Instances[0].PID != pid || app.Instances[0].RSS == 0 {
		t.Errorf("app: %+v, its pid is %d", app, pid)
	}
	table, _, _ := d.command("ps")
	for _, want := range []string{"NAME", "app", "up", "migrate", "exited"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %s in\n%s", want, table)
		}
	}
}

func TestProcessesAreSteered(t *testing.T) {
	d := serveFile(t, steered).waitListening()
	pid := d.pid("/app")
	if out, errOut, status := d.command("restart", "app"); status != 0 {
		t.Fatalf("restart: got %d %s%s, want 0", status, out, errOut)
	}
	waitGone(t, pid)
	pid = d.pid("/app")
	if out, errOut, status := d.command("stop", "app"); status != 0 {
		t.Fatalf("stop: got %d %s%s, want 0", status, out, errOut)
	}
	if !gone(pid) {
		t.Error("stop returned while the process was there")
	}
	if status, body := d.get("/app/"); status != 503 || !strings.Contains(body, "stopped") {
		t.Errorf("a stopped process: got %d %s, want 503 with stopped", status, body)
	}
	if out, errOut, status := d.command("start", "app"); status != 0 {
		t.Fatalf("start: got %d %s%s, want 0", status, out, errOut)
	}
	d.pid("/app")
	if out, errOut, status := d.command("scale", "app=3"); status != 0 {
		t.Fatalf("scale: got %d %s%s, want 0", status, out, errOut)
	}
	if _, errOut, status := d.command("stop", "nobody"); status != 1 || !strings.Contains(errOut, "app") {
		t.Errorf("stop of an unknown name: got %d %q, want 1 and the name app", status, errOut)
	}
	if _, errOut, status := d.command("restart", "up"); status != 1 || !strings.Contains(errOut, "streaming") {
		t.Errorf("restart up: got %d %q, want 1 with streaming", status, errOut)
	}
}

func TestCallReachesARouteByName(t *testing.T) {
	d := serveFile(t, strings.Replace(steered, "name: app,", "name: app, host: elsewhere.example, path: /deep/down, methods: [PUT], strip_prefix: false,", 1)).waitListening()
	if out, errOut, status := d.command("call", "app", "/x%2Fy?z=1"); status != 0 || !strings.HasPrefix(out, "GET /deep/down/x%2Fy?z=1") {
		t.Errorf("got status %d, stdout %q, stderr %q, want what the command says", status, out, errOut)
	}
	if out, _, status := d.command("call", "up", "-d", "hello"); status != 0 || out != "HELLO" {
		t.Errorf("got %d %q, want 0 and HELLO", status, out)
	}
	if _, errOut, status := d.command("call", "nobody"); status != 1 || !strings.Contains(errOut, "404") {
		t.Errorf("got %d %q, want 1 with 404", status, errOut)
	}
}

func TestReloadSaysWhatItDid(t *testing.T) {
	d := serveFile(t, steered).waitListening()
	pid := d.pid("/app")
	d.write(strings.Replace(steered, "fprocess: SELF", `fprocess: SELF, env: {VERSION: "2"}`, 1))
	out, errOut, status := d.command("reload", "--dry-run")
	if status != 0 || !strings.Contains(out, "replace") || !strings.Contains(out, "env") {
		t.Errorf("dry run: got %d %q %q, want 0 with replace with env", status, out, errOut)
	}
	if now := d.pid("/app"); now != pid {
		t.Error("a dry run replaced the process")
	}
	if out, errOut, status := d.command("reload"); status != 0 || !strings.Contains(out, "replace") {
		t.Errorf("reload: got %d %q %q, want 0 with replace", status, out, errOut)
	}
	waitGone(t, pid)
	if _, body := d.get("/app/"); !strings.HasSuffix(body, "version=2") {
		t.Errorf("after the reload: got %q, want %q at its end", body, "version=2")
	}
	d.write("routes: [{name: x, mode: htpp}]")
	if _, errOut, status := d.command("reload"); status != 1 || !strings.Contains(errOut, "htpp") {
		t.Errorf("reload of a bad file: got %d %q, want 1 with htpp", status, errOut)
	}
}

func TestLogsShowWhatProcessesPrinted(t *testing.T) {
	d := serveFile(t, steered).waitListening()
	d.waitLog("listening on")
	out, errOut, status := d.command("logs", "app")
	if status != 0 || !strings.Contains(out, "listening on") {
		t.Errorf("got %d %q %q, want 0 with listening on", status, out, errOut)
	}
	if _, errOut, status := d.command("logs", "nobody"); status != 1 || errOut == "" {
		t.Errorf("got %d %q, want 1 and something", status, errOut)
	}
}

// A second watchdogd of the same file is refused with the pid of the first; a socket
// that a killed one left is replaced.
func TestAdminSocketHasOneHolder(t *testing.T) {
	d := serveFile(t, steered).waitListening()
	_, errOut, status := command(t, append(d.cmd.Env, "X=1"), "-c", d.file)
	if status != 1 {
		t.Errorf("the second one: got status %d, %q, want 1", status, errOut)
	}
	socket := filepath.Join(t.TempDir(), "admin.sock")
	admin := "admin: {listen: \"unix:" + socket + "\"}\n"
	e := serveFile(t, admin+steered).waitListening()
	e.pid("/app")
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v %v, want no error and %v", info.Mode(), err, 0o600)
	}
	f := &daemonUnderTest{t: t, file: filepath.Join(t.TempDir(), "watchdog.yaml"), base: "http://" + freeAddress(t)}
	f.write(admin + steered)
	f.start([]string{"-c", f.file}, nil)
	if status := f.wait(); status != 1 || !strings.Contains(f.logged(), "pid") {
		t.Errorf("a held socket: got status %d, want 1 with pid\n%s", status, f.logged())
	}
	e.signal(syscall.SIGKILL)
	<-e.ended
	g := &daemonUnderTest{t: t, file: e.file, base: "http://" + freeAddress(t)}
	g.write(admin + steered)
	g.start([]string{"-c", g.file}, nil)
	g.waitListening()
	g.pid("/app")
}

// If watchdogd is killed, its children are not left behind.
func TestKilledWatchdogdLeavesNoChildren(t *testing.T) {
	d := serveFile(t, steered).waitListening()
	pid := d.pid("/app")
	d.signal(syscall.SIGKILL)
	<-d.ended
	waitGone(t, pid)
}

// With "then: exit" the culprit's status is watchdogd's, and the others are drained.
func TestThenExitEndsWithTheCulpritsStatus(t *testing.T) {
	d := serveFile(t, `
server: {listen: "LISTEN"}
routes:
  - {name: app, mode: http, fprocess: SELF}
  - {name: vital, mode: http, fprocess: SELF, restart: {give_up: {exits: 1, within: 1m}, then: exit}}
`).waitListening()
	app := d.pid("/app")
	d.pid("/vital")
	_, _ = d.try(http.MethodGet, "/vital/exit", nil, "")
	if status := d.wait(); status != 7 {
		t.Errorf("got exit status %d, want 7", status)
	}
	if !gone(app) {
		t.Error("the other process was left behind")
	}
	if !strings.Contains(d.logged(), "vital") {
		t.Error("the log does not name the culprit")
	}
}

func TestOnlyServesTheNamedAndWhatTheyNeed(t *testing.T) {
	d := serveFile(t, `
server: {listen: "LISTEN"}
routes:
  - {name: app, mode: http, fprocess: SELF, depends_on: {migrate: completed}}
  - {name: up, mode: streaming, fprocess: cat}
services:
  - {name: migrate, fprocess: "true", restart: never}
  - {name: other, fprocess: sleep 1000}
`, "run", "--only", "app").waitListening()
	d.pid("/app")
	if status, _ := d.get("/up"); status != 404 {
		t.Errorf("/up: got %d, want 404", status)
	}
	out, _, _ := d.command("ps")
	if strings.Contains(out, "other") || !strings.Contains(out, "migrate") {
		t.Errorf("ps: got\n%s\nwant no other with migrate", out)
	}
	if _, errOut, status := command(t, nil, "run", "--only", "nobody", "-c", d.file); status != 1 || !strings.Contains(errOut, "nobody") {
		t.Errorf("got %d %q, want 1 and the unknown name", status, errOut)
	}
}
