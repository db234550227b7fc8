package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/schema"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the file, for editors",
		Long: `Schema prints the JSON Schema (2020-12) of watchdog.yaml. With it an editor completes
every key, explains it, and marks mistakes while you type. Save it beside the file and
write this as the first line of the file, which the YAML language server reads:

  # yaml-language-server: $schema=watchdog.schema.json`,
		Example: `  watchdogd schema > watchdog.schema.json
  watchdogd schema > schema.json && check-jsonschema --schemafile schema.json watchdog.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), schema.JSONSchema())
			return exit.Fail(err)
		},
	}
}
