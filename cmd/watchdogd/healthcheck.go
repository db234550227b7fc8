package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/local"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/option"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
)

func healthcheckCommand(from *source.Source) *cobra.Command {
	var ready bool
	timeout := 3 * time.Second
	cmd := &cobra.Command{
		Use:   "healthcheck [NAME]",
		Short: "Check the health of the running watchdogd",
		Long: `Healthcheck requests /_/health from the watchdogd that serves the same file, at its first
address. It is meant for a container's HEALTHCHECK. With --ready it requests /_/ready, and
with a NAME /_/ready/NAME. The exit status is 0 if the check succeeds, and 1 otherwise.`,
		Example: "  watchdogd healthcheck\n  watchdogd healthcheck --ready --timeout 2s",
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&ready, "ready", false, "check readiness instead of health")
	cmd.Flags().Var(option.Duration(&timeout), "timeout", "how long to wait for the response")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, _, err := from.Load()
		if err != nil {
			return exit.Fail(err)
		}
		path := "/_/health"
		if ready || len(args) > 0 {
			path = "/_/ready"
		}
		if len(args) > 0 {
			path += "/" + args[0]
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		address := cfg.Server.Listen[0]
		answer, err := local.Get(ctx, address, cfg.Server.TLS.Cert != "", path)
		if err != nil {
			return exit.Fail(fmt.Errorf("request %[2]s from %[1]s: %[3]w", address, path, err))
		}
		fmt.Fprintln(cmd.OutOrStdout(), answer)
		return nil
	}
	return cmd
}
