package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/schema/openfaas"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// logbook is where the daemon's log goes, and in which format: that of the first
// configuration, until the daemon ends.
type logbook struct {
	*slog.Logger
	out    *logwriter.Writer
	stdout *logwriter.Writer // nil but in the classic format
	level  *slog.LevelVar
	format string // text, json or classic
}

// newLogbook begins a log to stderr in the format of cfg: auto is text where that is a
// terminal, and JSON otherwise; classic has lines for stdout too.
func newLogbook(cfg schema.Log, stdout, stderr *os.File) *logbook {
	b := &logbook{out: logwriter.New(forTerminal(stderr)), level: new(slog.LevelVar), format: cfg.Format}
	b.level.Set(levelOf(cfg))
	if b.format == "auto" {
		b.format = "json"
		if isTerminal(stderr) {
			b.format = "text"
		}
	}
	var handler slog.Handler
	switch b.format {
	case "text":
		handler = slog.NewTextHandler(b.out, &slog.HandlerOptions{Level: b.level, ReplaceAttr: shortTime})
	case "classic":
		b.stdout = logwriter.New(forTerminal(stdout))
		handler = &classicHandler{out: b.out, level: b.level}
	default:
		handler = slog.NewJSONHandler(b.out, &slog.HandlerOptions{Level: b.level})
	}
	b.Logger = slog.New(logwriter.FlushedBy(handler, b.Flush))
	b.out.Lost = b.lost
	if b.stdout != nil {
		b.stdout.Lost = b.lost
	}
	return b
}

// sayStart logs what is about to be served, and where that comes from.
func (b *logbook) sayStart(cfg *schema.Config, notes openfaas.Notes) {
	if notes.Dialect != "" {
		sayEnvironment(b.Logger, notes)
	}
	if cfg.Log.Format == "classic" {
		sayClassicStart(b.Logger, cfg)
		return
	}
	b.Info("starting", "version", versionText(), "pid", os.Getpid(), "file", cfg.File, "name", cfg.Name)
}

// lost logs that lines are missing.
func (b *logbook) lost(lines uint64) {
	b.Warn("log lines dropped: the reader of the log was too slow or had gone away", "lines", lines)
}

// access returns what writes the line of each call under cfg; nil writes none.
func (b *logbook) access(cfg *schema.Config) func(routes.Line) {
	switch {
	case !cfg.Log.Access || levelOf(cfg.Log) > slog.LevelInfo:
		return nil
	case b.format == "json":
		return routes.JSONLines(b.out)
	case b.format == "classic":
		return b.classicLines(cfg).access
	}
	return routes.LogLines(b.Logger)
}

// printing is what happens to the lines that processes print.
func (b *logbook) printing(cfg *schema.Config) child.Printing {
	p := child.Printing{Longest: int(min(cfg.Log.Line, child.MostLine))}
	if cfg.Log.Line == 0 {
		p.Longest = child.MostLine
	}
	if b.format == "classic" {
		p.Write = b.classicLines(cfg).printed
	}
	return p
}

// deps are what the modes are given of the log.
func (b *logbook) deps(cfg *schema.Config) modes.Deps {
	d := modes.Deps{Log: b.Logger, Errors: cfg.Server.Errors, Compat: cfg.Compat, Printing: b.printing(cfg)}
	d.Printing.Whole = b.format == "classic" && cfg.Compat.ClassicLines // as the classic watchdog logs stderr
	if b.format == "classic" && cfg.Compat.ClassicLines && cfg.Log.Access {
		d.Forking = b.classicLines(cfg).forking
	}
	if b.format == "classic" && cfg.Log.Output {
		d.Echo = b.stdout
	}
	return d
}

// Run writes what is logged until ctx ends.
func (b *logbook) Run(ctx context.Context) error {
	if b.stdout == nil {
		return b.out.Run(ctx)
	}
	var other error
	var running sync.WaitGroup
	running.Go(func() { other = b.stdout.Run(ctx) })
	err := b.out.Run(ctx)
	running.Wait()
	return errors.Join(err, other)
}

// Flush writes what is gathered.
func (b *logbook) Flush() {
	var both sync.WaitGroup // each has the same bound
	if b.stdout != nil {
		both.Go(b.stdout.Flush)
	}
	b.out.Flush()
	both.Wait()
}

// Dropped is how many lines found no room.
func (b *logbook) Dropped() uint64 {
	n := b.out.Dropped()
	if b.stdout != nil {
		n += b.stdout.Dropped()
	}
	return n
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
