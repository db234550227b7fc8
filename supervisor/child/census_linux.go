package child

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"syscall"
)

// census reads the process table, once for all that ask at the same time.
var census counting

// ticksPerSecond is USER_HZ, which is 100 on all architectures of Linux that Go knows.
const ticksPerSecond = 100

// counting shares readings of the process table: each call of read returns a reading that
// began after the call, and a thousand calls at once cost two readings.
type counting struct {
	reading sync.Mutex // held while one reads
	mu      sync.Mutex
	next    *reading // not begun
}

type reading struct {
	once  sync.Once
	known map[int]info // our children before all was read
	all   table

	search  sync.Once
	strange table // what adopted returns
}

// table is the processes of the system as they were.
type table []entry

type entry struct {
	pid, ppid, pgrp int
	state           byte
	ticks           uint64 // of CPU, user and system
	began           uint64 // ticks after boot
	pages           int64  // resident
	top             int    // of those adopted: our child that it descends from
}

func (c *counting) take() table { return c.read().all }

func (c *counting) read() *reading {
	c.mu.Lock()
	r := c.next
	if r == nil {
		r = &reading{}
		c.next = r
	}
	c.mu.Unlock()
	r.once.Do(func() {
		c.reading.Lock()
		defer c.reading.Unlock()
		c.mu.Lock()
		c.next = nil
		c.mu.Unlock()
		r.known = ours.snapshot()
		r.all = readTable()
	})
	return r
}

// adopted returns those alive that descend from a child that we did not start, and that
// child. It waits for the starts under way, and so must not be called within one.
func (r *reading) adopted() table {
	r.search.Do(func() { r.strange = r.all.adopted(r.known) })
	return r.strange
}

// adopted returns those alive that do not descend from a child in known, but are
// descendants.
func (t table) adopted(known map[int]info) (found table) {
	self := os.Getpid()
	parent := t.parents()
	for _, e := range t {
		top := e.pid
		for n := 0; parent[top] != self && parent[top] > 0 && n < 1000; n++ {
			top = parent[top]
		}
		if _, ok := known[top]; !ok && parent[top] == self && e.alive() && !ours.hasStarted(top) {
			e.top = top
			found = append(found, e)
		}
	}
	return found
}

func (t table) parents() map[int]int {
	parent := make(map[int]int, len(t))
	for _, e := range t {
		parent[e.pid] = e.ppid
	}
	return parent
}

// group returns those of process group pgid that are alive.
func (t table) group(pgid int) table {
	var g table
	for _, e := range t {
		if e.pgrp == pgid && e.alive() {
			g = append(g, e)
		}
	}
	return g
}

// descendants returns the process leader, those of its group, and all that descend from
// it.
func (t table) descendants(leader int) table {
	parent := t.parents()
	var found table
	for _, e := range t {
		top := e.pid
		for n := 0; top != leader && top > 1 && n < 1000; n++ {
			top = parent[top]
		}
		if top == leader || e.pgrp == leader {
			found = append(found, e)
		}
	}
	return found
}

// alive reports whether the process is neither a zombie nor dead.
func (e entry) alive() bool { return e.state != 'Z' && e.state != 'X' }

func readTable() table {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // what could be read is what there is
	all := make(table, 0, len(names))
	buf := make([]byte, 1024)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if e, ok := readEntry(pid, buf); ok {
				all = append(all, e)
			}
		}
	}
	return all
}

// readEntry reads /proc/PID/stat (proc_pid_stat(5)) into buf. It reports false for a
// process that is gone.
func readEntry(pid int, buf []byte) (entry, bool) {
	fd, err := syscall.Open("/proc/"+strconv.Itoa(pid)+"/stat", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return entry{}, false
	}
	n, err := syscall.Read(fd, buf)
	_ = syscall.Close(fd) // was only read
	if err != nil {
		return entry{}, false
	}
	line := buf[:n]
	end := bytes.LastIndexByte(line, ')') // the name before it may hold anything
	if end < 0 {
		return entry{}, false
	}
	e := entry{pid: pid}
	at := 2 // the name is the second field
	for f := range bytes.FieldsSeq(line[end+1:]) {
		at++
		switch at {
		case 3:
			e.state = f[0]
		case 4:
			e.ppid = int(number(f))
		case 5:
			e.pgrp = int(number(f))
		case 14, 15:
			e.ticks += uint64(number(f))
		case 22:
			e.began = uint64(number(f))
		case 24:
			e.pages = number(f)
			return e, true
		}
	}
	return entry{}, false
}

func number(digits []byte) (n int64) {
	for _, d := range digits {
		if d >= '0' && d <= '9' {
			n = n*10 + int64(d-'0')
		}
	}
	return n
}
