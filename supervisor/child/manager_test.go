package child

import (
	"slices"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

func TestProgramsDoNotSpeakToTheManagerOfWatchdogd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/systemd/notify")
	t.Setenv("LISTEN_FDS", "1")
	p := &Program{plain: Command{argv: []string{"/bin/true"}}, process: &schema.Process{FProcess: schema.Command{Words: []schema.Text{"/bin/true"}}}}
	c, err := p.Command(schema.Vars{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range []string{"NOTIFY_SOCKET=/run/systemd/notify", "LISTEN_FDS=1"} {
		if slices.Contains(c.env.list, kv) {
			t.Errorf("got %s in the environment of a program, want it left out", kv)
		}
	}
}
