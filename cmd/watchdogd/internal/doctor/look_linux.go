package doctor

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func inMemory(s *unix.Statfs_t) bool {
	return int64(s.Type) == unix.TMPFS_MAGIC || int64(s.Type) == unix.RAMFS_MAGIC
}

// system adds what Linux tells in /proc and /sys.
func (m *Machine) system() {
	if name, err := os.ReadFile("/proc/1/comm"); err == nil {
		m.Init = strings.TrimSpace(string(name))
		m.Self = m.Init == "watchdogd" || m.Init == "fwatchdog"
	}
	m.Container = contained()
	var processes unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &processes) == nil && processes.Cur != unix.RLIM_INFINITY && !m.Root {
		m.Processes = processes.Cur
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Memory, m.MemoryOf = int64(uint64(info.Totalram)*uint64(info.Unit)), "this machine"
	}
	for _, dir := range cgroups() {
		for _, file := range []string{"memory.max", "memory.limit_in_bytes"} {
			if n := number(filepath.Join(dir, file)); n > 0 && (m.Memory == 0 || n < m.Memory) {
				m.Memory, m.MemoryOf = n, "the cgroup"
			}
		}
		if cpus := quota(dir); cpus > 0 && (m.CPUs == 0 || cpus < m.CPUs) {
			m.CPUs = cpus
		}
	}
	var clock unix.Timex
	if state, err := unix.Adjtimex(&clock); err == nil {
		m.Unsynced = state == unix.TIME_ERROR
	}
}

// contained reports whether this is a container, as far as it shows.
func contained() bool {
	for _, file := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(file); err == nil {
			return true
		}
	}
	return os.Getenv("container") != "" || os.Getenv("KUBERNETES_SERVICE_HOST") != ""
}

// cgroups are the folders of our cgroups and of those above them.
func cgroups() (dirs []string) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		base := "/sys/fs/cgroup"
		if part[1] != "" { // version 1 has a folder for each controller
			if part[1] != "memory" && !strings.Contains(part[1], "cpu") {
				continue
			}
			base = filepath.Join(base, part[1])
		}
		for path := filepath.Clean("/" + part[2]); ; path = filepath.Dir(path) {
			dirs = append(dirs, filepath.Join(base, path))
			if path == "/" {
				break
			}
		}
	}
	return dirs
}

// quota is how many CPUs a cgroup may use; 0 is no limit.
func quota(dir string) float64 {
	if text, err := os.ReadFile(filepath.Join(dir, "cpu.max")); err == nil {
		words := strings.Fields(string(text))
		if len(words) != 2 || words[0] == "max" {
			return 0
		}
		used, err1 := strconv.ParseFloat(words[0], 64)
		period, err2 := strconv.ParseFloat(words[1], 64)
		if err1 != nil || err2 != nil || period <= 0 {
			return 0
		}
		return used / period
	}
	used, period := number(filepath.Join(dir, "cpu.cfs_quota_us")), number(filepath.Join(dir, "cpu.cfs_period_us"))
	if used <= 0 || period <= 0 {
		return 0
	}
	return float64(used) / float64(period)
}
