package supervisor

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/internal/testprogram"
)

// bound is how long a test waits for what must happen.
const bound = testprogram.Bound

// TestMain is also the children: with BE in the environment the test binary is the
// program that BE names, with its arguments.
func TestMain(m *testing.M) {
	if child.Shim() {
		return
	}
	if be, ok := os.LookupEnv("BE"); ok {
		os.Exit(become(strings.Fields(be)))
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // or each child would take a second to end
	testkit.Main(m)
}

// become is one of the programs that tests start.
func become(words []string) int {
	switch words[0] {
	case "warm":
		warmed(os.NewFile(3, "env"), os.Stdin, os.Stdout)
		return 0
	case "host":
		return hosts(words[1])
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
