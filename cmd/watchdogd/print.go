package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/version"
	"github.com/watchdogd/watchdogd/schema"
)

// The commands that print what the program has in it, and look at nothing else.

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

// addCompletion adds cobra's command for the completion of shells, with examples.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, err := root.Find([]string{"completion"})
	if err != nil {
		return // root has no subcommands
	}
	completion.Example = `  watchdogd completion bash > /etc/bash_completion.d/watchdogd
  watchdogd completion fish > ~/.config/fish/completions/watchdogd.fish`
	completion.Use, completion.DisableFlagsInUseLine = "completion bash|zsh|fish|powershell", true
	completion.Args = cobra.ArbitraryArgs
	completion.RunE = func(cmd *cobra.Command, args []string) error {
		var shells []string
		for _, c := range cmd.Commands() {
			shells = append(shells, c.Name())
		}
		if len(args) == 0 {
			return exit.Misuse(misused(cmd, errors.New("completion needs the name of a shell")))
		}
		return exit.Misuse(misused(cmd, fmt.Errorf("there is no completion for %q%s", args[0], meant(args[0], shells))))
	}
	for _, shell := range completion.Commands() {
		shell.Example = map[string]string{
			"bash": `  source <(watchdogd completion bash)
  watchdogd completion bash > /etc/bash_completion.d/watchdogd`,
			"zsh": `  source <(watchdogd completion zsh)
  watchdogd completion zsh > "${fpath[1]}/_watchdogd"`,
			"fish": `  watchdogd completion fish | source
  watchdogd completion fish > ~/.config/fish/completions/watchdogd.fish`,
			"powershell": `  watchdogd completion powershell | Out-String | Invoke-Expression
  watchdogd completion powershell >> $PROFILE`,
		}[shell.Name()]
	}
}

// manual has the command that writes the manual pages, in a build that has it: see man.go.
var manual []*cobra.Command
