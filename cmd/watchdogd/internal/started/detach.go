package started

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/listing"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
)

// A detached watchdogd is this program once more, as the leader of a session of its own. It
// writes a Word to the descriptor that this variable names, when what it serves is ready or
// will not be; the command that started it prints that, and ends.
const descriptor = "WATCHDOG_DETACHED"

// Word is what a detached watchdogd reports.
type Word struct {
	PID    int      `json:"pid"`
	Stack  string   `json:"stack"`
	Ready  bool     `json:"ready"`
	Served []Served `json:"served"`
}

// Served is a route or service in a Word.
type Served struct {
	Name  string `json:"name"`
	Mode  string `json:"mode"`
	State string `json:"state"`
	URL   string `json:"url"`
	Why   string `json:"why,omitempty"` // it is not ready
}

// Parent is the command that started this watchdogd in the background.
type Parent struct {
	word *os.File
	log  *os.File
	wait time.Duration
}

// ParentOf returns whom a watchdogd reports to, nil if it was not started in the background.
// From Report on, which takes no longer than wait, its log goes to the file called log, and
// nowhere if that is empty.
func ParentOf(log string, wait time.Duration) (*Parent, error) {
	fd, err := strconv.Atoi(os.Getenv(descriptor))
	if err != nil {
		return nil, nil
	}
	_ = os.Unsetenv(descriptor) // it is not for the programs that are served
	unix.CloseOnExec(fd)
	p := &Parent{word: os.NewFile(uintptr(fd), "parent"), wait: wait}
	p.log, err = os.OpenFile(cmp.Or(log, os.DevNull), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return p, nil
}

// Report reports when everything is ready, or will not be, or the wait is over, or ctx ends.
// From then on nothing is written to what the parent reads.
func (p *Parent) Report(ctx context.Context, cfg *schema.Config, open []string, list func() []admin.Row) {
	if p == nil {
		return
	}
	waiting, cancel := context.WithTimeout(ctx, p.wait)
	defer cancel()
	w := Word{PID: os.Getpid(), Stack: cfg.Name}
	for {
		rows := list()
		var pending, failed bool
		w.Served = w.Served[:0]
		for i := range rows {
			s, isPending, isFailed := served(cfg, open, &rows[i])
			w.Served = append(w.Served, s)
			pending, failed = pending || isPending, failed || isFailed
		}
		w.Ready = !pending && !failed
		if !pending || failed || !sleep.For(waiting, 20*time.Millisecond) {
			break
		}
	}
	if ctx.Err() == nil { // who stops meanwhile ends without a word
		_ = json.NewEncoder(p.word).Encode(w) // a parent that has gone needs none
	}
	_ = p.word.Close()
	for _, fd := range []int{1, 2} {
		_ = replace(int(p.log.Fd()), fd) // the parent's pipe is as good as none
	}
}

// served is a row in a Word, whether its state is not the last one yet, and whether it will
// not be ready.
func served(cfg *schema.Config, open []string, r *admin.Row) (s Served, pending, failed bool) {
	s = Served{Name: r.Name, Mode: cmp.Or(string(r.Mode), string(r.Kind)), State: admin.StateText(r.Status), URL: "-"}
	for i := range cfg.Routes {
		if cfg.Routes[i].Name == r.Name {
			s.URL = listing.URL(cfg, open, &cfg.Routes[i])
		}
	}
	switch r.State {
	case lifecycle.Ready, lifecycle.Idle, lifecycle.Stopped:
		return s, false, false
	case lifecycle.Exited:
		failed = r.LastExit != child.Exit{}.String()
	case lifecycle.CrashLoop:
		failed = true
	default:
		pending = true
	}
	if failed || pending {
		s.Why = cmp.Or(r.Reason, r.LastExit)
	}
	return s, pending, failed
}

// Detach starts this program once more in the background, prints what it reports, and returns
// when it serves.
func Detach(ctx context.Context, stdout, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	program, err := os.Executable()
	if err != nil {
		return exit.Fail(err)
	}
	words, word, err := os.Pipe()
	if err != nil {
		return exit.Fail(err)
	}
	defer words.Close()
	cmd := exec.Command(program, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), descriptor+"=3")
	cmd.ExtraFiles = []*os.File{word}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var said lines
	reading, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	_ = word.Close() // it is the child's
	if err != nil {
		return exit.Fail(fmt.Errorf("start watchdogd in the background: %w", err))
	}
	var listening sync.WaitGroup
	listening.Go(func() { said.read(reading) })
	ended := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) }) // it may have ended
	defer ended()
	var w Word
	if err := json.NewDecoder(words).Decode(&w); err == nil && ctx.Err() == nil {
		return w.print(stdout, stderr)
	}
	listening.Wait()
	err = cmd.Wait()
	if ctx.Err() != nil {
		return exit.Fail(errors.New("run --detach: stopped before everything was ready"))
	}
	fmt.Fprint(stderr, said.text())
	if status, ok := errors.AsType[*exec.ExitError](err); ok && status.ExitCode() > 0 {
		return exit.Error{Status: status.ExitCode()}
	}
	return exit.Fail(fmt.Errorf("watchdogd ended before it served anything: %w", cmp.Or(err, errors.New("status 0"))))
}

