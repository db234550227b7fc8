package admin

import (
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/functions"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
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

// function is the row of a function. Those that calls wait for are queued.
func (d *Server) function(f functions.Status) Row {
	_, queued, total := d.Metrics.Route(f.Name).Counts()
	return Row{Total: total, Endpoints: f.Endpoints, Service: f.Service, Replicas: &f.Replicas, Status: supervisor.Status{
		Name: f.Name, Kind: Function, Mode: schema.HTTP, State: f.State, Reason: f.Reason,
		Inflight: max(f.Inflight-f.Waiting, 0), Queued: queued + f.Waiting, Instances: []supervisor.InstanceStatus{},
	}}
}
