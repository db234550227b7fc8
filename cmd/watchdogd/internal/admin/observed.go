package admin

import (
	"net/http"
	"strconv"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
)

// The header of a call that wants to know how it was served, and those of its response that
// say it.
const (
	Observe  = "X-Watchdogd-Observe"
	Queued   = "X-Watchdogd-Queued"   // seconds until it had a place under limits.inflight
	Waited   = "X-Watchdogd-Waited"   // seconds from then until an instance was ready for it
	Instance = "X-Watchdogd-Instance" // which answered it
)

// observed is the response of a call that wants to know how it was served.
type observed struct {
	http.ResponseWriter
	call   *call.Call // nil until it has its place
	queued time.Duration
	said   bool
}

// Admitted implements routes.Observer.
func (o *observed) Admitted(c *call.Call) { o.call, o.queued = c, c.Waited() }

// WriteHeader adds what is known of the call by now.
func (o *observed) WriteHeader(status int) {
	if o.call != nil && !o.said && status >= 200 {
		o.said = true
		h := o.Header()
		h.Set(Queued, strconv.FormatFloat(o.queued.Seconds(), 'f', 6, 64))
		h.Set(Waited, strconv.FormatFloat((o.call.Waited()-o.queued).Seconds(), 'f', 6, 64))
		if instance := o.call.Instance(); instance != "" {
			h.Set(Instance, instance)
		}
	}
	o.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }
