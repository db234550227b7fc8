package routes

import (
	"log/slog"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// log writes the call's line. The path is as it was sent, without the query, in which
// secrets travel.
func (c *call) log(method, path string, status int, bytes int64, took time.Duration, instance string, failed *failure.Error, cut bool) {
	log := c.table.opt.Log
	if !c.table.opt.Access || !log.Enabled(c.ctx, slog.LevelInfo) {
		return
	}
	var line [13]slog.Attr
	attrs := append(line[:0],
		slog.String("method", method),
		slog.String("path", path),
		slog.String("route", c.route.name),
		slog.Int("status", status),
		slog.Int64("bytes", bytes),
		slog.Duration("duration", took),
		slog.Duration("queue", c.queue),
		slog.String("instance", instance),
		slog.String("id", c.id))
	if failed != nil {
		if failed.Timeout != "" {
			attrs = append(attrs, slog.String("timeout", failed.Timeout))
		}
		attrs = append(attrs, slog.String("error", failed.Error()))
	}
	if cut {
		attrs = append(attrs, slog.Bool("cut", true))
	}
	log.LogAttrs(c.ctx, slog.LevelInfo, "request", attrs...)
}
