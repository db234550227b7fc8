package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/importer"
	"github.com/watchdogd/watchdogd/internal/phrase"
)

func importCommand() *cobra.Command {
	var o importer.Options
	var output string
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Write the file of another supervisor as a watchdog.yaml",
		Long: `Import reads a Procfile, supervisord.conf, process-compose.yaml, docker-compose.yaml,
ecosystem.config.js (or .json) of pm2, or the service and socket units of systemd, and prints
a watchdog.yaml that starts the same programs. It starts nothing. What cannot be carried over
is a comment with the reason, and a line on stderr.`,
		Example: `  watchdogd import Procfile -o watchdog.yaml
  watchdogd import docker-compose.yaml
  watchdogd import web.service web.socket
  watchdogd import ecosystem.config.js --run-node`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("import needs a file: Procfile, supervisord.conf, process-compose.yaml, docker-compose.yaml, ecosystem.config.js, or units of systemd")
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to this `file`, which must not exist, instead of stdout")
	cmd.Flags().StringVar(&o.From, "from", "", "the `format`, where the name of the file does not show it: "+strings.Join(importer.Formats(), ", "))
	cmd.Flags().BoolVar(&o.RunNode, "run-node", false, "have node evaluate an ecosystem file that is not a plain object, which runs its code")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		into := output
		if into == "" {
			into = "watchdog.yaml"
		}
		var err error
		if o.Into, err = filepath.Abs(into); err != nil {
			return exit.Fail(fmt.Errorf("import: this folder cannot be read; change to another: %w", err))
		}
		if o.From != "" && !slices.Contains(importer.Formats(), o.From) {
			return exit.Misuse(fmt.Errorf("import --from %s: there is no such format; use %s%s", o.From, phrase.Either(importer.Formats()), meant(o.From, importer.Formats())))
		}
		result, err := importer.Import(args, o)
		if err != nil {
			return exit.Fail(err)
		}
		text := result.File.Bytes()
		if output == "" {
			_, err = cmd.OutOrStdout().Write(text)
		} else {
			err = draft.Save(output, text)
		}
		if err != nil {
			return exit.Fail(err)
		}
		for _, lost := range result.Lost {
			fmt.Fprintf(cmd.ErrOrStderr(), "watchdogd: %s\n", lost)
		}
		if output != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "watchdogd: wrote %s: %s, %s. Check it with: watchdogd validate -c %s\n", output, phrase.Count(written(result.File.Routes), "route"), phrase.Count(written(result.File.Services), "service"), output)
		}
		return nil
	}
	return cmd
}

// written is how many of items are not comments.
func written(items []*draft.Item) (n int) {
	for _, item := range items {
		if !item.Gone {
			n++
		}
	}
	return n
}
