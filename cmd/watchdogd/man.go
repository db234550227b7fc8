//go:build man

package main

import (
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/version"
)

// The command that writes the manual pages. What makes them is no part of the program:
// packaging/dist runs it with the tag man.
func init() {
	manual = append(manual, &cobra.Command{
		Use:    "man FOLDER",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			head := &doc.GenManHeader{Title: "WATCHDOGD", Section: "1", Source: "watchdogd " + version.Text(), Manual: "watchdogd"}
			if epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
				date := time.Unix(epoch, 0).UTC()
				head.Date = &date
			}
			cmd.Root().DisableAutoGenTag = true
			return doc.GenManTree(cmd.Root(), head, args[0])
		},
	})
}
