package metrics

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// writeSelf writes what Prometheus's own client tells of a Go program, under the names
// that it has there: dashboards ask for them. What the system does not tell is left out.
func writeSelf(w io.Writer) {
	value := func(name, kind, help string, value float64) {
		Family(w, name, kind, help)
		fmt.Fprintf(w, "%s %s\n", name, strconv.FormatFloat(value, 'g', -1, 64))
	}
	gauge := func(name, help string, v float64) { value(name, "gauge", help, v) }
	Family(w, "go_info", "gauge", "the version of Go")
	fmt.Fprintf(w, "go_info{version=%q} 1\n", runtime.Version())
	gauge("go_goroutines", "goroutines that exist", float64(runtime.NumGoroutine()))
	threads, _ := runtime.ThreadCreateProfile(nil) // how many there are
	gauge("go_threads", "threads that were created", float64(threads))
	gauge("go_sched_gomaxprocs_threads", "threads that may run Go code at once", float64(runtime.GOMAXPROCS(0)))

	var memory runtime.MemStats // runtime/metrics costs a quarter of a millisecond at each start
	runtime.ReadMemStats(&memory)
	for _, m := range memoryMetrics {
		value(m.name, m.kind, m.help, m.of(&memory))
	}
	writePauses(w, &memory)

	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		value("process_cpu_seconds_total", "counter", "CPU time of watchdogd itself", float64(used.Utime.Nano()+used.Stime.Nano())/1e9)
	}
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		gauge("process_max_fds", "descriptors that may be open", float64(files.Cur))
	}
	var space syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_AS, &space) == nil {
		gauge("process_virtual_memory_max_bytes", "virtual memory that may be used", float64(space.Cur))
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		gauge("process_open_fds", "descriptors that are open", float64(len(open)-1)) // without that of the folder
	}
	if s, ok := readStat(); ok {
		gauge("process_virtual_memory_bytes", "virtual memory", s.virtual)
		gauge("process_resident_memory_bytes", "resident memory", s.resident)
		if s.began > 0 {
			gauge("process_start_time_seconds", "when it started, as seconds of Unix", s.began)
		}
	}
}

// writePauses writes how long the newest collections, 256 at most, have paused the program.
func writePauses(w io.Writer, memory *runtime.MemStats) {
	const name = "go_gc_duration_seconds"
	newest := slices.Sorted(slices.Values(memory.PauseNs[:min(int(memory.NumGC), len(memory.PauseNs))]))
	Family(w, name, "summary", "how long a collection paused the program")
	for i, quantile := range []string{"0", "0.25", "0.5", "0.75", "1"} {
		pause := 0.0
		if len(newest) > 0 {
			pause = float64(newest[i*(len(newest)-1)/4]) / 1e9
		}
		fmt.Fprintf(w, "%s{quantile=%q} %v\n", name, quantile, pause)
	}
	fmt.Fprintf(w, "%s_sum %v\n%s_count %d\n", name, float64(memory.PauseTotalNs)/1e9, name, memory.NumGC)
}

