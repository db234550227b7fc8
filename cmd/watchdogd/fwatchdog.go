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

	"github.com/watchdogd/watchdogd/schema"
)

// isFwatchdog reports whether the program was started by the name that it has in an
// image of OpenFaaS.
func isFwatchdog(argv0 string) bool { return filepath.Base(argv0) == "fwatchdog" }

// fwatchdog is the program under that name: the environment is its configuration, its
// flags are those of of-watchdog, and words after them mean nothing.
func fwatchdog(args []string, stderr io.Writer) error {
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
		return lockCheck(stderr)
	}
	return serve(context.Background(), &source{env: true})
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
func lockCheck(stderr io.Writer) error {
	if c, _, err := schema.FromEnv(os.Environ()); err == nil && c.Health.LockFile == "" {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		_, err := ask(ctx, c.Server.Listen[0], false, "/_/health")
		return failed(err)
	}
	if _, err := os.Stat(schema.LockFile(os.LookupEnv)); err != nil {
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
