package modes

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
)

func TestStreamingEchoesBodiesOfAnySize(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nfprocess: cat\ncontent_type: text/x")
	for _, size := range []int{0, 1, 100, buffers.Size - 1, buffers.Size, buffers.Size + 1, 64 << 10, 64<<10 + 1, 3 << 20} {
		for _, chunked := range []bool{false, true} {
			want := make([]byte, size)
			rand.Read(want)
			var body io.Reader = bytes.NewReader(want)
			if chunked {
				body = io.MultiReader(body)
			}
			resp, got := s.do(t, "POST", "/", body)
			if resp.StatusCode != 200 || got != string(want) || resp.Header.Get("Content-Type") != "text/x" {
				t.Errorf("%d bytes, chunked %v: %d %s, %d bytes", size, chunked, resp.StatusCode, resp.Header.Get("Content-Type"), len(got))
			}
		}
	}
}

func TestStreamingWithoutOutputIs200(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nfprocess: 'true'")
	resp, body := s.do(t, "GET", "/", nil)
	if resp.StatusCode != 200 || body != "" || resp.Header.Get("Content-Type") != "application/octet-stream" || resp.ContentLength != 0 {
		t.Errorf(`got %d %v %q %v, want 200, Content-Type application/octet-stream, "" and 0`, resp.StatusCode, resp.Header, body, resp.ContentLength)
	}
}

func TestStreamingHeadHasNoBody(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nfprocess: echo hello")
	if resp, body := s.do(t, "HEAD", "/", nil); resp.StatusCode != 200 || body != "" {
		t.Errorf(`got %d %q, want 200 ""`, resp.StatusCode, body)
	}
}

func TestStreamingForwardsEachWriteWhileTheClientStillSends(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nfprocess: ${SELF}\nenv: {"+asProgram+": lines}")
	for _, proto := range []string{"known length", "chunked"} {
		t.Run(proto, func(t *testing.T) {
			r, w := io.Pipe()
			defer w.Close()
			lines := []string{"one\n", "two\n", "three\n"}
			request, _ := http.NewRequestWithContext(t.Context(), "POST", s.URL, r)
			if proto == "known length" {
				request.ContentLength = int64(len(strings.Join(lines, "")))
			}
			sent := make(chan error, 1)
			go func() {
				_, err := io.WriteString(w, lines[0])
				sent <- err
			}()
			resp, err := s.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(resp.Body)
			for i := range lines {
				if i > 0 {
					if _, err := io.WriteString(w, lines[i]); err != nil {
						t.Fatal(err)
					}
				}
				if got, err := in.ReadString('\n'); got != "got "+lines[i] {
					t.Fatalf("got %q, %v, want %q", got, err, "got "+lines[i])
				}
			}
			w.Close()
			if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
				t.Errorf("got %q, %v, want nothing and no error", rest, err)
			}
		})
	}
}

