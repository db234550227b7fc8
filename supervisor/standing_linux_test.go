package supervisor

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/schema"
)

// reads is how often this thread has read from files.
func reads(t *testing.T) (n int) {
	t.Helper()
	data, err := os.ReadFile("/proc/thread-self/io")
	if err != nil {
		t.Skip("this kernel does not count the reads of a thread: ", err)
	}
	for line := range strings.Lines(string(data)) {
		if _, err := fmt.Sscanf(line, "syscr: %d", &n); err == nil {
			return n
		}
	}
	t.Fatalf("got %q, want a line syscr", data)
	return 0
}

func TestReadinessDoesNotReadTheProcessTable(t *testing.T) {
	const many = 50
	spec := Spec{Name: "many", Kind: Service, Start: bound}
	spec.Process.FProcess = schema.Command{Words: []schema.Text{"sleep", "1000"}}
	spec.Process.Replicas = schema.Replicas{Min: many, Max: many}
	s := newStack(t, spec)
	s.await("many", "ready", allReady(many))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cost := func(of func()) int {
		before := reads(t)
		of()
		return reads(t) - before
	}
	none := cost(func() {})
	if got := cost(func() { s.Standing() }); got != none {
		t.Errorf("got %d reads of files for Standing, want none", got-none)
	}
	if got := cost(func() { s.Process("many").Standing() }); got != none {
		t.Errorf("got %d reads of files for a process's Standing, want none", got-none)
	}
	if got := cost(func() { s.Status() }); got < none+many {
		t.Errorf("got %d reads of files for Status, want one for each of %d processes: this test sees nothing", got-none, many)
	}
}
