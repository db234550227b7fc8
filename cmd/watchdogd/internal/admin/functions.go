package admin

import (
	"slices"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/functions"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
	"github.com/watchdogd/watchdogd/supervisor/lifecycle"
)

// Function is the kind of a service of a swarm that is called by its name.
const Function supervisor.Kind = "function"

// functions are the rows of the functions of gateway.swarm, in the order of their names.
func (d *Server) functions() (all []Row) {
	if d.Functions == nil {
		return nil
	}
	for _, f := range d.Functions() {
		all = append(all, d.function(f))
	}
	slices.SortStableFunc(all, func(a, b Row) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// engine is a row that says what is wrong with the engine or the networks of gateway.swarm;
// none when all is well.
func (d *Server) engine() []Row {
	if d.Swarm == nil {
		return nil
	}
	reason, wrong := strings.CutPrefix(d.Swarm(), "gateway.swarm: ")
	if !wrong {
		return nil
	}
	return []Row{{Status: supervisor.Status{Name: "gateway.swarm", Kind: "swarm", State: lifecycle.Unready, Reason: reason, Instances: []supervisor.InstanceStatus{}}}}
}

// function is the row of a function. Those that calls wait for are queued.
func (d *Server) function(f functions.Status) Row {
	n := d.Metrics.Route(f.Name).Totals()
	return Row{Total: n.Calls, Errors: n.Errors, Took: n.Took, Endpoints: f.Endpoints, Service: f.Service, Replicas: &f.Replicas, Tasks: f.Tasks, Status: supervisor.Status{
		Name: f.Name, Kind: Function, Mode: schema.HTTP, State: f.State, Reason: f.Reason,
		Inflight: max(f.Inflight-f.Waiting, 0), Queued: n.Queued + f.Waiting, Instances: []supervisor.InstanceStatus{},
	}}
}

// functionStats adds the functions of gateway.swarm to all.
func (d *Server) functionStats(all *stats, now time.Time) {
	for _, row := range d.functions() {
		if _, hidden := all.Routes[row.Name]; hidden {
			continue
		}
		n := d.Metrics.Route(row.Name).Totals()
		one := routeStats{State: row.State, Inflight: n.Inflight, Queued: min(row.Queued, n.Inflight), Instances: row.Tasks, Total: n.Calls, Rate: d.rates.of(row.Name, n.Calls, now), Endpoints: row.Endpoints}
		all.Routes[row.Name] = one
		all.Inflight += one.Inflight
		all.Queued += one.Queued
		all.Rate += one.Rate
	}
}