func TestStreamingTakesConstantMemory(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nfprocess: cat")
	const size = 256 << 20
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	resp := s.begin(t, "POST", "/", io.LimitReader(zeros{}, size))
	n, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if n != size || err != nil {
		t.Fatalf("got %d bytes, %v, want %d and no error", n, err, size)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 32<<20 {
		t.Errorf("the heap grew by %d MiB %v, want at most %v", grown>>20, grown, 32<<20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestProgramThatCannotBeStartedIs500(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			program := filepath.Join(dir, "program")
			if err := os.WriteFile(program, []byte("#!/bin/sh\necho hi\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			s := serveRoute(t, "mode: "+mode+"\nfprocess: "+program)
			if resp, body := s.do(t, "GET", "/", nil); resp.StatusCode != 200 || body != "hi\n" {
				t.Fatalf("got %d %q, want 200 %q", resp.StatusCode, body, "hi\n")
			}
			if err := os.Remove(program); err != nil {
				t.Fatal(err)
			}
			resp, body := s.do(t, "POST", "/", strings.NewReader("data"))
			wantProblem(t, resp, body, 500, "start-failed", "could not be started")
			if strings.Contains(body, program) || !strings.Contains(s.log.String(), program) {
				t.Errorf("the path is for the log, not for the caller: %s", body)
			}
		})
	}
}

func TestProgramMissingAtFirstIsAMistake(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		route := routeOf(t, t.TempDir(), "mode: "+mode+"\nfprocess: ./nothing-here")
		if _, err := New(route, Deps{}); err == nil || !strings.Contains(err.Error(), "nothing-here") {
			t.Errorf("%s: got %v, want an error and %q in it", mode, err, "nothing-here")
		}
	}
}

func TestExitBeforeOutputIs500WithItsReason(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		t.Run(mode, func(t *testing.T) {
			s := serveRoute(t, "mode: "+mode+"\nshell: true\nfprocess: 'echo trouble >&2; exit 3'")
			resp, body := s.do(t, "GET", "/", nil)
			wantProblem(t, resp, body, 500, "exit-failed", "exit status 3")
			testkit.Eventually(t, "stderr is logged", func() bool { return strings.Contains(s.log.String(), "trouble") })
			if log := s.log.String(); !strings.Contains(log, "route=f") || !strings.Contains(log, "pid=") || !strings.Contains(log, "stream=stderr") {
				t.Errorf("the log does not say whose it is: got %s, want %q in it, %q in it and %q in it", log, "route=f", "pid=", "stream=stderr")
			}

			s = serveRoute(t, "mode: "+mode+"\nshell: true\nfprocess: 'kill -9 $$$$'")
			resp, body = s.do(t, "GET", "/", nil)
			wantProblem(t, resp, body, 500, "exit-failed", "killed by SIGKILL")
		})
	}
}

func TestExitAfterOutputCutsTheResponse(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nshell: true\nfprocess: 'echo half; exit 3'")
	resp := s.begin(t, "GET", "/", nil)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || string(got) != "half\n" || err == nil {
		t.Errorf("got %d %q, %v, want 200, %q and an error", resp.StatusCode, got, err, "half\n")
	}
	testkit.Eventually(t, "the reason is logged", func() bool { return strings.Contains(s.log.String(), "exit status 3") })
}

func TestTimeoutBeforeOutputIs504(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		t.Run(mode, func(t *testing.T) {
			// The shell's child holds the pipes, and neither minds TERM.
			s := serveRoute(t, "mode: "+mode+"\nshell: true\nstop: {grace: 100ms}\n"+
				`fprocess: 'trap "" TERM; sleep 1000 & echo $! >child; echo $$$$ >leader; wait; sleep 1000'`)
			s.cancels = make(chan context.CancelCauseFunc, 1)
			go func() {
				cancel := <-s.cancels
				s.pidIn(t, "leader")
				cancel(timedOut())
			}()
			resp, body := s.do(t, "GET", "/", nil)
			wantProblem(t, resp, body, 504, `"timeout":"exec"`)
			s.close(t)
			waitGone(t, s.pidIn(t, "leader"))
			waitGone(t, s.pidIn(t, "child"))
		})
	}
}

func TestTimeoutAfterOutputCutsTheResponse(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nshell: true\nfprocess: 'echo $$$$ >leader; echo half; sleep 1000'")
	s.cancels = make(chan context.CancelCauseFunc, 1)
	resp := s.begin(t, "GET", "/", nil)
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if got, err := in.ReadString('\n'); got != "half\n" {
		t.Fatalf("got %q, %v, want %q", got, err, "half\n")
	}
	(<-s.cancels)(timedOut())
	if rest, err := io.ReadAll(in); len(rest) > 0 || err == nil {
		t.Errorf("got %q, %v, want nothing and an error", rest, err)
	}
	waitGone(t, s.pidIn(t, "leader"))
}

// A response that its caller does not read holds us in a write.
func TestATimeoutEndsACallWhoseClientDoesNotRead(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nshell: true\nfprocess: 'echo $$$$ >leader; exec cat /dev/zero'")
	s.cancels = make(chan context.CancelCauseFunc, 1)
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	cancel := <-s.cancels
	leader := s.pidIn(t, "leader")
	testkit.Eventually(t, "the program has to wait", func() bool { return state(leader) == "S" })
	cancel(timedOut())
	waitGone(t, leader)
}