// print prints what is served, and what is not ready, which is an error.
func (w Word) print(stdout, stderr io.Writer) error {
	screen := terminal.Plain
	if f := terminal.Of(stdout); f != nil {
		screen, stdout = terminal.ScreenOf(f), f
	}
	rows := [][]string{{"NAME", "MODE", "STATE", "URL"}}
	var missing []string
	for _, s := range w.Served {
		rows = append(rows, []string{s.Name, s.Mode, s.State, s.URL})
		if s.Why != "" || strings.HasPrefix(s.State, "starting") {
			missing = append(missing, s.missing())
		}
	}
	_ = terminal.Table(stdout, screen, rows, listing.ToneOfStates(rows)) // what cannot be shown runs all the same
	if !w.Ready {
		if len(missing) == 1 {
			return exit.Fail(fmt.Errorf("%s runs in the background (pid %d), but %s; watchdogd logs shows more, watchdogd down ends it", w.Stack, w.PID, missing[0]))
		}
		return exit.Fail(fmt.Errorf("%s runs in the background (pid %d), but %d of %d are not ready; watchdogd logs shows more, watchdogd down ends it:\n  %s", w.Stack, w.PID, len(missing), len(w.Served), strings.Join(missing, "\n  ")))
	}
	fmt.Fprintf(stdout, "\n%s runs in the background (pid %d): watchdogd logs -f follows it, watchdogd down ends it.\n", w.Stack, w.PID)
	return nil
}

// missing is a sentence on what is not ready.
func (s Served) missing() string {
	if strings.HasPrefix(s.Why, "has been ") {
		return s.Name + " " + s.Why
	}
	return strings.TrimSuffix(s.Name+" is "+inWords(s.State)+": "+s.Why, ": ")
}

// inWords is a state as it stands in a sentence: "crash-loop (30s)" is in a crash loop.
func inWords(state string) string {
	word, next, _ := strings.Cut(state, " ")
	return strings.TrimSpace(lifecycle.State(word).InWords() + " " + next)
}

// lines are the last lines that a detached watchdogd wrote to its stderr.
type lines struct {
	mu   sync.Mutex
	kept []string
}

// mostSaid is how many lines are kept.
const mostSaid = 200

func (l *lines) read(r io.Reader) {
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := in.ReadString('\n')
		l.mu.Lock()
		if line != "" {
			l.kept = append(l.kept, line)
			l.kept = l.kept[max(len(l.kept)-mostSaid, 0):]
		}
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// text is what of those lines a person needs: what is not of the log, and its warnings.
func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b bytes.Buffer
	for _, line := range l.kept {
		var record struct{ Level, Msg, Error, Why string }
		switch err := json.Unmarshal([]byte(line), &record); {
		case err != nil || record.Msg == "":
			b.WriteString(line)
		case record.Level == "WARN" || record.Level == "ERROR":
			fmt.Fprintf(&b, "watchdogd: %s\n", strings.TrimSuffix(record.Msg+": "+record.Error+record.Why, ": "))
		}
	}
	return b.String()
}
