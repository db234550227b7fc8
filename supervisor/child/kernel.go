package child

import (
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
)

// kernel is what a program has once because the kernel gives it once: its children,
// and the right to wait for them. It is the one variable of this package, and holds
// nothing but what the kernel itself holds.
var kernel = family{over: make(chan struct{}, 1), ledger: newLedger()}

// family is the set of this program's children, and the thread that starts those who
// live long.
//
// A parent-death signal comes when the thread that forked ends, not when the program
// does (prctl(2), golang.org/issue/27505). Threads of Go programs end only when a
// goroutine that is locked to one does, so a child of one request is forked by whatever
// thread serves it; those that live as long as the program are forked by one thread that
// lives as long as they do.
type family struct {
	mu       sync.Mutex
	children map[int]born
	guards   []*news
	thread   chan func() // nil while there is no child of it
	under    int         // starts under way and children, of the thread

	// birth is held for reading from before a fork until the child is in children, and
	// for writing by whoever reaps strangers: no new child is taken for one.
	birth sync.RWMutex

	calls  atomic.Uint64 // marks given to children of one call
	over   chan struct{} // a token when one of those was forgotten
	ledger *ledger       // of those that the kernel killed

	shim atomic.Bool // main has called Shim: started again, we are what argv[0] says
}

// born is what is known of a child.
type born struct {
	mark string
	long bool // it lives long, and so came from the thread
}

// start calls fork, for a child that lives long on the thread of those. The pid that it
// returns is a child until forget.
func (f *family) start(b born, fork func() (pid int, err error)) error {
	if !b.long {
		return f.bear(b, fork)
	}
	f.mu.Lock()
	if f.thread == nil {
		f.thread = make(chan func())
		go onOneThread(f.thread)
	}
	f.under++
	thread := f.thread
	f.mu.Unlock()
	done := make(chan error)
	thread <- func() { done <- f.bear(b, fork) }
	err := <-done
	if err != nil {
		f.mu.Lock()
		f.rest()
		f.mu.Unlock()
	}
	return err
}

func (f *family) bear(b born, fork func() (pid int, err error)) error {
	f.birth.RLock()
	defer f.birth.RUnlock()
	pid, err := fork()
	if err == nil {
		f.mu.Lock()
		if f.children == nil {
			f.children = map[int]born{}
		}
		f.children[pid] = b
		for _, n := range f.guards {
			n.born(pid, b.long)
		}
		f.mu.Unlock()
	}
	return err
}

// forget says that pid has been waited for.
func (f *family) forget(pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.children[pid].long {
		f.rest()
		for _, n := range f.guards {
			n.died(pid)
		}
	}
	delete(f.children, pid)
	select {
	case f.over <- struct{}{}:
	default:
	}
}

// rest ends the thread when there is nobody left whose parent it is.
func (f *family) rest() {
	if f.under--; f.under == 0 {
		close(f.thread)
		f.thread = nil
	}
}

func (f *family) has(pid int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.children[pid]
	return ok
}

// marked reports whether there is a child with this mark.
func (f *family) marked(mark string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.children {
		if b.mark == mark {
			return true
		}
	}
	return false
}

// pids gives the children as they are now.
func (f *family) pids() map[int]born {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.children)
}

func onOneThread(jobs <-chan func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for job := range jobs {
		job()
	}
}
