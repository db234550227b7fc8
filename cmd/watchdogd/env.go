package main

import (
	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/modes/forking"
)

func envCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "env -- PROGRAM [ARGUMENT...]",
		Short: "Run a program with the variables of a warm start in its environment",
		Long: `A route with "warm:" starts its program before there is a request. The variables of the
request arrive on the descriptor $WATCHDOG_ENV_FD. Env waits for them, sets them in the
environment and executes the program. Use it for programs that can only read their
environment, such as shell scripts.`,
		Example: `  fprocess: watchdogd env -- ./function.sh
  fprocess: watchdogd env -- python3 handler.py`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return exit.Fail(forking.EnvExec(args)) },
	}
}
