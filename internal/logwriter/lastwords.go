package logwriter

import (
	"context"
	"log/slog"
)

// LastWords is deferred at the root of a goroutine. A panic there ends the program, and no
// goroutine has a say after it: so what log has gathered is written before, if its handler
// is one of FlushedBy. The panic goes on.
//
//	go func() {
//		defer logwriter.LastWords(log)
//		...
//	}()
func LastWords(log *slog.Logger) {
	p := recover()
	if p == nil {
		return
	}
	if h, ok := log.Handler().(flushed); ok {
		h.flush()
	}
	panic(p)
}

// FlushedBy gives h as a handler, and those made from it, by which LastWords finds flush.
func FlushedBy(h slog.Handler, flush func()) slog.Handler { return flushed{h, flush} }

type flushed struct {
	handler slog.Handler
	flush   func()
}

func (f flushed) Enabled(ctx context.Context, l slog.Level) bool { return f.handler.Enabled(ctx, l) }

func (f flushed) Handle(ctx context.Context, r slog.Record) error { return f.handler.Handle(ctx, r) }

func (f flushed) WithAttrs(attrs []slog.Attr) slog.Handler {
	return flushed{f.handler.WithAttrs(attrs), f.flush}
}

func (f flushed) WithGroup(name string) slog.Handler {
	return flushed{f.handler.WithGroup(name), f.flush}
}
