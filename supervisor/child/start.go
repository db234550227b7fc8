package child

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// StartOptions is what differs from one start of a Program to the next. The zero value
// starts it for one request, with /dev/null as its three standard files.
type StartOptions struct {
	Command *Command // what Program.Command returned; nil is the command without any instance's variables
	Env     []string // NAME=VALUE, replacing the program's own of that name
	Stdin   *os.File // nil is /dev/null, as for the next two
	Stdout  *os.File
	Stderr  *os.File
	Extra   []*os.File // descriptors 3, 4 and on
	Dir     string     // empty is the program's own

	Owner  *Owner // of a long-lived child, whose descendants are told from those of others
	Long   bool   // it may live as long as this program; implied by Owner
	Beside *Child // a child of an Owner to which this one's descendants belong too
}

var devNull = sync.OnceValues(func() (*os.File, error) { return os.OpenFile(os.DevNull, os.O_RDWR, 0) })

// Start starts the program as the leader of a group of its own, which is killed when this
// program is killed. It returns when the program runs, and the caller ends the child
// by Stop or Kill. The files remain the caller's to close. The error is one sentence, and
// wraps the system's (syscall.E2BIG for an environment that is too large).
func (p *Program) Start(o StartOptions) (*Child, error) {
	c := o.Command
	if c == nil {
		c = &p.plain
	}
	id := p.identify(c, &o)
	files, err := o.files()
	if err != nil {
		return nil, err
	}
	attr := &syscall.ProcAttr{Dir: c.dir, Env: c.env.with(o.Env, id.variable), Files: files}
	if o.Dir != "" {
		attr.Dir = o.Dir
	}
	path, argv, cred := c.path, c.argv, p.cred
	if cred != nil {
		own(cred, o.Stdin, o.Stdout, o.Stderr)
	}
	if p.process.Umask.Set || len(p.limits) > 0 {
		if path, argv, err = p.shim(path, argv); err != nil {
			return nil, err
		}
		cred = nil // the shim changes the user when the limits are set
	}
	attr.Sys = leaderAttr(cred)
	for try := 0; ; try++ {
		child, err := ours.start(id, path, argv, attr)
		switch {
		case err == nil:
			return child, nil
		case err == syscall.ETXTBSY && try < 10:
			// The file is open for writing, or a fork elsewhere still holds it: over in a
			// moment (golang.org/issue/22315).
			time.Sleep(time.Millisecond << min(try, 5))
		default:
			return nil, startError(c, attr, err)
		}
	}
}

// identity is what a child and its descendants are known by.
type identity struct {
	variable string  // the mark as NAME=VALUE; empty for the guard, which has none
	long     bool    // it may live as long as this program
	origin   *origin // of an Owner's child
}

func (p *Program) identify(c *Command, o *StartOptions) identity {
	switch {
	case o.Owner != nil:
		id := identity{variable: o.Owner.mark(), long: true}
		file := c.path
		if p.process.Shell {
			file = ""
		}
		id.origin = newOrigin(id.mark(), file)
		return id
	case o.Beside != nil:
		return identity{variable: markName + "=" + o.Beside.mark, long: o.Long}
	}
	return identity{variable: callMark(), long: o.Long}
}

// mark is the mark without its name.
func (id *identity) mark() string {
	if id.variable == "" {
		return ""
	}
	return id.variable[len(markName)+1:]
}

// files returns the descriptors from 0 on.
func (o *StartOptions) files() ([]uintptr, error) {
	null, err := devNull()
	if err != nil {
		return nil, err
	}
	fds := make([]uintptr, 0, 8)
	for _, f := range [...]*os.File{o.Stdin, o.Stdout, o.Stderr} {
		if f == nil {
			f = null
		}
		fds = append(fds, f.Fd())
	}
	for _, f := range o.Extra {
		fds = append(fds, f.Fd())
	}
	return fds, nil
}

// own gives the pipes and terminals among files to the user that a program runs as. It has them open
// already; but to open them again, as /dev/stdout or /dev/stderr, it must be allowed to.
func own(cred *syscall.Credential, files ...*os.File) {
	for _, f := range files {
		if f == nil {
			continue
		}
		raw, err := f.SyscallConn()
		if err != nil {
			continue
		}
		_ = raw.Control(func(fd uintptr) { // what cannot be given is of use as it is
			var st syscall.Stat_t
			if syscall.Fstat(int(fd), &st) == nil && (st.Mode&syscall.S_IFMT == syscall.S_IFIFO || isTerminal(int(fd))) {
				_ = syscall.Fchown(int(fd), int(cred.Uid), int(cred.Gid))
			}
		})
	}
}

// isTerminal reports whether a descriptor is a terminal, and not another device such as
// /dev/null.
func isTerminal(fd int) bool {
	_, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	return err == nil
}

// startError makes a sentence of what the kernel says of a start.
func startError(c *Command, attr *syscall.ProcAttr, err error) error {
	switch {
	case err == syscall.ENOENT && checkDir(attr.Dir) != nil:
		return checkDir(attr.Dir)
	case err == syscall.ENOENT && CRLF(c.path) != "":
		return fmt.Errorf("start %s: %s: %w", c.path, CRLF(c.path), err)
	case err == syscall.ENOENT:
		if line, ok := interpreter(c.path); ok {
			return fmt.Errorf("start %s: its interpreter %q is not there: install it or correct the first line: %w", c.path, line, err)
		}
		return fmt.Errorf("start %s: it, or the loader that it needs, is not there: %w", c.path, err)
	case err == syscall.ENOEXEC:
		return fmt.Errorf("start %s: %s: %w", c.path, foreign(c.path), err)
	case err == syscall.EACCES:
		return fmt.Errorf("start %s: %s: %w", c.path, denied(c.path, attr), err)
	case err == syscall.E2BIG:
		return fmt.Errorf("start %s: its arguments and environment are larger than the system allows: %w", c.path, err)
	case err == syscall.EAGAIN:
		return fmt.Errorf("start %s: the system allows no more processes (see rlimits.nproc and pids.max): %w", c.path, err)
	}
	return fmt.Errorf("start %s: %w", c.path, err)
}