// state is that of a process, as in proc_pid_stat(5).
func state(pid int) string {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if _, rest, ok := strings.Cut(string(stat), ") "); ok {
		return rest[:1]
	}
	return ""
}

func TestAClientThatLeavesEndsTheGroup(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		for _, how := range []string{"without a body", "with a body", "while it sends"} {
			t.Run(mode+" "+how, func(t *testing.T) {
				s := serveRoute(t, "mode: "+mode+"\nshell: true\n"+`fprocess: 'sleep 1000 & echo $! >child; echo $$$$ >leader; cat >/dev/null; sleep 1000'`)
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				var body io.Reader
				letGo := func() {}
				switch how {
				case "with a body":
					body = strings.NewReader(strings.Repeat("x", 100<<10))
				case "while it sends":
					if mode == "serializing" {
						return // it has not begun: its program is started when the body is there
					}
					r, w := io.Pipe()
					letGo = func() { w.CloseWithError(context.Canceled) } // net/http's client waits for its reader
					go w.Write([]byte("x"))
					body = r
				}
				r, _ := http.NewRequestWithContext(ctx, "POST", s.URL, body)
				done := make(chan error, 1)
				go func() {
					resp, err := s.Client().Do(r)
					if err == nil {
						resp.Body.Close()
					}
					done <- err
				}()
				leader, child := s.pidIn(t, "leader"), s.pidIn(t, "child")
				leave()
				letGo()
				if err := <-done; err == nil {
					t.Error("the caller got an answer")
				}
				waitGone(t, leader)
				waitGone(t, child)
			})
		}
	}
}

func TestAClientThatLeavesDuringTheResponseEndsTheGroup(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nshell: true\nfprocess: 'echo $$$$ >leader; while :; do echo again; done'")
	resp := s.begin(t, "GET", "/", nil)
	leader := s.pidIn(t, "leader")
	resp.Body.Close()
	waitGone(t, leader)
}

func TestDrainingEndsTheGroup(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nshell: true\nfprocess: 'echo $$$$ >leader; sleep 1000'")
	s.cancels = make(chan context.CancelCauseFunc, 1)
	go func() {
		cancel := <-s.cancels
		s.pidIn(t, "leader")
		cancel(&failure.Error{Kind: failure.Draining, Detail: "shutting down"})
	}()
	resp, body := s.do(t, "GET", "/", nil)
	wantProblem(t, resp, body, 503, "draining")
	waitGone(t, s.pidIn(t, "leader"))
}

func TestProgramThatDoesNotReadDoesNotDelayItsAnswer(t *testing.T) {
	for name, program := range map[string]string{
		"ends":              "echo answer",
		"closes its input":  "exec <&-; echo answer",
		"reads a little":    "head -c 5 >/dev/null; echo answer",
		"leaves it to rot":  "sleep 1000 >/dev/null 2>&1 & echo answer",
		"prints a lot more": "head -c 1000000 /dev/zero | tr '\\0' x; echo answer",
	} {
		t.Run(name, func(t *testing.T) {
			s := serveRoute(t, "mode: streaming\nshell: true\nfprocess: |\n  "+program)
			for _, length := range []int64{-1, 10, 20 << 10, 1 << 30} {
				r, w := io.Pipe() // this upload never ends
				go io.WriteString(w, strings.Repeat("x", 9))
				request, _ := http.NewRequestWithContext(t.Context(), "POST", s.URL, r)
				request.ContentLength = length
				resp, err := s.Client().Do(request)
				if err != nil {
					t.Fatal(err)
				}
				if body, err := io.ReadAll(resp.Body); !strings.HasSuffix(string(body), "answer\n") || err != nil {
					t.Errorf("got %q, %v, want %q at its end and no error", body, err, "answer\n")
				}
				resp.Body.Close()
				w.Close()
			}
		})
	}
}

