package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/option"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/private"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/started"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/trial"
	"github.com/watchdogd/watchdogd/schema"
)

func runCommand(from *source.Source) *cobra.Command {
	r := &runFlags{from: from, wait: time.Minute}
	cmd := &cobra.Command{
		Use:   "watchdogd",
		Short: "Serve programs over HTTP and supervise them",
		Long: `Watchdogd reads a YAML file of routes, starts and supervises their programs, and forwards
HTTP requests to them by path prefix. With no subcommand it runs, like "run". Without a
file it reads the environment variables of an OpenFaaS image (fprocess, mode, ...); under
the name fwatchdog it reads nothing else.

The first TERM, INT or QUIT drains: requests in flight are answered, then the processes are
stopped. The second cuts off what is left. HUP reads the file again. Closing the terminal
drains, too, unless watchdogd was started with nohup. ABRT ends the program with a stack dump.`,
		Example: `  watchdogd                          serve ./watchdog.yaml
  watchdogd -c shop.yaml             serve another file
  watchdogd run -- npm run dev       serve a command without a file
  watchdogd validate                 list every mistake in the file`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	also := &cobra.Command{
		Use:   "run [-- COMMAND [ARGUMENT...]]",
		Short: "Serve the file until stopped (the default), or a command",
		Long: `Run serves the file until it is stopped. With -- and a command it reads no file: it serves
that server on /, at :8080 or at :$PORT. The server gets a port of its own in $PORT; one that
listens on another port is found there.

With --detach it returns when everything is ready, and watchdogd goes on in the background:
logs, ps, down and the other commands find it from the same folder. If something does not
become ready, the exit status is 1 and the message says what and why.`,
		Example: `  watchdogd run --only api,redis     only these, and what they depend on
  watchdogd run -- npm run dev       one server, on http://localhost:8080/
  watchdogd run -d && watchdogd logs -f`,
		Args: func(c *cobra.Command, args []string) error {
			if c.ArgsLenAtDash() == 0 && (len(args) == 0 || strings.TrimSpace(args[0]) == "") {
				return errors.New("run: write a command after --, as in watchdogd run -- npm run dev")
			}
			if len(args) > 0 && c.ArgsLenAtDash() != 0 {
				return fmt.Errorf("run: unknown argument %q; to serve a command, write watchdogd run -- %s", args[0], args[0])
			}
			return nil
		},
	}
	for _, c := range []*cobra.Command{cmd, also} {
		c.Flags().StringSliceVar(&from.Only, "only", nil, "serve only the routes and services with these `NAMES`, and what they depend on")
		c.Flags().BoolVarP(&r.detach, "detach", "d", false, "return when everything is ready, and go on in the background")
		c.Flags().StringVar(&r.log, "log", "", "with --detach, append the log to this `file` (default: only what logs shows is kept)")
		c.Flags().Var(option.Duration(&r.wait), "wait", "with --detach, how long to wait until everything is ready")
		c.RunE = r.run
	}
	also.Flags().StringVar(&r.private, private.Flag, "", "")
	_ = also.Flags().MarkHidden(private.Flag) // it exists
	cmd.AddCommand(also)
	return cmd
}

// runFlags are the flags of the command.
type runFlags struct {
	from    *source.Source
	detach  bool
	log     string
	wait    time.Duration
	private string
}

func (r *runFlags) run(c *cobra.Command, args []string) error {
	switch {
	case len(args) > 0 && (r.from.File != "" || r.from.Env):
		return exit.Misuse(errors.New("run: a command after -- is served without a file; leave out -c and --env"))
	case (r.log != "" || c.Flags().Changed("wait")) && !r.detach:
		return exit.Misuse(errors.New("run: --log and --wait are for --detach"))
	case len(args) > 0:
		if err := r.serveCommand(args); err != nil {
			return err
		}
	}
	if r.private != "" {
		r.from.Change = func(cfg *schema.Config) { private.Change(cfg, r.private) }
		defer os.Remove(r.private) // whoever made it may be gone
		return serve(private.UntilEOF(context.Background(), c.InOrStdin()), r.from)
	}
	if !r.detach {
		return serve(c.Context(), r.from)
	}
	parent, err := started.ParentOf(r.log, r.wait)
	if err != nil {
		return exit.Fail(err)
	}
	if parent == nil { // this is the parent
		return started.Detach(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
	}
	return serveWith(c.Context(), r.from, greeting{parent: parent})
}

// serveCommand has the configuration be the file that serves a command on /.
func (r *runFlags) serveCommand(args []string) error {
	file, err := filepath.Abs(source.DefaultFile)
	if err != nil {
		return exit.Fail(fmt.Errorf("run: %w", err))
	}
	route := trial.Command(args)
	route.Mode, route.Why = schema.HTTP, ""
	text := &draft.File{}
	route.Write(text)
	r.from.File, r.from.Draft, r.from.AnyPort = file, text.Bytes(), true
	if cfg, _, err := r.from.Load(); err == nil { // else serving says what is wrong
		r.from.Change = aside(cfg)
	}
	return nil
}
