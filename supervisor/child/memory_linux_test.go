package child

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// machine is a /proc and its cgroups, in a folder.
type machine struct {
	t   *testing.T
	dir string
	*ledger
}

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, dir: t.TempDir(), ledger: newLedger()}
	m.proc, m.log = filepath.Join(m.dir, "proc"), filepath.Join(m.dir, "kmsg")
	return m
}

func (m *machine) write(file, text string) {
	m.t.Helper()
	file = filepath.Join(m.dir, file)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) wantKilled(pid int, a account, limit int64, killed bool) {
	m.t.Helper()
	if got, ok := m.killed(pid, a, false); got != limit || ok != killed {
		m.t.Errorf("got %d, %v for process %d, want %d, %v", got, ok, pid, limit, killed)
	}
}

func TestAKillIsReadFromCgroupsOfVersion2(t *testing.T) {
	m := newMachine(t)
	m.write("proc/self/mountinfo", "30 1 0:25 / "+m.dir+"/fs rw - cgroup2 cgroup rw\n")
	m.write("proc/self/cgroup", "0::/a/b\n")
	m.write("proc/7/cgroup", "0::/a/b\n")
	m.write("fs/a/b/memory.events", "oom 3\noom_kill 2\noom_group_kill 0\n")
	m.write("fs/a/b/memory.max", "max\n")
	m.write("fs/a/memory.max", "67108864\n")
	m.write("fs/memory.max", "max\n")
	first := m.open(true)
	second := m.open(true)
	m.wantKilled(7, first, 0, false) // before it was started
	m.write("fs/a/b/memory.events", "oom 4\noom_kill 3\n")
	m.wantKilled(7, first, 64<<20, true)
	m.wantKilled(7, second, 0, false) // that one has explained an end
	m.wantKilled(7, m.open(true), 0, false)
	m.write("fs/a/b/memory.events", "oom 5\noom_kill 4\n")
	m.wantKilled(7, second, 64<<20, true)
}

