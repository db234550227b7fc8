package supervisor

import (
	"os"
	"time"
)

// ticksPerSecond is USER_HZ, which is 100 on all architectures of Linux that Go knows.
const ticksPerSecond = 100

// usages reads the process table once, and gives what tells the use of the process pid,
// its group and its descendants together.
func usages() func(pid int) use {
	var sum map[int]use
	return func(pid int) use {
		if sum == nil {
			sum = census.take().byLeader()
		}
		return sum[pid]
	}
}

func usage(pid int) use { return usages()(pid) }

// byLeader adds up the table by the children of this program: each process counts for
// the leader of its group if that is one, else for the one that it descends from.
func (t table) byLeader() map[int]use {
	self := os.Getpid()
	parent := t.parents()
	sum := make(map[int]use, len(t))
	page := int64(os.Getpagesize())
	for _, e := range t {
		leader := e.pgrp
		if parent[leader] != self {
			leader = e.pid
			for n := 0; parent[leader] != self && parent[leader] > 1 && n < 1000; n++ {
				leader = parent[leader]
			}
		}
		u := sum[leader]
		u.rss += e.pages * page
		u.cpu += time.Duration(e.ticks) * time.Second / ticksPerSecond
		sum[leader] = u
	}
	return sum
}
