package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/option"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

func logsCommand(from *source.Source) *cobra.Command {
	var follow, asJSON bool
	lines := 100
	cmd := &cobra.Command{
		Use:   "logs [NAME...]",
		Short: "Show what the processes of the running watchdogd printed last",
		Example: `  watchdogd logs                 the last lines of all
  watchdogd logs -f api redis    of two, and what they print from now on`,
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "keep printing lines as they come")
	cmd.Flags().VarP(option.Count(&lines, child.MostLines), "lines", "n", "how many of the last lines; 0 prints all that are kept")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line, as described in docs/cli.md")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		running, err := admin.Find(from, cmd.ErrOrStderr())
		if err != nil {
			return exit.Fail(err)
		}
		query := url.Values{"name": names, "lines": {strconv.Itoa(lines)}}
		if follow {
			query.Set("follow", "")
		}
		response, err := running.Send(cmd.Context(), http.MethodGet, "/v1/logs?"+query.Encode(), nil, nil)
		if err != nil {
			return exit.Fail(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return exit.Fail(admin.Refused(response))
		}
		err = printLines(cmd.OutOrStdout(), response.Body, asJSON)
		if follow && (err == nil || errors.Is(err, errCut)) && cmd.Context().Err() == nil {
			if _, gone := running.Info(); gone != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "watchdogd: the stack has ended, and no more lines will come")
				return nil
			}
		}
		return exit.Fail(err)
	}
	return cmd
}

// errCut is a stream of lines that ended before its end.
var errCut = errors.New("read the lines: the connection was lost")

// printLines prints a stream of lines until it ends.
func printLines(w io.Writer, stream io.Reader, asJSON bool) error {
	in := bufio.NewReader(stream)
	for {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errCut, err)
		}
		if asJSON {
			_, err = w.Write(text)
		} else {
			var l child.Line
			if err := json.Unmarshal(text, &l); err != nil {
				return fmt.Errorf("read a line: %w", err)
			}
			_, err = fmt.Fprintf(w, "%s %s[%d] %s\n", l.Time.Local().Format(time.TimeOnly+".000"), l.Name, l.PID, l.Text)
		}
		if err != nil {
			return fmt.Errorf("print a line: %w", err)
		}
	}
}
