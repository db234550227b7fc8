package modes

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/spill"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

func serveWorkers(t *testing.T, program, text string) *site {
	t.Helper()
	return supervise(t, "mode: afterburn\nfprocess: ${SELF}\nenv: {"+asProgram+": "+program+"}\n"+text)
}

func TestWorkerStaysBetweenCalls(t *testing.T) {
	s := serveWorkers(t, "worker", "")
	var pids []string
	for n := 1; n <= 3; n++ {
		_, body := s.do(t, "GET", "/pid", nil)
		pid, count, _ := strings.Cut(body, " ")
		if count != fmt.Sprint(n) {
			t.Errorf("call %d is its worker's %s, want %s", n, count, fmt.Sprint(n))
		}
		pids = append(pids, pid)
	}
	if pids[0] != pids[2] {
		t.Errorf("answered by: got %v, want the first and the third to be one", pids)
	}
}

func TestRequestIsOneReadWithAnExactLength(t *testing.T) {
	s := serveWorkers(t, "raw", "")
	// More than 36 KiB the kernel passes through a socket in pieces, and a reader who is
	// quick may see the first alone.
	for _, body := range []string{"", "hello", strings.Repeat("x", 30<<10)} {
		for _, chunked := range []bool{false, true} {
			var reader io.Reader = strings.NewReader(body)
			if chunked {
				reader = io.MultiReader(reader)
			}
			_, got := s.do(t, "POST", "/a%20b?c", reader, "x-many", "1", "X-Many", "2")
			head, rest, _ := strings.Cut(got, "\r\n\r\n")
			if !strings.HasPrefix(head, "POST /a%20b?c HTTP/1.1\r\nHost: ") || rest != body ||
				!strings.Contains(head, fmt.Sprintf("\r\nContent-Length: %d\r\n", len(body))) || strings.Contains(head, "chunked") ||
				!strings.Contains(head+"\r\n", "\r\nX-Many: 1\r\nX-Many: 2\r\n") {
				t.Errorf("%.400q, %d bytes of body", head, len(rest))
			}
		}
	}
}

func TestAllOfAWorkersHeadIsPassedOn(t *testing.T) {
	s := serveWorkers(t, "worker", "")
	resp, body := s.do(t, "POST", "/echo", strings.NewReader("hello"))
	if resp.StatusCode != 201 || body != "hello" || strings.Join(resp.Header["X-Many"], ",") != "one,two" {
		t.Errorf(`got %d %v %q, want resp.StatusCode == 201 && body == "hello" && strings.Join(resp.Header["X-Many"], ",") == "one,two"`, resp.StatusCode, resp.Header, body)
	}
}

func TestWorkersBodiesOfAnySize(t *testing.T) {
	s := serveWorkers(t, "worker", "")
	for _, size := range []int{0, 1, 64 << 10, 1 << 20, 1<<20 + 1, 5 << 20} {
		want := strings.Repeat("x", size)
		if _, got := s.do(t, "POST", "/echo", strings.NewReader(want)); got != want {
			t.Errorf("%d bytes came back as %d", size, len(got))
		}
	}
	s.limit = 10
	resp, body := s.do(t, "POST", "/echo", strings.NewReader("more than ten bytes"))
	wantProblem(t, resp, body, 413)
}

func TestFramingsOfAWorkersResponse(t *testing.T) {
	s := serveWorkers(t, "worker", "")
	for path, want := range map[string]string{"/chunked": "hello again", "/http10": "to the end", "/pid": ""} {
		for range 2 {
			resp, body := s.do(t, "GET", path, nil)
			if resp.StatusCode != 200 || want != "" && body != want || resp.ContentLength != int64(len(body)) {
				t.Errorf(`%s: got %d, length %d, %q, want resp.StatusCode == 200 && (want == "" || body == want) && resp.ContentLength == int64(len(body))`, path, resp.StatusCode, resp.ContentLength, body)
			}
		}
	}
}

