package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/listing"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

func startCommand(from *source.Source) *cobra.Command {
	return steerCommand(from, "start", "Start processes that were stopped", "started")
}

func stopCommand(from *source.Source) *cobra.Command {
	return steerCommand(from, "stop", "Stop processes until they are started again", "stopped")
}

func restartCommand(from *source.Source) *cobra.Command {
	return steerCommand(from, "restart", "Replace processes without losing a request", "restarted")
}

// steerCommand asks the running watchdogd to do one thing to each named process.
func steerCommand(from *source.Source, verb, short, done string) *cobra.Command {
	return &cobra.Command{
		Use:     verb + " NAME...",
		Short:   short,
		Example: fmt.Sprintf("  watchdogd %[1]s api\n  watchdogd -c shop.yaml %[1]s api redis", verb),
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			running, err := admin.Find(from, cmd.ErrOrStderr())
			if err != nil {
				return exit.Fail(err)
			}
			for _, name := range names {
				var now supervisor.Status
				if err := running.Do(cmd.Context(), http.MethodPost, "/v1/"+verb+"/"+url.PathEscape(name), &now); err != nil {
					return exit.Fail(about(verb+" "+name, err))
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s%s\n", name, done, nowIn(done, now))
			}
			return nil
		},
	}
}

// nowIn says in which state a process is after something was done to it, unless that says it.
func nowIn(done string, now supervisor.Status) string {
	if state := admin.StateText(now); state != done {
		return ", now " + state
	}
	return ""
}

// about is err with what failed before it, unless it says so itself.
func about(what string, err error) error {
	if strings.HasPrefix(err.Error(), what+":") {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

func scaleCommand(from *source.Source) *cobra.Command {
	return &cobra.Command{
		Use:     "scale NAME=N...",
		Short:   "Change how many instances of a process run, until the next reload",
		Example: "  watchdogd scale api=4\n  watchdogd scale api=0 worker=2",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				name, count, is := strings.Cut(arg, "=")
				if !is {
					return exit.Misuse(fmt.Errorf("scale %s: write NAME=N, as in api=4", arg))
				}
				if _, err := schema.ParseCount(count, 0, schema.MaxReplicas); err != nil {
					return exit.Misuse(fmt.Errorf("scale %s: the number of instances %w; write NAME=N, as in api=4", arg, err))
				}
				if name == "" {
					return exit.Misuse(fmt.Errorf("scale %s: write NAME=N, as in api=4", arg))
				}
			}
			running, err := admin.Find(from, cmd.ErrOrStderr())
			if err != nil {
				return exit.Fail(err)
			}
			for _, arg := range args {
				name, n, _ := strings.Cut(arg, "=")
				var now supervisor.Status
				if err := running.Do(cmd.Context(), http.MethodPost, "/v1/scale/"+url.PathEscape(name)+"/"+n, &now); err != nil {
					return exit.Fail(fmt.Errorf("scale %s: %w", arg, err))
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s scaled to %s%s\n", name, n, nowIn("scaled", now))
			}
			return nil
		},
	}
}

func reloadCommand(from *source.Source) *cobra.Command {
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the running watchdogd read its file again",
		Long: `Reload reads the file again and applies it: processes whose keys did not change keep
running, the others are replaced, and no request is lost. With a mistake in the file
nothing changes. HUP does the same and logs the result.`,
		Example: "  watchdogd reload --dry-run\n  watchdogd reload",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only print what would be started, replaced and stopped, and why")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, as described in docs/cli.md")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		running, err := admin.Find(from, cmd.ErrOrStderr())
		if err != nil {
			return exit.Fail(err)
		}
		path := "/v1/reload"
		if dry {
			path += "?dry_run"
		}
		var done admin.Reloaded
		if err := running.Do(cmd.Context(), http.MethodPost, path, &done); err != nil {
			return exit.Fail(err)
		}
		if asJSON {
			return exit.Fail(listing.JSON(cmd.OutOrStdout(), done))
		}
		for _, step := range done.Changes {
			fmt.Fprintf(cmd.OutOrStdout(), "%-8s %s", step.Action, step.Name)
			if step.Why != "" {
				fmt.Fprintf(cmd.OutOrStdout(), "  (%s)", step.Why)
			}
			fmt.Fprintln(cmd.OutOrStdout())
		}
		for _, note := range done.Notes {
			fmt.Fprintf(cmd.OutOrStdout(), "note     %s\n", note)
		}
		return nil
	}
	return cmd
}

func downCommand(from *source.Source) *cobra.Command {
	var now bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Drain and end the running watchdogd",
		Long: `Down has the running watchdogd answer the requests in flight, stop its processes and end,
as Ctrl-C does, and returns when it has ended.`,
		Example: `  watchdogd down          as Ctrl-C
  watchdogd down --now    without waiting for requests in flight`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&now, "now", false, "cut off requests in flight, as a second Ctrl-C does")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		running, err := admin.Find(from, cmd.ErrOrStderr())
		if err != nil {
			return exit.Fail(err)
		}
		path := "/v1/down"
		if now {
			path += "?now"
		}
		var who admin.Info
		if err := running.Do(cmd.Context(), http.MethodPost, path, &who); err != nil {
			return exit.Fail(about("down", err))
		}
		for !running.Gone() { // it has its own bounds: drain.timeout, and the grace of each process
			if !sleep.For(cmd.Context(), 50*time.Millisecond) {
				return exit.Fail(fmt.Errorf("down: %s (pid %d) is still stopping", who.Name, who.PID))
			}
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s (pid %d) has ended\n", who.Name, who.PID)
		return nil
	}
	return cmd
}
