// Package lives remembers the last lives of a process's instances: when each began and ended,
// why, and what it did meanwhile.
package lives

import "time"

// Most is how many lives that are over are kept.
const Most = 10

// Life is one life of an instance, as ps NAME shows it.
type Life struct {
	Instance int        `json:"instance"`
	PID      int        `json:"pid,omitempty"` // 0: it could not be started
	Started  time.Time  `json:"started"`
	Ended    *time.Time `json:"ended"`            // nil: it runs
	Reason   string     `json:"reason,omitempty"` // why it ended
	Calls    int        `json:"calls"`            // that it answered
	Peak     int64      `json:"peak_rss_bytes"`   // the most memory that one of its processes had; 0 is unknown
}

// Record is the last Most lives that are over, the oldest first.
type Record []Life

// Add keeps l, and forgets the oldest when there are too many.
func (r *Record) Add(l Life) {
	*r = append(*r, l)
	if n := len(*r) - Most; n > 0 {
		*r = append(Record(nil), (*r)[n:]...)
	}
}