func TestWorkerThatBreaksTheProtocolIsReplaced(t *testing.T) {
	for path, status := range map[string]int{"/garbage": 502, "/lengthless": 502, "/die": 502, "/half": 502, "/more": 200} {
		t.Run(path[1:], func(t *testing.T) {
			s := serveWorkers(t, "worker", "limits: {response: 1MiB}")
			_, before := s.do(t, "GET", "/pid", nil)
			resp, body := s.do(t, "GET", path, nil)
			if status != 200 {
				wantProblem(t, resp, body, status, "bad-upstream")
				if path == "/die" && !strings.Contains(body, "the worker ended during this call: exit status 3") {
					t.Errorf("got %s, want how the worker ended", body)
				}
			} else if body != "hello" {
				t.Errorf(`got %d %q, want "hello"`, resp.StatusCode, body)
			}
			if strings.Contains(body, "Traceback") {
				t.Errorf("what it printed is for the log: got %s, want no %q in it", body, "Traceback")
			}
			_, after := s.do(t, "GET", "/pid", nil)
			if !strings.HasSuffix(after, " 1") || strings.Fields(after)[0] == strings.Fields(before)[0] {
				t.Errorf("%q answers after %q", after, before)
			}
		})
	}
}

func TestWorkerThatEndsIsCountedAndOneThatLivesIsNot(t *testing.T) {
	for path, last := range map[string]string{"/die": "exit status 3", "/half": "exit status 3", "/http10": "exit status 0",
		"/garbage-and-exit": "exit status 1", "/kill": "killed by SIGKILL", "/garbage": "", "/lengthless": ""} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			s := serveWorkers(t, "worker", "")
			s.do(t, "GET", path, nil)
			if resp, body := s.do(t, "GET", "/pid", nil); resp.StatusCode != 200 {
				t.Fatalf("got %d %s, want 200", resp.StatusCode, body)
			}
			want := 0
			if last != "" {
				want = 1
			}
			if st := s.process.Status(); st.Restarts != want || !strings.HasPrefix(st.LastExit, last) || last == "" && st.LastExit != "" {
				t.Errorf("got %d restarts and the last exit %q, want %d and %q", st.Restarts, st.LastExit, want, last)
			}
		})
	}
}

func TestWorkerThatDiesAtEachCallIsInACrashLoop(t *testing.T) {
	s := serveWorkers(t, "worker", "restart: {min: 1ms, max: 1h, give_up: {exits: 3, within: 1h}}")
	for range 3 {
		resp, body := s.do(t, "GET", "/die", nil)
		wantProblem(t, resp, body, 502)
	}
	testkit.Eventually(t, "it is in a crash loop", func() bool { return s.process.State() == supervisor.CrashLoop })
	resp, body := s.do(t, "GET", "/pid", nil)
	wantProblem(t, resp, body, 503, "exit status 3")
}

func TestStaleBytesAreNotAResponse(t *testing.T) {
	s := serveWorkers(t, "worker", "")
	makeFIFO(t, s.dir, "taken")
	if _, body := s.do(t, "GET", "/stale", nil); body != "hello" {
		t.Fatalf("got %q, want hello", body)
	}
	say(t, s.dir, "taken", "")
	testkit.Eventually(t, "stale bytes are there", func() bool {
		_, err := os.Stat(filepath.Join(s.dir, "stale"))
		return err == nil
	})
	if resp, body := s.do(t, "GET", "/pid", nil); resp.StatusCode != 200 || !strings.HasSuffix(body, " 1") {
		t.Errorf("got %d %q, want 200 and %q at its end", resp.StatusCode, body, " 1")
	}
}

func TestWorkerThatOverrunsItsTimeIsReplaced(t *testing.T) {
	s := serveWorkers(t, "worker", "")
	_, before := s.do(t, "GET", "/pid", nil)
	s.cancels = make(chan context.CancelCauseFunc, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		cancel := <-s.cancels
		testkit.Eventually(t, "it hangs", func() bool {
			_, err := os.Stat(filepath.Join(s.dir, "hangs"))
			return err == nil
		})
		cancel(timedOut())
	}()
	resp, body := s.do(t, "GET", "/hang", nil)
	<-done
	wantProblem(t, resp, body, 504, `"timeout":"exec"`)
	if knowsUnread && (!strings.Contains(body, holding) || strings.Contains(body, streamer)) {
		t.Errorf("got %s of a worker that has answered before, want %q in it and not %q", body, holding, streamer)
	}
	if _, after := s.do(t, "GET", "/pid", nil); !strings.HasSuffix(after, " 1") || after == before {
		t.Errorf("%q answers after %q", after, before)
	}
}

