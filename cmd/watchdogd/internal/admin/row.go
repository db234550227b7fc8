package admin

import (
	"fmt"
	"time"

	"github.com/watchdogd/watchdogd/supervisor"
)

// Row is a route or service in the list of ps.
type Row struct {
	supervisor.Status
	Total uint64 `json:"total"` // calls of a route since watchdogd was started
}

// StateText is a state and, where a start is due, when.
func StateText(s supervisor.Status) string {
	if s.NextStart == nil {
		return string(s.State)
	}
	wait := max(0, time.Until(*s.NextStart)).Round(100 * time.Millisecond)
	return fmt.Sprintf("%s (%s)", s.State, wait)
}
