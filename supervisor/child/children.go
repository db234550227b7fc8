package child

import (
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ours is what a program has once because the kernel has it once: its children, and the
// right to wait for them.
var ours = children{over: make(chan struct{}, 1), ledger: newLedger()}

// children is the set of this program's children, and the thread that starts those that
// live long.
//
// A parent-death signal comes when the thread that forked ends, not when the program
// does (prctl(2), golang.org/issue/27505). Threads of Go programs end only when a
// goroutine that is locked to one does, so a child of one request is forked by whatever
// thread serves it; those that live as long as the program are forked by one thread that
// lives as long as they do.
type children struct {
	mu      sync.Mutex
	running map[int]info
	former  []formerOrigin // of children that have ended: what they left is not swept yet
	feeds   []*guardFeed
	thread  chan func() // nil while it has no child
	under   int         // the thread's children and starts under way

	// forkLock is held for reading from before a fork until the child is in running, and
	// for writing while strangers are reaped: no new child is taken for one.
	forkLock sync.RWMutex

	calls  atomic.Uint64 // marks given to children of one call
	over   chan struct{} // a token when one of those was forgotten
	ledger *ledger       // of those that the kernel killed

	shim atomic.Bool // main has called Shim: started again, we are what argv[0] says
}

// info is what is known of a child by its number.
type info struct {
	mark   string
	long   bool    // it may live as long as this program, and so came from the thread
	origin *origin // of an Owner's child
}

// formerOrigin is the origin of a child that has ended.
type formerOrigin struct {
	*origin
	ended time.Time
}

// formerBound is how long a former origin is kept that nobody sweeps.
const formerBound = 10 * time.Minute

// swept notes that nothing is left of an origin, as far as could be seen.
func (f *children) swept(o *origin) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.former = slices.DeleteFunc(f.former, func(one formerOrigin) bool { return one.origin == o })
}

// origins are those of the children of Owners that run or have not been swept yet.
func (f *children) origins() []*origin {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*origin
	for _, c := range f.running {
		if c.origin != nil {
			all = append(all, c.origin)
		}
	}
	for _, o := range f.former {
		all = append(all, o.origin)
	}
	return all
}

// start starts a child, one that lives long on the thread of those. It is one of ours until
// forget.
func (f *children) start(id identity, path string, argv []string, attr *syscall.ProcAttr) (*Child, error) {
	c := &Child{mark: id.mark(), origin: id.origin, done: make(chan struct{}), account: ours.ledger.open(id.long)}
	if c.origin != nil {
		c.origin.all = f.origins
	}
	adoptOrphans()
	var err error
	if id.long {
		err = f.onThread(func() error { return f.fork(c, true, path, argv, attr) })
	} else {
		err = f.fork(c, false, path, argv, attr)
	}
	if err != nil {
		return nil, err
	}
	c.started()
	return c, nil
}

// fork starts c and notes it, while no stranger is reaped.
func (f *children) fork(c *Child, long bool, path string, argv []string, attr *syscall.ProcAttr) (err error) {
	f.forkLock.RLock()
	defer f.forkLock.RUnlock()
	if c.pid, err = syscall.ForkExec(path, argv, attr); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running == nil {
		f.running = map[int]info{}
	}
	f.running[c.pid] = info{mark: c.mark, long: long, origin: c.origin}
	for _, g := range f.feeds {
		g.started(c.pid, long)
	}
	return nil
}

// onThread calls do on the thread of long-lived children.
func (f *children) onThread(do func() error) error {
	f.mu.Lock()
	if f.thread == nil {
		f.thread = make(chan func())
		go onOneThread(f.thread) // until release closes it
	}
	f.under++
	thread := f.thread
	f.mu.Unlock()
	done := make(chan error)
	thread <- func() { done <- do() }
	err := <-done
	if err != nil {
		f.mu.Lock()
		f.release()
		f.mu.Unlock()
	}
	return err
}

func onOneThread(jobs <-chan func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for job := range jobs {
		job()
	}
}

// release ends the thread when it has no child left.
func (f *children) release() {
	if f.under--; f.under == 0 {
		close(f.thread)
		f.thread = nil
	}
}

// forget removes a child that has been waited for.
func (f *children) forget(pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[pid].long {
		f.release()
		for _, g := range f.feeds {
			g.ended(pid)
		}
	}
	if o := f.running[pid].origin; o != nil {
		now := time.Now()
		f.former = slices.DeleteFunc(f.former, func(o formerOrigin) bool { return now.Sub(o.ended) > formerBound })
		f.former = append(f.former, formerOrigin{o, now})
	}
	delete(f.running, pid)
	select {
	case f.over <- struct{}{}:
	default:
	}
}

func (f *children) has(pid int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.running[pid]
	return ok
}

// hasStarted is has for a process that was seen in the process table: a child that is just
// being forked stands there before it is in running, and would be taken for a stranger.
func (f *children) hasStarted(pid int) bool {
	f.forkLock.Lock()
	defer f.forkLock.Unlock()
	return f.has(pid)
}

// marked reports whether there is a child with this mark.
func (f *children) marked(mark string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.running {
		if i.mark == mark {
			return true
		}
	}
	return false
}

// snapshot returns the children as they are now.
func (f *children) snapshot() map[int]info {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.running)
}
