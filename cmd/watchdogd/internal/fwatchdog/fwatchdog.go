// Package fwatchdog is watchdogd under the name that it has in an image of OpenFaaS: the flags
// of of-watchdog, and the lines that both OpenFaaS watchdogs log.
package fwatchdog

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/local"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/source"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/version"
	"github.com/watchdogd/watchdogd/schema/openfaas"
)

// name is the name that the program has in an image of OpenFaaS.
const name = "fwatchdog"

// Is reports whether the program was started by that name.
func Is(argv0 string) bool { return filepath.Base(argv0) == name }

// Run is the program under that name: it has serve read the environment as its
// configuration, has the flags of of-watchdog, and ignores other arguments. program is
// the name that it was started by, which may be another if args are one of those flags.
func Run(program string, args []string, stderr io.Writer, serve func(*source.Source) error) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	showVersion := flags.Bool("version", false, "print the version and exit")
	healthcheck := flags.Bool("run-healthcheck", false, "exit with 0 if the lock file is there (or, with suppress_lock, if the server is well), else with 1")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return exit.Misuse(nil) // Parse has said why
	case *showVersion:
		log.New(stderr, "", log.LstdFlags).Print(versionLine())
		return nil
	case *healthcheck:
		return lockCheck(program, stderr)
	}
	return serve(&source.Source{Env: true, Program: program})
}

// IsFlag reports whether words for watchdogd are one of of-watchdog's flags,
// which the HEALTHCHECK of an image has.
func IsFlag(args []string) bool {
	if len(args) != 1 {
		return false
	}
	switch args[0] {
	case "-version", "--version", "-run-healthcheck", "--run-healthcheck":
		return true
	}
	return false
}

// lockCheck looks for the lock file of this environment. It asks for nothing else: a
// HEALTHCHECK need not know what the image serves. Where suppress_lock leaves no file to
// look for, it asks the server instead.
func lockCheck(program string, stderr io.Writer) error {
	if c, _, err := openfaas.FromEnv(os.Environ(), program); err == nil && c.Health.LockFile == "" {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		_, err := local.Get(ctx, c.Server.Listen[0], false, "/_/health")
		return exit.Fail(err)
	}
	if _, err := os.Stat(openfaas.LockFile(os.LookupEnv)); err != nil {
		fmt.Fprintln(stderr, "unable to find lock file.")
		return exit.Silent()
	}
	return nil
}

// versionLine is the version in the words of of-watchdog.
func versionLine() string {
	return fmt.Sprintf("Version: %s\tSHA: %s", version.Text(), version.Revision())
}
