package why

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// signalWords is what signals mean that end a program.
var signalWords = map[syscall.Signal]string{
	syscall.SIGSEGV: "it used memory that it does not have (segmentation fault): a bug in it or in a native library",
	syscall.SIGBUS:  "it used memory that could not be provided (bus error): often a mapped file that became shorter, or a full /dev/shm",
	syscall.SIGILL:  "the CPU does not know one of its instructions: it may be built for a newer CPU",
	syscall.SIGFPE:  "an arithmetic error, such as a division by zero",
	syscall.SIGABRT: "it aborted itself: a failed assertion, or an error that its runtime does not survive",
	syscall.SIGTRAP: "it reached a breakpoint, or its runtime ended it",
	syscall.SIGSYS:  "it made a system call that it may not make (seccomp)",
	syscall.SIGXCPU: "it used more CPU time than rlimits.cpu allows",
	syscall.SIGXFSZ: "it wrote a larger file than rlimits.fsize allows",
	syscall.SIGPIPE: "it wrote to a pipe or a connection that nothing reads any more",
}

// signalled is about a program that a signal ended.
func (f *Facts) signalled() Diagnosis {
	e := f.Exit
	if e.OutOfMemory {
		return Diagnosis{What: e.String()}
	}
	switch {
	case e.Signal == syscall.SIGKILL && f.CPU > 0 && e.CPU.Seconds() >= 0.95*float64(f.CPU): // it counts in ticks
		return Diagnosis{What: fmt.Sprintf("%s by the kernel: it used %v of CPU time, and rlimits.cpu is %d s", e, e.CPU.Round(1e8), f.CPU)}
	case e.Signal == syscall.SIGKILL:
		return Diagnosis{What: e.String() + ": it or another process sent it (not watchdogd, and not the kernel for want of memory)"}
	case FromOutside(e.Signal):
		return Diagnosis{What: e.String() + ": it or another process sent it (not watchdogd)"}
	}
	what := e.String()
	if words := signalWords[e.Signal]; words != "" {
		what += ": " + words
	} else {
		what += ": it does not handle this signal"
	}
	if e.Core {
		what += f.core()
	}
	d := Diagnosis{What: what, Printed: f.telling()}
	if c, line := f.cause(); c != nil {
		d.What, d.Printed, d.Certain = e.String()+": "+c.say(f, line), clean(line), c.certain
	}
	return d
}

// core is where the core dump is.
func (f *Facts) core() string {
	switch handler, piped := strings.CutPrefix(f.Cores, "|"); {
	case piped && strings.Contains(handler, "systemd-coredump"):
		return "; coredumpctl debug shows where"
	case piped:
		return "; the core dump was given to " + strings.Fields(handler + " another program")[0]
	case f.Cores == "":
		return ""
	case filepath.IsAbs(f.Cores):
		return "; the core dump is in " + filepath.Dir(f.Cores)
	}
	dir := f.Dir
	if dir == "" {
		dir = "watchdogd's folder"
	}
	return "; the core dump is in " + dir
}

// FromOutside reports whether a signal comes from another process, so that the program can
// have said nothing about it.
func FromOutside(s syscall.Signal) bool {
	return slices.Contains([]syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT}, s)
}
