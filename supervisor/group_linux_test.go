package supervisor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/logwriter"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/internal/testprogram"
)

func TestADescendantThatLeftTheGroupIsSwept(t *testing.T) {
	for _, how := range []string{"setsid", "plain"} {
		spec := service(t, "daemon", "orphan "+how)
		spec.Process.Stop.Grace = schema.Duration(10 * time.Millisecond)
		s := newStack(t, spec)
		orphan := testprogram.Atoi(t, s.firstLines("daemon", 1)[0])
		if !testprogram.Alive(orphan) {
			t.Fatalf("%s: %d is not there", how, orphan)
		}
		if err := s.Supervisor.Stop(context.Background(), "daemon"); err != nil {
			t.Fatal(err)
		}
		if testprogram.Alive(orphan) {
			t.Errorf("%s: %d is alive", how, orphan)
		}
	}
}

func TestADescendantThatHidesItsEnvironmentIsSweptAtTheEnd(t *testing.T) {
	spec := service(t, "daemon", "")
	spec.Process.Shell = true
	spec.Process.FProcess = schema.Command{Line: "setsid env -i sh -c 'echo $$$$; exec sleep 1000' & wait"}
	s := newStack(t, spec)
	hidden := testprogram.Atoi(t, s.firstLines("daemon", 1)[0])
	s.stop()
	if testprogram.Alive(hidden) {
		t.Errorf("%d is alive", hidden)
	}
}

// host starts the test binary as a program that supervises.
func host(t *testing.T, what string, attr *syscall.SysProcAttr) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), "BE=host "+what, "GOMAXPROCS=2")
	c.Dir = t.TempDir()
	c.SysProcAttr = attr
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Skipf("the system does not permit it: %v", err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return c, bufio.NewReader(out)
}

func TestChildrenDieWithAKilledSupervisor(t *testing.T) {
	c, out := host(t, "family", nil)
	pid := testprogram.Atoi(t, testprogram.ReadLine(t, out))
	if !testprogram.Alive(pid) {
		t.Fatal("the child is not there")
	}
	_ = c.Process.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	if !testprogram.AwaitEnd(ctx, pid) {
		t.Errorf("got process %d alive, want it ended", pid)
	}
}

