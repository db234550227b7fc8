package main

import (
	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/modes"
)

func envCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "env -- PROGRAM [ARGUMENT...]",
		Short: "Run a program with the variables of a warm start in its environment",
		Long: `A route with "warm:" starts its program before the request is there; the request's
variables then come on the descriptor that $WATCHDOG_ENV_FD names. Env waits for them,
puts them into the environment and becomes the program: for programs, shell scripts
above all, that only know how to read an environment.`,
		Example: `  fprocess: watchdogd env -- ./function.sh`,
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return failed(modes.EnvExec(args)) },
	}
}
