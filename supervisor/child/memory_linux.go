package child

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A process that the kernel killed for want of memory ends by SIGKILL, as one that
// a person killed. What tells them apart is counted in three places: for each cgroup
// (memory.events of version 2, memory.oom_control of version 1, both counting the kills in
// it whatever the reason), for the machine (/proc/vmstat), and by number of the process in
// the kernel's log, which few may read. A count does not say which process was killed. So each
// kill that was counted since a child was started explains the end of one child only; and
// where the log can be read, and names others for all of them, it explains none.

// ledger is the kills that were counted, and those that have been given to a child.
type ledger struct {
	proc string // /proc
	log  string // /dev/kmsg

	mu     sync.Mutex
	own    string            // the file that counts the kills in our own cgroup
	counts map[string]uint64 // by file, as they were read last
	given  map[string]uint64 // of them, to children
}

func newLedger() *ledger {
	return &ledger{proc: "/proc", log: "/dev/kmsg", counts: map[string]uint64{}, given: map[string]uint64{}}
}

// account is what is known of kills when a child is started.
type account struct {
	file    string // that counts them in our own cgroup, where the child begins
	count   uint64
	given   uint64
	machine uint64        // those of the whole machine
	at      time.Duration // since boot, as the kernel's log has it
}

// open notes how many kills there have been before the start of a child. fresh is that the
// counts are read again: for a child of one call the last ones serve.
func (l *ledger) open(fresh bool) account {
	l.mu.Lock()
	defer l.mu.Unlock()
	if fresh || l.own == "" {
		l.own = l.counter(l.cgroup("self"))
		l.read(l.own)
		l.read(l.vmstat())
	}
	return account{file: l.own, count: l.counts[l.own], given: l.given[l.own], machine: l.counts[l.vmstat()], at: uptime()}
}

func (l *ledger) vmstat() string { return filepath.Join(l.proc, "vmstat") }

// killed reports whether the end of child pid by SIGKILL, which was not ours, is one of
// the kills counted since a, and which limit of memory was met: 0 is the machine's end.
// The child is still in the process table. descendant is that one of its own children was
// killed, and the child only repeats its status.
func (l *ledger) killed(pid int, a account, descendant bool) (limit int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	dir := l.cgroup(strconv.Itoa(pid))
	if file := l.counter(dir); file != a.file && file != l.vmstat() && l.read(file) > l.given[file] {
		// It moved to another cgroup, of whose count at that time nothing is known.
		a.file, a.count, a.given = file, l.given[file], l.given[file]
	}
	kills := since(l.read(a.file), a.count)
	kills = since(kills, l.given[a.file]-a.given)
	if kills == 0 && since(l.read(l.vmstat()), a.machine) == 0 {
		return 0, false
	}
	if kills > 0 && a.file != l.vmstat() {
		dir.dir = filepath.Dir(a.file) // the child has ended: in version 1 it is in none but the first cgroup
	}
	log := l.killsIn(a.at)
	memcg, named := log[pid]
	switch {
	case named && inFirstNamespace():
		if memcg != "" {
			one, two := l.mounts()
			dir = one.folder(memcg)
			if one.dir == "" {
				dir = two.folder(memcg)
			}
		}
	case kills == 0, uint64(len(log)) >= kills && inFirstNamespace() && !descendant:
		return 0, false // it was others
	}
	l.given[a.file]++
	return l.limit(dir), true
}

// since is how many more than before now is: none where a counter began anew.
func since(now, before uint64) uint64 {
	if now < before {
		return 0
	}
	return now - before
}

// cgroup is a folder of a cgroup that controls memory, and the one at the top of what we
// see; empty when there is none.
type cgroup struct{ dir, top string }

// cgroup finds that of a process, which may be "self" (cgroups(7)).
func (l *ledger) cgroup(pid string) cgroup {
	data, err := os.ReadFile(filepath.Join(l.proc, pid, "cgroup"))
	if err != nil {
		return cgroup{}
	}
	one, two := "", ""
	for line := range strings.Lines(string(data)) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		path = strings.TrimSuffix(path, " (deleted)")
		switch {
		case id == "0" && controllers == "":
			two = path
		case contains(controllers, "memory"):
			one = path
		}
	}
	mount1, mount2 := l.mounts()
	switch {
	case one != "" && mount1.dir != "":
		return mount1.folder(one)
	case two != "" && mount2.dir != "":
		return mount2.folder(two)
	}
	return cgroup{}
}

func contains(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// mount is where a hierarchy of cgroups is mounted, and what of it.
type mount struct{ dir, root string }

func (m mount) folder(path string) cgroup {
	if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(m.root, "/")); ok {
		path = rest
	}
	dir := filepath.Join(m.dir, path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		dir = m.dir // of another namespace: what can be seen is above it
	}
	return cgroup{dir: dir, top: m.dir}
}

