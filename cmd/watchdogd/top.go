package main

import (
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/top"
)

func topCommand(from *source.Source) *cobra.Command {
	return &cobra.Command{
		Use:   "top",
		Short: "Watch the routes and services of the running watchdogd",
		Long: `Top shows each route and service with its state, calls a second, how long they take, errors,
CPU and memory, and beneath them the log of the selected one. Keys restart, stop, start and
scale it, say why it is in its state, filter names and search the log; ? lists them.`,
		Example: `  watchdogd top
  WATCHDOG_ADMIN_TOKEN=secret watchdogd top --admin 10.0.0.5:9090    another machine`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			running, err := admin.Find(from, cmd.ErrOrStderr())
			if err != nil {
				return exit.Fail(err)
			}
			in, out, err := ownTerminal(cmd)
			if err != nil {
				return exit.Fail(err)
			}
			err = top.Run(cmd.Context(), running, top.Options{
				In: in, Out: out, Colour: terminal.ScreenOf(out).Colour, At: from.Admin,
				Find: func() (admin.Client, error) { return admin.Find(from, io.Discard) },
				Why:  writeWhy,
			})
			if errors.Is(err, top.ErrStuck) {
				return exit.Silent()
			}
			return exit.Fail(err)
		},
	}
}

// ownTerminal returns the terminal that a command has for itself.
func ownTerminal(cmd *cobra.Command) (in, out *os.File, err error) {
	out = terminal.Of(cmd.OutOrStdout())
	in, ok := cmd.InOrStdin().(*os.File)
	if out == nil || !ok || !terminal.Is(in) {
		return nil, nil, errors.New("top needs a terminal as its input and its output; `watchdogd ps` prints a list, with --json for a program")
	}
	if os.Getenv("TERM") == "dumb" {
		return nil, nil, errors.New("top cannot draw on a terminal whose TERM is dumb; `watchdogd ps` prints a list")
	}
	return in, out, nil
}
