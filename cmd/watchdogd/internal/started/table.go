// Package started reports that a watchdogd serves: to a person at the terminal, and to the
// command that started it in the background.
package started

import (
	"bytes"
	"context"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/admin"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/listing"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/logbook"
	"github.com/watchdogd/watchdogd/internal/sleep"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
)

// tableAfter is how long the table waits for the states that programs settle in.
const tableAfter = time.Second

// Table prints what is served in front of the first lines of the log, if that is for people.
// list returns the routes and services as they are now, open are the addresses.
func Table(ctx context.Context, book *logbook.Book, cfg *schema.Config, open []string, list func() []admin.Row) {
	on, people := book.ForPeople()
	if !people {
		return
	}
	states := map[string]string{}
	for _, r := range settled(ctx, tableAfter, list) {
		states[r.Name] = admin.StateText(r.Status)
	}
	var table bytes.Buffer
	_ = listing.Served(&table, on, cfg, open, func(name string) string { return states[name] }) // memory takes all
	book.Begin(append(table.Bytes(), '\n'))
}

// settled waits until no process is on its way to be ready, but no longer than most.
func settled(ctx context.Context, most time.Duration, list func() []admin.Row) []admin.Row {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		rows, moving := list(), false
		for _, r := range rows {
			moving = moving || r.State == lifecycle.Waiting || r.State == lifecycle.Starting
		}
		if !moving || !sleep.For(ctx, 10*time.Millisecond) {
			return rows
		}
	}
}
