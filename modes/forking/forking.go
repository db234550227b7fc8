// Package forking has the modes that start a program for each call: streaming passes on what
// it prints as it comes, and serializing takes it whole before any of it is sent.
//
// A call in order: New prepares the program once (forking.go); input reads what must be there
// before the program starts (form.go, jsonrequest.go), environ.go makes its variables; run.go
// starts it, or takes one that was started ahead (warm.go), passes its output on and ends it;
// stdin.go feeds it; printed.go and cgi.go make a response of what it prints.
//
// Two things outlive their call: a group that was asked to end and has its grace, and the last
// of a program's standard error on its way to the log. Close waits for both.
package forking

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/spill"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// New returns what answers the calls of route, whose mode is streaming or serializing. It is
// an io.Closer, to be closed when no call uses it any more: then nothing is left of any.
func New(route *schema.Route, o Options) (http.Handler, error) {
	f, err := newForking(route, o)
	if err != nil {
		return nil, err
	}
	if route.Mode == schema.Serializing {
		return serializing{f}, nil
	}
	return streaming{f}, nil
}

// Options are what the modes need besides their route.
type Options struct {
	Process        *supervisor.Process // has the processes of a route with warm; else nil
	Log            *slog.Logger
	MissingAllowed bool                // a program that is not there fails calls, and not New
	Printing       child.Printing      // of what programs print to standard error
	Forking        func(*http.Request) // is called before the program of a call is started; may be nil
	Echo           io.Writer           // also gets what programs print as their responses; may be nil

	// Respond answers a call that failed before the head of its response was sent.
	Respond func(http.ResponseWriter, *http.Request, error)
	// Await waits, within a call, until what the route depends on is ready; nil for none.
	Await func(context.Context) error
}

// forking is what streaming and serializing have in common: a program that is
// prepared once and started for each call.
//
// Two things outlive the call that began them: a group that was asked to end and has
// its grace, and the last of a program's standard error on its way to the log. They
// are the forking's, and Close waits for them.
type forking struct {
	route   *schema.Route
	program atomic.Pointer[child.Program] // nil where it was not there yet
	warm    *supervisor.Process           // has processes started ahead; nil without them
	output  *child.Output
	log     *slog.Logger
	environ environ
	owner   *fileOwner // of a form's files
	stop    syscall.Signal
	respond func(http.ResponseWriter, *http.Request, error)
	forks   func(*http.Request)         // Options.Forking; may be nil
	echo    io.Writer                   // Options.Echo; may be nil
	await   func(context.Context) error // Options.Await; may be nil
	left    sync.WaitGroup
}

func newForking(route *schema.Route, o Options) (*forking, error) {
	program, err := child.NewProgram(route.Name, &route.Process)
	if err != nil && !o.MissingAllowed {
		return nil, err
	}
	f := &forking{
		route:   route,
		output:  child.NewOutput(o.Log, "route", route.Name, o.Printing),
		log:     o.Log.With("route", route.Name),
		environ: newEnviron(route),
		stop:    unix.SignalNum("SIG" + string(route.Stop.Signal)),
		respond: o.Respond,
		forks:   o.Forking,
		echo:    o.Echo,
		await:   o.Await,
	}
	if f.program.Store(program); err != nil {
		// There each call finds out for itself, and so the program may come later.
		f.log.Warn("program cannot be started now", "error", err)
		err = nil
	}
	if route.Warm > 0 {
		f.warm = o.Process
	}
	if route.Form == "files" {
		f.owner, err = ownerNamed(route.User)
	}
	return f, err
}

// begin starts the program of one call.
func (f *forking) begin(o child.StartOptions) (*child.Child, error) {
	program := f.program.Load()
	if program == nil {
		var err error
		if program, err = child.NewProgram(f.route.Name, &f.route.Process); err != nil {
			return nil, err
		}
		f.program.Store(program)
	}
	return program.Start(o)
}

// printed is what a program prints for to, and in passing for the echo.
func (f *forking) printed(to destination) *printed {
	if f.echo != nil {
		to = echoed{to, f.echo}
	}
	return newPrinted(f.route.Response, to)
}

// Output is what the programs print to standard error, and its last lines.
func (f *forking) Output() *child.Output { return f.output }

// Close returns when nothing is left of any call.
func (f *forking) Close() error {
	f.left.Wait()
	f.output.Close()
	return nil
}

// call runs the program for one call, and returns when all of its output has gone to out.
// The pid is that of its process, or 0. ready, if it is not nil, is called with each
// process before it is read from.
func (f *forking) call(one *call.Call, r *http.Request, u *call.Body, whole bool, out *printed, ready func(*forked)) (pid int, err error) {
	if err := f.awaited(one); err != nil {
		return 0, err
	}
	in, err := f.input(r, u, whole)
	if err != nil {
		return 0, err
	}
	defer out.close()
	for {
		began := time.Now()
		c, err := f.start(one, in, out)
		one.Spans.Add("start", began, time.Now())
		if err != nil {
			in.close()
			return 0, err
		}
		one.Spans.Answering()
		if ready != nil {
			ready(c)
		}
		if err = c.serve(); err != errUntouched {
			return c.child.PID(), err
		}
	}
}

// awaited returns when what the route depends on is ready, and waits at most for
// timeouts.queue.
func (f *forking) awaited(one *call.Call) error {
	if f.await == nil {
		return nil
	}
	ctx, began := one.Context(), time.Now()
	if until := one.Patience(f.route.Timeouts.Queue.D()); !until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	defer func() { one.WaitedSince(began, "wait for dependencies") }()
	if err := f.await(ctx); err != nil {
		return &failure.Error{Kind: failure.NotReady, State: string(supervisor.Waiting), RetryAfter: time.Second,
			Detail: f.route.Name + " cannot answer: " + err.Error()}
	}
	return nil
}

