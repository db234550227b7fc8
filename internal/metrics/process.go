package metrics

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// writeSelf writes what Prometheus's own client tells of a Go program, under the names
// that it has there: dashboards ask for them. What the system does not tell is left out.
func writeSelf(w io.Writer) {
	gauge := func(name, help string, value float64) {
		Family(w, name, "gauge", help)
		fmt.Fprintf(w, "%s %s\n", name, strconv.FormatFloat(value, 'g', -1, 64))
	}
	Family(w, "go_info", "gauge", "the version of Go")
	fmt.Fprintf(w, "go_info{version=%q} 1\n", runtime.Version())
	gauge("go_goroutines", "goroutines", float64(runtime.NumGoroutine()))
	threads, _ := runtime.ThreadCreateProfile(nil) // how many there are
	gauge("go_threads", "threads that were made", float64(threads))

	var memory runtime.MemStats // runtime/metrics costs a quarter of a millisecond at each start
	runtime.ReadMemStats(&memory)
	gauge("go_memstats_alloc_bytes", "memory of objects", float64(memory.Alloc))
	gauge("go_memstats_heap_inuse_bytes", "memory of the heap that is in use", float64(memory.HeapInuse))
	gauge("go_memstats_sys_bytes", "memory that was taken from the system", float64(memory.Sys))
	gauge("go_memstats_last_gc_time_seconds", "when the last collection ended, as seconds of Unix", float64(memory.LastGC)/1e9)

	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		Family(w, "process_cpu_seconds_total", "counter", "CPU time")
		fmt.Fprintf(w, "process_cpu_seconds_total %g\n", float64(used.Utime.Nano()+used.Stime.Nano())/1e9)
	}
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		gauge("process_max_fds", "descriptors that may be open", float64(files.Cur))
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
