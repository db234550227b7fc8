package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/schema"
)

func migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Print the environment of an OpenFaaS image as a file",
		Long: `Migrate prints the file that does what the environment does: the variables that
of-watchdog or the classic watchdog would read (fprocess, mode, exec_timeout, ...) as
keys, and those that have no effect as comments.`,
		Example: `  docker run --rm --entrypoint watchdogd IMAGE migrate > watchdog.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := schema.Migrate(os.Environ())
			if err != nil {
				return failed(err)
			}
			_, err = cmd.OutOrStdout().Write(file)
			return failed(err)
		},
	}
}
