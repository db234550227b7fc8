package supervisor

import (
	"context"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
	"github.com/watchdogd/watchdogd/supervisor/ports"
	"github.com/watchdogd/watchdogd/supervisor/probe"
)

// Instance is one life of one instance of a process, from the start of its child to
// the end of all that the child started. Acquire returns it.
type Instance struct {
	p       *Process
	slot    *slot
	spec    *Spec
	number  int
	port    int
	address probe.Address // with Spec.Listens
	conn    net.Conn
	stdin   *os.File // of Spec.OpenStdin
	child   *child.Child
	began   time.Time
	path    string                // of its program
	dir     string                // its folder; empty is ours
	behind  []string              // the programs that it left running, when its child ended by itself
	done    chan struct{}         // the life is over for callers
	up      chan struct{}         // closed when it is ready for the first time
	said    chan struct{}         // closed when a line matched the readiness probe's
	replace chan string           // why; buffered by one
	answer  atomic.Pointer[error] // that its readiness probe had last, while it started

	copies struct { // of its output into the log
		wg    sync.WaitGroup
		files []*os.File
	}

	end  sync.Once // over
	peak int64     // the most memory that it had; set before done is closed
	how  string    // the life ended; set before done is closed
	seen sync.Once // said

	// guarded by p.mu
	calls  int
	served int
	used   uint64        // p.served when it was last used
	unused chan struct{} // closed when calls is 0; nil while nothing waits for that
	ended  bool          // over
	until  time.Time     // when the calls that it waits for will be cut; zero: it waits for none

	seats seats // of the calls in its hands

	kept   sync.Mutex
	keep   io.Closer
	closed bool
}

// Number is the instance's number from 0, as in ${INSTANCE}.
func (i *Instance) Number() int { return i.number }

// PID is the process number of its child.
func (i *Instance) PID() int { return i.child.PID() }

// Port is its own port, or 0.
func (i *Instance) Port() int { return i.port }

// Upstream is where it listens, with Spec.Listens.
func (i *Instance) Upstream() schema.Endpoint { return i.address.Endpoint() }

// listenAt notes where i, which has not started yet, is to listen. It may be looked for on
// ::1 although its upstream is on 127.0.0.1 when no other process listens at that port there.
func (i *Instance) listenAt(u schema.Endpoint) {
	i.address.Stated, i.address.Port = u, i.port
	host, port, err := ports.Split(u.Address)
	if err != nil || port != i.port || host != "127.0.0.1" && host != "localhost" {
		return
	}
	i.address.Either = i.spec.choosesPort() || ports.Taken("::1", port) == nil
}

// target is i as its probes see it.
func (i *Instance) target() *probe.Target {
	t := &probe.Target{Vars: i.vars(), Said: i.said, Environ: i.environ, Child: i.child, Answer: func(err error) { i.answer.Store(&err) }}
	if i.spec.Listens {
		t.Address = &i.address
	}
	return t
}

// Conn is the other end of the child's stdin and stdout, with Spec.Socketpair; nil
// otherwise. It is closed at the end of the life; when the child ended by itself, not
// before its last call is released, so that what it had sent can be read to the end.
func (i *Instance) Conn() net.Conn { return i.conn }

// Done is closed when this life is over for its callers: its child was seen to end, or
// is made to. Nothing more is to be expected than what it had sent by then.
func (i *Instance) Done() <-chan struct{} { return i.done }

// servedPort is the port that the instance listens on, as far as is known: the one that it was
// given, unless it was seen on another. 0 is none.
func (i *Instance) servedPort() int {
	if i.spec.Listens {
		if _, port, err := net.SplitHostPort(i.address.Endpoint().Address); err == nil {
			if n, err := strconv.Atoi(port); err == nil {
				return n
			}
		}
	}
	return i.port
}

// Keep returns the one value that belongs to this life, such as its pool of connections:
// the first call makes it, and the supervisor closes it when the life is over. After
// that a new one is made and closed at once.
func (i *Instance) Keep(make func() io.Closer) io.Closer {
	i.kept.Lock()
	defer i.kept.Unlock()
	if i.closed {
		c := make()
		_ = c.Close() // its user finds it closed
		return c
	}
	if i.keep == nil {
		i.keep = make()
	}
	return i.keep
}

// Kept returns what Keep does, and nil while that has made nothing.
func (i *Instance) Kept() io.Closer {
	i.kept.Lock()
	defer i.kept.Unlock()
	if i.closed {
		return nil
	}
	return i.keep
}

// Replace kills this life and has another begin at once, because it cannot be used any
// more. It does not count as an end of the process, and may be called by several.
func (i *Instance) Replace(reason string) {
	select {
	case i.replace <- reason:
	default: // it is under way
	}
}

// Remark sets what ps says of the instance while it is ready; empty takes that back.
func (i *Instance) Remark(text string) {
	i.p.mu.Lock()
	defer i.p.mu.Unlock()
	if s := i.slot; s.life == i && s.state == lifecycle.Ready && s.why != text {
		s.why = text
		i.p.change()
	}
}

// How long the end of a child may need to be seen after a sign of it. The kernel closes
// the files of a process before it reports its end, which is a matter of milliseconds;
// what is waited for here is a busy machine.
const (
	suspicion = 250 * time.Millisecond
	// refusal is longer: a server may close its listener well before it ends.
	refusal = time.Second
)

// Suspect is for a caller whose connection to the instance broke: it waits a moment
// (250 ms at most, and until ctx ends) for the life to be over, and reports whether it
// is. Ending says how.
func (i *Instance) Suspect(ctx context.Context) bool { return i.endsWithin(ctx, suspicion) }

// SuspectRefusal is Suspect for a caller whose connection was not accepted, and waits for
// a second.
func (i *Instance) SuspectRefusal(ctx context.Context) bool { return i.endsWithin(ctx, refusal) }

func (i *Instance) endsWithin(ctx context.Context, d time.Duration) bool {
	select {
	case <-i.done:
		return true
	default:
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-i.done:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// Ending is how the life ended, as in "exit status 3" or "killed by SIGSEGV", or why it
// was ended. It is empty until Done is closed.
func (i *Instance) Ending() string {
	select {
	case <-i.done:
		return i.how
	default:
		return ""
	}
}

// vars is what the variables of texts stand for in this life.
func (i *Instance) vars() schema.Vars {
	return schema.Vars{Port: i.port, Number: i.number, Name: i.p.name}
}
