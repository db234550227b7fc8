package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/watchdogd/watchdogd/schema"
)

// The words in which the OpenFaaS watchdogs tell of their start and their end. People
// look for them in the log of an image, and programs too.

// sayEnvironment tells that the environment is the configuration, for which of the
// two programs it was written, and what in it does not do what somebody may expect.
func sayEnvironment(log *slog.Logger, notes schema.Notes) {
	log.Info(fmt.Sprintf("The environment is the configuration, in the dialect of %s: %s.", notes.Dialect, notes.Why))
	for _, note := range notes.Notes {
		log.Warn(note.String())
	}
}

// sayStart tells what is about to be served, under "format: classic".
func sayStart(log *slog.Logger, cfg *schema.Config) {
	log.Info(versionLine())
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		if r.Mode == schema.Static {
			log.Info("Serving files at: " + r.Root)
		}
		var words []string
		for _, w := range r.FProcess.Words {
			words = append(words, w.Expand(schema.Vars{}))
		}
		log.Info(fmt.Sprintf("Watchdog mode: %s\tfprocess: %q", r.Mode, strings.Join(words, " ")+string(r.FProcess.Line)))
		t := cfg.Server.Timeouts
		log.Info(fmt.Sprintf("Timeouts: read: %s write: %s hard: %s health: %s", t.Read.D(), t.Write.D(), r.Timeouts.Exec.D(), cfg.Server.Drain.Delay.D()))
		if r.Auth.OpenFaaS != nil {
			log.Info("JWT Auth: true")
		}
	}
}

// classicWords are what our own lines are there, by our message.
var classicWords = map[string]func(facts map[string]slog.Value) string{
	"listening": func(f map[string]slog.Value) string { return "Listening on port: " + portOf(f["address"].String()) },
	"metrics listening": func(f map[string]slog.Value) string {
		return "Metrics listening on port: " + portOf(f["address"].String())
	},
	"lock file written": func(f map[string]slog.Value) string { return "Writing lock-file to: " + f["file"].String() },
	"asked to stop": func(f map[string]slog.Value) string {
		return fmt.Sprintf("%s: no new connections in %s", f["signal"], f["delay"])
	},
	"lock file removed": func(f map[string]slog.Value) string { return "Removing lock-file : " + f["file"].String() },
	"draining": func(f map[string]slog.Value) string {
		return fmt.Sprintf("No new connections allowed, draining: %s requests", f["calls"])
	},
	"stopped": func(f map[string]slog.Value) string { return fmt.Sprintf("Exiting. Active connections: %s", f["cut"]) },
}

// classicHandler writes our lines in those words.
type classicHandler struct{ slog.Handler }

func (h classicHandler) Handle(ctx context.Context, r slog.Record) error {
	if say := classicWords[r.Message]; say != nil {
		facts := map[string]slog.Value{}
		r.Attrs(func(a slog.Attr) bool {
			facts[a.Key] = a.Value
			return true
		})
		r = slog.NewRecord(r.Time, r.Level, say(facts), r.PC)
	}
	return h.Handler.Handle(ctx, r)
}

// portOf is the port of an address, or the address where it has none.
func portOf(address string) string {
	if _, port, err := net.SplitHostPort(address); err == nil {
		return port
	}
	return address
}

// ofPort says of an error of the listener which variable it comes from, where the
// environment is the configuration.
func ofPort(cfg *schema.Config, err error) error {
	if cfg.File != "" {
		return err
	}
	return fmt.Errorf("port=%s: %w", portOf(cfg.Server.Listen[0]), err)
}
