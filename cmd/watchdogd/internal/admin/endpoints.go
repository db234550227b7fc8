package admin

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/modes"
)

// WriteEndpoints writes the metrics of servers that are run elsewhere.
func WriteEndpoints(w io.Writer, all map[string]modes.Upstreams) {
	if len(all) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(all))
	family := func(name, kind, help string, value func(modes.Endpoint) uint64) {
		metrics.Family(w, name, kind, help)
		for _, route := range names {
			for _, e := range all[route].Endpoints {
				fmt.Fprintf(w, "%s{route=%q,endpoint=%q} %d\n", name, route, e.Address, value(e))
			}
		}
	}
	family("watchdogd_endpoint_up", "gauge", "1 for a server that gets calls, 0 for one that is left out after it failed", func(e modes.Endpoint) uint64 {
		if e.Reason == "" {
			return 1
		}
		return 0
	})
	family("watchdogd_endpoint_inflight", "gauge", "calls in flight at a server that is run elsewhere", func(e modes.Endpoint) uint64 { return uint64(max(e.Inflight, 0)) })
	family("watchdogd_endpoint_failures_total", "counter", "times that a server refused, broke a connection before it answered, or failed its probe", func(e modes.Endpoint) uint64 { return e.Failures })
}