// fail answers a call whose head was not sent.
func (f *forking) fail(w http.ResponseWriter, r *http.Request, u *call.Body, e *failure.Error) {
	if e.Kind == failure.Gone {
		panic(http.ErrAbortHandler) // a client that has only closed its own half would see an empty success
	}
	f.respond(w, r, e)
	u.Drop()
}

// contentType is the type of a response to r that begins with output, for a program that
// printed none. With content_type: auto it is that of the request, else by the look of the
// output; nil for no type.
func (f *forking) contentType(r *http.Request, output []byte) []string {
	switch typ := r.Header.Get("Content-Type"); {
	case f.route.ContentType != "auto":
		return []string{f.route.ContentType}
	case typ != "":
		return []string{typ}
	case len(output) > 0:
		return []string{http.DetectContentType(output)}
	}
	return nil
}

// report logs what an operator would want to know of a failed call of process pid, also
// where requests are not logged. A pid of 0 stands for no process.
func (f *forking) report(pid int, e *failure.Error) {
	var message string
	switch e.Kind {
	case failure.StartFailed:
		message = event.NotStarted
	case failure.ExitFailed:
		message = event.Failed
	case failure.BadUpstream, failure.ResponseTooBig:
		message = event.OutputRefused
	case failure.NoRoom:
		message = event.NoRoom
	case failure.Internal:
		message = event.CallFailed
	default:
		return
	}
	attrs := []any{"error", e}
	if pid != 0 {
		attrs = append(attrs, "pid", pid)
	}
	f.log.Warn(message, attrs...)
}

// input is what one program is given.
type input struct {
	vars    []string
	content content
	live    *call.Body  // standard input as it comes
	held    *spill.Body // or as a whole; without either it is empty
	remove  func()      // takes the directory of a form away

	idempotent bool // the request may be answered twice
	cold       bool // no process started ahead is to be given it
}

// size is how long standard input is; -1 when that is not known.
func (in *input) size() int64 {
	switch {
	case in.held != nil:
		return in.held.Size()
	case in.live != nil:
		return in.content.length
	}
	return 0
}

// close removes what was there for the program alone.
func (in *input) close() {
	if in.held != nil {
		in.held.Free()
		in.held = nil
	}
	if in.remove != nil {
		in.remove()
		in.remove = nil
	}
}

// input reads from r what must be there before the program is started: a form and, if
// whole, any body. After an error there is nothing to close.
func (f *forking) input(r *http.Request, u *call.Body, whole bool) (*input, error) {
	in := &input{content: sent(r), idempotent: http1.Idempotent(r.Method)}
	var form []string
	err := func() error {
		boundary := ""
		if f.route.Form != "" && u != nil {
			var err error
			if boundary, err = formBoundary(r); err != nil {
				return err
			}
		}
		switch {
		case f.route.Request == "json":
			return in.marshal(r, u, f)
		case u == nil:
			in.content.length = 0
			return nil
		case boundary != "":
			var err error
			form, err = in.form(u, boundary, f)
			return err
		case whole:
			in.held = spill.New(0)
			err := in.held.Fill(u)
			in.content.length = in.held.Size()
			return err
		}
		in.live = u
		return nil
	}()
	if err == nil {
		in.vars, err = f.environ.of(r, in.content)
		in.vars = append(in.vars, form...)
	}
	if err != nil {
		in.close()
		return nil, err
	}
	if f.forks != nil {
		f.forks(r)
	}
	return in, nil
}

// marshal reads the request into a JSON object. In the variables of the classic watchdog
// the content is still the request's, as in the classic watchdog itself.
func (in *input) marshal(r *http.Request, u *call.Body, f *forking) (err error) {
	if u == nil {
		in.held, err = jsonRequest(r.Header, nil)
	} else {
		in.held, err = jsonRequest(r.Header, u)
	}
	if err == nil && f.environ.kind != "classic" {
		in.content = content{typ: "application/json", length: in.held.Size(), made: true}
	}
	return err
}

// form reads a form as the route's key says, and returns its variables.
func (in *input) form(u *call.Body, boundary string, f *forking) (vars []string, err error) {
	if f.route.Form == "json" {
		if in.held, err = jsonForm(u, boundary); err == nil {
			in.content = content{typ: "application/json", length: in.held.Size(), made: true}
		}
	} else {
		vars, in.remove, err = filesForm(u, boundary, f.owner)
		in.content = content{made: true}
	}
	if err == nil {
		_, _ = io.CopyN(io.Discard, u, buffers.Size) // the end of the body behind the form's; without it the connection ends
	}
	return vars, err
}

// ownerNamed returns the user and group that a route's user key names, or nil for none.
// The program was prepared with the same words, so they are known.
func ownerNamed(words string) (*fileOwner, error) {
	if words == "" || os.Geteuid() != 0 {
		return nil, nil
	}
	name, group, _ := strings.Cut(words, ":")
	ids := &fileOwner{}
	account, err := user.Lookup(name)
	if err != nil {
		account, err = user.LookupId(name)
	}
	if err != nil {
		account = &user.User{Uid: name, Gid: name}
	}
	if group == "" {
		group = account.Gid
	} else if g, err := user.LookupGroup(group); err == nil {
		group = g.Gid
	}
	if ids.uid, err = strconv.Atoi(account.Uid); err == nil {
		ids.gid, err = strconv.Atoi(group)
	}
	if err != nil {
		return nil, fmt.Errorf("user %q is not known to this system: add it, or write its number: %w", words, err)
	}
	return ids, nil
}
