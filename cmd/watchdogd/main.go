// Watchdogd serves programs over HTTP: one YAML file of routes, each answered by a
// supervised server or worker, by a process started per request, or from a folder.
//
// How the program runs: internal/source finds the configuration, serve.go is the daemon from
// its first line to its last, apply.go makes a configuration into processes, handlers and a
// table, reload.go does that again, and every other file is one command. What is not a command
// is in a package beneath internal.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/fwatchdog"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/option"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

func main() {
	if child.Shim() { // this process is a child on its way to its program
		return
	}
	os.Exit(execute(os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// execute is the whole program but for the end of the process. args begin with the
// name that the program was started by.
func execute(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	stdout, stderr = terminal.Writer(stdout), terminal.Writer(stderr)
	defer terminal.Flush(stderr)
	defer terminal.Flush(stdout)
	var err error
	switch {
	case fwatchdog.Is(args[0]) || fwatchdog.IsFlag(args[1:]):
		err = fwatchdog.Run(filepath.Base(args[0]), args[1:], stderr, func(from *source.Source) error { return serve(context.Background(), from) })
	case len(args) == 1: // the start of a container need not wait for the tree of commands
		err = serve(context.Background(), new(source.Source))
	default:
		root := commands()
		root.SetArgs(args[1:])
		root.SetIn(stdin)
		root.SetOut(stdout)
		root.SetErr(stderr)
		var cmd *cobra.Command
		if cmd, err = root.ExecuteC(); err != nil {
			if _, ours := errors.AsType[exit.Error](err); !ours {
				err = exit.Misuse(misused(cmd, err))
			}
		}
	}
	if status, ok := errors.AsType[exit.Error](err); ok {
		if status.Err != nil {
			fmt.Fprintf(stderr, "watchdogd: %v\n", status.Err)
		}
		return status.Status
	}
	if err != nil {
		fmt.Fprintf(stderr, "watchdogd: %v\n", err)
		return exit.Failed
	}
	return exit.OK
}

// misused adds to an error of cobra (an unknown command or flag, a missing argument) what is
// right, in the same line.
func misused(cmd *cobra.Command, err error) error {
	if flag, unknown := strings.CutPrefix(err.Error(), "unknown flag: --"); unknown {
		var flags []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f.Name) })
		cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f.Name) })
		if near := phrase.Nearest(flag, flags); near != "" {
			err = fmt.Errorf("%w; did you mean --%s?", err, near)
		}
	}
	if _, both, exclusive := strings.Cut(err.Error(), "none of the others can be; ["); exclusive {
		both, _, _ = strings.Cut(both, "]")
		err = fmt.Errorf("--%s exclude each other: leave out all but one", strings.Join(strings.Fields(both), " and --"))
	}
	if word, wrong := strings.CutPrefix(err.Error(), "invalid argument "); wrong && len(cmd.ValidArgs) > 0 {
		if word, err := strconv.Unquote(strings.TrimSuffix(word, fmt.Sprintf(" for %q", cmd.CommandPath()))); err == nil {
			return fmt.Errorf("%s %s: it must be %s%s", cmd.Name(), word, phrase.Either(cmd.ValidArgs), meant(word, cmd.ValidArgs))
		}
	}
	if !cmd.HasParent() {
		return fmt.Errorf("%w (\"watchdogd help\" lists the commands)", err)
	}
	switch text := err.Error(); {
	case strings.HasPrefix(text, "unknown command "): // where no arguments are taken
		extra, _, _ := strings.Cut(strings.TrimPrefix(text, "unknown command "), " for ")
		err = fmt.Errorf("%s takes no argument %s", cmd.Name(), extra)
	case strings.HasPrefix(text, "requires at least"), strings.HasPrefix(text, "accepts ") && strings.HasSuffix(text, "received 0"):
		err = fmt.Errorf("%s needs an argument", cmd.Name())
	case strings.HasPrefix(text, "accepts "):
		err = fmt.Errorf("%s takes fewer arguments", cmd.Name())
	}
	return fmt.Errorf("%w (usage: %s)", err, cmd.UseLine())
}

