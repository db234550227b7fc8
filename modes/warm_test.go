package modes

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/modes/forking"
	"github.com/watchdogd/watchdogd/supervisor"
)

// awaitWarm waits until n processes wait for a request, and gives their numbers.
func (s *site) awaitWarm(t *testing.T, n int) (pids []int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("%d processes wait", n), func() bool {
		pids = pids[:0]
		for _, i := range s.process.Status().Instances {
			pids = append(pids, i.PID)
		}
		return len(pids) == n
	})
	return pids
}

func TestWarmProcessGetsBodyAndVariablesOfItsOneRequest(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		t.Run(mode, func(t *testing.T) {
			s := supervise(t, "mode: "+mode+"\nfprocess: ${SELF}\nwarm: 2\nenv: {"+asProgram+": vars}")
			for _, body := range []string{"", "hello", strings.Repeat("x", 100<<10), strings.Repeat("y", 3<<20)} {
				waiting := s.awaitWarm(t, 2)
				_, got := s.do(t, "PUT", "/a?b=c", strings.NewReader(body))
				var pid int
				if _, err := fmt.Sscanf(got, "warm %d\n", &pid); err != nil || !slices.Contains(waiting, pid) {
					t.Fatalf("answered by %.20q, not one of %v", got, waiting)
				}
				if !strings.Contains(got, "\nHttp_Method=PUT\n") || !strings.Contains(got, "\nHttp_Query=b=c\n") || !strings.HasSuffix(got, "\n"+body) {
					t.Errorf("got %.300q, want %q in it, %q in it and %q at its end", got, "\nHttp_Method=PUT\n", "\nHttp_Query=b=c\n", "\n"+body)
				}
			}
		})
	}
}

func TestVariablesOfAWarmProcessMayBeMoreThanAPipeHolds(t *testing.T) {
	s := supervise(t, "mode: streaming\nfprocess: ${SELF}\nwarm: 1\nenv: {"+asProgram+": vars}")
	s.awaitWarm(t, 1)
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf("X-%d", i), strings.Repeat("x", 20<<10))
	}
	_, got := s.do(t, "GET", "/", nil, many...)
	if !strings.HasPrefix(got, "warm") || len(got) < 400<<10 {
		t.Errorf("got %.20q, %d bytes, want %q at its start and at least %v of them", got, len(got), "warm", 400<<10)
	}
}

func TestAWarmProgramNeedNotReadItsVariables(t *testing.T) {
	s := supervise(t, "mode: streaming\nfprocess: cat\nwarm: 1")
	s.awaitWarm(t, 1)
	if _, got := s.do(t, "POST", "/", strings.NewReader("hello"), "X", strings.Repeat("x", 100<<10)); got != "hello" {
		t.Errorf(`got %q, want "hello"`, got)
	}
}

func TestWithoutAWarmProcessCallsForkAsUsual(t *testing.T) {
	// Each that is started ahead ends before its request.
	s := supervise(t, "mode: serializing\nshell: true\nwarm: 1\n"+
		"fprocess: 'if [ \"$$"+supervisor.WarmEnv+"\" ]; then exit 1; fi; echo cold $$Http_Method'")
	testkit.Eventually(t, "it has ended", func() bool { return s.process.Status().Restarts > 0 })
	for range 3 {
		if _, got := s.do(t, "GET", "/", nil); got != "cold GET\n" {
			t.Errorf("got %q, want %q", got, "cold GET\n")
		}
	}
}

func TestTimeoutEndsAWarmProcess(t *testing.T) {
	s := supervise(t, "mode: streaming\nshell: true\nwarm: 1\nfprocess: 'read line; sleep 1000'")
	pid := s.awaitWarm(t, 1)[0]
	s.cancels = make(chan context.CancelCauseFunc, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		(<-s.cancels)(timedOut())
	}()
	resp, body := s.do(t, "POST", "/", strings.NewReader("x\n"))
	<-done
	wantProblem(t, resp, body, 504)
	waitGone(t, pid)
}

func TestEnvExecPutsTheVariablesWhereAShellFindsThem(t *testing.T) {
	s := supervise(t, "mode: streaming\nwarm: 1\nenv: {"+asProgram+": env}\n"+
		`fprocess: ["${SELF}", /bin/sh, -c, 'echo $$Http_Method $$Http_Path [$$`+supervisor.WarmEnv+`]; cat']`)
	for _, warm := range []bool{true, false} {
		pid := s.awaitWarm(t, 1)[0]
		if !warm {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			testkit.Eventually(t, "its end is known", func() bool { return s.process.Status().Restarts > 0 })
		}
		if _, got := s.do(t, "PUT", "/a%20b", strings.NewReader("body")); got != "PUT /a b []\nbody" {
			t.Errorf("warm %v: got %q, want %q", warm, got, "PUT /a b []\nbody")
		}
	}
}

func TestEnvExecSaysWhatIsWrong(t *testing.T) {
	t.Setenv(supervisor.WarmEnv, "x")
	if err := forking.EnvExec([]string{"true"}); err == nil || !strings.Contains(err.Error(), "not the number of a descriptor") {
		t.Errorf("got %v, want an error and %q in it", err, "not the number of a descriptor")
	}
	os.Unsetenv(supervisor.WarmEnv)
	if err := forking.EnvExec([]string{"no-such-program"}); err == nil || !strings.Contains(err.Error(), "no-such-program") {
		t.Errorf("got %v, want an error and %q in it", err, "no-such-program")
	}
	if err := forking.EnvExec(nil); err == nil {
		t.Error("nothing is run without a word")
	}
}

func TestWarmProcessGetsTheFilesOfAForm(t *testing.T) {
	s := supervise(t, "mode: streaming\nform: files\nfprocess: ${SELF}\nwarm: 1\nenv: {"+asProgram+": vars}")
	s.awaitWarm(t, 1)
	typ, body := testkit.Form(t, "name", "Ann", "up@a.txt", "content")
	_, got := s.do(t, "POST", "/", body, "Content-Type", typ)
	_, rest, _ := strings.Cut(got, "FORM_DIR=")
	dir, _, _ := strings.Cut(rest, "\n")
	if !strings.HasPrefix(got, "warm") || !strings.Contains(got, "\nFORM_name=Ann\n") || !strings.Contains(got, "\nFORM_up="+dir+"/a.txt\n") {
		t.Errorf("got %q, want %q at its start, %q in it and %q in it", got, "warm", "\nFORM_name=Ann\n", "\nFORM_up="+dir+"/a.txt\n")
	}
	s.close(t)
	if _, err := os.Stat(dir); dir == "" || !os.IsNotExist(err) {
		t.Errorf(`%q is still there: got %v, want dir != "" && os.IsNotExist(err)`, dir, err)
	}
}

func TestStderrOfAWarmProcessIsMixedIntoTheBody(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		s := supervise(t, "mode: "+mode+"\nstderr: body\nwarm: 1\nshell: true\nfprocess: 'read line; echo two >&2; echo $$line'")
		s.awaitWarm(t, 1)
		if _, got := s.do(t, "POST", "/", strings.NewReader("one\n")); got != "two\none\n" {
			t.Errorf("%s: got %q, want %q", mode, got, "two\none\n")
		}
	}
}
