package forking

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1/client"
	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// forked is the process of one call, with its pipes and the goroutines at them. start
// makes it, pass passes on what it prints, and end ends it in every case.
//
// When the client leaves, a timeout passes, or the body of the request fails, the call is
// cut short, and pass returns at once whoever holds the pipes.
//
// Most programs end within milliseconds and have nothing to say on standard error. For
// those one goroutine does it all: only a call that lasts is attended by another.
type forked struct {
	f      *forking
	call   *call.Call
	in     *input
	out    *printed
	child  *child.Child
	ahead  *adopted // the child, if it was started ahead
	stdin  *feeder  // nil when the program was given all of it before it began
	vars   *feeder  // of the variables that a process started ahead is slow to read
	stdout readEnd
	ended  bool          // stdout was read to its end
	silent bool          // nothing came from it
	stderr *os.File      // nil when it is one with stdout
	logged chan struct{} // closed at the end of stderr; nil while it is not read

	attention *time.Timer   // until attend
	attended  chan struct{} // closed when attend returns
	over      chan struct{} // closed by end
	cut       chan struct{} // closed when the call was cut short

	mu  sync.Mutex
	err error // why it was
}

// unattended is how long a call is left to one goroutine: so much later than they were
// printed the first lines of standard error may be in the log.
const unattended = 20 * time.Millisecond

// overtime is how long a call whose leader has ended waits for others that hold its
// output.
const overtime = time.Second

// start starts the program of a call, to print to out once run is called. After an
// error the caller closes in; else end does.
func (f *forking) start(one *call.Call, in *input, out *printed) (_ *forked, err error) {
	c := &forked{f: f, call: one, in: in, out: out,
		attended: make(chan struct{}), over: make(chan struct{}), cut: make(chan struct{})}
	if c.adopt() {
		return c, nil
	}
	var ours, its pipeEnds
	defer its.close()
	defer func() {
		if err != nil {
			ours.close()
			if c.stdin != nil {
				c.stdin.stop()
			}
		}
	}()

	o := child.StartOptions{Env: in.vars}
	if c.stdout.file, o.Stdout, err = outputPipe(&ours, &its); err != nil {
		return nil, err
	}
	o.Stderr = o.Stdout
	if !f.route.OneOutput() {
		if c.stderr, o.Stderr, err = outputPipe(&ours, &its); err != nil {
			return nil, err
		}
	}
	if o.Stdin, err = c.openStdin(one.Context(), &its); err != nil {
		return nil, err
	}
	if c.child, err = f.begin(o); err != nil {
		e := startFailure(err, in.vars)
		e.Plain = plainStart(f.route, err)
		return nil, e
	}
	return c, nil
}

// serve passes the call's output on and ends the call. After errUntouched its input is
// still there, for another process.
func (c *forked) serve() (err error) {
	c.run()
	defer func() {
		cut := c.end(err == errUntouched)
		if err == errUntouched && cut != nil {
			c.in.close()
		}
		if err == nil || err == errUntouched && cut != nil {
			err = cut
		}
	}()
	if err = c.pass(); err != nil {
		_ = c.out.flush() // the answer is cut behind it in any case
	}
	return err
}

// run begins what goes on beside pass.
func (c *forked) run() {
	if c.mixing() {
		c.beginReading()
	}
	c.attention = time.AfterFunc(unattended, c.attend)
	c.call.OnEnd(c.cutShort)
}

// attend reads standard error as it comes, and bounds the call's time after the
// leader's end.
func (c *forked) attend() {
	defer close(c.attended)
	defer logwriter.LastWords(c.f.log)
	if c.stderr != nil && c.logged == nil {
		c.beginReading()
	}
	select {
	case <-c.child.Done():
		c.setDeadlines(time.Now().Add(overtime))
	case <-c.over:
	}
}

// beginReading has standard error read until its end, beyond the call's if need be.
func (c *forked) beginReading() {
	c.logged = make(chan struct{})
	c.f.left.Go(c.readStderr)
}

