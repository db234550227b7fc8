package main

import (
	"context"
	"net/http"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

// gate holds the calls of a route whose programs live for one call until what the
// route depends on is there, at most for timeouts.queue.
type gate struct {
	http.Handler
	supervisor *supervisor.Supervisor
	route      *schema.Route
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if wait := g.route.Timeouts.Queue.D(); wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	if err := g.supervisor.Await(ctx, g.route.DependsOn); err != nil {
		why := &failure.Error{Kind: failure.NotReady, Route: g.route.Name, State: string(supervisor.Waiting), RetryAfter: time.Second, Detail: g.route.Name + " cannot answer: " + err.Error()}
		if cause, ok := context.Cause(r.Context()).(*failure.Error); ok {
			why = cause
		} else if r.Context().Err() != nil {
			why.Kind = failure.Gone
		}
		modes.Respond(w, r, why)
		return
	}
	g.Handler.ServeHTTP(w, r)
}

// Unwrap returns the handler that answers the calls.
func (g *gate) Unwrap() http.Handler { return g.Handler }
