package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/functions"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/listing"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/logbook"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/internal/listen"
	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/routes/auth"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

func validateCommand(from *source.Source) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the file and list every mistake in it",
		Long: `Validate reads the file as "run" would, starts nothing, and lists every mistake with its
line and column, then missing programs, users, folders and certificates. The exit status is 0 if there is
nothing to list, and 1 otherwise.`,
		Example: "  watchdogd validate\n  watchdogd -c shop.yaml validate --json",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a list of {file, line, column, path, message, hint}")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, notes, err := from.Load()
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
			if jsonErr := listing.JSON(cmd.OutOrStdout(), problems); jsonErr != nil {
				return exit.Fail(fmt.Errorf("write the list of mistakes: %w", jsonErr))
			}
			if areProblems {
				return exit.Silent()
			}
			return nil
		}
		if err != nil {
			return exit.Fail(err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: %s, %s.\n", source.Origin(cfg), phrase.Count(len(cfg.Routes), "route"), phrase.Count(len(cfg.Services), "service"))
		return nil
	}
	return cmd
}

// wouldRun returns the problems that the file alone does not show: a program, a user, a folder or
// a certificate that is missing. They have no line.
func wouldRun(cfg *schema.Config) error {
	book := logbook.Quiet()
	d := &daemon{log: book.Logger, book: book, auth: auth.NewShared(book.Logger), supervisor: supervisor.New(supervisor.Options{Log: book.Logger})}
	_, _, closers, err := d.prepare(cfg)
	closeAll(closers)
	err = errors.Join(err, functions.Check(cfg))
	if tls := cfg.Server.TLS; tls.Cert != "" {
		err = errors.Join(err, listen.NewCertificate(tls.Cert, tls.Key).Check())
	}
	if err == nil {
		return nil
	}
	return problemsOf(cfg.File, err)
}

// problemsOf returns what an error of prepare consists of: problems with their places, and a
// line for everything else.
func problemsOf(file string, err error) (problems schema.Problems) {
	switch e := err.(type) {
	case schema.Problems:
		for _, p := range e {
			p.File = cmp.Or(p.File, file)
			problems = append(problems, p)
		}
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			problems = append(problems, problemsOf(file, part)...)
		}
	default:
		for line := range strings.Lines(err.Error()) {
			problems = append(problems, schema.Problem{File: file, Message: strings.TrimSpace(line)})
		}
	}
	return problems
}
