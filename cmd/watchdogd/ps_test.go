package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestPsCountsTheCallsOfEveryMode(t *testing.T) {
	until := filepath.Join(t.TempDir(), "until")
	d := serveFile(t, `
server: {listen: "LISTEN"}
defaults: {timeouts: {queue: 1m, exec: 1m}}
services:
  - {name: zeta, fprocess: sleep 1000}
routes:
  - {name: waits, mode: streaming, shell: true, fprocess: "until [ -e `+until+` ]; do sleep 0.02; done", limits: {inflight: 1, queue: 1}}
  - {name: app, mode: http, fprocess: SELF}
  - {name: files, mode: static, root: .}
`).waitListening()
	d.pid("/app")
	for range 3 {
		d.get("/files/none")
	}
	ended := make(chan int, 2)
	for range 2 {
		go func() {
			a, _ := d.try("POST", "/waits", nil, "") // a status of 0 is not the one wanted
			ended <- a.status
		}()
	}
	type row struct {
		Name             string
		Inflight, Queued int
		Total            uint64
	}
	var list []row
	deadline := time.After(patience)
	for len(list) == 0 || list[0].Inflight != 1 || list[0].Queued != 1 {
		select {
		case <-deadline:
			t.Fatalf("got %+v, want one call in flight and one queued", list)
		default: // each command takes its time
		}
		out, errOut, status := d.command("ps", "--json")
		list = nil
		if err := json.Unmarshal([]byte(out), &list); err != nil || status != 0 {
			t.Fatalf("got status %d, %v: %s%s, want no error and 0", status, err, out, errOut)
		}
	}
	want := []row{{"waits", 1, 1, 2}, {"app", 0, 0, 1}, {"files", 0, 0, 3}, {"zeta", 0, 0, 0}}
	for i, w := range want {
		if len(list) != len(want) || list[i] != w {
			t.Errorf("got %+v, want %+v in this order", list, want)
			break
		}
	}
	table, _, _ := d.command("ps")
	for _, text := range []string{"IN FLIGHT", "TOTAL", "1+1 queued"} {
		if !strings.Contains(table, text) {
			t.Errorf("got no %s in\n%s", text, table)
		}
	}
	if err := os.WriteFile(until, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if status := <-ended; status != 200 {
			t.Errorf("got %d, want 200", status)
		}
	}
}

// However the stack ends, a command that follows its lines says so, and that is no failure.
func TestLogsThatFollowEndWithTheStack(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		d := serveFile(t, steered).waitListening()
		d.pid("/app")
		logs := exec.Command(self(t), "logs", "-f", "-c", d.file)
		logs.Env = d.cmd.Env
		var errOut bytes.Buffer
		logs.Stderr = &errOut
		out, err := logs.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := logs.Start(); err != nil {
			t.Fatal(err)
		}
		unbound := time.AfterFunc(patience, func() { _ = logs.Process.Kill() }) // so that Wait returns
		lines := bufio.NewScanner(out)
		for lines.Scan() && !strings.Contains(lines.Text(), "listening on") { // it follows
		}
		if !strings.Contains(lines.Text(), "listening on") {
			t.Errorf("%v: got the line %q at the end, want what the server printed", sig, lines.Text())
		}
		d.signal(sig)
		for lines.Scan() {
		}
		err = logs.Wait()
		if err != nil || !unbound.Stop() || !strings.Contains(errOut.String(), "the stack has ended") || strings.Contains(errOut.String(), "EOF") {
			t.Errorf("%v: got %v and %q, want status 0 and a sentence", sig, err, errOut.String())
		}
	}
}

func TestTheCommandLineTakesNumbersAsTheFileDoes(t *testing.T) {
	d := serveFile(t, steered).waitListening()
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"healthcheck --timeout 5", 0, "OK"},
		{"healthcheck --timeout 1m30s", 0, "OK"},
		{"healthcheck --timeout 0", 2, "must be longer than 0"},
		{"healthcheck --timeout -1s", 2, "must be 0 or longer"},
		{"healthcheck --timeout 5sec", 2, "write 5s"},
		{"scale app=10001", 2, "must be a whole number from 0 to 10000"},
		{"scale app=-1", 2, "must be a whole number from 0 to 10000"},
		{"scale app=+2", 2, "must be a whole number from 0 to 10000"},
		{"scale app", 2, "write NAME=N"},
		{"logs -n -1", 2, "must be a whole number from 0 to 1000"},
		{"logs -n many", 2, "must be a whole number from 0 to 1000"},
		{"logs -n 1000", 0, ""},
		{"call app -d @/", 1, "it is a directory, not a file"},
		{"call app -d @/no/file", 1, "no such file"},
	} {
		out, errOut, status := d.command(strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(out+errOut, c.want) {
			t.Errorf("%s: got status %d, %s%s, want %d, %s", c.args, status, out, errOut, c.status, c.want)
		}
	}
}
