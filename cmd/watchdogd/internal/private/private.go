// Package private runs another watchdogd on the same configuration, beside the one that serves
// it: on a free port of 127.0.0.1, with an admin socket of its own, no lock file and no port
// for metrics. It ends with whoever started it, however that ends: it stops at the end of its
// standard input.
package private

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/schema"
)

// Flag is the flag of run that makes it private; its value is a folder for the admin socket.
const Flag = "private"

// socketName is the name of the admin socket in that folder.
const socketName = "admin.sock"

// Change makes cfg private. dir is the value of the flag.
func Change(cfg *schema.Config, dir string) {
	cfg.Server.Listen = schema.Strings{"127.0.0.1:0"}
	cfg.Server.Drain.Delay = 0
	cfg.Admin = schema.Admin{Listen: "unix:" + filepath.Join(dir, socketName)}
	cfg.Metrics.Listen = ""
	cfg.Health.LockFile, cfg.Health.Live = "", "plain"
	cfg.Log.Format, cfg.Log.Level = "json", "info"
}

// UntilEOF returns a context that ends with in.
func UntilEOF(ctx context.Context, in io.Reader) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() { // until the process ends: a read cannot be interrupted
		_, _ = io.Copy(io.Discard, in) // nothing is sent, and any end is one
		cancel(errors.New("the command that started this watchdogd has ended"))
	}()
	return ctx
}

// Watchdogd is a private watchdogd that runs.
type Watchdogd struct {
	Address string // 127.0.0.1:PORT

	cmd   *exec.Cmd
	dir   string
	stdin io.Closer
	ended chan struct{} // closed when it has ended
	err   error         // of Wait; after ended

	mu    sync.Mutex
	lines []string // the last of its log
}

const (
	mostLog   = 200     // lines kept
	mostLine  = 4 << 10 // of a line
	stopBound = time.Minute
)

// Start starts a private watchdogd with the arguments of run, such as -c FILE, and waits until
// it listens. log gets its log as it is written; nil is no one. The error has the end of the log
// when watchdogd did not start.
func Start(ctx context.Context, args []string, log io.Writer) (*Watchdogd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "watchdogd-")
	if err != nil {
		return nil, err
	}
	w := &Watchdogd{dir: dir, ended: make(chan struct{})}
	w.cmd = exec.Command(self, append([]string{"run", "--" + Flag, dir}, args...)...)
	w.cmd.Args[0] = "watchdogd"
	w.cmd.Stdout = io.Discard
	w.stdin, err = w.cmd.StdinPipe()
	var stderr io.Reader
	if err == nil {
		stderr, err = w.cmd.StderrPipe()
	}
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("start a watchdogd of its own: %w", err)
	}
	listening := make(chan string, 1)
	go func() { // until it ends
		defer close(w.ended)
		w.follow(stderr, log, listening)
		w.err = w.cmd.Wait()
		_ = os.RemoveAll(dir) // a socket may be left
	}()
	select {
	case w.Address = <-listening:
		return w, nil
	case <-w.ended:
		return nil, fmt.Errorf("watchdogd did not start (%v)%s", w.how(), w.tail())
	case <-ctx.Done():
		_ = w.Stop() // it is asked for by no one any more
		return nil, errors.New("interrupted")
	}
}

// follow reads the log to its end, and sends the address that is listened on.
func (w *Watchdogd) follow(stderr io.Reader, log io.Writer, listening chan<- string) {
	in := bufio.NewReaderSize(stderr, mostLine)
	for {
		line, long, err := in.ReadLine()
		if err != nil {
			return
		}
		text := string(line)
		for long && err == nil {
			_, long, err = in.ReadLine()
		}
		if log != nil {
			_, _ = io.WriteString(log, text+"\n") // a log that no one takes is not needed
		}
		var said struct{ Msg, Address string }
		if json.Unmarshal([]byte(text), &said) == nil && said.Msg == event.Listening && said.Address != "" {
			select {
			case listening <- said.Address:
			default:
			}
		}
		w.mu.Lock()
		if w.lines = append(w.lines, text); len(w.lines) > mostLog {
			w.lines = w.lines[1:]
		}
		w.mu.Unlock()
	}
}

// AdminSocket is the path of its admin socket.
func (w *Watchdogd) AdminSocket() string { return filepath.Join(w.dir, socketName) }

// Ended is closed when watchdogd has ended.
func (w *Watchdogd) Ended() <-chan struct{} { return w.ended }

// how says how watchdogd ended.
func (w *Watchdogd) how() string {
	if w.err == nil {
		return "exit status 0"
	}
	return w.err.Error()
}

// Died is the error of a watchdogd that ended without being asked to, or nil.
func (w *Watchdogd) Died() error {
	select {
	case <-w.ended:
		return fmt.Errorf("watchdogd ended (%s)%s", w.how(), w.tail())
	default:
		return nil
	}
}

// tail is what the log says last, in lines of their own, for the end of an error.
func (w *Watchdogd) tail() string {
	const most = 10
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, line := range w.lines[max(0, len(w.lines)-most):] {
		b.WriteString("\n  " + line)
	}
	return b.String()
}

// Stop asks watchdogd to drain and waits until nothing of it is left. It may be called twice.
func (w *Watchdogd) Stop() error {
	_ = w.stdin.Close() // it may have ended
	select {
	case <-w.ended:
	case <-time.After(stopBound):
		_ = w.cmd.Process.Kill()
		<-w.ended
		return fmt.Errorf("watchdogd did not stop within %s, and was killed", stopBound)
	}
	if w.err != nil {
		return fmt.Errorf("watchdogd ended with %w%s", w.err, w.tail())
	}
	return nil
}
