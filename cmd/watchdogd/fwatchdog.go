package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/watchdogd/watchdogd/schema/openfaas"
)

// fwatchdogName is the name that the program has in an image of OpenFaaS.
const fwatchdogName = "fwatchdog"

// isFwatchdog reports whether the program was started by that name.
func isFwatchdog(argv0 string) bool { return filepath.Base(argv0) == fwatchdogName }

// fwatchdog is the program under that name: it reads the environment as its
// configuration, has the flags of of-watchdog, and ignores other arguments. program is
// the name that it was started by, which may be another if args are one of those flags.
func fwatchdog(program string, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("fwatchdog", flag.ContinueOnError)
	flags.SetOutput(stderr)
	version := flags.Bool("version", false, "print the version and exit")
	healthcheck := flags.Bool("run-healthcheck", false, "exit with 0 if the lock file is there (or, with suppress_lock, if the server is well), else with 1")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return exitStatus{statusUsage, nil} // Parse has said why
	case *version:
		log.New(stderr, "", log.LstdFlags).Print(versionLine())
		return nil
	case *healthcheck:
		return lockCheck(program, stderr)
	}
	return serve(context.Background(), &source{env: true, program: program})
}

// fwatchdogFlag reports whether words for watchdogd are one of of-watchdog's flags,
// which the HEALTHCHECK of an image has.
func fwatchdogFlag(args []string) bool {
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
		_, err := ask(ctx, c.Server.Listen[0], false, "/_/health")
		return failed(err)
	}
	if _, err := os.Stat(openfaas.LockFile(os.LookupEnv)); err != nil {
		fmt.Fprintln(stderr, "unable to find lock file.")
		return exitStatus{statusFailed, nil}
	}
	return nil
}

// versionLine is the version in the words of of-watchdog.
func versionLine() string {
	sha := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				sha = s.Value
			}
		}
	}
	return fmt.Sprintf("Version: %s\tSHA: %s", versionText(), sha)
}
