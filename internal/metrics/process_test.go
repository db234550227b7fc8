package metrics

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestProgramTellsOfItselfAsPrometheusClientDoes(t *testing.T) {
	var out bytes.Buffer
	New(Options{}).WritePrometheus(&out)
	values := map[string]float64{}
	for line := range strings.Lines(out.String()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, "#") {
			f, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Errorf("%q: %v", line, err)
			}
			values[name] = f
		}
	}
	for _, name := range []string{"go_goroutines", "go_threads", "go_memstats_alloc_bytes", "go_memstats_sys_bytes", "process_cpu_seconds_total", "process_max_fds"} {
		if values[name] <= 0 {
			t.Errorf("%s is %v", name, values[name])
		}
	}
	if _, ok := readStat(); !ok {
		t.Skip("this system has no /proc")
	}
	for _, name := range []string{"process_open_fds", "process_virtual_memory_bytes", "process_resident_memory_bytes"} {
		if values[name] <= 0 {
			t.Errorf("%s is %v", name, values[name])
		}
	}
	if began := time.Unix(int64(values["process_start_time_seconds"]), 0); time.Since(began) < -2*time.Second || time.Since(began) > time.Hour {
		t.Errorf("it began at %s", began)
	}
}
