package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/listing"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/private"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/requests"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema"
)

func testCommand(from *source.Source) *cobra.Command {
	var t tester
	cmd := &cobra.Command{
		Use:   "test [REQUESTS.TXT...]",
		Short: "Send the requests of a file and say how the answers differ",
		Long: `Test starts a watchdogd of its own on the configuration, on a free port of 127.0.0.1, sends it
the requests of each file in their order, and prints what is not as the file says. Without a
name the file is requests.txt beside the configuration. Each file gets a fresh watchdogd.

A request is a request line and headers, an empty line and a body if it has one, the status
alone on a line, and lines that the answer must hold in its headers or its body. An empty line
ends it, and # begins a comment:

    POST /upper
    Content-Type: text/plain

    hello
    200
    HELLO

With --update the answers in the file become those that were received; a last request without
a status gets its answer, too. The exit status is 0 if every answer is as the file says or was
updated, and 1 otherwise.`,
		Example: `  watchdogd test                              requests.txt beside watchdog.yaml
  watchdogd -c shop.yaml test smoke.txt       another file of each
  watchdogd test --junit report.xml           for a CI system
  watchdogd test --update                     take the answers that came`,
		Args: cobra.ArbitraryArgs,
	}
	cmd.Flags().StringVar(&t.junit, "junit", "", "write a JUnit report to `FILE`")
	cmd.Flags().BoolVar(&t.update, "update", false, "rewrite answers that differ, after asking")
	cmd.Flags().BoolVarP(&t.yes, "yes", "y", false, "update without asking")
	cmd.Flags().BoolVar(&t.asJSON, "json", false, "print a list of {file, line, method, path, want_status, status, seconds, ok, differs}")
	cmd.Flags().BoolVarP(&t.verbose, "verbose", "v", false, "print the log of watchdogd to stderr")
	cmd.Flags().DurationVar(&t.timeout, "timeout", time.Minute, "how long a request may take, with the start of its program")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		switch {
		case t.yes && !t.update:
			return exit.Misuse(errors.New("--yes is for --update"))
		case t.timeout <= 0:
			return exit.Misuse(errors.New("--timeout must be longer than 0"))
		case t.update && !t.yes && !isTerminal(cmd.InOrStdin()):
			return exit.Misuse(errors.New("--update asks before it writes, and the standard input is not a terminal; add --yes"))
		}
		t.from, t.stdin, t.stderr = from, cmd.InOrStdin(), cmd.ErrOrStderr()
		t.out, t.paint = painted(cmd.OutOrStdout())
		return t.test(cmd.Context(), names)
	}
	return cmd
}

// tester is the command with its flags.
type tester struct {
	junit                        string
	update, yes, asJSON, verbose bool
	timeout                      time.Duration

	from        *source.Source
	stdin       io.Reader
	out, stderr io.Writer
	paint       requests.Paint
}

func (t *tester) test(ctx context.Context, names []string) error {
	cfg, _, err := t.from.Load()
	if err != nil {
		return exit.Fail(err)
	}
	if t.junit != "" {
		if _, err := os.Stat(filepath.Dir(t.junit)); err != nil {
			return exit.Fail(fmt.Errorf("--junit: %w", err))
		}
	}
	files, err := t.read(cfg, names)
	if err != nil {
		return exit.Fail(err)
	}
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var runs []requests.Run
	for _, f := range files {
		if ctx.Err() == nil {
			runs = append(runs, t.run(ctx, cfg, f))
		}
	}
	interrupted := ctx.Err() != nil
	stop() // a second Ctrl-C ends the command
	if t.junit != "" {
		if err := t.writeJUnit(runs); err != nil {
			return exit.Fail(fmt.Errorf("write the JUnit report: %w", err))
		}
	}
	return t.conclude(interrupted, runs)
}

