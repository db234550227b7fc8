package child

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

func TestWaitReturnsHowTheLeaderEnded(t *testing.T) {
	c, _ := start(t, "exit 3")
	e, err := c.Wait(context.Background())
	if err != nil || e.Code != 3 || e.OK() || e.String() != "exit status 3" || e.Status() != 3 {
		t.Fatalf(`got %+v %v, want no error, and e.Code == 3 && !e.OK() && e.String() == "exit status 3" && e.Status() == 3`, e, err)
	}
	if again, _ := c.Wait(context.Background()); again != e {
		t.Fatalf("the second time %+v, want %+v", again, e)
	}
	c.Kill()
	if err := c.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("a signal to no process: got %v, want %v", err, os.ErrProcessDone)
	}

	c, _ = start(t, "sleep")
	_ = c.Signal(syscall.SIGKILL)
	e, _ = c.Wait(context.Background())
	if e.Signal != syscall.SIGKILL || e.String() != "killed by SIGKILL" || e.Status() != 137 {
		t.Fatalf("got %+v, want Signal %v, killed by SIGKILL and e.Status() 137", e, syscall.SIGKILL)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	c, _ := start(t, "sleep")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
}

func TestStopLeavesNoProcessOfTheGroup(t *testing.T) {
	c, out := start(t, "tree 5 stay")
	var pids []int
	for range 6 {
		pids = append(pids, atoi(t, readLine(t, out)))
	}
	e := c.Stop(syscall.SIGTERM, 50*time.Millisecond)
	if e.Signal != syscall.SIGKILL {
		t.Errorf("the leader, which ignores TERM: got %v, want Signal %v", e, syscall.SIGKILL)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("%d is alive", pid)
		}
	}
}

func TestKillSweepsWhatTheLeaderLeftBehind(t *testing.T) {
	c, out := start(t, "tree 3 leave")
	var pids []int
	for range 4 {
		pids = append(pids, atoi(t, readLine(t, out)))
	}
	if e, _ := c.Wait(context.Background()); !e.OK() {
		t.Fatalf("got %v, want exit status 0", e)
	}
	c.Kill()
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("%d is alive", pid)
		}
	}
}

func TestStopReturnsWhenTheLastIsGone(t *testing.T) {
	c, out := start(t, "polite")
	readLine(t, out)
	stopped := make(chan Exit, 1)
	go func() { stopped <- c.Stop(syscall.SIGTERM, time.Hour) }()
	if e := testkit.Await(t, "the end, long before the grace", stopped); !e.OK() {
		t.Errorf("got %v, want the exit status 0", e)
	}
}

func TestAProcessStartedAfterTheSignalGetsItToo(t *testing.T) {
	c, out := start(t, "heir")
	readLine(t, out)
	if e := c.Stop(syscall.SIGTERM, time.Hour); !e.OK() {
		t.Fatalf("got %v, want exit status 0", e)
	}
}

func TestAStoppedChildHearsTheSignal(t *testing.T) {
	c, out := start(t, "polite")
	readLine(t, out)
	_ = c.Signal(syscall.SIGSTOP)
	if e := c.Stop(syscall.SIGTERM, time.Hour); !e.OK() {
		t.Fatalf("got %v, want exit status 0", e)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	script := dir + "/script"
	if err := os.WriteFile(script, []byte("#!/no/such/shell\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	plain := dir + "/plain"
	if err := os.WriteFile(plain, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, dir, user, want string }{
		{"/no/such", dir, "", "program /no/such is not there"},
		{"no-such", dir, "", `program "no-such" is not on the PATH`},
		{dir, dir, "", "is a directory"},
		{plain, dir, "", "is not executable: chmod +x it"},
		{script, dir, "", `its interpreter "/no/such/shell" is not there`},
		{"/bin/true", dir + "/none", "", "dir " + dir + "/none is not there"},
		{"/bin/true", dir, "nobody-such", `user "nobody-such" is not known`},
	} {
		p := program(t, "")
		p.FProcess.Words[0] = schema.Text(c.path)
		p.Dir = schema.Text(c.dir)
		p.User = c.user
		prog, err := NewProgram("x", p)
		if err == nil {
			_, err = prog.Start(StartOptions{})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.path, err, c.want)
		}
	}
}
