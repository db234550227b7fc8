package main

import (
	"log/slog"
	"os"
	"time"

	"github.com/watchdogd/watchdogd/internal/telemetry"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
)

// logbook is where the daemon's log goes, and in which format: that of the first
// configuration, until the daemon ends.
type logbook struct {
	*slog.Logger
	out    *telemetry.Writer
	level  *slog.LevelVar
	format string // text or json
}

// newLogbook begins a log to out in the format of cfg: auto is text where terminal is
// one, and JSON otherwise.
func newLogbook(out *telemetry.Writer, cfg schema.Log, terminal *os.File) *logbook {
	b := &logbook{out: out, level: new(slog.LevelVar), format: cfg.Format}
	b.level.Set(levelOf(cfg))
	if b.format == "auto" {
		b.format = "json"
		if isTerminal(terminal) {
			b.format = "text"
		}
	}
	var handler slog.Handler
	if b.format == "text" {
		handler = slog.NewTextHandler(out, &slog.HandlerOptions{Level: b.level, ReplaceAttr: shortTime})
	} else {
		handler = slog.NewJSONHandler(out, &slog.HandlerOptions{Level: b.level})
	}
	b.Logger = slog.New(handler)
	return b
}

// access gives what writes the line of each call under cfg; nil writes none.
func (b *logbook) access(cfg schema.Log) func(routes.Line) {
	switch {
	case !cfg.Access || levelOf(cfg) > slog.LevelInfo:
		return nil
	case b.format == "json":
		return routes.JSONLines(b.out)
	}
	return routes.LogLines(b.Logger)
}

// levelOf is the level that the file's word stands for; schema has checked the word.
func levelOf(cfg schema.Log) slog.Level {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level)) // one of debug, info, warn, error
	return level
}

// shortTime makes the time of a line what a person reads on a terminal.
func shortTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.String(slog.TimeKey, a.Value.Time().Format(time.TimeOnly+".000"))
	}
	return a
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}
