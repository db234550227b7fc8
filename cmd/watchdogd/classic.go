package main

import (
	"fmt"
	"log/slog"

	"github.com/watchdogd/watchdogd/schema"
)

// The lines in which the OpenFaaS watchdogs tell of themselves, for those who look for
// them in the log of an image.

// sayEnvironment tells that the environment is the configuration, for which of the
// two programs it was written, and what in it does not do what somebody may expect.
func sayEnvironment(log *slog.Logger, notes schema.Notes) {
	log.Info(fmt.Sprintf("The environment is the configuration, in the dialect of %s: %s.", notes.Dialect, notes.Why))
	for _, note := range notes.Notes {
		log.Warn(note.String())
	}
	log.Info(versionLine())
}
