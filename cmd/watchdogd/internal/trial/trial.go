// Package trial starts a program once to see what it is: a server, which listens, or a
// filter, which reads its input and ends.
package trial

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/ports"
	"github.com/watchdogd/watchdogd/supervisor/why"
)

// Finding is how a program is served best, and why.
type Finding struct {
	Mode     schema.Mode
	Upstream string // where it listens, if that is not $PORT
	Why      string // as in "it listens on $PORT"
}

const (
	// patience is how long a program may do neither: many servers compile first.
	patience = 30 * time.Second
	// pause is the time between two looks at it.
	pause = 50 * time.Millisecond
	// settling is how long it must listen elsewhere to be believed: a program may open
	// another port first.
	settling = time.Second
	// sayAfter is how long it takes until the wait is explained.
	sayAfter = time.Second
	// grace is how long it may take to end.
	grace = 2 * time.Second
)

// Failed is the error of a program that ended as one that cannot work does.
type Failed struct{ Why string }

func (f *Failed) Error() string { return f.Why }

// Watch starts the program of p with an empty input, and returns when it listens or
// ends, or neither for 30 seconds. Nothing of it is left then. say is called once if
// that takes a while.
func Watch(ctx context.Context, p *schema.Process, say func()) (Finding, error) {
	program, err := child.NewProgram("try", p)
	if err != nil {
		return Finding{}, err
	}
	var set ports.Set
	port, err := set.Choose()
	if err != nil {
		return Finding{}, err
	}
	defer set.Release(port)
	command, err := program.Command(schema.Vars{Port: port, Name: "try"}, []string{"HOST=127.0.0.1", "PORT=" + strconv.Itoa(port)}, nil)
	if err != nil {
		return Finding{}, err
	}
	quiet := slog.New(slog.DiscardHandler)
	tending, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { child.Tend(tending, quiet) })

	output := child.NewOutput(quiet, "route", "try", child.Printing{})
	defer output.Close()
	var copying sync.WaitGroup
	defer copying.Wait()
	stdout, copyOut, err := pipe(output, &copying, "stdout")
	if err != nil {
		return Finding{}, err
	}
	stderr, copyErr, err := pipe(output, &copying, "stderr")
	if err != nil {
		copyOut(0)
		return Finding{}, err
	}
	began := time.Now()
	c, err := program.Start(child.StartOptions{Command: &command, Stdout: stdout, Stderr: stderr, Owner: child.NewOwner()})
	if err != nil {
		copyOut(0)
		copyErr(0)
		return Finding{}, err
	}
	copyOut(c.PID())
	copyErr(c.PID())
	look := &look{c: c, port: port, began: began, say: say}
	finding, err := look.until(ctx)
	exit := c.Stop(child.SignalOf(string(p.Stop.Signal)), grace)
	if ended := finding.Mode == schema.Streaming && look.ended; ended && err == nil {
		copying.Wait() // all that it printed
		return judge(finding, c.PID(), exit, output.Lines())
	}
	return finding, err
}

// pipe returns where a program prints, and the function that copies it to output until its end;
// a pid of 0 is a program that was not started.
func pipe(output *child.Output, copying *sync.WaitGroup, stream string) (*os.File, func(pid int), error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("make a pipe: %w", err)
	}
	return w, func(pid int) {
		_ = w.Close() // the child has it
		copying.Go(func() {
			defer r.Close()
			if pid != 0 {
				output.Copy(pid, stream, r)
			}
		})
	}, nil
}

// look is the watch over a program.
type look struct {
	c     *child.Child
	port  int
	began time.Time
	say   func()

	ended     bool
	elsewhere []string // where it listened at the last look
	since     time.Time
}

func (l *look) until(ctx context.Context) (Finding, error) {
	for said := false; ; {
		if finding, done := l.once(); done {
			return finding, nil
		}
		passed := time.Since(l.began)
		if passed > patience {
			return Finding{Mode: schema.Streaming, Why: fmt.Sprintf("it neither listened nor ended for %v; choose --mode http if it is a slow server", patience)}, nil
		}
		if passed > sayAfter && !said {
			said = true
			l.say()
		}
		if !sleep.For(ctx, pause) {
			return Finding{}, context.Cause(ctx)
		}
	}
}

// once is one look; it reports whether it is known now what the program is.
func (l *look) once() (Finding, bool) {
	if l.c.Ended() {
		l.ended = true
		return Finding{Mode: schema.Streaming, Why: "it ended by itself"}, true
	}
	if answers(l.port) {
		return Finding{Mode: schema.HTTP, Why: "it listens on $PORT"}, true
	}
	var at []string
	for _, address := range l.c.Listeners() {
		if _, _, err := net.SplitHostPort(address); err == nil && !slices.Contains(at, address) {
			at = append(at, address)
		}
	}
	slices.Sort(at)
	if len(at) == 0 || !slices.Equal(at, l.elsewhere) {
		l.elsewhere, l.since = at, time.Now()
		return Finding{}, false
	}
	if time.Since(l.since) < settling {
		return Finding{}, false
	}
	host, port, _ := net.SplitHostPort(at[0]) // it was split above
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	upstream := "http://" + net.JoinHostPort(host, port)
	return Finding{Mode: schema.HTTP, Upstream: upstream, Why: "it listens on " + net.JoinHostPort(host, port) + ", whatever $PORT says"}, true
}

// answers reports whether the port is listened on, on this machine's loopback addresses.
func answers(port int) bool {
	for _, host := range []string{"127.0.0.1", "::1"} {
		if c, err := net.DialTimeout("tcp", net.JoinHostPort(host, strconv.Itoa(port)), time.Second); err == nil {
			_ = c.Close() // nothing was sent
			return true
		}
	}
	return false
}

// judge tells a filter, which may well end with a status that is not 0 when its input is
// empty, from a program that cannot work: that one prints only errors.
func judge(f Finding, pid int, exit child.Exit, lines []child.Line) (Finding, error) {
	if exit.OK() {
		f.Why = "it ended by itself, as a filter does at the end of its input"
		return f, nil
	}
	printed := slices.ContainsFunc(lines, func(l child.Line) bool { return l.Stream == "stdout" && strings.TrimSpace(l.Text) != "" })
	telling := why.TellingOf(lines, pid, false)
	if exit.Signal == 0 && (printed || telling == "") {
		f.Why = fmt.Sprintf("it ended by itself (%s, with an empty input)", exit)
		return f, nil
	}
	text := fmt.Sprintf("it ended at once: %s", exit)
	if telling != "" {
		text += ": " + telling
	}
	return f, &Failed{text}
}
