package admin

import (
	"fmt"
	"time"

	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/supervisor"
)

// Row is a route or service in the list of ps.
type Row struct {
	supervisor.Status
	Total  uint64            `json:"total"`         // calls of a route since watchdogd was started
	Errors uint64            `json:"errors"`        // those of them that ended with a status of 500 or more
	Took   metrics.Durations `json:"took,omitzero"` // how long those took that are over

	// Endpoints are the servers of a route that are run elsewhere.
	Endpoints []modes.Endpoint `json:"endpoints,omitempty"`

	// Of a function: its service in the swarm, how many tasks that should have, and how many
	// take calls.
	Service  string `json:"service,omitempty"`
	Replicas *int   `json:"replicas,omitempty"`
	Tasks    int    `json:"tasks,omitempty"`
}

// standing notes how the servers of a route stand that are run elsewhere.
func (r *Row) standing(up modes.Upstreams) {
	r.Endpoints = up.Endpoints
	out := 0
	for _, e := range up.Endpoints {
		if e.Reason != "" {
			out++
			r.Reason = e.Address + ": " + e.Reason
		}
	}
	all := len(up.Endpoints)
	switch {
	case up.Problem != "":
		r.Reason = up.Problem
		if all == 0 {
			r.State = supervisor.Unready
		}
	case out == 0:
	case out < all:
		r.Reason = fmt.Sprintf("%d of %d endpoints %s left out; %s", out, all, phrase.Of(out, "is", "are"), r.Reason)
	default:
		r.State = supervisor.Unready
		if all > 1 {
			r.Reason = fmt.Sprintf("all %d endpoints fail; %s", all, r.Reason)
		}
	}
}

// StateText is a state and, where a start is due, when.
func StateText(s supervisor.Status) string {
	if s.NextStart == nil {
		return string(s.State)
	}
	wait := max(0, time.Until(*s.NextStart)).Round(100 * time.Millisecond)
	return fmt.Sprintf("%s (%s)", s.State, wait)
}
