package child

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// Usages returns a function that reports what a child, its group and its descendants use
// together, those that left it included. The process table is read once, at its first call.
func Usages() func(*Child) Usage {
	var sum map[int]Usage
	var adopted table
	var marks []string // of adopted
	return func(c *Child) Usage {
		if sum == nil {
			r := census.read()
			sum, adopted = r.all.byLeader(), r.adopted()
			for _, e := range adopted {
				marks = append(marks, markOf(e.pid))
			}
		}
		u, o := sum[c.pid], c.origin
		if o == nil {
			return u
		}
		for n, e := range adopted {
			// Those of the group have been counted.
			if e.pgrp != c.pid && (marks[n] == o.mark || marks[n] == "" && o.ownsUnmarked(e)) {
				u = u.plus(e.use())
			}
		}
		return u
	}
}

func (u Usage) plus(v Usage) Usage { return Usage{RSS: u.RSS + v.RSS, CPU: u.CPU + v.CPU} }

func (e entry) use() Usage {
	return Usage{RSS: e.pages * int64(os.Getpagesize()), CPU: time.Duration(e.ticks) * time.Second / ticksPerSecond}
}

// byLeader adds up the table by the children of this program: each process counts for
// the leader of its group if that is one, else for the one that it descends from.
func (t table) byLeader() map[int]Usage {
	self := os.Getpid()
	parent := t.parents()
	sum := make(map[int]Usage, len(t))
	for _, e := range t {
		leader := e.pgrp
		if parent[leader] != self {
			leader = e.pid
			for n := 0; parent[leader] != self && parent[leader] > 1 && n < 1000; n++ {
				leader = parent[leader]
			}
		}
		sum[leader] = sum[leader].plus(e.use())
	}
	return sum
}

// peak is VmHWM of process pid (proc_pid_status(5)), in bytes; 0 when it cannot be read.
func peak(pid int) int64 {
	data, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status") // empty says it
	for line := range strings.Lines(string(data)) {
		if size, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(size), "kB")), 10, 64) // 0 is unknown
			return kib << 10
		}
	}
	return 0
}
