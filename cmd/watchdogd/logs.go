package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/logbook"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/option"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/signals"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

func logsCommand(from *source.Source) *cobra.Command {
	var follow, requests, asJSON bool
	var since time.Time
	lines := 100
	cmd := &cobra.Command{
		Use:   "logs [NAME...]",
		Short: "Show what the processes of the running watchdogd printed last",
		Long: `Logs prints the last lines of the processes, and when they started, became ready and
ended; with --requests, the requests too. On a terminal each line is "name | line", as "run"
prints it.`,
		Example: `  watchdogd logs                        the last lines of all
  watchdogd logs -f api redis           of two, and what they print from now on
  watchdogd logs --since 5m --requests  the last five minutes, with each request`,
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "keep printing lines as they come")
	cmd.Flags().VarP(option.Count(&lines, child.MostLines), "lines", "n", "how many of the last lines; 0 prints all that are kept")
	cmd.Flags().Var(option.Since(&since, time.Now), "since", "only lines since this `time`, as in 5m (ago), 14:30 or \"2026-01-31 14:30\"; all of them, without -n")
	cmd.Flags().BoolVar(&requests, "requests", false, "print a line for each request too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line, as described in docs/cli.md")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		running, err := admin.Find(from, cmd.ErrOrStderr())
		if err != nil {
			return exit.Fail(err)
		}
		query := url.Values{"name": names, "lines": {strconv.Itoa(lines)}}
		if !since.IsZero() {
			query.Set("since", since.Format(time.RFC3339Nano))
			if !cmd.Flags().Changed("lines") {
				query.Set("lines", "0")
			}
		}
		if requests {
			query.Set("requests", "")
		}
		ctx := cmd.Context()
		if follow {
			signals.SurviveBrokenPipes() // the end of the reader is an end with a sentence
			query.Set("follow", "")
			reading, stop := terminal.WhileRead(ctx, cmd.OutOrStdout())
			defer stop()
			ctx = reading
		}
		response, err := running.Send(ctx, http.MethodGet, "/v1/logs?"+query.Encode(), nil, nil)
		if err != nil {
			return exit.Fail(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return exit.Fail(admin.Refused(response))
		}
		if !asJSON && len(names) == 0 && terminal.Of(cmd.OutOrStdout()) != nil {
			names = namesIn(ctx, running)
		}
		err = printLines(response.Body, linePrinter(cmd.OutOrStdout(), asJSON, names))
		return exit.Fail(endOfLines(ctx, cmd.ErrOrStderr(), running, follow, err))
	}
	return cmd
}

// endOfLines says why no more lines come, where it is not the end of what was asked for.
func endOfLines(ctx context.Context, stderr io.Writer, running admin.Client, follow bool, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), terminal.ErrUnread), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.EIO):
		fmt.Fprintf(stderr, "watchdogd: logs: %v\n", terminal.ErrUnread)
		return nil
	case follow && (err == nil || errors.Is(err, errCut)) && ctx.Err() == nil:
		if running.Gone() {
			fmt.Fprintln(stderr, "watchdogd: the stack has ended, and no more lines will come")
			return nil
		}
	}
	return err
}

// errCut is a stream of lines that ended before its end.
var errCut = errors.New("read the lines: the connection was lost")

// printLines prints a stream of lines until it ends.
func printLines(stream io.Reader, print func(text []byte) error) error {
	in := bufio.NewReader(stream)
	for {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errCut, err)
		}
		if err := print(text); err != nil {
			return fmt.Errorf("print a line: %w", err)
		}
	}
}

// namesIn returns the names whose lines may come, so that the first line is aligned with the last.
func namesIn(ctx context.Context, running admin.Client) (names []string) {
	var rows []admin.Row
	_ = running.Get(ctx, "/v1/ps", &rows) // without the names the columns become wider with the lines
	for i := range rows {
		names = append(names, rows[i].Name)
	}
	return names
}

// linePrinter returns what prints a line, which comes as a JSON object. On a terminal the names
// are a column.
func linePrinter(w io.Writer, asJSON bool, names []string) func(text []byte) error {
	if asJSON {
		return func(text []byte) error {
			_, err := w.Write(text)
			return err
		}
	}
	print := func(l *child.Line) error {
		who := l.Name
		if l.PID != 0 {
			who = fmt.Sprintf("%s[%d]", l.Name, l.PID)
		}
		_, err := fmt.Fprintf(w, "%s %s %s\n", l.Time.Local().Format(time.TimeOnly+".000"), who, l.Text)
		return err
	}
	if f := terminal.Of(w); f != nil {
		columns := terminal.NewColumns(f, terminal.ScreenOf(f), names...)
		print = func(l *child.Line) error { return columns.Print(logbook.Source(l), l.Text, logbook.ToneOf(l)) }
	}
	return func(text []byte) error {
		var l child.Line
		if err := json.Unmarshal(text, &l); err != nil {
			return err
		}
		return print(&l)
	}
}
