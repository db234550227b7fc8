// Package logbook is the log of the daemon, in the format that the file asks for.
package logbook

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/fwatchdog"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/terminal"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/version"
	"github.com/watchdogd/watchdogd/internal/event"
	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/schema/openfaas"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// Book is where the daemon's log goes, and in which format: that of the first
// configuration, until the daemon ends.
type Book struct {
	*slog.Logger
	out      *logwriter.Writer
	stdout   *logwriter.Writer // nil but in the classic format
	Level    *slog.LevelVar
	Requests Requests // the last ones
	format   string   // text, json, classic or screen
	screen   *screen  // nil but in the format screen
}

// Quiet returns a log of which nothing is written.
func Quiet() *Book { return &Book{Logger: slog.New(slog.DiscardHandler)} }

// New begins a log to stderr in the format of cfg: auto is what a person reads where that is
// a terminal, and JSON otherwise; classic has lines for stdout too.
func New(cfg schema.Log, stdout, stderr *os.File) *Book {
	b := &Book{Level: new(slog.LevelVar), format: cfg.Format}
	b.Level.Set(LevelOf(cfg))
	if b.format == "auto" {
		b.format = "json"
		if terminal.Is(stderr) {
			b.format = "screen"
		}
	}
	var handler slog.Handler
	if b.format == "screen" {
		b.out = logwriter.New(stderr) // its lines hold nothing that a terminal obeys but colours
	} else {
		b.out = logwriter.New(terminal.Writer(stderr))
	}
	switch b.format {
	case "screen":
		b.screen = newScreen(b.out, terminal.ScreenOf(stderr), b.Level)
		handler = b.screen
	case "text":
		handler = slog.NewTextHandler(b.out, &slog.HandlerOptions{Level: b.Level, ReplaceAttr: shortTime})
	case "classic":
		b.stdout = logwriter.New(terminal.Writer(stdout))
		handler = &fwatchdog.Handler{Out: b.out, Level: b.Level}
	default:
		handler = slog.NewJSONHandler(b.out, &slog.HandlerOptions{Level: b.Level})
	}
	b.Logger = slog.New(logwriter.FlushedBy(handler, b.Flush))
	b.out.Lost = b.lost
	if b.stdout != nil {
		b.stdout.Lost = b.lost
	}
	return b
}

// SayStart logs what is about to be served, and where that comes from.
func (b *Book) SayStart(cfg *schema.Config, notes openfaas.Notes) {
	if notes.Dialect != "" {
		fwatchdog.SayEnvironment(b.Logger, notes)
	}
	if cfg.Log.Format == "classic" {
		fwatchdog.SayStart(b.Logger, cfg)
		return
	}
	if b.screen != nil {
		b.screen.columns.Know(names(cfg)...)
	}
	b.Info(event.Starting, "version", version.Text(), "pid", os.Getpid(), "file", cfg.File, "name", cfg.Name)
}

// lost logs that lines are missing.
func (b *Book) lost(lines uint64) {
	b.Warn("log lines dropped: the reader of the log was too slow or had gone away", "lines", lines)
}

// Access returns what writes the line of each call under cfg, and keeps it for
// logs --requests; nil does neither.
func (b *Book) Access(cfg *schema.Config) func(routes.Line) {
	write := b.access(cfg)
	if b.screen != nil {
		b.screen.lines.Store(write != nil)
	}
	if write == nil {
		return nil
	}
	return func(l routes.Line) {
		b.Requests.add(&l)
		write(l)
	}
}

// ReadsHeaders reports whether the lines of the access log are made of the headers, too.
func (b *Book) ReadsHeaders() bool { return b.format == "classic" }

func (b *Book) access(cfg *schema.Config) func(routes.Line) {
	switch {
	case !cfg.Log.Access || LevelOf(cfg.Log) > slog.LevelInfo:
		return nil
	case b.format == "json":
		return routes.JSONLines(b.out)
	case b.format == "classic":
		return b.lines(cfg).Access
	case b.format == "screen":
		return b.screen.request
	}
	return routes.LogLines(b.Logger)
}

// Printing is what happens to the lines that processes print.
func (b *Book) Printing(cfg *schema.Config) child.Printing {
	p := child.Printing{Longest: int(min(cfg.Log.Line, child.MostLine))}
	if cfg.Log.Line == 0 {
		p.Longest = child.MostLine
	}
	if b.format == "classic" {
		p.Write = b.lines(cfg).Printed
	}
	if b.format == "screen" {
		p.Write = b.screen.printed
	}
	return p
}

// Deps are what the modes are given of the log.
func (b *Book) Deps(cfg *schema.Config) modes.Deps {
	d := modes.Deps{Log: b.Logger, Errors: cfg.Server.Errors, Compat: cfg.Compat, Printing: b.Printing(cfg)}
	d.Printing.Whole = b.format == "classic" && cfg.Compat.ClassicLines // as the classic watchdog logs stderr
	if b.format == "classic" && cfg.Compat.ClassicLines && cfg.Log.Access {
		d.Forking = b.lines(cfg).Forking
	}
	if b.format == "classic" && cfg.Log.Output {
		d.Echo = b.stdout
	}
	return d
}

// lines are what writes the classic format's lines of calls and programs.
func (b *Book) lines(cfg *schema.Config) *fwatchdog.Lines {
	return fwatchdog.NewLines(cfg, b.stdout, b.out)
}

// Run writes what is logged until ctx ends.
func (b *Book) Run(ctx context.Context) error {
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

// ForPeople returns what the log is shown on, and false unless that is a terminal where
// people read it and the log has not begun.
func (b *Book) ForPeople() (terminal.Screen, bool) {
	if b.screen == nil || !b.screen.held.holding() {
		return terminal.Plain, false
	}
	return b.screen.on, true
}

// Begin writes text, such as a table of what is served, in front of all that was logged so
// far on a terminal. What is logged before it is held, until Begin or Flush.
func (b *Book) Begin(text []byte) {
	if b.screen != nil {
		b.screen.held.release(text)
	}
}

// Flush writes what is gathered.
func (b *Book) Flush() {
	b.Begin(nil)
	var both sync.WaitGroup // each has the same bound
	if b.stdout != nil {
		both.Go(b.stdout.Flush)
	}
	b.out.Flush()
	both.Wait()
}

// Dropped is how many lines found no room.
func (b *Book) Dropped() uint64 {
	n := b.out.Dropped()
	if b.stdout != nil {
		n += b.stdout.Dropped()
	}
	return n
}

// LevelOf is the level that the file's word stands for; schema has checked the word.
func LevelOf(cfg schema.Log) slog.Level {
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