// mounts are those of the memory controller of version 1, and of version 2
// (proc_pid_mountinfo(5)).
func (l *ledger) mounts() (one, two mount) {
	f, err := os.Open(filepath.Join(l.proc, "self", "mountinfo"))
	if err != nil {
		return one, two
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		before, after, _ := strings.Cut(in.Text(), " - ")
		w, kind := strings.Fields(before), strings.Fields(after)
		if len(w) < 5 || len(kind) < 3 {
			continue
		}
		m := mount{dir: w[4], root: w[3]}
		switch {
		case kind[0] == "cgroup" && contains(kind[2], "memory"):
			one = m
		case kind[0] == "cgroup2":
			two = m
		}
	}
	return one, two
}

// counter is the file that counts the kills in a cgroup; that of the machine when it
// has none.
func (l *ledger) counter(c cgroup) string {
	if c.dir != "" {
		for _, name := range []string{"memory.events", "memory.oom_control"} {
			file := filepath.Join(c.dir, name)
			if data, err := os.ReadFile(file); err == nil && bytes.Contains(data, []byte("oom_kill ")) {
				return file
			}
		}
	}
	return l.vmstat()
}

func (l *ledger) read(file string) uint64 {
	data, _ := os.ReadFile(file) // 0, as for one that is not there
	for line := range strings.Lines(string(data)) {
		if number, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(number), 10, 64) // as above
			l.counts[file] = n
			return n
		}
	}
	return l.counts[file]
}

// limit is the least memory that a cgroup or one above it may have; 0 is no limit.
func (l *ledger) limit(c cgroup) int64 {
	least := int64(0)
	for dir := c.dir; dir != ""; dir = filepath.Dir(dir) {
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			n, notNumber := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
			if err == nil && notNumber == nil && n > 0 && n < 1<<60 && (least == 0 || n < least) { // more is no limit in version 1
				least = n
			}
		}
		if dir == c.top || dir == "/" || dir == "." {
			break
		}
	}
	return least
}

// maxRecords bounds what is read of the kernel's log.
const maxRecords = 20_000

// killsIn reads the kernel's log for kills since the time given: by the number of each
// process killed, the cgroup whose limit was met; empty is none. Where the log cannot be
// read there are none.
func (l *ledger) killsIn(since time.Duration) map[int]string {
	fd, err := unix.Open(l.log, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	kills := map[int]string{}
	buf := make([]byte, 8<<10)
	for range maxRecords {
		n, err := unix.Read(fd, buf)
		switch {
		case err == unix.EINTR, err == unix.EPIPE: // EPIPE is a record that was overwritten
			continue
		case err != nil || n <= 0:
			return kills
		}
		if pid, memcg, at, ok := killRecord(buf[:n]); ok && at+time.Second >= since {
			if memcg != "" || kills[pid] == "" {
				kills[pid] = memcg
			}
		}
	}
	return kills
}

// killRecord reads a record of /dev/kmsg, "priority,sequence,microseconds,flags;text", if
// it says that a process was killed for want of memory. There are two for each: one names
// the cgroup, and may be left out where there are many; the other does not.
func killRecord(record []byte) (pid int, memcg string, at time.Duration, ok bool) {
	head, rest, _ := strings.Cut(string(record), ";")
	text, _, _ := strings.Cut(rest, "\n")
	fields := strings.Split(head, ",")
	if len(fields) < 3 {
		return 0, "", 0, false
	}
	var digits string
	if constraint, ok := strings.CutPrefix(text, "oom-kill:constraint="); ok {
		_, digits, _ = strings.Cut(constraint, ",pid=")
		_, memcg, _ = strings.Cut(constraint, ",oom_memcg=")
		memcg, _, _ = strings.Cut(memcg, ",")
		digits, _, _ = strings.Cut(digits, ",")
	} else if i := strings.Index(text, "ut of memory"); i >= 0 {
		_, digits, _ = strings.Cut(text[i:], "Killed process ")
		digits, _, _ = strings.Cut(digits, " ")
	}
	pid, err := strconv.Atoi(digits)
	us, timeErr := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || timeErr != nil || us < 0 || us > math.MaxInt64/1000 {
		return 0, "", 0, false
	}
	return pid, memcg, time.Duration(us) * time.Microsecond, true
}

// inFirstNamespace reports whether our process numbers are those of the kernel's log.
func inFirstNamespace() bool {
	var st syscall.Stat_t
	return syscall.Stat("/proc/self/ns/pid", &st) == nil && st.Ino == 0xEFFFFFFC // PROC_PID_INIT_INO
}

// uptime is the time since boot as the kernel's log has it.
func uptime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail with a clock that is there
	return time.Duration(t.Nano())
}

// explain says of an end by SIGKILL, of the child or of one whose status a shell repeats,
// whether the kernel did it for want of memory.
func (c *Child) explain(e Exit) Exit {
	if e.Signal != syscall.SIGKILL && e.Code != 128+int(syscall.SIGKILL) || c.killed {
		return e
	}
	e.MemoryLimit, e.OutOfMemory = ours.ledger.killed(c.pid, c.account, e.Signal == 0)
	return e
}