// What is left of a body must not become the next request of its connection.
func TestConnectionsAreKeptAfterWholeBodies(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nfprocess: cat")
	for range 5 {
		if resp, body := s.do(t, "POST", "/", strings.NewReader("hello")); resp.Close || body != "hello" {
			t.Errorf(`got closed %v, %q, want false "hello"`, resp.Close, body)
		}
	}
}

func TestProcessesThatHoldTheOutputAreWaitedForASecondAndSwept(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		t.Run(mode, func(t *testing.T) {
			s := serveRoute(t, "mode: "+mode+"\nshell: true\nfprocess: '(until [ -e said ]; do sleep 0.01; done; echo late; exec sleep 1000) & echo $! >child; echo hi; : >said'")
			over := make(chan struct{}) // long before the thousand seconds
			go func() {
				defer close(over)
				if resp, body := s.do(t, "GET", "/", nil); resp.StatusCode != 200 || body != "hi\nlate\n" {
					t.Errorf("got %d %q, want 200 with both lines", resp.StatusCode, body)
				}
			}()
			testkit.Await(t, "the end of the response", over)
			waitGone(t, s.pidIn(t, "child"))
		})
	}
}

// One who has left the group is not waited for, and is swept when he holds the output.
func TestProcessesThatLeftTheGroupDoNotHoldTheResponseAndAreSwept(t *testing.T) {
	for _, to := range []string{"", ">/dev/null", "2>/dev/null"} {
		t.Run("to"+to, func(t *testing.T) {
			t.Parallel()
			s := serveRoute(t, "mode: streaming\nshell: true\nfprocess: 'setsid sleep 1000 "+to+" & echo $! >child; while [ \"$(cut -d\" \" -f6 /proc/$!/stat)\" != $! ]; do :; done; echo hi'")
			resp, body := s.do(t, "GET", "/", nil)
			if resp.StatusCode != 200 || body != "hi\n" {
				t.Errorf("got %d %q, want 200 %q", resp.StatusCode, body, "hi\n")
			}
			s.close(t)
			waitGone(t, s.pidIn(t, "child"))
		})
	}
}

func TestStderrIsMixedIntoTheBody(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		s := serveRoute(t, "mode: "+mode+"\nshell: true\nstderr: body\nfprocess: 'echo one; echo two >&2; echo three'")
		if _, body := s.do(t, "GET", "/", nil); body != "one\ntwo\nthree\n" {
			t.Errorf("%s: got %q, want %q", mode, body, "one\ntwo\nthree\n")
		}
		if strings.Contains(s.log.String(), "two") {
			t.Errorf("%s: it is in the log too", mode)
		}
	}
}

func TestStderrOfAnySizeDoesNotBlock(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nshell: true\nfprocess: 'head -c 3000000 /dev/zero | tr \"\\0\" x >&2; echo hi'")
	if _, body := s.do(t, "GET", "/", nil); body != "hi\n" {
		t.Errorf("got %q, want %q", body, "hi\n")
	}
}

func TestBodyOverTheLimitIs413AndNeverSeenAsWhole(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		t.Run(mode, func(t *testing.T) {
			s := serveRoute(t, "mode: "+mode+"\nshell: true\nfprocess: 'cat >data; echo whole >>whole'")
			s.limit = 50 << 10
			resp, body := s.do(t, "POST", "/", strings.NewReader(strings.Repeat("x", 51<<10))) // more would be unread, and reset the connection
			wantProblem(t, resp, body, 413)
			s.close(t)
			if _, err := os.Stat(filepath.Join(s.dir, "whole")); err == nil {
				t.Error("the program took a part of the body for all of it")
			}
		})
	}
}

func TestBodyCutShortIsNeverSeenAsWhole(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nshell: true\nfprocess: 'echo $$$$ >leader; cat >data; echo whole >>whole'")
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf")
	leader := s.pidIn(t, "leader")
	conn.Close()
	waitGone(t, leader)
	s.close(t)
	if _, err := os.Stat(filepath.Join(s.dir, "whole")); err == nil {
		t.Error("the program took a part of the body for all of it")
	}
}

