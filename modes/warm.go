package modes

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

	"github.com/watchdogd/watchdogd/supervisor"
)

// A route with warm: N has processes that were started before their request. Such a one
// has a start-up behind it that its caller does not see, and no variables of a request
// in its environment: those come on descriptor 3, see supervisor.WarmEnv.

// adopt makes a process that was started ahead the one of this call, if there is one.
// It reports false when the call must start its own.
func (c *forked) adopt() bool {
	if c.f.warm == nil {
		return false
	}
	w, ok := c.f.warm.TakeWarm()
	if !ok {
		return false
	}
	if !c.giveVars(w) {
		w.Close()
		w.Kill()
		return false
	}
	c.child, c.stdout.file, c.stderr = w.Child, w.Stdout, w.Stderr
	switch in := c.in; {
	case in.live != nil:
		c.stdin = c.feed(w.Stdin, in.live, in.live)
	case in.held != nil && in.held.size > 0:
		c.stdin = c.feed(w.Stdin, in.held.section(0, in.held.size), nil)
	default:
		_ = w.Stdin.Close() // nothing was written
	}
	return true
}

// giveVars writes the request's variables. A program that reads none of them is as
// welcome as one that does. It reports false when the process has ended meanwhile.
func (c *forked) giveVars(w *supervisor.WarmChild) bool {
	var block []byte
	for _, v := range c.in.vars {
		block = append(append(block, v...), 0)
	}
	n := 0
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
	select {
	case <-w.Done():
		return false
	default:
	}
	if n == len(block) {
		return true
	}
	select { // nobody reads: it has closed the descriptor, or it is just ending
	case <-w.Done():
		return false
	case <-time.After(bodyPause):
		return true
	}
}

// EnvExec becomes the program that args names, with its arguments, for programs that
// only know how to read an environment: in a process started ahead of its request it
// first waits for the request's variables and puts them into the environment. In one
// that was started for its request they are there already. It returns only when that
// fails.
func EnvExec(args []string) error {
	if len(args) == 0 {
		return errors.New("no program is given to run")
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
		return fmt.Errorf("%s is %q, which is no descriptor that variables could come on", supervisor.WarmEnv, descriptor)
	}
	file := os.NewFile(uintptr(fd), supervisor.WarmEnv)
	if file == nil {
		return fmt.Errorf("%s is %d, which is no open descriptor", supervisor.WarmEnv, fd)
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
