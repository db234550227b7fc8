package child

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

// markName is the environment variable by which the descendants of a child are known
// when they have left its group. Its value is a word that no other child has:
//
//	PID.RANDOM.		this program, whose other lives had other random numbers
//	PID.RANDOM.RANDOM.N	a child of an Owner
//	PID.RANDOM.cN		a child of one call
const markName = "WATCHDOGD_LIFE"

// ourMark is what all marks of this program begin with.
var ourMark = sync.OnceValue(func() string { return fmt.Sprintf("%d.%08x.", os.Getpid(), rand.Uint32()) })

// callMarks is what the marks of children of one call begin with.
func callMarks() string { return ourMark() + "c" }

// callMark returns the variable with a mark for a child of one call.
func callMark() string {
	b := make([]byte, 0, 64)
	b = append(append(b, markName+"="...), ourMark()...)
	return string(strconv.AppendUint(append(b, 'c'), ours.calls.Add(1), 10))
}

// Owner has children that live long. What descends from one of them, and left its group,
// is told from what descends from another, and from the children of other Owners.
type Owner struct {
	marks string // what all marks of its children begin with
	lives atomic.Uint64
}

// NewOwner returns an Owner without children.
func NewOwner() *Owner { return &Owner{marks: fmt.Sprintf("%s%08x.", ourMark(), rand.Uint32())} }

// mark returns the variable with a mark for one child.
func (o *Owner) mark() string {
	return markName + "=" + o.marks + strconv.FormatUint(o.lives.Add(1), 10)
}
