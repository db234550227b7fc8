package modes

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/modes/forking"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

// routeOf returns the one route of a file that holds what text says, in dir. ${SELF} in
// it is this test binary.
func routeOf(t *testing.T, dir, text string) *schema.Route {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := "routes:\n- name: f\n  strip_prefix: false\n  path: /\n"
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		file += "  " + strings.TrimPrefix(line, "\t") + "\n"
	}
	config, err := schema.Parse(filepath.Join(dir, "watchdog.yaml"), []byte(file), func(name string) (string, bool) {
		return self, name == "SELF"
	})
	if err != nil {
		t.Fatal(err)
	}
	return &config.Routes[0]
}

// patient is text with timeouts that no start of a process needs, unless it has its own
// or its processes are not waited for.
func patient(text string) string {
	if strings.Contains(text, "timeouts:") || strings.Contains(text, "warm:") {
		return text
	}
	return strings.TrimSpace(text) + fmt.Sprintf("\ntimeouts: {start: %[1]v, queue: %[1]v}\n", testkit.Patience)
}

// site is a route behind a real server, with what routes would add in front of it.
type site struct {
	*httptest.Server
	handler    http.Handler
	dir        string
	log        *testkit.Log
	process    *supervisor.Process // of supervise
	supervisor *supervisor.Supervisor

	// cancels gives, for each call, how it is ended from outside; nil when no test asks.
	cancels chan context.CancelCauseFunc
	// limit is the most bytes of a request's body; 0 is no limit.
	limit int64
	// maxHead is the size of a head that the server takes; 0 is its default.
	maxHead int
	calls   atomic.Int64 // under way
}

func serveRoute(t *testing.T, text string) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), log: &testkit.Log{}}
	s.serve(t, routeOf(t, s.dir, text), Deps{})
	return s
}

func (s *site) serve(t *testing.T, route *schema.Route, d Deps) {
	t.Helper()
	d.Log = slog.New(slog.NewTextHandler(s.log, nil))
	handler, err := New(route, d)
	if err != nil {
		t.Fatal(err)
	}
	s.serveHandler(t, route, handler)
}

// ending says that the response is the connection's last where our own server would. net/http,
// where the handler reads and writes at once, takes the rest of a body for the next request.
type ending struct {
	http.ResponseWriter
	call *call.Call
}

func (e *ending) WriteHeader(status int) {
	if status >= 200 {
		f, body := e.call.Head(), e.call.Body()
		if f != nil && f.Kind.Closes() || body != nil && !body.Whole() {
			e.Header().Set("Connection", "close")
		}
	}
	e.ResponseWriter.WriteHeader(status)
}

func (e *ending) ReadFrom(src io.Reader) (int64, error) {
	return e.ResponseWriter.(io.ReaderFrom).ReadFrom(src)
}

func (e *ending) Unwrap() http.ResponseWriter { return e.ResponseWriter }

func (s *site) serveHandler(t *testing.T, route *schema.Route, handler http.Handler) {
	t.Helper()
	s.handler = handler
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		defer s.calls.Add(-1)
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 always is
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		if s.cancels != nil {
			s.cancels <- cancel
		}
		if d, err := time.ParseDuration(r.Header.Get("X-Timeout")); err == nil {
			defer time.AfterFunc(d, func() { cancel(timedOut()) }).Stop()
		}
		if s.limit > 0 {
			r.Body = &limitedBody{r.Body, s.limit}
		}
		c, r := call.Enter(w, r.WithContext(ctx))
		defer c.Leave()
		c.Prefix, c.Stripped = strings.TrimSuffix(route.Path, "/"), route.StripPrefix
		if r.ProtoMajor == 1 {
			w = &ending{w, c}
		}
		handler.ServeHTTP(w, r)
	}))
	s.Server.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(s.log, nil), slog.LevelError)
	s.Server.Config.MaxHeaderBytes = s.maxHead
	s.Server.EnableHTTP2 = true
	s.Server.Start()
	t.Cleanup(func() {
		s.Client().CloseIdleConnections()
		s.Server.Close()
		s.close(t)
	})
}

// supervise serves a route whose processes a supervisor starts: workers, or those ahead
// of their request.
func supervise(t *testing.T, text string) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), log: &testkit.Log{}}
	route := routeOf(t, s.dir, patient(text))
	spec := supervisor.Spec{Name: route.Name, Kind: supervisor.Route, Mode: route.Mode, Process: route.Process,
		Start: route.Timeouts.Start.D(), Warm: route.Warm, OneOutput: route.OneOutput()}
	if route.Mode == schema.Afterburn {
		spec.Socketpair, spec.Capacity = true, 1
	}
	sup := supervisor.New(supervisor.Options{Log: slog.New(slog.NewTextHandler(s.log, nil))})
	if _, err := sup.Reconcile([]supervisor.Spec{spec}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sup.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", s.log)
		}
	})
	s.process, s.supervisor = sup.Process(route.Name), sup
	s.serve(t, route, Deps{Process: s.process})
	return s
}

// close closes the handler, which waits for all that is left of its calls.
func (s *site) close(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, "no call uses the handler", func() bool { return s.calls.Load() == 0 })
	if c, ok := s.handler.(io.Closer); ok {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// get calls the route and gives the whole answer.
func (s *site) do(t *testing.T, method, path string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	resp := s.begin(t, method, path, body, header...)
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return resp, string(all)
}

// begin calls the route and gives the answer when its head is there.
func (s *site) begin(t *testing.T, method, path string, body io.Reader, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// wantProblem checks an answer of our own.
func wantProblem(t *testing.T, resp *http.Response, body string, status int, words ...string) {
	t.Helper()
	if resp.StatusCode != status || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %s: %s; want %d", resp.StatusCode, resp.Header.Get("Content-Type"), body, status)
	}
	for _, word := range words {
		if !strings.Contains(body, word) {
			t.Errorf("the answer does not say %q: got %s, want %q in it", word, body, word)
		}
	}
}

// limitedBody is the body as routes limits it.
type limitedBody struct {
	io.ReadCloser
	left int64
}

func (l *limitedBody) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, &failure.Error{Kind: failure.BodyTooLarge, Detail: "over limits.body"}
	}
	return n, err
}

