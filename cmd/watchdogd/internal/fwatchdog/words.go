package fwatchdog

import (
	"fmt"
	"log/slog"
	"net"
	"strings"

	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/schema/openfaas"
	"github.com/watchdogd/watchdogd/supervisor"
)

// The words with which the OpenFaaS watchdogs log their start and their end. People
// and programs search for them in the log of an image.

// SayEnvironment logs that the configuration is the environment, which of the two
// watchdogs it is read for and why, and each variable that may not do what is expected.
func SayEnvironment(log *slog.Logger, notes openfaas.Notes) {
	log.Info(fmt.Sprintf("Configured by the environment, as %s: %s.", notes.Dialect, notes.Why))
	for _, note := range notes.Notes {
		log.Warn(note.String())
	}
}

// SayStart logs what is about to be served, under "format: classic".
func SayStart(log *slog.Logger, cfg *schema.Config) {
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
		if r.Mode == schema.HTTP && len(words) > 0 {
			log.Info(fmt.Sprintf("Forking: %s, arguments: %s", words[0], words[1:]))
		}
		mode := string(r.Mode)
		if cfg.Compat.ClassicLines {
			mode = "classic"
		}
		log.Info(fmt.Sprintf("Watchdog mode: %s\tfprocess: %q", mode, strings.Join(words, " ")+string(r.FProcess.Line)))
		t := cfg.Server.Timeouts
		log.Info(fmt.Sprintf("Timeouts: read: %s write: %s hard: %s health: %s", t.Read.D(), t.Write.D(), r.Timeouts.Exec.D(), cfg.Server.Drain.Delay.D()))
		if r.Auth.OpenFaaS != nil {
			log.Info("JWT Auth: true")
		}
	}
}

// classicWords writes our own messages in the words of the OpenFaaS watchdogs. An empty
// text is not logged.
var classicWords = map[string]func(facts) string{
	event.Listening:        func(f facts) string { return "Listening on port: " + portOf(f.text("address")) },
	event.MetricsListening: func(f facts) string { return "Metrics listening on port: " + portOf(f.text("address")) },
	event.AdminListening:   func(facts) string { return "" },
	event.NoLock: func(facts) string {
		return `Warning: "suppress_lock" is enabled, so no lock file is written; the health checks do not need it.`
	},
	event.LockWritten: func(f facts) string { return "Writing lock-file to: " + f.text("file") },
	event.AskedToStop: func(f facts) string {
		return fmt.Sprintf("%s: no new connections in %s", f.text("signal"), f.text("delay"))
	},
	event.LockRemoved: func(f facts) string { return "Removing lock-file : " + f.text("file") },
	event.Draining: func(f facts) string {
		return fmt.Sprintf("No new connections allowed, draining: %s requests", f.text("calls"))
	},
	event.Stopped: func(f facts) string { return "Exiting. Active connections: " + f.text("cut") },

	event.UpstreamFailed: func(f facts) string {
		if f.text("cut") == "true" {
			return "Error copying response body: " + visible(f.text("error"))
		}
		return "Upstream HTTP request error: " + visible(f.text("error"))
	},

	event.NotStarted:    bareReason,
	event.Failed:        bareReason,
	event.OutputRefused: bareReason,
	event.CallFailed:    bareReason,
	event.WorkerRefused: bareReason,
	event.NoRoom:        bareReason,
	event.Process: func(f facts) string {
		switch f.text("state") {
		case string(supervisor.Backoff), string(supervisor.CrashLoop), string(supervisor.Exited):
		case string(supervisor.Unready):
			return "Function is not ready: " + visible(f.text("why"))
		default:
			return ""
		}
		text := "Forked function has terminated: " + visible(f.text("why"))
		if f.text("state") == string(supervisor.Backoff) {
			text += ", started again in " + f.text("pause")
		}
		return text
	},
}

// portOf is the port of an address, or the address where it has none.
func portOf(address string) string {
	if _, port, err := net.SplitHostPort(address); err == nil {
		return port
	}
	return address
}

// OfPort says of an error of the listener which variable it comes from, where the
// environment is the configuration.
func OfPort(cfg *schema.Config, err error) error {
	if cfg.File != "" {
		return err
	}
	return fmt.Errorf("port=%s: %w", portOf(cfg.Server.Listen[0]), err)
}
