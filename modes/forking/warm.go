package forking

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/spill"
	"github.com/watchdogd/watchdogd/supervisor"
)

// A route with warm: N has processes that were started before their request. Such a one
// has a start-up behind it that its client does not wait for, and no variables of a request
// in its environment: those come on descriptor 3, see supervisor.WarmEnv.

// adopted is a process started ahead that was given a call.
//
// It may have been ending in that moment, by itself or by a signal, and then the call is
// another's: it must not fail for it, and it must not run twice. What decides is whether
// anything of the request was read. Of a small one we keep a copy, and the other ends of
// the pipes, in which the kernel says after the process's end how much is unread.
type adopted struct {
	*supervisor.WarmChild
	given int         // bytes of variables and body; -1 when more than is kept
	body  *spill.Body // a copy of it, for another process; nil when in has it
}

// errUntouched is a call that its process has read nothing of.
var errUntouched = errors.New("the process started ahead ended without having read anything of its request")

// adopt makes a process that was started ahead the one of this call, if there is one.
// It reports false when the call must start its own.
func (c *forked) adopt() bool {
	if c.f.warm == nil || c.in.cold {
		return false
	}
	w, ok := c.f.warm.TakeWarm()
	if !ok {
		return false
	}
	in := c.in
	var block []byte
	for _, v := range in.vars {
		block = append(append(block, v...), 0)
	}
	c.ahead = &adopted{WarmChild: w}
	switch size := in.size(); {
	case size < 0 || size > buffers.Size || len(block) > buffers.Size:
		w.LetGo()
		c.ahead.given = -1
	default:
		c.ahead.given = len(block) + int(size)
	}
	if !c.giveVars(block) {
		w.Close()
		w.Kill()
		c.ahead = nil
		return false
	}
	c.child, c.stdout.file, c.stderr = w.Child, w.Stdout, w.Stderr
	switch {
	case in.live != nil && c.ahead.given >= 0:
		c.ahead.body = spill.New(0)
		c.stdin = c.feed(w.Stdin, io.TeeReader(in.live, c.ahead.body), in.live)
	case in.live != nil:
		c.stdin = c.feed(w.Stdin, in.live, in.live)
	case in.held != nil && in.held.Size() > 0:
		c.stdin = c.feed(w.Stdin, in.held.Section(0, in.held.Size()), nil)
	default:
		_ = w.Stdin.Close() // nothing was written
	}
	return true
}

// giveVars writes the request's variables. A program that reads none of them is as
// welcome as one that does. It reports false when the process has ended meanwhile and
// nothing of them was read.
func (c *forked) giveVars(block []byte) bool {
	w, n := c.ahead, 0
	raw, err := w.Env.SyscallConn()
	if err == nil && len(block) > 0 {
		_ = raw.Write(func(fd uintptr) bool { // an error is one of a closed file, which it is not
			n, err = syscall.Write(int(fd), block)
			return true
		})
	}
	if n = max(n, 0); n < len(block) && err != syscall.EPIPE {
		c.vars = c.feed(w.Env, bytes.NewReader(block[n:]), nil)
		return true
	}
	_ = w.Env.Close() // a pipe keeps nothing back
	if n == len(block) {
		return true
	}
	select { // nothing reads: it has closed the descriptor, or it is just ending
	case <-w.Done():
		return false
	case <-time.After(bodyPause):
		return true
	}
}

// untouched reports whether the process, which has ended and printed nothing, has read
// nothing of the call, so that another may be given it: in then has all of the body. One
// whose request has no body may have taken the end of its input for it, and then only an
// idempotent request is given again.
func (c *forked) untouched() bool {
	a, in := c.ahead, c.in
	if a == nil || a.given < 0 || in.size() == 0 && !in.idempotent {
		return false
	}
	if in.live != nil {
		select { // until all that it could have read is in the pipe
		case <-c.stdin.done:
		case <-c.cut:
		case <-time.After(overtime):
			return false
		}
		if c.reason() != nil || a.body.Size() != in.content.length {
			return false
		}
	}
	if a.Unread() != a.given {
		return false
	}
	if in.live != nil {
		in.live, in.held, a.body = nil, a.body, nil
	}
	in.cold = true
	return true
}

// close releases what is kept of the call.
func (a *adopted) close() {
	a.LetGo()
	if a.body != nil {
		a.body.Free()
	}
}

// EnvExec becomes the program that args names, with its arguments, for programs that
// only know how to read an environment: in a process started ahead of its request it
// first waits for the request's variables and puts them into the environment. In one
// that was started for its request they are there already. It returns only when that
// fails.
func EnvExec(args []string) error {
	if len(args) == 0 {
		return errors.New("no program to run: name it after the command")
	}
	if fd, ok := os.LookupEnv(supervisor.WarmEnv); ok {
		if err := readVars(fd); err != nil {
			return err
		}
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return fmt.Errorf("find the program %q: %w", args[0], errors.Unwrap(err))
	}
	if err := syscall.Exec(path, args, os.Environ()); err != nil {
		return fmt.Errorf("run %s: %w", path, err)
	}
	return nil
}

// readVars puts what comes on a descriptor into our environment.
func readVars(descriptor string) error {
	fd, err := strconv.Atoi(descriptor)
	if err != nil || fd < 3 {
		return fmt.Errorf("%s is %q, which is not the number of a descriptor above 2", supervisor.WarmEnv, descriptor)
	}
	file := os.NewFile(uintptr(fd), supervisor.WarmEnv)
	if file == nil {
		return fmt.Errorf("%s is %d, which is not an open descriptor", supervisor.WarmEnv, fd)
	}
	defer file.Close()
	block, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("read the request's variables from descriptor %d: %w", fd, err)
	}
	for v := range strings.SplitSeq(string(block), "\x00") {
		if v == "" {
			continue
		}
		name, value, _ := strings.Cut(v, "=")
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("set the request's variable %q: %w", name, err)
		}
	}
	return os.Unsetenv(supervisor.WarmEnv)
}
