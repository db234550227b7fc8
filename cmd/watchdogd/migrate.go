package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/schema/openfaas"
)

func migrateCommand() *cobra.Command {
	var as string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Print the environment of an OpenFaaS image as a file",
		Long: `Migrate prints the file that does what the environment does: the variables that
of-watchdog or the classic watchdog would read (fprocess, mode, exec_timeout, ...) as
keys, and those that have no effect as comments. An image that sets no mode may be one of
either watchdog: with --as fwatchdog it is read as the classic watchdog's.`,
		Example: `  docker run --rm --entrypoint watchdogd IMAGE migrate --as fwatchdog > watchdog.yaml
  fprocess=cat mode=streaming watchdogd migrate`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := openfaas.Migrate(os.Environ(), as)
			if err != nil {
				return exit.Fail(err)
			}
			_, err = cmd.OutOrStdout().Write(file)
			return exit.Fail(err)
		},
	}
	cmd.Flags().StringVar(&as, "as", "watchdogd", "read the variables as a program of this `NAME` would: watchdogd or fwatchdog")
	return cmd
}