func TestAKillIsReadFromCgroupsOfVersion1(t *testing.T) {
	m := newMachine(t)
	m.write("proc/self/mountinfo", "31 1 0:28 / /x rw - tmpfs tmpfs rw\n32 31 0:29 /docker/abc "+m.dir+"/mem rw - cgroup cgroup rw,memory\n33 31 0:30 / /y rw - cgroup2 cgroup2 rw\n")
	m.write("proc/self/cgroup", "8:pids:/\n5:cpu,memory:/docker/abc\n0::/\n")
	m.write("proc/7/cgroup", "5:cpu,memory:/docker/abc\n")
	m.write("mem/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
	m.write("mem/memory.limit_in_bytes", "1073741824\n")
	a := m.open(true)
	m.write("mem/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
	m.wantKilled(7, a, 1<<30, true)
}

// In version 1 a process that has ended is in the first cgroup, wherever it was before.
func TestTheLimitIsThatOfTheCgroupThatCountedTheKill(t *testing.T) {
	m := newMachine(t)
	m.write("proc/self/mountinfo", "32 31 0:29 / "+m.dir+"/mem rw - cgroup cgroup rw,memory\n")
	m.write("proc/self/cgroup", "5:memory:/ours\n")
	m.write("proc/7/cgroup", "5:memory:/\n")
	m.write("mem/memory.oom_control", "oom_kill 0\n")
	m.write("mem/memory.limit_in_bytes", "9223372036854771712\n")
	m.write("mem/ours/memory.oom_control", "oom_kill 0\n")
	m.write("mem/ours/memory.limit_in_bytes", "104857600\n")
	a := m.open(true)
	m.write("mem/ours/memory.oom_control", "oom_kill 1\n")
	if limit, ok := m.killed(7, a, true); limit != 100<<20 || !ok {
		t.Errorf("got %d, %v for a shell whose program was killed, want %d, true", limit, ok, 100<<20)
	}
}

func TestAKillIsReadFromTheMachine(t *testing.T) {
	m := newMachine(t)
	m.write("proc/self/mountinfo", "")
	m.write("proc/self/cgroup", "0::/\n")
	m.write("proc/vmstat", "nr_free_pages 1\noom_kill 4\n")
	a := m.open(true)
	m.write("proc/vmstat", "nr_free_pages 1\noom_kill 5\n")
	m.wantKilled(7, a, 0, true)
}

func TestAChildThatMovedIsLookedUpInItsOwnCgroup(t *testing.T) {
	m := newMachine(t)
	m.write("proc/self/mountinfo", "30 1 0:25 / "+m.dir+"/fs rw - cgroup2 cgroup rw\n")
	m.write("proc/self/cgroup", "0::/ours\n")
	m.write("proc/7/cgroup", "0::/theirs (deleted)\n")
	m.write("fs/ours/memory.events", "oom_kill 0\n")
	m.write("fs/theirs/memory.events", "oom_kill 1\n")
	m.write("fs/theirs/memory.max", "1048576\n")
	m.wantKilled(7, m.open(true), 1<<20, true)
}

func TestWithoutACounterNoLackOfMemoryIsReported(t *testing.T) {
	m := newMachine(t)
	m.wantKilled(7, m.open(true), 0, false)
}

func TestRecordsOfTheKernelsLog(t *testing.T) {
	for record, want := range map[string]int{
		"3,1030,2095536040,-;Memory cgroup out of memory: Killed process 17381 (python3) total-vm:1kB": 17381,
		"3,1030,2095536040,-;Out of memory: Killed process 12 (a b) total-vm:1kB":                      12,
		"6,1030,2095536040,-;Killed process 12 by hand":                                                0,
		"6,1030,2095536040,-;out of memory, and nobody was killed":                                     0,
		"3,1030": 0,
		"3,1,x,-;Out of memory: Killed process 12 (a)": 0,
		"": 0,
		"3,1,2095536040,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=x,pid=17,uid=0": 17,
		"3,1,2095536040,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),global_oom,task_memcg=/a/b,task=x,pid=18,uid=0":                            18,
	} {
		pid, memcg, at, ok := killRecord([]byte(record))
		if pid != want || ok != (want != 0) || ok && at != 2095536040*time.Microsecond || (memcg == "/a") != (want == 17) {
			t.Errorf("%q: got %d, %q, %v, %v, want %d", record, pid, memcg, at, ok, want)
		}
	}
}

func FuzzKillRecord(f *testing.F) {
	f.Add([]byte("3,1030,2095536040,-;Memory cgroup out of memory: Killed process 17381 (python3)"))
	f.Fuzz(func(t *testing.T, record []byte) {
		if _, _, at, ok := killRecord(record); ok && at < 0 {
			t.Errorf("got a time of %v, want none before the boot", at)
		}
	})
}

func TestAKillForLackOfMemoryIsReported(t *testing.T) {
	for want, e := range map[string]Exit{
		"killed by the kernel: out of memory (cgroup limit 64 MiB)":                                       {Code: -1, Signal: syscall.SIGKILL, OutOfMemory: true, MemoryLimit: 64 << 20},
		"killed by the kernel: out of memory (cgroup limit 1.5 GiB)":                                      {Code: -1, Signal: syscall.SIGKILL, OutOfMemory: true, MemoryLimit: 3 << 29},
		"killed by the kernel: out of memory (no cgroup limit: the machine has no more)":                  {Code: -1, Signal: syscall.SIGKILL, OutOfMemory: true},
		"exit status 137, one of its processes killed by the kernel: out of memory (cgroup limit 64 MiB)": {Code: 137, OutOfMemory: true, MemoryLimit: 64 << 20},
		"killed by SIGKILL": {Code: -1, Signal: syscall.SIGKILL},
	} {
		if got := e.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// memoryGroup makes a cgroup of 32 MiB, or skips the test.
func memoryGroup(t *testing.T) string {
	t.Helper()
	l := newLedger()
	one, two := l.mounts()
	top, limit := one.dir, "memory.limit_in_bytes"
	if top == "" {
		top, limit = two.dir, "memory.max"
	}
	dir := filepath.Join(top, "watchdogd-test-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); top == "" || err != nil {
		t.Skipf("a cgroup cannot be made here: %v", err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) }) // what is left of it does no harm
	if err := os.WriteFile(filepath.Join(dir, limit), []byte("33554432"), 0o644); err != nil {
		t.Skipf("a cgroup cannot be limited here: %v", err)
	}
	return dir
}

func TestAProgramThatRunsOutOfMemoryIsNamed(t *testing.T) {
	c, _ := start(t, "hoard "+memoryGroup(t))
	exit, err := c.Wait(t.Context())
	if want := "killed by the kernel: out of memory (cgroup limit 32 MiB)"; err != nil || exit.String() != want {
		t.Errorf("got %q, %v, want %q", exit, err, want)
	}
}

func TestAProgramThatIsKilledByHandDidNotRunOutOfMemory(t *testing.T) {
	c, _ := start(t, "sleep")
	if err := syscall.Kill(c.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if exit, err := c.Wait(t.Context()); err != nil || exit.String() != "killed by SIGKILL" {
		t.Errorf("got %q, %v, want killed by SIGKILL", exit, err)
	}
}
