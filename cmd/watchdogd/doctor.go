package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/doctor"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/listing"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/schema"
)

func doctorCommand(from *source.Source) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out what will fail on this machine, and what to do",
		Long: `Doctor looks at the configuration and at this machine: ports, programs and permissions, open
files, memory and CPUs of the cgroup, process 1, routes within each other, who can call what,
the clock, and room for temporary files. It starts nothing. The exit status is 1 if something
will fail.`,
		Example: `  watchdogd doctor
  docker exec NAME watchdogd doctor --json`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a list of {check, level, what, do}")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		findings := examine(from)
		var err error
		if asJSON {
			err = listing.JSON(cmd.OutOrStdout(), findings)
		} else {
			err = writeFindings(cmd.OutOrStdout(), findings)
		}
		switch {
		case err != nil:
			return exit.Fail(err)
		case doctor.Worst(findings) == doctor.Fail:
			return exit.Silent()
		}
		return nil
	}
	return cmd
}

// examine looks at everything. A configuration that cannot be read is a finding itself.
func examine(from *source.Source) []doctor.Finding {
	cfg, _, err := from.Load()
	m := doctor.Look(cfg)
	if err != nil {
		f := doctor.Finding{Check: "configuration", Level: doctor.Fail, What: err.Error(), Do: "correct it; watchdogd validate --json lists the mistakes for a program"}
		if errors.Is(err, source.ErrNone) {
			f.Do = ""
		}
		return append([]doctor.Finding{f}, doctor.Examine(nil, m)...)
	}
	if stack, err := admin.FindFor(cfg, io.Discard); err == nil {
		if who, err := stack.Info(); err == nil {
			m.Stack = fmt.Sprintf("the watchdogd with process number %d", who.PID)
		}
	}
	if problems, ok := errors.AsType[schema.Problems](wouldRun(cfg)); ok {
		for _, p := range problems {
			m.Missing = append(m.Missing, p.Message)
		}
	}
	fine := doctor.Finding{Check: "configuration", Level: doctor.OK, What: source.Origin(cfg) + " is valid"}
	return append([]doctor.Finding{fine}, doctor.Examine(cfg, m)...)
}

// writeFindings prints the worst last, where they are read.
func writeFindings(w io.Writer, findings []doctor.Finding) error {
	var b strings.Builder
	for _, level := range []doctor.Level{doctor.OK, doctor.Note, doctor.Warn, doctor.Fail} {
		for _, f := range findings {
			if f.Level != level {
				continue
			}
			fmt.Fprintf(&b, "%s: %s: %s\n", f.Level, f.Check, f.What)
			if f.Do != "" {
				fmt.Fprintf(&b, "  %s\n", f.Do)
			}
		}
	}
	b.WriteString("\n" + doctor.Summary(findings) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}
