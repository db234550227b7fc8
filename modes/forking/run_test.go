package forking

import (
	"io"
	"log/slog"
	"testing"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/spill"
	"github.com/watchdogd/watchdogd/schema"
)

// A copy of the program's end of a pipe that stays open here would make each call wait
// for the overtime to pass, and a program never learn that its reader has left.
func TestOutputEndsWithTheProgramAndNotByTheClock(t *testing.T) {
	for _, program := range []string{"cat", "cat >&2"} {
		config, err := schema.Parse("watchdog.yaml", []byte("routes: [{name: f, mode: streaming, shell: true, fprocess: '"+program+"'}]"), nil)
		if err != nil {
			t.Fatal(err)
		}
		f, err := newForking(&config.Routes[0], Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		in := &input{held: spill.New(0)}
		if _, err := in.held.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		c, err := f.start(call.From(t.Context()), in, newPrinted("raw", nil))
		if err != nil {
			t.Fatal(err)
		}
		c.run()
		for buf := make([]byte, 100); err == nil; {
			_, err = c.stdout.file.Read(buf)
		}
		if err != io.EOF {
			t.Errorf("%s: stdout ended with %v, want %v", program, err, io.EOF)
		}
		<-c.child.Done()
		if err := c.end(false); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
