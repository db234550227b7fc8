// Watchdogd serves programs over HTTP: one YAML file of routes, each answered by a
// supervised server or worker, by a process started per request, or from a folder.
//
// How the program runs: source.go finds the configuration,
// serve.go is the daemon from its first line to its last, apply.go makes a
// configuration into processes, handlers and a table, and every other file is one
// command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/supervisor/child"
)

// The exit statuses, as docs/cli.md lists them.
const (
	statusOK     = 0
	statusFailed = 1 // a configuration, a port, a file
	statusUsage  = 2 // wrong use of the command line
	statusCut    = 3 // calls were cut off at the end of drain.timeout
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
	stdout, stderr = forTerminal(stdout), forTerminal(stderr)
	defer flush(stderr)
	defer flush(stdout)
	var err error
	switch {
	case isFwatchdog(args[0]) || fwatchdogFlag(args[1:]):
		err = fwatchdog(filepath.Base(args[0]), args[1:], stderr)
	case len(args) == 1: // the start of a container need not wait for the tree of commands
		err = serve(context.Background(), new(source))
	default:
		root := commands()
		root.SetArgs(args[1:])
		root.SetIn(stdin)
		root.SetOut(stdout)
		root.SetErr(stderr)
		err = root.Execute()
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		if status.err != nil {
			fmt.Fprintf(stderr, "watchdogd: %v\n", status.err)
		}
		return status.code
	}
	if err != nil { // cobra's own: an unknown command or flag, a missing argument
		fmt.Fprintf(stderr, "watchdogd: %v\nTry \"watchdogd --help\".\n", err)
		return statusUsage
	}
	return statusOK
}

// noSuchCommand refuses an unknown command, and suggests a known one.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		return fmt.Errorf("unknown command %q; did you mean %s?", args[0], strings.Join(meant, " or "))
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// exitStatus is an error that names the status of the process. A nil err has been
// printed already.
type exitStatus struct {
	code int
	err  error
}

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d: %v", e.code, e.err) }
func (e exitStatus) Unwrap() error { return e.err }

// failed makes err the end of the process with status 1.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return exitStatus{statusFailed, err}
}

// commands is the command table. With no subcommand watchdogd runs.
func commands() *cobra.Command {
	var from source
	root := runCommand(&from)
	root.Args = noSuchCommand
	root.SuggestionsMinimumDistance = 2
	root.AddCommand(
		validateCommand(&from),
		psCommand(&from),
		logsCommand(&from),
		startCommand(&from),
		stopCommand(&from),
		restartCommand(&from),
		scaleCommand(&from),
		reloadCommand(&from),
		callCommand(&from),
		healthcheckCommand(&from),
		migrateCommand(),
		envCommand(),
		versionCommand(),
	)
	root.PersistentFlags().StringVarP(&from.file, "config", "c", "", "the configuration `file` (default $WATCHDOG_CONFIG, otherwise ./watchdog.yaml, otherwise the environment of an OpenFaaS image)")
	root.PersistentFlags().BoolVar(&from.env, "env", false, "read the configuration from the environment and ignore any file")
	root.MarkFlagsMutuallyExclusive("config", "env")
	return root
}
