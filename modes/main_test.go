package modes

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/watchdogd/watchdogd/supervisor"
)

// asProgram in the environment makes the test binary one of the programs that the
// tests run behind a route.
const asProgram = "WATCHDOGD_MODES_TEST_PROGRAM"

// programs are those programs by name; each file of tests has its own.
func programs(name string) func() {
	for _, set := range []map[string]func(){forkPrograms, workerPrograms} {
		if run, ok := set[name]; ok {
			return run
		}
	}
	return nil
}

func TestMain(m *testing.M) {
	if supervisor.Shim() {
		return
	}
	if name, ok := os.LookupEnv(asProgram); ok {
		run := programs(name)
		if run == nil {
			fmt.Fprintf(os.Stderr, "no test program is called %q\n", name)
			os.Exit(2)
		}
		run()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
