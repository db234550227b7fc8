package admin

import (
	"sync"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/history"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/version"
)

// lazyRecorder is a recorder that is made when it is first asked for.
type lazyRecorder struct {
	once sync.Once
	its  *history.Recorder
}

// observing returns what keeps the history, and serves what happens.
func (d *Server) observing() *history.Recorder {
	d.recorder.once.Do(func() { d.recorder.its = &history.Recorder{Look: d.look, Version: version.Text()} })
	return d.recorder.its
}

// look returns what a recorder sees. What a reload removed is left out where its name is
// another's now.
func (d *Server) look(usage bool) []history.Seen {
	standing := d.Supervisor.Standing
	if usage {
		standing = d.Supervisor.Status
	}
	processes := standing()
	kept := make(map[string]bool, len(processes))
	for _, p := range processes {
		kept[p.Name] = true
	}
	rows := d.list(processes)
	seen := make([]history.Seen, 0, len(rows))
	names := make(map[string]bool, len(rows))
	for _, row := range rows {
		if names[row.Name] {
			continue
		}
		names[row.Name] = true
		seen = append(seen, history.Seen{Status: row.Status, Process: kept[row.Name], Total: row.Total, Errors: row.Errors, Took: row.Took})
	}
	return seen
}
