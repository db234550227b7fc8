package child_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// A Program is looked up once, and started for each call.
func ExampleProgram_Start() {
	prog, err := child.NewProgram("false", &schema.Process{FProcess: schema.Command{Words: []schema.Text{"false"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := prog.Start(child.StartOptions{}) // /dev/null as its standard files
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Kill() // and what it left of its group
	exit, err := c.Wait(context.Background())
	fmt.Println(exit, err)
	// Output: exit status 1 <nil>
}

// An Output takes what children print, and keeps the last lines.
func ExampleOutput() {
	out := child.NewOutput(slog.New(slog.DiscardHandler), "route", "hello", child.Printing{})
	prog, err := child.NewProgram("hello", &schema.Process{FProcess: schema.Command{Words: []schema.Text{"echo", "hello"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	r, w, err := os.Pipe()
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := prog.Start(child.StartOptions{Stdout: w})
	_ = w.Close() // the child has its own
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Kill()
	out.Copy(c.PID(), "stdout", r) // until the end of file
	for _, line := range out.Lines() {
		fmt.Println(line.Stream, line.Text)
	}
	// Output: stdout hello
}
