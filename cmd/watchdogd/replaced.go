package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
)

// cutReplaced ends the calls that former tables have of routes when their stop.drain has
// passed. It returns when that is done, or ctx ends.
func (d *daemon) cutReplaced(ctx context.Context, former []*routes.Table, all []*schema.Route) {
	var each sync.WaitGroup
	defer each.Wait()
	for _, r := range all {
		each.Go(func() {
			defer logwriter.LastWords(d.log)
			drain := r.Stop.Drain.D()
			if !sleep.For(ctx, drain) {
				return
			}
			why := fmt.Sprintf("stop.drain (%v) has passed since a reload removed or changed the route", drain)
			end := &failure.Error{Kind: failure.Draining, Route: r.Name, RetryAfter: time.Second, Detail: "the request was cut off: " + why}
			var cut []string
			for _, t := range former {
				cut = append(cut, t.CutRoute(r.Name, end)...)
			}
			if len(cut) > 0 {
				d.log.Warn("calls cut", "route", r.Name, "calls", len(cut), "which", strings.Join(cut[:min(len(cut), 3)], ", "), "why", why)
			}
		})
	}
}
