// Package event names the log messages that other code recognizes, so that a change of
// their words cannot break it: "format: classic" (cmd/watchdogd/internal/fwatchdog) writes each of
// them in the words of the OpenFaaS watchdogs. A message that is only read by people is
// written where it is logged.
package event

// The start and the end of the program.
const (
	Starting         = "starting"  // version, pid, file, name
	Listening        = "listening" // address
	MetricsListening = "metrics" + also
	AdminListening   = "admin" + also
	LockWritten      = "lock file written" // file
	LockRemoved      = "lock file removed" // file
	NoLock           = "no lock file"      // why
	AskedToStop      = "asked to stop"     // signal, delay
	Draining         = "draining"          // calls, timeout
	Stopped          = "stopped"           // cut
)

const also = " listening"

// AlsoListening returns the message of the "metrics" or the "admin" listener.
func AlsoListening(what string) string { return what + also }

// What a stop waits for.
const (
	WaitingForCalls     = "waiting for calls"            // which, timeout, next
	WaitingForProcesses = "waiting for processes to end" // which, next
)

// Requests that failed. Each has the attribute error.
const (
	UpstreamFailed = "upstream failed" // cut: the response had begun
	NotStarted     = "program not started"
	Failed         = "program failed"
	OutputRefused  = "program's output refused"
	CallFailed     = "call failed"
	WorkerRefused  = "worker's answer refused"
	NoRoom         = "no room for a temporary file"
)

// OfRequest reports whether message is of a request that failed. The line of the request has
// the same reason.
func OfRequest(message string) bool {
	switch message {
	case UpstreamFailed, NotStarted, Failed, OutputRefused, CallFailed, WorkerRefused, NoRoom:
		return true
	}
	return false
}

// Process is a change of a process's state: state, why, pause.
const Process = "process"

// Why a process is stopping, where that needs no words: what follows it says more.
const (
	ItsChildEnded = "its child ended"
	BeingStopped  = "it is being stopped"
)
