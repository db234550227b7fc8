package child

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// origin decides which of the adopted processes come from one life. They bear its mark in
// their environment; but many servers (nginx, PostgreSQL, Redis) write their title over
// it, and scripts such as apache2ctl clear it. One without any mark is known by its time
// of birth, when the life's child ended with 0 soon after its start, as one does that
// goes to the background; or else by its program.
type origin struct {
	mark  string
	since uint64           // when the life began, in ticks after boot
	until uint64           // when its child had gone to the background; 0 is that it has not
	file  string           // its program
	all   func() []*origin // of the lives that run or have not been swept yet

	mu     sync.Mutex
	groups map[int]bool // of processes without a mark that were seen to come from it
}

func newOrigin(mark, file string) *origin {
	return &origin{mark: mark, file: file, since: now(), groups: map[int]bool{}}
}

// wentAway notes that the life's child has just ended, and may have left a daemon.
func (o *origin) wentAway() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.until = now() + ticksPerSecond
}

// owns reports whether e, an adopted process, comes from the life.
func (o *origin) owns(e entry) bool {
	if mark := markOf(e.pid); mark != "" {
		return mark == o.mark
	}
	return o.ownsUnmarked(e)
}

func (o *origin) ownsUnmarked(e entry) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.groups[e.pgrp]:
		return true
	case e.began < o.since || ownedElsewhere(e.top):
		return false
	case o.sameProgram(e.pid), o.until != 0 && e.began <= o.until && !o.ofAnother(e.pid):
		o.groups[e.pgrp] = true
		return true
	}
	return false
}

func (o *origin) sameProgram(pid int) bool {
	its, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	return err == nil && its == o.program()
}

// program is the file of the life's program, without links; empty when that says nothing.
func (o *origin) program() string {
	file, err := filepath.EvalSymlinks(o.file)
	if o.file == "" || err != nil || interpreters[ProgramName(file)] {
		return ""
	}
	return file
}

// ofAnother reports whether process pid runs the program of another life, or may do so: the
// program of one that is just ending, such as a daemon that its own life sweeps, cannot be
// read.
func (o *origin) ofAnother(pid int) bool {
	its, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	if err != nil {
		return true
	}
	if o.all == nil {
		return false
	}
	return slices.ContainsFunc(o.all(), func(other *origin) bool { return other != o && other.program() == its })
}

// interpreters run programs of all kinds: to run the same one says nothing.
var interpreters = map[string]bool{
	"sh": true, "dash": true, "bash": true, "busybox": true, "python": true, "node": true, "ruby": true, "perl": true, "java": true, "php": true, "env": true,
}

// Leftovers names the programs of those alive that the child, which has an Owner and has
// ended, left running: in its group, or out of it.
func (c *Child) Leftovers() []string {
	c.origin.wentAway()
	r := census.read()
	left := r.all.group(c.pid)
	for _, e := range r.adopted() {
		if e.pgrp != c.pid && c.origin.owns(e) {
			left = append(left, e)
		}
	}
	var names []string
	for _, e := range left {
		if name := strings.TrimSpace(commOf(e.pid)); name != "" && e.pid != c.pid {
			names = append(names, name)
		}
	}
	return names
}

func commOf(pid int) string {
	name, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm") // gone has none
	return string(name)
}

// processes returns the numbers of the child, which has an Owner, of those of its group,
// and of its descendants, those that left it included.
func (c *Child) processes() []int {
	r := census.read()
	var pids []int
	for _, e := range r.all.descendants(c.pid) {
		pids = append(pids, e.pid)
	}
	for _, e := range r.adopted() {
		if c.origin.owns(e) {
			pids = append(pids, e.pid)
		}
	}
	return pids
}

// predates reports whether process pid was there before the child and does not descend
// from it. It reports false where that cannot be seen.
func (c *Child) predates(pid int) bool {
	if markOf(pid) == c.mark {
		return false
	}
	buf := make([]byte, 1024)
	theirs, ok := readEntry(pid, buf)
	own, there := readEntry(c.pid, buf)
	return ok && there && theirs.began < own.began
}