// memoryMetrics are what the runtime reports of its memory, with Prometheus's names for it.
var memoryMetrics = [...]struct {
	name, kind, help string
	of               func(*runtime.MemStats) float64
}{
	{"go_memstats_alloc_bytes", "gauge", "memory of objects", func(m *runtime.MemStats) float64 { return float64(m.Alloc) }},
	{"go_memstats_alloc_bytes_total", "counter", "memory of all objects so far, those that were freed too", func(m *runtime.MemStats) float64 { return float64(m.TotalAlloc) }},
	{"go_memstats_mallocs_total", "counter", "objects that were allocated", func(m *runtime.MemStats) float64 { return float64(m.Mallocs) }},
	{"go_memstats_frees_total", "counter", "objects that were freed", func(m *runtime.MemStats) float64 { return float64(m.Frees) }},
	{"go_memstats_heap_alloc_bytes", "gauge", "memory of objects on the heap", func(m *runtime.MemStats) float64 { return float64(m.HeapAlloc) }},
	{"go_memstats_heap_idle_bytes", "gauge", "memory of the heap that is not in use", func(m *runtime.MemStats) float64 { return float64(m.HeapIdle) }},
	{"go_memstats_heap_inuse_bytes", "gauge", "memory of the heap that is in use", func(m *runtime.MemStats) float64 { return float64(m.HeapInuse) }},
	{"go_memstats_heap_objects", "gauge", "objects on the heap", func(m *runtime.MemStats) float64 { return float64(m.HeapObjects) }},
	{"go_memstats_heap_released_bytes", "gauge", "memory of the heap that was returned to the system", func(m *runtime.MemStats) float64 { return float64(m.HeapReleased) }},
	{"go_memstats_heap_sys_bytes", "gauge", "memory of the heap that was taken from the system", func(m *runtime.MemStats) float64 { return float64(m.HeapSys) }},
	{"go_memstats_stack_inuse_bytes", "gauge", "memory of stacks that is in use", func(m *runtime.MemStats) float64 { return float64(m.StackInuse) }},
	{"go_memstats_stack_sys_bytes", "gauge", "memory of stacks that was taken from the system", func(m *runtime.MemStats) float64 { return float64(m.StackSys) }},
	{"go_memstats_mspan_inuse_bytes", "gauge", "memory of span structures that is in use", func(m *runtime.MemStats) float64 { return float64(m.MSpanInuse) }},
	{"go_memstats_mspan_sys_bytes", "gauge", "memory of span structures that was taken from the system", func(m *runtime.MemStats) float64 { return float64(m.MSpanSys) }},
	{"go_memstats_mcache_inuse_bytes", "gauge", "memory of cache structures that is in use", func(m *runtime.MemStats) float64 { return float64(m.MCacheInuse) }},
	{"go_memstats_mcache_sys_bytes", "gauge", "memory of cache structures that was taken from the system", func(m *runtime.MemStats) float64 { return float64(m.MCacheSys) }},
	{"go_memstats_buck_hash_sys_bytes", "gauge", "memory of the tables for profiling", func(m *runtime.MemStats) float64 { return float64(m.BuckHashSys) }},
	{"go_memstats_gc_sys_bytes", "gauge", "memory of the data of the garbage collector", func(m *runtime.MemStats) float64 { return float64(m.GCSys) }},
	{"go_memstats_other_sys_bytes", "gauge", "memory of the runtime for other purposes", func(m *runtime.MemStats) float64 { return float64(m.OtherSys) }},
	{"go_memstats_sys_bytes", "gauge", "memory that was taken from the system", func(m *runtime.MemStats) float64 { return float64(m.Sys) }},
	{"go_memstats_next_gc_bytes", "gauge", "size of the heap at which the next collection begins", func(m *runtime.MemStats) float64 { return float64(m.NextGC) }},
	{"go_memstats_last_gc_time_seconds", "gauge", "when the last collection ended, as seconds of Unix", func(m *runtime.MemStats) float64 { return float64(m.LastGC) / 1e9 }},
}

// stat is what proc_pid_stat(5) tells.
type stat struct{ virtual, resident, began float64 }

// ticks are those of a second in proc_pid_stat(5), on every system that Go runs on.
const ticks = 100

func readStat() (s stat, ok bool) {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return s, false
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])) // from the third on
	if len(fields) < 22 {
		return s, false
	}
	number := func(text string) float64 {
		f, _ := strconv.ParseFloat(text, 64) // the kernel writes numbers
		return f
	}
	s.virtual, s.resident = number(fields[20]), number(fields[21])*float64(os.Getpagesize())
	boot, err := os.ReadFile("/proc/stat")
	if err == nil {
		if _, rest, found := strings.Cut(string(boot), "\nbtime "); found {
			line, _, _ := strings.Cut(rest, "\n")
			s.began = number(line) + number(fields[19])/ticks
		}
	}
	return s, true
}