// read reads all files before anything is started.
func (t *tester) read(cfg *schema.Config, names []string) ([]*requests.File, error) {
	if len(names) == 0 {
		if cfg.File == "" {
			return nil, errors.New("the configuration is the environment, which has no requests.txt beside it; name a file of requests")
		}
		names = []string{shortest(filepath.Join(filepath.Dir(cfg.File), "requests.txt"))}
		if _, err := os.Stat(names[0]); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no %s; write one as in \"watchdogd test --help\", or name another file", names[0])
		}
	}
	var files []*requests.File
	for _, name := range names {
		f, err := requests.Read(name)
		if err == nil && !t.update {
			err = f.Unanswered()
		}
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// shortest is a path as a person would write it here.
func shortest(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(short, "..") {
		return short
	}
	return path
}

// run sends the requests of a file to a watchdogd of its own, and reports each.
func (t *tester) run(ctx context.Context, cfg *schema.Config, f *requests.File) (run requests.Run) {
	run.File = f
	t.say("%s\n", t.paint(f.Name, requests.Plain))
	args := []string{"--env"}
	if cfg.File != "" {
		args = []string{"-c", cfg.File}
	}
	var log io.Writer
	if t.verbose {
		log = t.stderr
	}
	w, err := private.Start(ctx, args, log)
	if err != nil {
		run.Err = err
		return run
	}
	defer func() {
		if err := w.Stop(); err != nil && run.Err == nil {
			run.Err = err
		}
	}()
	server := requests.Server{Address: w.Address, TLS: cfg.Server.TLS.Cert != "", Timeout: t.timeout}
	for _, r := range f.Requests {
		result := server.Ask(ctx, f, r)
		if ctx.Err() != nil {
			run.Err = errors.New("interrupted")
			return run
		}
		run.Results = append(run.Results, result)
		if !t.asJSON {
			result.Report(t.out, t.paint)
		}
		if result.Got.Status == 0 {
			if run.Err = w.Died(); run.Err != nil {
				return run
			}
		}
	}
	return run
}

// say prints for people.
func (t *tester) say(format string, args ...any) {
	if !t.asJSON {
		fmt.Fprintf(t.out, format, args...)
	}
}

func (t *tester) writeJUnit(runs []requests.Run) error {
	var report bytes.Buffer
	if err := requests.JUnit(&report, runs); err != nil {
		return err
	}
	if info, err := os.Stat(t.junit); err == nil && !info.Mode().IsRegular() { // as /dev/stdout
		return os.WriteFile(t.junit, report.Bytes(), 0o644)
	}
	return requests.Replace(t.junit, report.Bytes(), 0o644)
}

// conclude prints the sum, updates what differs, and returns the end of the process.
func (t *tester) conclude(interrupted bool, runs []requests.Run) error {
	rows, sent, differ, failed := []requests.Row{}, 0, 0, false
	for _, run := range runs {
		for _, r := range run.Results {
			rows = append(rows, r.Row(run.File))
		}
		sent, differ = sent+len(run.Results), differ+run.Differing()
		if run.Err != nil {
			failed = true
			fmt.Fprintf(t.stderr, "watchdogd: %s: %v\n", run.File.Name, run.Err)
		}
	}
	if t.asJSON {
		if err := listing.JSON(t.out, rows); err != nil {
			return exit.Fail(fmt.Errorf("write the list of results: %w", err))
		}
	}
	switch {
	case differ == 0 && (failed || interrupted):
		t.say("%s, %s\n", phrase.Count(sent, "request"), t.paint("and then it ended", requests.Bad))
	case differ == 0:
		t.say("%s, %s\n", phrase.Count(sent, "request"), t.paint("all as the file says", requests.Good))
	default:
		t.say("%s, %s\n", phrase.Count(sent, "request"), t.paint(fmt.Sprintf("%d not as the file says", differ), requests.Bad))
	}
	if interrupted || failed || differ > 0 && !t.update {
		return exit.Silent()
	}
	for _, run := range runs {
		if run.Differing() == 0 {
			continue
		}
		if err := t.rewrite(run); err != nil {
			return exit.Fail(err)
		}
	}
	return nil
}

// rewrite updates a file, after asking.
func (t *tester) rewrite(run requests.Run) error {
	if !t.yes {
		fmt.Fprintf(t.ask(), "Update %s in %s? [y/N] ", phrase.Count(run.Differing(), "answer"), t.paint(run.File.Name, requests.Plain))
		answer, _ := bufio.NewReader(t.stdin).ReadString('\n') // an end is a no
		if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
			return fmt.Errorf("%s is unchanged", run.File.Name)
		}
	}
	left := 0
	for _, r := range run.Results {
		if r.Got.Status == 0 {
			left++
		}
	}
	if err := run.File.Write(run.File.Updated(run.Results)); err != nil {
		return fmt.Errorf("update %s: %w", run.File.Name, err)
	}
	if left > 0 {
		return fmt.Errorf("%s: %s without an answer stays as it was", run.File.Name, phrase.Count(left, "request"))
	}
	t.say("%s is updated\n", t.paint(run.File.Name, requests.Plain))
	return nil
}

// ask is where a question goes: not into JSON.
func (t *tester) ask() io.Writer {
	if t.asJSON {
		return t.stderr
	}
	return t.out
}

func isTerminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && terminal.Is(f)
}

// painted is out and how text is painted on it: in colours on a terminal, unless NO_COLOR is
// set or TERM is dumb.
func painted(out io.Writer) (io.Writer, requests.Paint) {
	raw, coloured := terminal.Colours(out)
	if !coloured {
		return out, func(text string, _ requests.Tone) string { return text }
	}
	return raw, func(text string, tone requests.Tone) string {
		text = terminal.Escape(text)
		switch tone {
		case requests.Good:
			return "\x1b[32m" + text + "\x1b[0m"
		case requests.Bad:
			return "\x1b[31m" + text + "\x1b[0m"
		case requests.Faint:
			return "\x1b[2m" + text + "\x1b[0m"
		}
		return text
	}
}
