package main

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
)

// replaced are the routes of was that start a process for each request and that is either
// does not have any more or runs otherwise: their calls may go on for stop.drain, as those
// of a long-lived process that is stopped or replaced, which the supervisor ends.
func replaced(was, is *schema.Config) (all []*schema.Route) {
	now := routesOf(is)
	for name, old := range routesOf(was) {
		r := now[name]
		if old.Forks() && (r == nil || r.Mode != old.Mode || !reflect.DeepEqual(old.Process, r.Process)) {
			all = append(all, old)
		}
	}
	return all
}

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
