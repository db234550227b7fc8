// Package lifecycle decides what becomes of an instance and how many there are: which state
// may follow which, when one that ended is started again, and how many so many calls need.
// Pure functions of values, without a clock; see the drawing in package supervisor.
package lifecycle

import "fmt"

// State is where a process or one of its instances stands. The words are those of ps
// and of the metrics.
type State string

// The states.
const (
	Waiting   State = "waiting"    // for what it depends on
	Starting  State = "starting"   // it runs and is not ready
	Ready     State = "ready"      // calls may be given to it
	Unready   State = "unready"    // it was ready, and its readiness probe fails
	Stopping  State = "stopping"   // its end is under way, asked for or not
	Stopped   State = "stopped"    // no process is left, as was asked for
	Backoff   State = "backoff"    // it ended, and is started again after a pause
	CrashLoop State = "crash-loop" // it ended too often, and is tried at the slowest pace
	Exited    State = "exited"     // it ended, and is not started again
	Idle      State = "idle"       // no instance runs because none is needed
)

// InWords is the state as it stands after "is" in a sentence.
func (s State) InWords() string {
	switch s {
	case Unready:
		return "not ready"
	case Backoff:
		return "waiting for its next start"
	case CrashLoop:
		return "in a crash loop"
	}
	return string(s)
}

// follows is which states may follow each. Idle is a process's alone: an instance that
// does not run is none.
var follows = map[State][]State{
	Waiting:   {Starting, Backoff, CrashLoop, Exited, Stopped},
	Starting:  {Ready, Stopping},
	Ready:     {Unready, Stopping},
	Unready:   {Ready, Stopping},
	Stopping:  {Waiting, Backoff, CrashLoop, Exited, Stopped},
	Backoff:   {Waiting, Stopped},
	CrashLoop: {Waiting, Stopped},
	Exited:    {Waiting, Stopped},
	Stopped:   {},
}

// Next is the only transition function: it returns to, when to may follow s.
func (s State) Next(to State) State {
	for _, f := range follows[s] {
		if f == to {
			return to
		}
	}
	panic(fmt.Sprintf("supervisor: an instance that is %s cannot become %s", s, to))
}

// Together is the state of a process whose instances are in states: the one that says
// most about how a call would fare.
func Together(states []State) State {
	for _, s := range [...]State{Ready, Starting, Unready, Waiting, Backoff, CrashLoop, Exited, Stopping} {
		for _, of := range states {
			if of == s {
				return s
			}
		}
	}
	return Stopped
}
