package logwriter

import (
	"log/slog"
	"testing"
)

func TestLastWordsFlushesOnAPanicAlone(t *testing.T) {
	flushed := 0
	log := slog.New(FlushedBy(slog.DiscardHandler, func() { flushed++ })).With("key", "value").WithGroup("group")
	try := func(log *slog.Logger, p any) (got any) {
		defer func() { got = recover() }()
		defer LastWords(log)
		if p != nil {
			panic(p)
		}
		return nil
	}
	for _, c := range []struct {
		log     *slog.Logger
		p       any
		flushed int
	}{{log, nil, 0}, {log, "boom", 1}, {slog.New(slog.DiscardHandler), "boom", 0}} {
		flushed = 0
		if got := try(c.log, c.p); got != c.p || flushed != c.flushed {
			t.Errorf("%v: got %v, flushed %d times, want got == c.p && flushed == c.flushed", c.p, got, flushed)
		}
	}
}
