package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/plan"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

// reloadRequest asks the reload actor for one reload, or for what one would do.
type reloadRequest struct {
	dry   bool
	reply chan<- reloadReply // buffered by one; nil without a waiter
}

// reloadReply is what came of a reload.
type reloadReply struct {
	admin.Reloaded
	err error
}

// askReload asks for a reload without waiting for it; two that are asked for at
// once are one.
func (d *daemon) askReload() {
	select {
	case d.reloads <- reloadRequest{}:
	default: // one is waiting already, and will read the file as it is by then
	}
}

// reload reads the configuration again and waits until it runs, or fails.
func (d *daemon) reload(ctx context.Context, dry bool) (admin.Reloaded, error) {
	reply := make(chan reloadReply, 1)
	select {
	case d.reloads <- reloadRequest{dry, reply}:
	case <-ctx.Done():
		return admin.Reloaded{}, ctx.Err()
	}
	select {
	case r := <-reply:
		return r.Reloaded, r.err
	case <-ctx.Done():
		return admin.Reloaded{}, ctx.Err()
	}
}

// runReloads does the reloads, one after another, until ctx ends. The tables that they
// replace drain until ending.
func (d *daemon) runReloads(ctx, ending context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case request := <-d.reloads:
			reply := d.reloadOnce(ending, request.dry)
			if request.reply != nil {
				request.reply <- reply
			}
		}
	}
}

func (d *daemon) reloadOnce(ending context.Context, dry bool) reloadReply {
	was := d.current.config()
	if was.File == "" {
		d.log.Warn("reload refused", "why", errEnvironment.Error())
		return reloadReply{err: errEnvironment}
	}
	if !dry {
		defer d.manager.Reloading()()
	}
	cfg, _, err := d.source.Load()
	if err == nil {
		var changes []supervisor.Change
		changes, err = d.supervisor.Plan(specs(cfg))
		changes = plan.Changes(was, cfg, changes)
		notes := plan.NeedRestart(was, cfg)
		switch {
		case err == nil && dry:
			err = d.couldApply(cfg)
		case err == nil:
			err = d.apply(ending, cfg, d.front.Prepare)
		}
		if err == nil && !dry {
			d.metrics.Reloaded(true)
			d.log.Info("reloaded", "file", cfg.File, "routes", len(cfg.Routes), "services", len(cfg.Services))
			for _, note := range notes {
				d.log.Warn("not all changes applied", "why", note)
			}
		}
		if err == nil {
			return reloadReply{Reloaded: admin.Reloaded{Changes: changes, Notes: notes}}
		}
	}
	if !dry {
		d.metrics.Reloaded(false)
		d.log.Error("reload failed; keeping the current configuration", "error", err.Error())
	}
	return reloadReply{err: err}
}

// couldApply returns what a reload with cfg would refuse: a program, a certificate or a folder
// that is missing, or a malformed file. Nothing changes.
func (d *daemon) couldApply(cfg *schema.Config) error {
	_, _, closers, err := d.prepare(cfg)
	closeAll(closers)
	_, swarm := d.functions.Prepare(cfg)
	return errors.Join(err, swarm, d.front.Check())
}

var errEnvironment = errors.New("cannot reload: the configuration comes from environment variables; restart watchdogd instead")

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