func TestNoProcessIsLeftOfAKilledSupervisor(t *testing.T) {
	c, out := host(t, "clan", nil)
	pids := map[string]int{}
	for range 4 {
		what, pid, ok := strings.Cut(testprogram.ReadLine(t, out), " ")
		if !ok { // the forked call's prints its number alone
			what, pid = "call", what
		}
		pids[what] = testprogram.Atoi(t, pid)
	}
	for what, pid := range pids {
		if !testprogram.Alive(pid) {
			t.Fatalf("%s: %d is not there", what, pid)
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		_ = syscall.Kill(pids["guard"], sig)
	}
	_ = c.Process.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	for what, pid := range pids {
		if !testprogram.AwaitEnd(ctx, pid) {
			t.Errorf("%s: got process %d alive, want it ended", what, pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func TestAGuardThatIsKilledIsStartedAgainAndHoldsNothing(t *testing.T) {
	s := newStack(t, service(t, "child", "sleep"))
	s.await("child", "ready", allReady(1))
	first := awaitGuard(t, 0)
	testkit.Eventually(t, "a guard that holds its three standard files alone", func() bool { // it closes others after it ignores signals
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", first))
		if err != nil {
			t.Fatal(err)
		}
		return len(fds) == 3
	})
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := awaitGuard(t, first)
	s.stop()
	if testprogram.Alive(second) {
		t.Error("the guard outlives what it guards")
	}
}

// awaitGuard returns our guard when it reads, another than not.
func awaitGuard(t *testing.T, not int) int {
	t.Helper()
	pid := 0
	testkit.Eventually(t, "a guard", func() bool {
		pid = guardOf(os.Getpid())
		return pid != 0 && pid != not
	})
	return pid
}

// guardOf returns the guard of a program when it ignores signals, or 0.
func guardOf(parent int) int {
	for _, pid := range testprogram.Children(parent) {
		argv, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, ignored, _ := strings.Cut(string(status), "SigIgn:\t")
		ignored, _, _ = strings.Cut(ignored, "\n")
		mask, _ := strconv.ParseUint(ignored, 16, 64)
		if strings.HasPrefix(string(argv), "watchdogd: guard") && mask&(1<<(syscall.SIGTERM-1)) != 0 {
			return pid
		}
	}
	return 0
}

func TestAsPID1OrphansAreReapedAndNoStatusIsStolen(t *testing.T) {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	_, out := host(t, "init", attr)
	switch got := testprogram.ReadLine(t, out); {
	case strings.HasPrefix(got, "skip"):
		t.Skip(got)
	case got != "ok":
		t.Fatalf("got %q, want ok", got)
	}
}

func TestAThousandProcessesNeedFewThreads(t *testing.T) {
	if testing.Short() {
		t.Skip("1000 processes are many")
	}
	_, out := host(t, "thousand", nil)
	words := strings.Fields(testprogram.ReadLine(t, out))
	if len(words) != 3 {
		t.Fatalf("got %v, want 3 of them", words)
	}
	t.Logf("1000 processes: started in %s, %s threads, left in %s", words[0], words[1], words[2])
	if n := testprogram.Atoi(t, words[1]); n > 16 {
		t.Errorf("got %d threads, want at most 16", n)
	}
}

func hosts(what string) int {
	if what == "panic" {
		panics()
	}
	of := func(name, be string) Spec { return service(hostTB{}, name, be) }
	sup := New(Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	var run sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	begin := func(specs ...Spec) {
		if _, err := sup.Reconcile(specs); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		run.Go(func() { _ = sup.Run(ctx) })
	}
	await := func(ok func([]Status) bool) {
		testkit.Eventually(hostTB{}, "the state of the processes", func() bool { return ok(sup.Status()) })
	}
	ready := func(all []Status) bool {
		for _, st := range all {
			if st.State != Ready {
				return false
			}
		}
		return true
	}
	switch what {
	case "family":
		begin(of("child", "sleep"))
		await(ready)
		fmt.Println(sup.Status()[0].Instances[0].PID)
		select {}
	case "clan":
		begin(of("plain", "orphan plain"), of("setsid", "orphan setsid"))
		await(ready)
		await(func([]Status) bool {
			lines, _ := sup.Logs(0)
			return len(lines) == 2 && guardOf(os.Getpid()) != 0
		})
		lines, _ := sup.Logs(0)
		for _, l := range lines {
			fmt.Println(l.Name, l.Text)
		}
		prog, err := child.NewProgram("call", ptr(of("call", "orphan setsid").Process))
		if err == nil {
			_, err = prog.Start(child.StartOptions{Stdout: os.Stdout})
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("guard", guardOf(os.Getpid()))
		select {}
	case "init":
		return hostInit(sup, begin, await, of, func() { cancel(); run.Wait() })
	case "thousand":
		specs := make([]Spec, 1000)
		for n := range specs {
			specs[n] = of("s"+strconv.Itoa(n), "")
			specs[n].Process.FProcess.Words = []schema.Text{"/bin/sleep", "100000"}
		}
		began := time.Now()
		begin(specs...)
		await(ready)
		up := time.Since(began)
		threads, _ := os.ReadDir("/proc/self/task")
		began = time.Now()
		cancel()
		run.Wait()
		fmt.Println(up, len(threads), time.Since(began))
	}
	return 0
}

// hostInit is PID 1 of a namespace.
func hostInit(sup *Supervisor, begin func(...Spec), await func(func([]Status) bool), of func(name, be string) Spec, end func()) int {
	if os.Getpid() != 1 {
		fmt.Println("skip: not PID 1")
		return 0
	}
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		fmt.Println("skip: no mounts of our own:", err)
		return 0
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		fmt.Println("skip: no /proc of our own:", err)
		return 0
	}
	litter := of("litter", "litter 10")
	litter.Process.Restart.GiveUp.Exits = 0
	begin(litter)
	self, _ := os.Executable()
	prog, err := child.NewProgram("x", ptr(of("x", "exit 0").Process))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for n := range 40 {
		code := n % 7
		c := exec.Command(self)
		c.Env = append(os.Environ(), "BE=exit "+strconv.Itoa(code))
		_ = c.Run()
		if got := c.ProcessState.ExitCode(); got != code {
			fmt.Printf("os/exec was given %d, not %d\n", got, code)
			return 1
		}
		forked, err := prog.Start(child.StartOptions{Env: []string{"BE=exit " + strconv.Itoa(code)}})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		exit, _ := forked.Wait(context.Background())
		forked.Kill()
		if exit.Code != code {
			fmt.Printf("a Child was given %v, not %d\n", exit, code)
			return 1
		}
	}
	await(func(all []Status) bool { return all[0].Restarts > 2 })
	if st := sup.Status()[0]; st.LastExit != "exit status 5" {
		fmt.Println("the service ended with", st.LastExit)
		return 1
	}
	if err := sup.Stop(context.Background(), "litter"); err != nil {
		fmt.Println(err)
		return 1
	}
	await(func([]Status) bool {
		return len(testprogram.PIDs()) == 1
	})
	end()
	fmt.Println("ok")
	return 0
}

func ptr[T any](v T) *T { return &v }

// hostTB stands for a test in a program that is none.
type hostTB struct{ testing.TB }

func (hostTB) Helper()         {}
func (hostTB) TempDir() string { return "/" }
func (hostTB) Fatal(a ...any)  { fmt.Println(a...); os.Exit(1) }

func (hostTB) Fatalf(format string, a ...any) { fmt.Printf(format+"\n", a...); os.Exit(1) }

// panics is a supervisor in which something panics that is called back, with a log that
// is written in batches.
func panics() {
	stderr := &counted{}
	out := logwriter.New(stderr)
	go func() { _ = out.Run(context.Background()) }()
	for before := int64(-1); before != stderr.writes.Load(); {
		before = stderr.writes.Load()
		fmt.Fprintln(out, "until lines are gathered")
	}
	log := slog.New(logwriter.FlushedBy(slog.NewTextHandler(out, nil), out.Flush))
	sup := New(Options{Log: log, Ended: func(string, child.Exit) {
		log.Info("the last line before it")
		panic("of the test")
	}})
	of := service(hostTB{}, "fn", "exit 3")
	of.Process.Restart.GiveUp.Exits, of.Process.Restart.Then = 1, "exit"
	if _, err := sup.Reconcile([]Spec{of}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_ = sup.Run(context.Background())
}

// counted is standard error, and how often it was written to.
type counted struct{ writes atomic.Int64 }

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return os.Stderr.Write(p)
}

func TestAPanicLosesNothingOfTheLog(t *testing.T) {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "BE=host panic")
	said, err := c.CombinedOutput()
	if c.ProcessState == nil {
		t.Fatalf("got %v, want c.ProcessState other than nil", err)
	}
	lines, panicked, ok := strings.Cut(string(said), "panic: of the test")
	if !ok || !strings.Contains(lines, "state=crash-loop") || !strings.Contains(lines, "the last line before it") || !strings.Contains(panicked, "panics.func") {
		t.Errorf("got %s, want ok true, lines %q in it, lines %q in it and panicked %q in it", said, "state=crash-loop", "the last line before it", "panics.func")
	}
	if got := c.ProcessState.ExitCode(); got != 2 {
		t.Errorf("got exit status %d, want 2", got)
	}
}