func TestResponseOfAWorkerIsBounded(t *testing.T) {
	s := serveWorkers(t, "worker", "limits: {response: 100}")
	resp, body := s.do(t, "POST", "/echo", strings.NewReader(strings.Repeat("x", 101)))
	wantProblem(t, resp, body, 502, "response-too-big")
	if _, got := s.do(t, "POST", "/echo", strings.NewReader("small")); got != "small" {
		t.Errorf(`got %q, want "small"`, got)
	}
}

func TestWorkersAnswerAtTheSameTimeOneCallEach(t *testing.T) {
	s := serveWorkers(t, "worker", "replicas: 2")
	makeFIFO(t, s.dir, "met")
	var all sync.WaitGroup
	for n := range 2 {
		all.Go(func() {
			if _, body := s.do(t, "GET", fmt.Sprintf("/meet?%d", n), nil); body != "met" {
				t.Errorf(`got %q, want "met"`, body)
			}
		})
	}
	all.Wait()
	resp, body := s.do(t, "GET", "/die", nil)
	wantProblem(t, resp, body, 502)
	for range 3 {
		if resp, _ := s.do(t, "GET", "/pid", nil); resp.StatusCode != 200 {
			t.Errorf("the other worker answers %d, want 200", resp.StatusCode)
		}
	}
}

func TestEventsOfAWorkerArePassedOnAsTheyCome(t *testing.T) {
	s := serveWorkers(t, "worker", "")
	makeFIFO(t, s.dir, "go")
	resp := s.begin(t, "GET", "/events", nil)
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if line, err := in.ReadString('\n'); line != "data: 1\n" {
		t.Fatalf("got %q %v, want %q", line, err, "data: 1\n")
	}
	say(t, s.dir, "go", "")
	if rest, err := io.ReadAll(in); string(rest) != "\ndata: 2\n\n" || err != nil {
		t.Errorf("got %q %v, want %q and no error", rest, err, "\ndata: 2\n\n")
	}
}

func TestAccessLineNamesTheWorker(t *testing.T) {
	s := serveWorkers(t, "worker", "")
	r, _ := http.NewRequestWithContext(t.Context(), "GET", "/pid", nil)
	w := httptest.NewRecorder()
	one, r := call.Enter(w, r)
	defer one.Leave()
	s.handler.ServeHTTP(w, r)
	if one.Instance() != "f/0" {
		t.Errorf("got instance %q, want f/0", one.Instance())
	}
	if st := s.process.Status(); st.State != supervisor.Ready {
		t.Errorf("got %+v, want State %v", st, supervisor.Ready)
	}
}

// Whatever a worker prints: no panic, no more than limits.response, and a head that can
// be sent.
func FuzzWorkersResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "GET")
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "POST")
	f.Add([]byte("HTTP/1.0 404 Not Found\n\nto the end"), "HEAD")
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 None\r\n\r\n"), "GET")
	f.Add([]byte("Traceback"), "GET")
	f.Fuzz(func(t *testing.T, printed []byte, method string) {
		if !http1.ValidName(method) {
			t.Skip()
		}
		pair, err := unixPair(t)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorker(pair[0])
		defer pair[0].Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = pair[1].Write(printed)
			_ = pair[1].(*net.UnixConn).CloseWrite()
			_, _ = io.Copy(io.Discard, pair[1])
			_ = pair[1].Close()
		}()
		r := httptest.NewRequest("GET", "/", nil)
		r.Method = method
		route := &schema.Route{Name: "f"}
		route.Limits.Response = 1 << 10
		recorder := httptest.NewRecorder()
		c := &burning{a: &afterburn{route: route, log: slog.New(slog.DiscardHandler)}, call: call.From(r.Context()), w: recorder, r: r, request: spill.New(0), response: spill.New(1 << 10)}
		defer c.request.Free()
		defer c.response.Free()
		first, err := c.appendHead(nil)
		if err != nil {
			t.Fatal(err)
		}
		w.Borrow()
		err = c.exchange(unremarked{}, w, first)
		_ = c.afterFault(w)
		w.Release()
		_ = pair[0].Close()
		<-done
		if err == nil && !c.begun {
			err = c.send()
		}
		if c.response.Size() > 1<<10 {
			t.Errorf("%d bytes are kept", c.response.Size())
		}
		if err == nil && (recorder.Code < 200 || recorder.Code > 999) {
			t.Errorf("got status %d, want err != nil || recorder.Code >= 200 && recorder.Code <= 999", recorder.Code)
		}
		for name, values := range recorder.Header() {
			for _, v := range values {
				if !http1.ValidName(name) || !http1.ValidValue(v) {
					t.Errorf("%q: got %q, want http1.ValidName(name) && http1.ValidValue(v)", name, v)
				}
			}
		}
	})
}

