package main

import (
	"bytes"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// stamp begins each line of the classic format.
const stamp = `\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `

// The whole of it, in one daemon: of every call its line, of the programs what they print,
// to the last word.
func TestTheClassicLogOfADaemon(t *testing.T) {
	var printed bytes.Buffer // complete when the daemon has ended
	d := &daemonUnderTest{t: t, file: filepath.Join(t.TempDir(), "watchdog.yaml"), base: "http://" + freeAddress(t), out: &printed}
	d.write(`
server: {listen: LISTEN, errors: classic}
log: {format: classic, line: 20, output: true, headers: true}
routes:
  - {name: up, mode: serializing, stderr: body, fprocess: "tr a-z A-Z"}
  - {name: bad, mode: serializing, fprocess: "sh -c 'echo out; printf \"no newline, and more than twenty\" >&2; exit 3'"}
`)
	d.start([]string{"-c", d.file}, nil)
	d.waitLog("Listening on port")
	if status, _, body := d.request("POST", "/up?q=1", http.Header{"Authorization": {"Bearer s3cret"}}, "hello"); status != 200 || body != "HELLO" {
		t.Errorf("got %d %q, want 200 and HELLO", status, body)
	}
	if status, _, body := d.request("POST", "/bad", nil, ""); status != 500 || body != "exit status 3\nout\n" {
		t.Errorf("got %d %q, want 500 and exit status 3\nout\n", status, body)
	}
	d.signal(syscall.SIGTERM)
	if code := d.wait(); code != 0 {
		t.Errorf("got status %d, want 0", code)
	}
	for _, want := range []string{"Query  q=1", "Path  /", "Forking fprocess.", `Duration: \d\.\d{6}s`, "exit status 3", "POST /bad - 500 - ContentLength: 18B .*",
		"stderr: no newline, and more", "stderr:  than twenty", `Exiting\. Active connections: 0`} {
		if !regexp.MustCompile("(?m)^" + stamp + want + "$").MatchString(d.logged()) {
			t.Errorf(`not logged: got %s, want regexp.MustCompile("(?m)^" + stamp + want + "$").MatchString(d.logged())`, want)
		}
	}
	if strings.Contains(printed.String()+d.logged(), "s3cret") {
		t.Error("a secret was logged")
	}
	for _, want := range []string{"HELLO", "[in] Content-Length=[5]\n", "[in] Authorization=[not shown]\n", "[out] X-Duration-Seconds=["} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("not on standard output: got %q in\n%s\nwant it there", want, &printed)
		}
	}
}

func TestLastWordsOfACallThatTheDrainCutsAreLogged(t *testing.T) {
	d := serveFile(t, `
server: {listen: LISTEN, drain: {timeout: 10ms}}
routes:
  - {name: fn, mode: streaming, fprocess: "sh -c 'trap \"sleep 0.3; echo last words >&2; exit 0\" TERM; echo here >&2; sleep 60 & wait'", timeouts: {exec: 0}}
`).waitListening()
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		_, _ = d.try("GET", "/fn", nil, "") // is cut
	}()
	d.waitLog("here")
	d.signal(syscall.SIGTERM)
	d.wait()
	<-cut
	if !strings.Contains(d.logged(), "last words") {
		t.Error("lost")
	}
}
