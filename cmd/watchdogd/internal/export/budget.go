package export

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// Budget is how long a stop may take before the engine kills the container: one number,
// used wherever an engine asks for one.
type Budget struct {
	Total time.Duration // whole seconds
	Sum   string        // how it came about
}

// Seconds is the budget as a number of seconds.
func (b Budget) Seconds() int { return int(b.Total / time.Second) }

// margin is for the end of watchdogd itself, after its last process.
const margin = 2 * time.Second

// budgetOf adds up the longest stop of these routes and services: drain.delay, the longest
// of timeouts.exec and drain.timeout, the grace of processes that stop one after the
// other, and a margin.
func budgetOf(drain schema.Drain, routes []schema.Route, services []schema.Service) Budget {
	calls, why := drain.Timeout.D(), "drain.timeout"
	endless := ""
	for i := range routes {
		switch exec := routes[i].Timeouts.Exec.D(); {
		case exec == 0 && endless == "":
			endless = routes[i].Name
		case exec > calls:
			calls, why = exec, "timeouts.exec of "+routes[i].Name
		}
	}
	grace, chain := longestGrace(routes, services)
	total := drain.Delay.D() + calls + grace + margin
	if rest := total % time.Second; rest != 0 {
		total += time.Second - rest
	}
	sum := fmt.Sprintf("drain.delay %s + %s %s + stop.grace %s", short(drain.Delay.D()), why, short(calls), short(grace))
	if len(chain) > 1 {
		sum += fmt.Sprintf(" (%s, one after the other)", strings.Join(chain, ", "))
	}
	sum += fmt.Sprintf(" + %s = %s", short(margin), short(total))
	if endless != "" {
		sum += fmt.Sprintf("; calls of %s have no timeouts.exec and are cut at drain.timeout", endless)
	}
	return Budget{total, sum}
}

func short(d time.Duration) string { return schema.Duration(d).String() }

// longestGrace is the longest chain of processes that stop one after the other, because one
// depends on the next, and what they are.
func longestGrace(routes []schema.Route, services []schema.Service) (time.Duration, []string) {
	return longestChain(routes, services, func(p *schema.Process, _ schema.Duration) time.Duration { return p.Stop.Grace.D() })
}

// longestStart is the longest chain of processes that wait for each other to be ready.
// unlimited names one that may take any time.
func longestStart(routes []schema.Route, services []schema.Service) (longest time.Duration, unlimited string) {
	longest, chain := longestChain(routes, services, func(p *schema.Process, start schema.Duration) time.Duration {
		if start == 0 {
			return 5 * time.Minute
		}
		return start.D()
	})
	for _, name := range chain {
		for i := range routes {
			if routes[i].Name == name && routes[i].Timeouts.Start == 0 {
				unlimited = name
			}
		}
		for i := range services {
			if services[i].Name == name && services[i].Timeouts.Start == 0 {
				unlimited = name
			}
		}
	}
	return longest, unlimited
}

// longestChain walks depends_on, which has no cycles.
func longestChain(routes []schema.Route, services []schema.Service, cost func(*schema.Process, schema.Duration) time.Duration) (time.Duration, []string) {
	type node struct {
		process *schema.Process
		cost    time.Duration
	}
	nodes := map[string]node{}
	var order []string
	for i := range routes {
		if r := &routes[i]; !r.FProcess.Empty() {
			nodes[r.Name] = node{&r.Process, cost(&r.Process, r.Timeouts.Start)}
			order = append(order, r.Name)
		}
	}
	for i := range services {
		s := &services[i]
		nodes[s.Name] = node{&s.Process, cost(&s.Process, s.Timeouts.Start)}
		order = append(order, s.Name)
	}
	type path struct {
		time  time.Duration
		names []string
	}
	known := map[string]path{}
	var walk func(string) path
	walk = func(name string) path {
		n, is := nodes[name]
		if !is {
			return path{}
		}
		if p, done := known[name]; done {
			return p
		}
		var longest path
		for _, dependency := range slices.Sorted(maps.Keys(n.process.DependsOn)) {
			if p := walk(dependency); p.time > longest.time {
				longest = p
			}
		}
		p := path{n.cost + longest.time, append([]string{name}, longest.names...)}
		known[name] = p
		return p
	}
	var longest path
	for _, name := range order {
		if p := walk(name); p.time > longest.time {
			longest = p
		}
	}
	return longest.time, longest.names
}