// unixPair returns the two ends of a socket.
func unixPair(t testing.TB) (ends [2]net.Conn, err error) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return ends, err
	}
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		if ends[i], err = net.FileConn(f); err != nil {
			return ends, err
		}
		_ = f.Close() // FileConn has its own
	}
	return ends, nil
}

// unremarked is the instance of a worker that no supervisor has.
type unremarked struct{}

func (unremarked) Remark(string) {}

func TestPsAsksAboutAWorkerThatIsSilentUntilItAnswers(t *testing.T) {
	dir := t.TempDir()
	script := `read line
read line <go
printf 'HTTP/1.1 204 No Content\r\n\r\n'
exec sleep 600`
	if err := os.WriteFile(filepath.Join(dir, "late"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	makeFIFO(t, dir, "go")
	s := supervise(t, "mode: afterburn\ndir: "+dir+"\nfprocess: sh late\n")
	var call sync.WaitGroup
	call.Go(func() { s.do(t, "GET", "/", nil) })
	said := func() bool {
		return strings.Contains(s.supervisor.Status()[0].Reason, "does it speak HTTP on its stdout?")
	}
	testkit.Eventually(t, "the reason in ps", said)
	say(t, dir, "go", "go\n")
	call.Wait()
	if said() {
		t.Errorf("got %q after the worker has answered, want nothing", s.supervisor.Status()[0].Reason)
	}
}

// A worker that does not flush has read its request and waits for the next one, as this does.
func TestAWorkerThatHoldsBackItsAnswerIsToldToFlush(t *testing.T) {
	if !knowsUnread {
		t.Skip("this system does not say whether a worker has read its request")
	}
	dir := t.TempDir()
	script := `while IFS= read -r line; do
	case "$line" in ?) exec sleep 600;; esac
done`
	if err := os.WriteFile(filepath.Join(dir, "late"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	s := supervise(t, "mode: afterburn\ndir: "+dir+"\nfprocess: sh late\n")
	s.cancels = make(chan context.CancelCauseFunc, 1)
	var call sync.WaitGroup
	call.Go(func() {
		cancel := <-s.cancels
		testkit.Eventually(t, "the reason in ps", func() bool { return s.supervisor.Status()[0].Reason == holding+streamer })
		cancel(timedOut())
	})
	resp, body := s.do(t, "GET", "/", nil)
	call.Wait()
	wantProblem(t, resp, body, 504, holding+streamer)
	testkit.Eventually(t, "the reason of its end in the log", func() bool { return strings.Contains(s.log.String(), "it overran timeouts.exec: "+holding) })
}

func TestAWorkerThatSpeaksNoHTTPIsAskedAbout(t *testing.T) {
	s := supervise(t, "mode: afterburn\nfprocess: cat\n") // gives back the request
	resp, body := s.do(t, "GET", "/", nil)
	wantProblem(t, resp, body, 502, "does it speak HTTP on its stdout?")
	s = serveWorkers(t, "worker", "")
	s.do(t, "GET", "/pid", nil)
	if resp, body := s.do(t, "GET", "/garbage", nil); resp.StatusCode != 502 || strings.Contains(body, "does it speak HTTP") {
		t.Errorf("got %d %s, want a 502 that does not ask about one that has answered before", resp.StatusCode, body)
	}
}
