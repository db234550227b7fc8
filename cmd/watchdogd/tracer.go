package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/version"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/trace"
	"github.com/watchdogd/watchdogd/schema"
)

// tracer returns what exports the spans of calls, as the environment says; nil is nothing. A
// variable that cannot be used costs the spans and not the service.
func tracer(cfg *schema.Config, log *slog.Logger) *trace.Tracer {
	t, err := trace.FromEnv(os.Getenv, trace.Resource{Service: cfg.Name, Version: version.Text()}, log)
	switch {
	case err != nil:
		log.Warn("no spans are exported", "error", err.Error())
	case t != nil:
		log.Info("exporting spans", "endpoint", t.Endpoint())
	}
	return t
}

// writeDropped writes the metric of a tracer.
func writeDropped(w io.Writer, t *trace.Tracer) {
	const name = "watchdogd_spans_dropped_total"
	metrics.Family(w, name, "counter", "spans that were lost because the collector of traces was away or too slow")
	_, _ = fmt.Fprintf(w, "%s %d\n", name, t.Dropped()) // the reader of the metrics has left
}
