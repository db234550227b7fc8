package main

import (
	"context"
	"errors"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

// reloadRequest asks the reload actor for one reload, or for what one would do.
type reloadRequest struct {
	dry   bool
	reply chan<- reloadReply // buffered by one; nil without a waiter
}

// reloadReply is what a reload did, or would do.
type reloadReply struct {
	Changes []supervisor.Change `json:"changes"`
	Notes   []string            `json:"notes,omitempty"` // what takes a restart of watchdogd
	err     error
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
func (d *daemon) reload(ctx context.Context, dry bool) (reloadReply, error) {
	reply := make(chan reloadReply, 1)
	select {
	case d.reloads <- reloadRequest{dry, reply}:
	case <-ctx.Done():
		return reloadReply{}, ctx.Err()
	}
	select {
	case r := <-reply:
		return r, r.err
	case <-ctx.Done():
		return reloadReply{}, ctx.Err()
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
	cfg, _, err := d.source.load()
	if err == nil {
		var changes []supervisor.Change
		changes, err = d.plan(was, cfg)
		notes := needRestart(was, cfg)
		if err == nil && !dry {
			err = d.apply(ending, cfg, d.front.prepare)
		}
		if err == nil && !dry {
			d.metrics.Reloaded(true)
			d.log.Info("reloaded", "file", cfg.File, "routes", len(cfg.Routes), "services", len(cfg.Services))
			for _, note := range notes {
				d.log.Warn("not all changes applied", "why", note)
			}
		}
		if err == nil {
			return reloadReply{Changes: changes, Notes: notes}
		}
	}
	if !dry {
		d.metrics.Reloaded(false)
		d.log.Error("reload failed; keeping the current configuration", "error", err.Error())
	}
	return reloadReply{err: err}
}

var errEnvironment = errors.New("cannot reload: the configuration comes from environment variables; restart watchdogd instead")

// needRestart says what of a new configuration only a restart of watchdogd can bring.
func needRestart(was, is *schema.Config) []string {
	var notes []string
	note := func(changed bool, key string) {
		if changed {
			notes = append(notes, key+" changed; restart watchdogd to apply it")
		}
	}
	note(was.Server.TLS != is.Server.TLS, "server.tls (other files; the same files are read again)")
	note(was.Server.Timeouts != is.Server.Timeouts, "server.timeouts")
	note(was.Server.MaxHeader != is.Server.MaxHeader, "server.max_header")
	note(was.Metrics != is.Metrics, "metrics")
	note(was.Admin != is.Admin, "admin")
	note(was.Health.LockFile != is.Health.LockFile || was.Health.Live != is.Health.Live, "health.lock_file or health.live")
	before, after := was.Log, is.Log
	before.Level, before.Access, before.CallID = after.Level, after.Access, after.CallID
	note(before != after, "log (other than level, access and call_id)")
	return notes
}
