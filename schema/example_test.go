package schema_test

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// A configuration is read whole: either it is complete and checked, or every mistake is
// reported at once, with its line of the file.
func Example() {
	file := []byte(`
routes:
  - name: api
    mode: htpp
    fprocess: node server.js
  - name: report
    fprocess: python3 report.py
    timeouts: {exec: 5m}
`)
	_, err := schema.Parse("watchdog.yaml", file, os.LookupEnv)
	var problems schema.Problems
	if errors.As(err, &problems) {
		fmt.Println(problems)
	}
	// Output:
	// watchdog.yaml:4:11: routes[0].mode: must be http, streaming, serializing, afterburn or static, not "htpp"
	//       mode: htpp
	//             ^ did you mean http?
}

// An upstream with ${PORT} has another port for each instance.
func ExampleUpstream_At() {
	u, err := schema.ParseUpstream("http://127.0.0.1:${PORT}/base")
	if err != nil {
		panic(err)
	}
	fmt.Println(u.PortFrom == schema.PortChosen, u.At(schema.Vars{Port: 40123}).URL())
	// Output: true http://127.0.0.1:40123/base
}

// What is not written has its default, and a written configuration has no defaults.
func ExampleConfig_Marshal() {
	c, err := schema.Parse("watchdog.yaml", []byte("name: demo\nroutes: [{name: api, fprocess: node server.js}]"), os.LookupEnv)
	if err != nil {
		panic(err)
	}
	r := &c.Routes[0]
	fmt.Println(r.Path, r.Timeouts.Exec)
	r.Timeouts.Exec = schema.Duration(5 * time.Minute)
	r.Dir = "" // the folder of the file, by default
	out, err := c.Marshal()
	if err != nil {
		panic(err)
	}
	fmt.Print(string(out))
	// Output:
	// /api 30s
	// name: demo
	// server: {listen: ':8080'}
	// routes:
	//   - name: api
	//     mode: http
	//     timeouts: {exec: 5m}
	//     fprocess: node server.js
}