// setDeadlines says until when output is read. It cannot fail: the files are pipes.
func (c *forked) setDeadlines(t time.Time) {
	_ = c.stdout.file.SetReadDeadline(t)
	if c.stderr != nil {
		_ = c.stderr.SetReadDeadline(t)
	}
}

// cutShort makes pass return, whatever it waits for, when the call is stopped.
func (c *forked) cutShort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = context.Cause(c.call.Context())
	close(c.cut)
	_ = c.stdout.file.SetReadDeadline(aLongTimeAgo) // as in setDeadlines
	if c.mixing() {
		_ = c.stderr.SetReadDeadline(aLongTimeAgo)
	}
}

// begin is called before the head is sent. After an error there is another head to send.
func (c *forked) begin() error {
	if c.call.Answer() {
		return nil
	}
	return c.reason()
}

// reason is why the call was cut short, if it was.
func (c *forked) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// pass passes on what the program prints, and returns when its leader has ended and
// nothing more comes. The error is a *failure.Error for a program that failed, or why
// the call was cut short.
func (c *forked) pass() error {
	if err := c.passOutput(); err != nil {
		return err
	}
	if !c.child.Ended() {
		if err := c.out.flush(); err != nil {
			return err
		}
		select {
		case <-c.cut:
		case <-c.child.Done():
		}
	}
	if c.mixing() {
		select {
		case <-c.cut:
		case <-c.logged:
		}
	}
	if err := c.reason(); err != nil {
		return err
	}
	exit, _ := c.child.Wait(context.Background()) // it has ended, so nothing is waited for
	switch {
	case c.silent && !c.out.started() && c.untouched():
		return errUntouched
	case exit.OK():
	case exit.Signal == 0 && c.out.stated():
		// RFC 3875 knows no exit status, and php-cgi ends with 255 after a page that
		// was not found.
		c.f.log.Debug("exit status ignored", "pid", c.child.PID(), "why", "the program has printed a Status", "exit", exit.String())
	default:
		return &failure.Error{Kind: failure.ExitFailed, Detail: programEnded(exit), Plain: plainExit(exit)}
	}
	return c.out.end()
}

// programEnded is a sentence on how a program ended.
func programEnded(exit child.Exit) string {
	if exit.Signal != 0 {
		return "the program was " + exit.String()
	}
	return "the program ended with " + exit.String()
}

