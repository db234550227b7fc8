package admin

import (
	"fmt"
	"io"
	"slices"

	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/supervisor"
)

// states are the values of watchdogd_process_state, which is 1 for the one that a
// process is in.
var states = []supervisor.State{
	supervisor.Waiting, supervisor.Starting, supervisor.Ready, supervisor.Unready, supervisor.Backoff,
	supervisor.CrashLoop, supervisor.Stopping, supervisor.Stopped, supervisor.Exited, supervisor.Idle,
}

// WriteProcesses writes the metrics of the processes.
func WriteProcesses(w io.Writer, all []supervisor.Status) {
	all = slices.DeleteFunc(all, func(s supervisor.Status) bool { return s.Removed }) // its name may be another's
	if len(all) == 0 {
		return
	}
	family := func(name, kind, help string, each func(s supervisor.Status, sample func(labels string, value float64))) {
		metrics.Family(w, name, kind, help)
		for _, s := range all {
			each(s, func(labels string, value float64) {
				fmt.Fprintf(w, "%s{process=%q%s} %v\n", name, s.Name, labels, value)
			})
		}
	}
	sum := func(s supervisor.Status, of func(supervisor.InstanceStatus) float64) (total float64) {
		for _, i := range s.Instances {
			total += of(i)
		}
		return total
	}
	family("watchdogd_process_restarts_total", "counter", "restarts after an exit that was not requested", func(s supervisor.Status, sample func(string, float64)) {
		sample("", float64(s.Restarts))
	})
	family("watchdogd_calls_cut_total", "counter", "calls that were cut at the end of stop.drain", func(s supervisor.Status, sample func(string, float64)) {
		sample("", float64(s.Cut))
	})
	family("watchdogd_process_state", "gauge", "1 for the current state of the process, 0 for the others", func(s supervisor.Status, sample func(string, float64)) {
		for _, state := range states {
			value := 0.0
			if s.State == state {
				value = 1
			}
			sample(fmt.Sprintf(",state=%q", state), value)
		}
	})
	family("watchdogd_process_instances", "gauge", "running instances", func(s supervisor.Status, sample func(string, float64)) {
		sample("", sum(s, func(i supervisor.InstanceStatus) float64 {
			if i.PID != 0 {
				return 1
			}
			return 0
		}))
	})
	family("watchdogd_process_resident_memory_bytes", "gauge", "resident memory of the instances and their descendants", func(s supervisor.Status, sample func(string, float64)) {
		sample("", sum(s, func(i supervisor.InstanceStatus) float64 { return float64(i.RSS) }))
	})
	family("watchdogd_process_cpu_seconds_total", "counter", "CPU time of the running instances and their descendants", func(s supervisor.Status, sample func(string, float64)) {
		sample("", sum(s, func(i supervisor.InstanceStatus) float64 { return i.CPUSeconds }))
	})
}
