package supervisor

import (
	"os"
	"time"
)

// ticksPerSecond is USER_HZ, which is 100 on all architectures of Linux that Go knows.
const ticksPerSecond = 100

// usages reads the process table once, and returns what tells the use of the process pid,
// its group and its descendants together, and of those that left it, which o knows.
func usages() func(pid int, o *origin) use {
	var sum map[int]use
	var adopted table
	var marks []string // of adopted
	return func(pid int, o *origin) use {
		if sum == nil {
			r := census.read()
			sum, adopted = r.all.byLeader(), r.adopted
			for _, e := range adopted {
				marks = append(marks, markOf(e.pid))
			}
		}
		u := sum[pid]
		if o == nil {
			return u
		}
		for n, e := range adopted {
			// Those of the group have been counted.
			if e.pgrp != pid && (marks[n] == o.mark || marks[n] == "" && o.ownsUnmarked(e)) {
				u = u.plus(e.use())
			}
		}
		return u
	}
}

func usage(pid int, o *origin) use { return usages()(pid, o) }

func (u use) plus(v use) use { return use{rss: u.rss + v.rss, cpu: u.cpu + v.cpu} }

func (e entry) use() use {
	return use{rss: e.pages * int64(os.Getpagesize()), cpu: time.Duration(e.ticks) * time.Second / ticksPerSecond}
}

// byLeader adds up the table by the children of this program: each process counts for
// the leader of its group if that is one, else for the one that it descends from.
func (t table) byLeader() map[int]use {
	self := os.Getpid()
	parent := t.parents()
	sum := make(map[int]use, len(t))
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
