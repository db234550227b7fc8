package why

import (
	"fmt"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/supervisor/child"
)

// starting is about a program that runs and is not ready.
func (f *Facts) starting() Diagnosis {
	last := f.last()
	switch {
	case len(f.Listens) > 0:
		return Diagnosis{What: f.elsewhere(), Certain: true}
	case f.Log && last == "":
		return Diagnosis{What: "it has printed nothing yet, and its readiness probe (" + f.Probe + ") waits for a line: " + f.heldBack()}
	case f.Log:
		return Diagnosis{What: "no line of its output has matched its readiness probe (" + f.Probe + ") yet; it printed last", Printed: last}
	case f.Answer == "":
		return Diagnosis{}
	case strings.HasSuffix(f.Answer, "connection refused") && f.Upstream != "":
		what := "nothing listens on " + f.place() + " yet"
		if f.Busy {
			what += ", and the program is busy"
		} else if f.Idle {
			what += ", and the program waits for something"
		}
		if f.Port != 0 {
			what += " (does it listen on $PORT?)"
		}
		return f.andPrinted(what, last)
	case f.Body != "":
		return Diagnosis{What: fmt.Sprintf("its readiness probe (%s) is answered with %s", f.Probe, f.Answer), Printed: f.Body}
	}
	return f.andPrinted(fmt.Sprintf("its readiness probe (%s) fails: %s", f.Probe, f.Answer), last)
}

// andPrinted adds the line that the program printed last.
func (f *Facts) andPrinted(what, last string) Diagnosis {
	if last == "" {
		return Diagnosis{What: what + "; it has printed nothing"}
	}
	return Diagnosis{What: what + "; it printed last", Printed: last}
}

// place is where the program is to listen.
func (f *Facts) place() string {
	if f.Port != 0 {
		return fmt.Sprintf("$PORT (%d)", f.Port)
	}
	return f.Upstream
}

// last is the last line that the program printed.
func (f *Facts) last() string {
	for _, lines := range [][]string{f.Errors, f.Prints} {
		for n := len(lines) - 1; n >= 0; n-- {
			if line := clean(lines[n]); line != "" {
				return line
			}
		}
	}
	return ""
}

// unbuffered is how languages are kept from holding their output back, which they do when
// it is not on a terminal.
var unbuffered = map[string]string{
	"python": `write env: {PYTHONUNBUFFERED: "1"}`,
	"ruby":   "write $stdout.sync = true in the program",
	"perl":   "write $| = 1 in the program",
	"php":    "call flush() in the program",
	"java":   "flush System.out in the program",
}

// heldBack is what to do about output that does not come.
func (f *Facts) heldBack() string {
	const why = "many programs hold their output back when it is not on a terminal: "
	for _, w := range f.words() {
		if how, ok := unbuffered[child.ProgramName(w)]; ok {
			return why + how
		}
	}
	return why + "have it flush each line, or start it by stdbuf -oL"
}

// SlowAfter is how long a start may take before it is explained.
const SlowAfter = 3 * time.Second

// Slow is the sentence for an instance that has been starting for so long, of at most
// limit (timeouts.start; 0 is no bound); d is why it is not ready.
func Slow(since, limit time.Duration, d Diagnosis) Diagnosis {
	bound := "timeouts.start has no bound"
	if limit > 0 {
		bound = "timeouts.start is " + limit.String()
	}
	what := fmt.Sprintf("has been starting for %v (%s)", since.Round(time.Second), bound)
	if d.What != "" {
		what += ": " + d.What
	}
	return Diagnosis{What: what, Printed: d.Printed}
}