// noSuchCommand refuses an unknown command, and suggests a known one.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			names = append(names, c.Name())
		}
	}
	return fmt.Errorf("unknown command %q%s", args[0], meant(args[0], names))
}

// meant suggests the word of words that word was probably meant to be.
func meant(word string, words []string) string {
	if near := phrase.Nearest(word, words); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// completesNames has the shell complete the names of the routes and services of the file, or only
// those of its routes.
func completesNames(from *source.Source, onlyRoutes bool, cmd *cobra.Command) *cobra.Command {
	cmd.ValidArgsFunction = func(_ *cobra.Command, before []string, _ string) ([]string, cobra.ShellCompDirective) {
		cfg, _, err := from.Load()
		if err != nil || onlyRoutes && len(before) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for i := range cfg.Routes {
			names = append(names, cfg.Routes[i].Name)
		}
		for i := range cfg.Services {
			if !onlyRoutes {
				names = append(names, cfg.Services[i].Name)
			}
		}
		return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(before, name) }), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// commands is the command table. With no subcommand watchdogd runs.
func commands() *cobra.Command {
	var from source.Source
	root := runCommand(&from)
	root.Args = noSuchCommand
	root.SetHelpCommand(helpCommand())
	root.AddCommand(
		tryCommand(&from),
		initCommand(),
		doctorCommand(&from),
		validateCommand(&from),
		interruptible(remote(&from, completesNames(&from, false, psCommand(&from)))),
		remote(&from, topCommand(&from)),
		interruptible(remote(&from, completesNames(&from, false, whyCommand(&from)))),
		interruptible(remote(&from, completesNames(&from, false, logsCommand(&from)))),
		remote(&from, uiCommand(&from)),
		interruptible(remote(&from, completesNames(&from, false, startCommand(&from)))),
		interruptible(remote(&from, completesNames(&from, false, stopCommand(&from)))),
		interruptible(remote(&from, completesNames(&from, false, restartCommand(&from)))),
		interruptible(remote(&from, scaleCommand(&from))),
		interruptible(remote(&from, reloadCommand(&from))),
		interruptible(remote(&from, downCommand(&from))),
		remote(&from, completesNames(&from, true, callCommand(&from))),
		testCommand(&from),
		interruptible(healthcheckCommand(&from)),
		importCommand(),
		migrateCommand(),
		schemaCommand(),
		exportCommand(&from),
		envCommand(),
		versionCommand(),
	)
	root.AddCommand(manual...)
	root.PersistentFlags().StringVarP(&from.File, "config", "c", "", "the configuration `file` (default $WATCHDOG_CONFIG, otherwise ./watchdog.yaml, otherwise the environment of an OpenFaaS image)")
	root.PersistentFlags().BoolVar(&from.Env, "env", false, "read the configuration from the environment and ignore any file")
	root.MarkFlagsMutuallyExclusive("config", "env")
	for _, c := range root.Commands() {
		if c.Flags().Lookup("admin") != nil {
			c.MarkFlagsMutuallyExclusive("admin", "config", "env")
		}
	}
	addCompletion(root)
	return root
}

// remote lets a command speak to a watchdogd that is not found by a configuration.
func remote(from *source.Source, cmd *cobra.Command) *cobra.Command {
	cmd.Flags().Var(option.Address(&from.Admin), "admin", "the `address` of the admin API, HOST:PORT or unix:/PATH, in place of the configuration's; $"+admin.TokenVariable+" is its token")
	return cmd
}

// interruptible ends a command at Ctrl-C with a sentence: the default of the signal says
// nothing.
func interruptible(cmd *cobra.Command) *cobra.Command {
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt)
		defer stop()
		cmd.SetContext(ctx)
		err := run(cmd, args)
		if ctx.Err() == nil {
			return err
		}
		return exit.Error{Status: interrupted, Err: fmt.Errorf("%s was interrupted; what the running watchdogd has begun goes on", cmd.Name())}
	}
	return cmd
}
