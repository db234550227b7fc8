package modes

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/testkit"
)

// A process that ended while it was being taken has read nothing: its call is given to
// another that is forked for it.
func TestACallWhoseWarmProcessEndedBeforeItReadAnythingIsForked(t *testing.T) {
	for _, c := range []struct {
		what, method, body string
		forked             bool
	}{
		{"a body", "POST", "hello", true},
		{"no body, idempotent", "GET", "", true},
		{"no body, and it may have run", "POST", "", false},
		{"a body that is not kept", "POST", strings.Repeat("x", buffers.Size+1), false},
	} {
		for _, mode := range []string{"streaming", "serializing"} {
			t.Run(c.what+", "+mode, func(t *testing.T) {
				s := supervise(t, "mode: "+mode+"\nfprocess: ${SELF}\nwarm: 1\nenv: {"+asProgram+": vars}")
				pid := s.awaitWarm(t, 1)[0]
				_ = syscall.Kill(pid, syscall.SIGSTOP)
				testkit.Eventually(t, "it is stopped", func() bool { return state(pid) == "T" })
				type answer struct {
					resp *http.Response
					body string
				}
				answers := make(chan answer)
				go func() {
					resp, body := s.do(t, c.method, "/", strings.NewReader(c.body))
					answers <- answer{resp, body}
				}()
				testkit.Eventually(t, "it is taken, and another waits", func() bool { return s.awaitWarm(t, 1)[0] != pid })
				testkit.Eventually(t, "it has all that a pipe holds", func() bool { return c.body == "" || inPipe(pid, 0) >= min(len(c.body), 64<<10) })
				_ = syscall.Kill(pid, syscall.SIGKILL)
				if a := <-answers; c.forked && a.body != "cold "+c.method+"\n" || !c.forked && a.resp.StatusCode != 500 {
					t.Errorf(`got %d %q, want (!c.forked || a.body == "cold " + c.method + "\n") && (c.forked || a.resp.StatusCode == 500)`, a.resp.StatusCode, a.body)
				}
			})
		}
	}
}

func TestACallThatAWarmProcessBeganIsNotRepeated(t *testing.T) {
	s := supervise(t, "mode: streaming\nshell: true\nwarm: 1\nfprocess: 'read line; echo $$line >>ran; kill -9 $$$$'")
	s.awaitWarm(t, 1)
	resp, body := s.do(t, "PUT", "/", strings.NewReader("one\n"))
	wantProblem(t, resp, body, 500, "SIGKILL")
	if ran, _ := os.ReadFile(s.dir + "/ran"); string(ran) != "one\n" {
		t.Errorf("it ran for %q, want %q", ran, "one\n")
	}
}

// inPipe is how much a process has unread on one of its descriptors.
func inPipe(pid, fd int) int {
	f, err := os.Open(fmt.Sprintf("/proc/%d/fd/%d", pid, fd))
	if err != nil {
		return 0
	}
	defer f.Close()
	n, _ := unix.IoctlGetInt(int(f.Fd()), unix.TIOCINQ) // 0 is as good as not known
	return n
}
