package supervisor

import (
	"context"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

func TestAKillAfterStopGraceIsAWarning(t *testing.T) {
	spec := service(t, "db", "stubborn")
	spec.Process.Ready = schema.Probe{Log: "up"}
	spec.Process.Stop.Grace = 20 * ms
	s := newStack(t, spec)
	s.awaitState("db", Ready)
	if err := s.Supervisor.Stop(context.Background(), "db"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"msg":"killed"`, `"service":"db"`, `"signal":"SIGTERM"`, `"grace":"20ms"`, "stop: {signal: INT}"} {
		if log := s.log.String(); !strings.Contains(log, want) {
			t.Errorf("got no %s in the log, want it:\n%s", want, log)
		}
	}
}

func TestTheHintAfterAKillKnowsTheProgram(t *testing.T) {
	term := schema.Stop{Signal: "TERM", Grace: schema.Duration(10e9)}
	for program, want := range map[string]string{
		"/usr/lib/postgresql/15/bin/postgres": "stop: {signal: INT}",
		"nginx":                               "stop: {signal: QUIT}",
		"apache2":                             "stop: {signal: WINCH}",
		"./server":                            "stop: {signal: INT}",
	} {
		if got := killedHint(schema.Command{Words: []schema.Text{schema.Text(program)}}, term); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q in it", program, got, want)
		}
	}
	kill := schema.Stop{Signal: "QUIT", Grace: schema.Duration(10e9)}
	if got, want := killedHint(schema.Command{Words: []schema.Text{"nginx"}}, kill), "give it more time: stop: {grace: 30s}"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
