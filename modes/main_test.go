package modes

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// asProgram in the environment makes the test binary one of the programs that the
// tests run behind a route.
const asProgram = "WATCHDOGD_MODES_TEST_PROGRAM"

// inTests in the environment says that one of these tests runs already: a program that
// was meant to be another must not run them all again, and so on without end.
const inTests = "WATCHDOGD_MODES_TESTS"

// programs are those programs by name; each file of tests has its own.
func programs(name string) func() {
	for _, set := range []map[string]func(){forkPrograms, workerPrograms, serverPrograms} {
		if run, ok := set[name]; ok {
			return run
		}
	}
	return nil
}

func TestMain(m *testing.M) {
	if child.Shim() {
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
	if _, ok := os.LookupEnv(inTests); ok && !slices.Contains(os.Args, "-test.fuzzworker") {
		fmt.Fprintln(os.Stderr, "the tests are not run by a program of theirs: set "+asProgram)
		os.Exit(2)
	}
	if err := os.Setenv(inTests, "1"); err != nil {
		panic(err)
	}
	testkit.Main(m)
}
