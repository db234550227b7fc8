package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/version"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  watchdogd version\n  docker run --rm --entrypoint watchdogd IMAGE version",
		Args:    cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			built := ""
			if version.Revision() != "unknown" {
				built = " commit " + version.Revision()[:min(12, len(version.Revision()))]
			}
			if version.Date() != "" {
				built += " of " + version.Date()
			}
			fmt.Fprintf(cmd.OutOrStdout(), "watchdogd %s %s/%s %s%s\n", version.Text(), runtime.GOOS, runtime.GOARCH, runtime.Version(), built)
		},
	}
}
