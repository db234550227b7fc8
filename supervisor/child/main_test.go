package child

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/internal/testprogram"
)

// bound is how long a test waits for what must happen.
const bound = testprogram.Bound

// TestMain is also the children: with BE in the environment the test binary is the
// program that BE names, with its arguments.
func TestMain(m *testing.M) {
	if Shim() {
		return
	}
	if be, ok := os.LookupEnv("BE"); ok {
		os.Exit(become_(strings.Fields(be)))
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // or each child would take a second to end
	testkit.Main(m)
}

// become_ is one of the programs that tests start.
func become_(words []string) int {
	args := words[1:]
	switch words[0] {
	case "bearer": // [umask]: starts fds, with its own files
		p, err := NewProgram("fds", &schema.Process{
			FProcess: schema.Command{Words: []schema.Text{schema.Text(os.Args[0])}}, Env: map[string]schema.Text{"BE": "fds"},
			Umask: schema.Umask{Set: len(args) > 0, Mask: 0o22},
		})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		c, err := p.Start(StartOptions{Stdout: os.Stdout, Stderr: os.Stderr})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		_, _ = c.Wait(context.Background())
		c.Kill()
		return 0
	}
	status, known := testprogram.Run(words)
	if !known {
		fmt.Println("no such program:", words)
	}
	return status
}

// program is a process that is the test binary as be says.
func program(t testing.TB, be string) *schema.Process {
	t.Helper()
	return testprogram.Process(t, be)
}

// start starts the test binary as be says, with its output on the pipe that is returned.
func start(t testing.TB, be string) (*Child, *bufio.Reader) {
	t.Helper()
	p, err := NewProgram("test", program(t, be))
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	c, err := p.Start(StartOptions{Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	_ = r.SetReadDeadline(time.Now().Add(bound))
	return c, bufio.NewReader(r)
}

func readLine(t testing.TB, r *bufio.Reader) string {
	t.Helper()
	return testprogram.ReadLine(t, r)
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	return testprogram.Atoi(t, s)
}
