package routes

import (
	"log/slog"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// ending is what the front knows of a call when it is over.
type ending struct {
	method   string
	path     string // as it was sent, without the query, in which secrets travel
	peer     string // the address of the connection's other end; empty on a unix socket
	status   int    // as it was sent; 0 is none
	bytes    int64  // of the response's body
	instance string
	cut      bool // the response did not reach its end
}

// log writes the call's line. Durations are in seconds, and what does not apply is left out.
func (c *call) log(e *ending, took time.Duration, failed *failure.Error) {
	log := c.table.opt.Log
	if !c.table.opt.Access || !log.Enabled(c.ctx, slog.LevelInfo) {
		return
	}
	var line [13]slog.Attr
	attrs := append(line[:0], slog.String("method", e.method), slog.String("path", e.path))
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("route", c.route.name)
	attrs = append(attrs, slog.Int("status", e.status), slog.Int64("bytes", e.bytes), slog.Float64("duration", seconds(took)))
	if c.queue >= noWait {
		attrs = append(attrs, slog.Float64("queue_wait", seconds(c.queue)))
	}
	text("instance", e.instance)
	text("peer", e.peer)
	text("id", c.id)
	if failed != nil {
		text("timeout", failed.Timeout)
		text("error", failed.Error())
	}
	if e.cut {
		attrs = append(attrs, slog.Bool("cut", true))
	}
	record := slog.NewRecord(c.began.Add(took), slog.LevelInfo, "request", 0) // without the caller's place, which is always this
	record.AddAttrs(attrs...)
	_ = log.Handler().Handle(c.ctx, record) // as slog.Logger does: the writer counts what it loses
}

// noWait is less than who waited for something did.
const noWait = 100 * time.Microsecond

// seconds is d as a number that a person can read: to the microsecond.
func seconds(d time.Duration) float64 { return float64(d.Round(time.Microsecond).Microseconds()) / 1e6 }
