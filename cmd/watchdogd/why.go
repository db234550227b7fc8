package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/listing"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/supervisor"
)

func whyCommand(from *source.Source) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "why NAME",
		Short: "Say why a route or service is not ready, or how long it has been",
		Long: `Say in one sentence why a route or service of the running watchdogd is in its state: what
happened, why, and what to do. The last lines that it printed follow. The same sentence is in
the log, in ps and in the answer to a request (503).`,
		Example: `  watchdogd why api           one sentence, and the last lines of its output
  watchdogd why api --json    the same for a program`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, as described in docs/cli.md")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		running, err := admin.Find(from, cmd.ErrOrStderr())
		if err != nil {
			return exit.Fail(err)
		}
		var e supervisor.Explanation
		if err := running.Get(cmd.Context(), "/v1/why/"+url.PathEscape(names[0]), &e); err != nil {
			return exit.Fail(err)
		}
		if asJSON {
			return exit.Fail(listing.JSON(cmd.OutOrStdout(), e))
		}
		return exit.Fail(writeWhy(cmd.OutOrStdout(), e))
	}
	return cmd
}

// writeWhy is the sentence and what goes with it, a line each.
func writeWhy(w io.Writer, e supervisor.Explanation) error {
	switch {
	case strings.HasPrefix(e.Why, "has been "):
		fmt.Fprintf(w, "%s %s\n", e.Name, e.Why)
	case e.Since == nil:
		fmt.Fprintf(w, "%s is %s: %s\n", e.Name, e.State.InWords(), e.Why)
	case e.State == supervisor.Exited:
		fmt.Fprintf(w, "%s exited at %s (%s ago): %s\n", e.Name, moment(*e.Since), lasting(time.Since(*e.Since)), e.Why)
	default:
		fmt.Fprintf(w, "%s has been %s since %s (%s): %s\n", e.Name, e.State.InWords(), moment(*e.Since), lasting(time.Since(*e.Since)), e.Why)
	}
	if e.NextStart != nil {
		fmt.Fprintf(w, "It is started again in %s.\n", lasting(max(time.Until(*e.NextStart), 0)))
	}
	if e.LastExitAt != nil && e.LastExit != e.Why {
		fmt.Fprintf(w, "It last ended at %s: %s\n", moment(*e.LastExitAt), e.LastExit)
	}
	if e.Ready && !strings.Contains(e.Why, admin.LastFailed) {
		return nil
	}
	return writeOutput(w, e.Output)
}
