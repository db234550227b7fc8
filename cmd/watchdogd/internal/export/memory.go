package export

import (
	"fmt"
	"strings"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema"
)

// ownMemory is what watchdogd itself needs beside its processes.
const ownMemory schema.Size = 64 << 20

// memoryOf is what a container with these routes and services needs at most, and how that
// came about. It is 0 where a process has no bound, and the sum then names it.
func memoryOf(routes []schema.Route, services []schema.Service) (schema.Size, string) {
	total, parts := ownMemory, []string{"watchdogd " + ownMemory.String()}
	var unbounded []string
	add := func(name string, p *schema.Process, instances int, overlaps bool) {
		if p.FProcess.Empty() {
			return
		}
		each, key := p.Recycle.Memory, "recycle.memory"
		if each == 0 {
			each, key = p.RLimits["as"], "rlimits.as"
		}
		if each == 0 || instances == 0 {
			unbounded = append(unbounded, name)
			return
		}
		part := fmt.Sprintf("%s %s %s", name, key, each)
		if instances > 1 {
			part += fmt.Sprintf(" x %d", instances)
		}
		if overlaps { // a successor is ready before the old instance leaves
			part += " x 2 for the successor"
			instances *= 2
		}
		total += each * schema.Size(instances)
		parts = append(parts, part)
	}
	for i := range routes {
		r := &routes[i]
		if r.Forks() {
			add(r.Name, &r.Process, r.Limits.Inflight, false)
		} else {
			add(r.Name, &r.Process, r.Replicas.Max, recycles(&r.Process))
		}
	}
	for i := range services {
		add(services[i].Name, &services[i].Process, services[i].Replicas.Max, recycles(&services[i].Process))
	}
	if len(unbounded) > 0 {
		return 0, fmt.Sprintf("no memory limit: neither recycle.memory nor rlimits.as bounds %s (a route that starts a process per request needs limits.inflight too)", phrase.All(unbounded))
	}
	return total, strings.Join(parts, " + ") + " = " + total.String()
}

func recycles(p *schema.Process) bool {
	return p.Recycle.Memory != 0 || p.Recycle.Age != 0 || p.Recycle.Requests != 0
}
