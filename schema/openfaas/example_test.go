package openfaas_test

import (
	"fmt"

	"github.com/watchdogd/watchdogd/schema/openfaas"
)

// The environment of an image becomes the same configuration that a file would.
func ExampleFromEnv() {
	c, notes, err := openfaas.FromEnv([]string{"mode=http", "fprocess=node index.js", "upstream_url=http://127.0.0.1:3000", "exec_timeout=abc"}, "fwatchdog")
	if err != nil {
		panic(err)
	}
	r := c.Routes[0]
	fmt.Println(notes.Dialect, r.Mode, r.Upstream, r.Timeouts.Exec)
	for _, n := range notes.Notes {
		fmt.Println(n)
	}
	// Output:
	// of-watchdog http http://127.0.0.1:3000 30s
	// exec_timeout="abc" is not a valid duration; using 30s
}
