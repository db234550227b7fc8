package main

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/listing"
	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
)

// beside is what is done while the front serves: the lock file is written when all is ready,
// and a person at the terminal is shown what is served.
func (d *daemon) beside(ctx context.Context) {
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() {
		defer logwriter.LastWords(d.log)
		d.greet(ctx)
	})
	d.health.LockWhenReady(ctx)
}

// greetAfter is how long the table waits for the states that programs settle in.
const greetAfter = time.Second

// greet prints the table of what is served, in front of the first lines of the log.
func (d *daemon) greet(ctx context.Context) {
	on, people := d.book.ForPeople()
	if !people {
		return
	}
	rows := d.settled(ctx, greetAfter)
	states := map[string]string{}
	for _, r := range rows {
		states[r.Name] = admin.StateText(r.Status)
	}
	cfg := d.current.config()
	var table bytes.Buffer
	_ = listing.Served(&table, on, cfg, d.front.Addresses(cfg.Server.Listen), func(name string) string { return states[name] }) // memory takes all
	d.book.Begin(append(table.Bytes(), '\n'))
}

// settled waits until no process is on its way to be ready, but no longer than most, and
// returns what is served.
func (d *daemon) settled(ctx context.Context, most time.Duration) []admin.Row {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		rows, moving := d.admin.List(), false
		for _, r := range rows {
			moving = moving || r.State == lifecycle.Waiting || r.State == lifecycle.Starting
		}
		if !moving || !sleep.For(ctx, 10*time.Millisecond) {
			return rows
		}
	}
}
