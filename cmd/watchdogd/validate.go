package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/schema"
)

func validateCommand(from *source) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the file and list every mistake in it",
		Long: `Validate reads the file as "run" would, starts nothing, and lists every mistake
in it with its line and column. The status is 0 when there is none, else 1.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "a list of {file, line, column, path, message, hint}")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := from.load()
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
		fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: %s, %s.\n", cfg.File, count(len(cfg.Routes), "route"), count(len(cfg.Services), "service"))
		return nil
	}
	return cmd
}

// count is "1 route" or "3 routes".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
