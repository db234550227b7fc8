package supervisor

import (
	"maps"
	"runtime"
	"sync"
)

// kernel is what a program has once because the kernel gives it once: its children,
// and the right to wait for them. It is the one variable of this package, and holds
// nothing but what the kernel itself holds.
var kernel family

// family is the set of this program's children, and the thread that starts them.
//
// A parent-death signal comes when the thread that forked ends, not when the program
// does, so all forks are made by one thread, which lives as long as one child does.
type family struct {
	mu       sync.Mutex
	children map[int]struct{}
	under    int         // starts under way
	jobs     chan func() // nil while there is no child and so no thread

	// birth is held from before a fork until the child is in children, and by whoever
	// reaps strangers: no new child is taken for one.
	birth sync.Mutex
}

// start has fork called on the thread of all children. The pid that fork returns is a
// child until forget.
func (f *family) start(fork func() (pid int, err error)) error {
	f.mu.Lock()
	if f.jobs == nil {
		f.jobs = make(chan func())
		go onOneThread(f.jobs)
	}
	f.under++
	jobs := f.jobs
	f.mu.Unlock()

	done := make(chan error)
	jobs <- func() {
		f.birth.Lock()
		defer f.birth.Unlock()
		pid, err := fork()
		if err == nil {
			f.mu.Lock()
			if f.children == nil {
				f.children = map[int]struct{}{}
			}
			f.children[pid] = struct{}{}
			f.mu.Unlock()
		}
		done <- err
	}
	err := <-done

	f.mu.Lock()
	f.under--
	f.rest()
	f.mu.Unlock()
	return err
}

// forget says that pid has been waited for.
func (f *family) forget(pid int) {
	f.mu.Lock()
	delete(f.children, pid)
	f.rest()
	f.mu.Unlock()
}

// rest ends the thread when there is nobody whose parent it is.
func (f *family) rest() {
	if f.under == 0 && len(f.children) == 0 && f.jobs != nil {
		close(f.jobs)
		f.jobs = nil
	}
}

func (f *family) has(pid int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.children[pid]
	return ok
}

// pids gives the children as they are now.
func (f *family) pids() map[int]struct{} {
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