func TestLargeHeadIs431(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		s := serveRoute(t, "mode: "+mode+"\nfprocess: cat")
		resp, body := s.do(t, "GET", "/", nil, "X-Large", strings.Repeat("x", 200<<10))
		wantProblem(t, resp, body, 431)
		var many []string
		for i := range 40 {
			many = append(many, fmt.Sprintf("X-%d", i), strings.Repeat("x", 20<<10))
		}
		resp, body = s.do(t, "GET", "/", nil, many...)
		if resp.StatusCode != 200 {
			t.Errorf("800 KiB in parts: got %d %s, want 200", resp.StatusCode, body)
		}
	}
}

func TestManyVariablesThatTheKernelRefusesAre431(t *testing.T) {
	s := &site{dir: t.TempDir(), log: &testkit.Log{}, maxHead: 8 << 20}
	s.serve(t, routeOf(t, s.dir, "mode: streaming\nfprocess: cat\nenviron: openfaas"), Deps{})
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprintf("X-%d", i), strings.Repeat("x", 100<<10))
	}
	resp, body := s.do(t, "GET", "/", nil, many...)
	wantProblem(t, resp, body, 431)
}

func TestKeysOfTheProcessApply(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		s := serveRoute(t, "mode: "+mode+"\nshell: true\ndir: /usr\numask: '027'\nrlimits: {nofile: 77}\nenv: {GREETING: 'hi ${NAME}'}\n"+
			`fprocess: 'echo "$GREETING $Http_Method"; pwd; umask; ulimit -n'`)
		if _, body := s.do(t, "PUT", "/", nil); body != "hi f PUT\n/usr\n0027\n77\n" {
			t.Errorf("%s: got %q, want %q", mode, body, "hi f PUT\n/usr\n0027\n77\n")
		}
	}
}

// Two hundred calls at once.
func TestManyCallsAtOnceTakeFewThreads(t *testing.T) {
	s := serveRoute(t, "mode: streaming\nshell: true\nfprocess: 'echo x >>here; read line; echo done'")
	before, _ := os.ReadDir("/proc/self/task") // those of other tests stay
	const calls = 200
	bodies := make([]*io.PipeWriter, calls)
	answers := make(chan string, calls)
	for i := range calls {
		r, w := io.Pipe()
		bodies[i] = w
		go func() {
			request, _ := http.NewRequestWithContext(t.Context(), "POST", s.URL, r)
			resp, err := s.Client().Do(request)
			if err != nil {
				answers <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			answers <- string(body)
		}()
	}
	testkit.Eventually(t, "all programs run", func() bool {
		text, _ := os.ReadFile(filepath.Join(s.dir, "here"))
		return len(text) == 2*calls
	})
	tasks, _ := os.ReadDir("/proc/self/task")
	if n := len(tasks) - len(before); n > 40 { // the test itself is a client of as many connections
		t.Errorf("got %d threads more for %d calls, want at most 40", n, calls)
	}
	for _, w := range bodies {
		go func() { io.WriteString(w, "\n"); w.Close() }()
	}
	for range calls {
		if got := <-answers; got != "done\n" {
			t.Errorf("got %q, want %q", got, "done\n")
		}
	}
}

// A body that has come together with its head is the program's before it begins.
func TestSmallBodiesOfAllSizesReachAProgramBehindTheFront(t *testing.T) {
	h, err := New(routeOf(t, t.TempDir(), "mode: streaming\nfprocess: cat\n"), Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.(io.Closer).Close() })
	front := serve(t, h)
	p := testkit.Dial(t, front)
	for _, size := range []int{1, 100, 3000, 4000, 5000, 40000, 100} { // one after the other on one connection
		p.Send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)))
		r, err := http.ReadResponse(p.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r.Body); err != nil || len(got) != size || r.Close {
			t.Fatalf("%d: got %d bytes, close %v, %v, want no error, and len(got) == size && !r.Close", size, len(got), r.Close, err)
		}
	}
}
