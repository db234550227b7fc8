package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

func validateCommand(from *source) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the file and list every mistake in it",
		Long: `Validate reads the file as "run" would, starts nothing, and lists every mistake with its
line and column, then missing programs, users and folders. The exit status is 0 if there is
nothing to list, and 1 otherwise.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a list of {file, line, column, path, message, hint}")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, notes, err := from.load()
		if err == nil {
			err = wouldRun(cfg)
		}
		for _, note := range notes.Notes {
			fmt.Fprintf(cmd.ErrOrStderr(), "watchdogd: %s\n", note)
		}
		if err == nil {
			for _, said := range cfg.Around() {
				fmt.Fprintf(cmd.ErrOrStderr(), "watchdogd: %s\n", said)
			}
		}
		problems, areProblems := errors.AsType[schema.Problems](err)
		if asJSON && (err == nil || areProblems) {
			if problems == nil {
				problems = schema.Problems{}
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetIndent("", "  ")
			if jsonErr := out.Encode(problems); jsonErr != nil {
				return failed(fmt.Errorf("write the list of mistakes: %w", jsonErr))
			}
			if areProblems {
				return exitStatus{statusFailed, nil}
			}
			return nil
		}
		if err != nil {
			return failed(err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: %s, %s.\n", origin(cfg), count(len(cfg.Routes), "route"), count(len(cfg.Services), "service"))
		return nil
	}
	return cmd
}

// wouldRun returns the problems that the file alone does not show: a program, a user or a
// folder that is missing. They have no line.
func wouldRun(cfg *schema.Config) error {
	quiet := slog.New(slog.DiscardHandler)
	d := &daemon{log: quiet, book: &logbook{Logger: quiet}, supervisor: supervisor.New(supervisor.Options{Log: quiet})}
	_, _, closers, err := d.prepare(cfg)
	closeAll(closers)
	if err == nil {
		return nil
	}
	var problems schema.Problems
	for line := range strings.Lines(err.Error()) {
		problems = append(problems, schema.Problem{File: cfg.File, Message: strings.TrimSpace(line)})
	}
	return problems
}

// count is "1 route" or "3 routes".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
