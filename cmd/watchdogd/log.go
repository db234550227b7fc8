package main

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// newLogger writes to out in the format of cfg: auto is text where terminal is one,
// and JSON otherwise.
func newLogger(out io.Writer, cfg schema.Log, level *slog.LevelVar, terminal *os.File) *slog.Logger {
	level.Set(levelOf(cfg))
	if cfg.Format == "text" || cfg.Format == "auto" && isTerminal(terminal) {
		return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level, ReplaceAttr: shortTime}))
	}
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}))
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
