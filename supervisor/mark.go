package supervisor

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
)

// markName is the environment variable by which the descendants of a child are known
// when they have left its group. Its value is a word that no other child has:
//
//	PID.RANDOM.		this program, whose other lives had other random numbers
//	PID.RANDOM.RANDOM.N	a life that a Supervisor began
//	PID.RANDOM.cN		a child of one call
const markName = "WATCHDOGD_LIFE"

// ourMark is what all marks of this program begin with.
var ourMark = sync.OnceValue(func() string { return fmt.Sprintf("%d.%08x.", os.Getpid(), rand.Uint32()) })

// callMarks is what the marks of children of one call begin with.
func callMarks() string { return ourMark() + "c" }

// callMark gives the variable with a mark for a child of one call.
func callMark() string {
	b := make([]byte, 0, 64)
	b = append(append(b, markName+"="...), ourMark()...)
	return string(strconv.AppendUint(append(b, 'c'), kernel.calls.Add(1), 10))
}

// mark is a mark for one life.
func (s *Supervisor) mark() string {
	return s.marks + strconv.FormatUint(s.lives.Add(1), 10)
}
