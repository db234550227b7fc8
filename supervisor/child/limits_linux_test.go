package child

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

// The program that sets the limits is watchdogd, which has more addresses than most limits allow: it
// must not need any more between the limit of them and the start of the program, whatever the size
// of the environment that it passes on.
func TestALimitOfTheAddressSpaceStopsNoStart(t *testing.T) {
	run := func(limits map[string]schema.Size, variables int) string {
		t.Helper()
		p := &schema.Process{
			FProcess: schema.Command{Words: []schema.Text{"/bin/sh", "-c", "ulimit -v; ulimit -Sn; echo $LAST"}},
			RLimits:  limits, Env: map[string]schema.Text{"LAST": "x"},
		}
		for n := range variables {
			p.Env[fmt.Sprintf("V%d", n)] = schema.Text(strings.Repeat("x", n))
		}
		prog, err := NewProgram("limited", p)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		c, err := prog.Start(StartOptions{Stdout: file, Stderr: file})
		if err != nil {
			t.Fatal(err)
		}
		e, err := c.Wait(context.Background())
		c.Kill()
		out, readErr := os.ReadFile(file.Name())
		if err != nil || readErr != nil || !e.OK() {
			t.Fatalf("with %d variables: got %v, %v, %v, %.200q, want exit status 0", variables, e, err, readErr, out)
		}
		return string(out)
	}
	files := strings.Fields(run(nil, 0))[1]
	for variables := 1; variables < 400; variables += 8 {
		if got, want := run(map[string]schema.Size{"as": 64 << 20}, variables), "65536\n"+files+"\nx\n"; got != want {
			t.Fatalf("with %d variables: got limits of addresses in KiB and of files %q, want %q", variables, got, want)
		}
	}
	if got, want := run(map[string]schema.Size{"as": 64 << 20, "nofile": 77}, 1), "65536\n77\nx\n"; got != want {
		t.Errorf("got limits of addresses in KiB and of files %q, want %q", got, want)
	}
}