// makeFIFO makes a FIFO, on which a program waits for say.
func makeFIFO(t *testing.T, dir, name string) {
	t.Helper()
	if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
		t.Fatal(err)
	}
}

// say writes text to a FIFO when a program reads from it.
func say(t *testing.T, dir, name, text string) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600) }()
	if err := testkit.Await(t, "a reader of "+name, done); err != nil {
		t.Fatal(err)
	}
}

// pidIn waits for a file in which a program wrote its number.
func (s *site) pidIn(t *testing.T, name string) int {
	t.Helper()
	pid := 0
	testkit.Eventually(t, name+" is written", func() bool {
		text, _ := os.ReadFile(filepath.Join(s.dir, name))
		if !bytes.HasSuffix(text, []byte("\n")) {
			return false
		}
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid > 0
	})
	return pid
}

// waitGone waits for a process's end. An orphan that has ended stays a zombie here, where
// no supervisor runs that waits for it.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("process %d is gone", pid), func() bool {
		return syscall.Kill(pid, 0) == syscall.ESRCH || state(pid) == "Z"
	})
}

// timedOut is the cause with which routes ends a call that took too long.
func timedOut() error {
	return &failure.Error{Kind: failure.Timeout, Timeout: "exec", Detail: "the call took longer than timeouts.exec"}
}

// forkPrograms are what the tests of the forking modes start, besides what every
// system has.
var forkPrograms = map[string]func(){
	// slow reads a line, and answers it, and so on.
	"lines": func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			fmt.Println("got " + in.Text())
		}
	},
	// vars prints the variables that came on a descriptor, a line each, then its input.
	"vars": func() {
		fd, err := strconv.Atoi(os.Getenv(supervisor.WarmEnv))
		if err != nil {
			fmt.Println("cold", os.Getenv("Http_Method"))
			return
		}
		block, _ := io.ReadAll(os.NewFile(uintptr(fd), "vars"))
		body, _ := io.ReadAll(os.Stdin)
		fmt.Println("warm", os.Getpid())
		fmt.Print(strings.ReplaceAll(string(block), "\x00", "\n"), string(body))
	},
	// env is watchdogd env.
	"env": func() {
		_ = os.Unsetenv(asProgram)
		fmt.Fprintln(os.Stderr, forking.EnvExec(os.Args[1:]))
		os.Exit(1)
	},
}

// workerPrograms are the workers of the tests of afterburn.
var workerPrograms = map[string]func(){
	// worker does what the path of a request says.
	"worker": func() {
		in := bufio.NewReader(os.Stdin)
		for n := 1; ; n++ {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(r.Body)
			answer := func(text string) string {
				return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
			}
			switch r.URL.Path {
			case "/pid":
				fmt.Print(answer(fmt.Sprint(os.Getpid(), " ", n)))
			case "/echo":
				fmt.Printf("HTTP/1.1 201 Made\r\nX-Many: one\r\nX-Many: two\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			case "/head":
				head := fmt.Sprintf("%s %s %q %v %d", r.Method, r.RequestURI, r.Header["X-Many"], r.TransferEncoding, r.ContentLength)
				fmt.Print(answer(head))
			case "/chunked":
				fmt.Print("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n again\r\n0\r\n\r\n")
			case "/http10":
				fmt.Print("HTTP/1.0 200 OK\r\n\r\nto the end")
				os.Exit(0)
			case "/garbage":
				fmt.Print("Traceback (most recent call last):\n")
			case "/lengthless":
				fmt.Print("HTTP/1.1 200 OK\r\n\r\nhello")
			case "/late":
				fmt.Print("HTTP/1.1 204 No Content\r\n\r\n")
				_, _ = os.ReadFile("late") // a FIFO
				fmt.Print("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
			case "/more":
				fmt.Print(answer("hello") + "and more")
			case "/stale":
				fmt.Print(answer("hello"))
				_, _ = os.ReadFile("taken") // a FIFO
				fmt.Print("stale")
				_ = os.WriteFile("stale", nil, 0o600)
			case "/garbage-and-exit":
				fmt.Print("Traceback (most recent call last):\n")
				os.Exit(1)
			case "/kill":
				p, _ := os.FindProcess(os.Getpid())
				_ = p.Kill()
				select {}
			case "/die":
				os.Exit(3)
			case "/half":
				fmt.Print("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
				os.Exit(3)
			case "/hang":
				_ = os.WriteFile("hangs", nil, 0o600)
				select {} // until it is killed
			case "/events":
				fmt.Print("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
				_, _ = os.ReadFile("go") // a FIFO
				fmt.Print("9\r\ndata: 2\n\n\r\n0\r\n\r\n")
			case "/meet": // two of these are answered only together
				if r.URL.RawQuery == "0" {
					_, _ = os.ReadFile("met") // a FIFO, whose two ends open together
				} else {
					_ = os.WriteFile("met", nil, 0o600)
				}
				fmt.Print(answer("met"))
			}
		}
	},
	// raw answers as the known clients do: it takes what one read gives for the request.
	"raw": func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := os.Stdin.Read(buf)
			if err != nil {
				return
			}
			fmt.Printf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, buf[:n])
		}
	},
}
