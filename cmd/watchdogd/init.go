package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/detect"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
)

func initCommand() *cobra.Command {
	var print bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a watchdog.yaml for the program in this folder",
		Long: `Init looks at the files of this folder and writes a short watchdog.yaml that serves its program
as it is: a Procfile, the scripts of package.json, Python with Django, FastAPI or Flask,
app.py, main.go, a Gemfile, artisan or index.php, index.html, the CMD of a Dockerfile, or
fprocess in the environment, in this order. It starts nothing and never overwrites a file.`,
		Example: `  watchdogd init
  watchdogd init --print`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&print, "print", false, "print the file instead of writing it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := os.Lstat(source.DefaultFile); err == nil && !print {
			return exit.Fail(fmt.Errorf("init: %s exists already and is not overwritten; watchdogd init --print shows what would be written", source.DefaultFile))
		}
		result, err := detect.Folder(".", os.Environ())
		if err != nil {
			return exit.Fail(fmt.Errorf("init: %w", err))
		}
		if len(result.Also) > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "watchdogd: also found and not in the file: %s\n", strings.Join(result.Also, ", "))
		}
		if print {
			_, err := cmd.OutOrStdout().Write(result.Text)
			return exit.Fail(err)
		}
		if err := draft.Save(source.DefaultFile, result.Text); err != nil {
			return exit.Fail(fmt.Errorf("init: %w", err))
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s for %s. Serve it with: watchdogd\n", source.DefaultFile, result.Found)
		return exit.Fail(err)
	}
	return cmd
}
