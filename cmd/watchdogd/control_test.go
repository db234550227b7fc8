package main

import (
	"strings"
	"testing"
)

func TestAStartThatFailsIsToldOnce(t *testing.T) {
	d := serveFile(t, "server: {listen: LISTEN}\ndefaults: {restart: {min: 1m, max: 1m}}\nroutes: [{name: task, fprocess: \"false\"}]\n")
	d.waitLog(`"backoff"`)
	out, errOut, status := d.command("start", "task")
	if want := "watchdogd: start task: its state is backoff: exit status 1\n"; status != 1 || errOut != want {
		t.Errorf("got status %d, %q%q, want 1 and %q", status, out, errOut, want)
	}
	out, errOut, status = d.command("start", "nothing")
	if status != 1 || strings.Count(errOut, "start nothing:") != 1 {
		t.Errorf("got status %d, %q%q, want 1 and the command once", status, out, errOut)
	}
}