// passOutput passes standard output on until its end, or a deadline. What was printed is
// sent when nothing more is there: of most programs all of it at once.
func (c *forked) passOutput() error {
	buf := buffers.Get()
	defer buffers.Put(buf)
	if err := c.stdout.open(); err != nil {
		return err
	}
	c.silent = true
	for {
		n, err := c.stdout.read(*buf, false)
		if err == client.ErrNotYet {
			if err := c.out.flush(); err != nil {
				return err
			}
			n, err = c.stdout.read(*buf, true)
		}
		if n > 0 {
			c.silent = false
			if err := c.out.output((*buf)[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			c.ended = err == io.EOF
			return nil
		}
	}
}

// plainExit is how package os says that a process failed.
func plainExit(exit child.Exit) string {
	switch {
	case exit.Signal == 0:
		return exit.String()
	case exit.Core:
		return "signal: " + exit.Signal.String() + " (core dumped)"
	}
	return "signal: " + exit.Signal.String()
}

// plainStart is how package os/exec says that the program of a route cannot be started.
func plainStart(route *schema.Route, err error) string {
	name := "/bin/sh"
	if !route.Shell {
		name = route.FProcess.Words[0].Expand(schema.Vars{Name: route.Name})
	}
	if !strings.Contains(name, "/") {
		path, err := exec.LookPath(name)
		if err != nil {
			return err.Error()
		}
		name = path
	}
	why, ok := errors.AsType[syscall.Errno](err)
	switch {
	case ok:
	case errors.Is(err, os.ErrNotExist):
		why = syscall.ENOENT
	default: // a folder, or no program
		why = syscall.EACCES
	}
	return "fork/exec " + name + ": " + why.Error()
}

// mixing reports whether stderr is read here to become part of the response.
func (c *forked) mixing() bool { return c.stderr != nil && c.f.route.Stderr == "body" }

// readStderr reads standard error to its end, or its deadline.
func (c *forked) readStderr() {
	defer close(c.logged)
	defer c.stderr.Close()
	defer logwriter.LastWords(c.f.log)
	if !c.mixing() {
		c.f.output.Copy(c.child.PID(), "stderr", c.stderr)
		if outputHeld(c.stderr) { // though the group is gone, or its time is up
			c.sweep()
		}
		return
	}
	buf := buffers.Get()
	defer buffers.Put(buf)
	for {
		n, err := c.stderr.Read(*buf)
		if err != nil || c.out.errors((*buf)[:n]) != nil {
			return // without a reader, the program's next write fails
		}
	}
}

// end ends the call, and returns why it was cut short if it was. When the leader has
// ended the rest of its group is swept. Otherwise the group is asked to end, and has its
// grace without anyone waiting for it. keep leaves the input of one that has ended to
// the caller.
func (c *forked) end(keep bool) error {
	ended := c.child.Ended()
	if !ended {
		// Before its input ends, which it might take for the end of a whole one.
		_ = c.child.Signal(c.f.stop)        // it fails when none of the group is left
		_ = c.child.Signal(syscall.SIGCONT) // one that is stopped would not see it
	}
	close(c.over)
	if !c.attention.Stop() {
		<-c.attended
	}
	c.call.OffEnd()
	if c.stdin != nil {
		c.stdin.stop()
	}
	if c.vars != nil {
		c.vars.stop()
	}
	if ended {
		c.child.Kill()
		if !c.ended && outputHeld(c.stdout.file) {
			c.sweep()
		}
	}
	_ = c.stdout.file.Close() // was only read
	if c.mixing() {
		_ = c.stderr.SetReadDeadline(aLongTimeAgo) // as in setDeadlines
		<-c.logged
	} else if c.stderr != nil && c.logged == nil {
		if ended && nothingIn(c.stderr) {
			_ = c.stderr.Close() // as above
		} else {
			c.beginReading()
		}
	}
	if c.ahead != nil {
		c.ahead.close()
	}
	if ended {
		c.swept(keep)
	} else {
		c.f.left.Go(c.stop)
	}
	return c.reason()
}

// stop waits out the grace of a group that has had its signal. Those that are there when
// the leader has ended get it once more: a shell that was about to start a program, with
// signals blocked as dash does, dies of its own and leaves one that has had none.
func (c *forked) stop() {
	defer logwriter.LastWords(c.f.log)
	until := time.Now().Add(c.f.route.Stop.Grace.D())
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	_, _ = c.child.Wait(ctx) // Stop does the rest in either case
	c.child.Stop(c.f.stop, time.Until(until))
	c.sweep()
	c.swept(false)
}

// sweep ends the processes that had left the group. It reads the process table, and so is for
// calls that ended before their program, or left a process that holds their output.
func (c *forked) sweep() {
	if n := c.child.Sweep(context.Background(), syscall.SIGKILL); n > 0 {
		c.f.log.Info("orphans swept", "pid", c.child.PID(), "processes", n)
	}
}

// swept takes away what the group may have used to its end, unless it is to be kept.
func (c *forked) swept(keep bool) {
	if c.stderr != nil {
		_ = c.stderr.SetReadDeadline(time.Now().Add(overtime)) // as in setDeadlines
	}
	if !keep {
		c.in.close()
	}
}

// aLongTimeAgo is a deadline that makes reads return at once.
var aLongTimeAgo = time.Unix(1, 0)
