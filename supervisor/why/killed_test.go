package why

import (
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

func TestTheHintAfterAKillKnowsTheProgram(t *testing.T) {
	term := schema.Stop{Signal: "TERM", Grace: schema.Duration(10e9)}
	for program, want := range map[string]string{
		"/usr/lib/postgresql/15/bin/postgres": "stop: {signal: INT}",
		"nginx":                               "stop: {signal: QUIT}",
		"apache2":                             "stop: {signal: WINCH}",
		"./server":                            "stop: {signal: INT}",
	} {
		if got := KilledHint(schema.Command{Words: []schema.Text{schema.Text(program)}}, term); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q in it", program, got, want)
		}
	}
	kill := schema.Stop{Signal: "QUIT", Grace: schema.Duration(10e9)}
	if got, want := KilledHint(schema.Command{Words: []schema.Text{"nginx"}}, kill), "give it more time: stop: {grace: 30s}"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
