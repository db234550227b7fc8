// Package why says in one sentence why a program does not work, and what to do: a pure
// function from facts to a Diagnosis, and what tells the facts from what a program left.
package why

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/supervisor/child"
)

// Facts is what is known of a life that does not work, or that ended. Gathering them is
// package supervisor's; what they mean is decided here, without looking at the system.
type Facts struct {
	Words    []string // the command: program and arguments, or the words of a shell line
	Shell    bool     // it is run by /bin/sh
	Dir      string   // its folder
	User     string   // of whom it is run, as the configuration says; empty is watchdogd's own
	Server   bool     // it is to listen: http mode
	Worker   bool     // it answers on its standard output: afterburn mode
	Again    bool     // it is started again when it ends with 0
	Port     int      // its $PORT; 0 when it has none
	Upstream string   // where it is to listen: host:port, or the path of a socket
	Served   bool     // it was ready; of a worker: it was given a call
	Uptime   time.Duration

	// While it is not ready.
	Listens []string // the addresses on which it listens, without Upstream
	Probe   string   // what its readiness probe asks
	Log     bool     // it is ready when a line of its output says so
	Answer  string   // what the probe was answered last
	Body    string   // the first line of that answer
	Busy    bool     // it uses the CPU
	Idle    bool     // it does not

	// When it has ended.
	Exit   *child.Exit // nil while it runs
	Behind []string    // the programs of the processes that it left running
	CRLF   string      // what child.CRLF says of the program
	Taken  string      // who listens on the port that it says is taken
	Cores  string      // where the kernel puts core dumps: /proc/sys/kernel/core_pattern
	CPU    uint64      // rlimits.cpu, in seconds; 0 is none

	Errors []string // what it printed on its standard error
	Prints []string // and on its standard output
}

// Diagnosis is what facts mean.
type Diagnosis struct {
	What    string // one sentence, without its end: what happened, why, what to do; empty when all is well
	Printed string // what the program itself printed, which may be private
	Certain bool   // waiting does not help: the program or the configuration has to change
}

// String is all of it, for the log and ps.
func (d Diagnosis) String() string {
	if d.Printed == "" {
		return d.What
	}
	return d.What + ": " + d.Printed
}

// Soon is how long after its start a program that goes to the background has done so.
const Soon = 30 * time.Second

// Diagnose returns what the facts mean.
func (f *Facts) Diagnose() Diagnosis {
	switch {
	case f.Exit == nil:
		return f.starting()
	case f.Exit.OK():
		return f.completed()
	case f.Exit.Signal != 0:
		return f.signalled()
	}
	return f.failed()
}

// completed is about a program that ended with 0.
func (f *Facts) completed() Diagnosis {
	const soon = "exited with 0 "
	switch {
	case len(f.Behind) > 0 && f.Uptime < Soon:
		return Diagnosis{What: f.background(), Certain: true}
	case f.Server && !f.Served:
		return Diagnosis{What: soon + "before it listened: http mode is for a server that keeps running; a program that reads its input and ends is mode: streaming", Certain: true}
	case f.Worker && !f.Served && f.Uptime < Soon:
		return Diagnosis{What: f.Exit.String() + ": an afterburn worker answers one request after the other on its standard output; a program that answers one and ends is mode: streaming"}
	case f.Again && !f.Server && !f.Worker && f.Uptime < time.Second:
		return Diagnosis{What: soon + "at once: a service is a program that keeps running; for a task that runs once write restart: on-failure"}
	}
	return Diagnosis{What: f.Exit.String()}
}

// failed is about a program that ended with another status.
func (f *Facts) failed() Diagnosis {
	e := f.Exit
	printed := f.telling()
	if (e.Code == 126 || e.Code == 127) && f.CRLF != "" {
		return Diagnosis{What: e.String() + ": " + f.CRLF, Certain: true}
	}
	if e.OutOfMemory {
		return Diagnosis{What: e.String()}
	}
	if signal := syscall.Signal(e.Code - 128); e.Code > 128 && signalWords[signal] != "" && f.Shell {
		// The shell reports how its program ended.
		return Diagnosis{What: fmt.Sprintf("%s (%s of a program of the shell): %s", e, unix.SignalName(signal), signalWords[signal]), Printed: printed}
	}
	if e.Code == 126 && f.Shell && strings.HasSuffix(printed, "ermission denied") {
		return Diagnosis{What: e.String() + ": the shell may not execute the program: chmod +x it", Printed: printed, Certain: true}
	}
	if c, line := f.cause(); c != nil {
		return Diagnosis{What: e.String() + ": " + c.say(f, line), Printed: clean(line), Certain: c.certain}
	}
	switch {
	case e.Code == 127 && f.Shell:
		return Diagnosis{What: e.String() + " (the shell did not find the program)", Printed: printed}
	}
	return Diagnosis{What: e.String(), Printed: printed}
}

// words are those of the command, also where they stand in one shell line.
func (f *Facts) words() []string {
	if f.Shell {
		return strings.Fields(strings.Join(f.Words, " "))
	}
	return f.Words
}

// Script is the file that the command starts, which is at path when no shell finds it.
func (f *Facts) Script(file, dir string) string {
	words := f.words()
	if !f.Shell || len(words) == 0 {
		return file
	}
	if !strings.Contains(words[0], "/") {
		return "" // of the PATH
	}
	if filepath.IsAbs(words[0]) {
		return words[0]
	}
	return filepath.Join(dir, words[0])
}
