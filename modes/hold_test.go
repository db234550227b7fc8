package modes

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/modes/proxy"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

// serverPrograms are the HTTP servers that tests of http mode run as children.
var serverPrograms = map[string]func(){
	"server":     func() { _ = http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), http.HandlerFunc(servePID)) },
	"h2c server": serveH2C,
}

// servePID tells its process number, and ends where that is asked for.
func servePID(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/die":
		f, _ := os.OpenFile("deaths", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		_, _ = f.WriteString("x")
		os.Exit(3)
	case "/hang":
		_ = os.WriteFile("hangs", nil, 0o600)
		<-r.Context().Done()
	case "/wait":
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = fmt.Fprint(w, os.Getpid())
}

func serveH2C() {
	s := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: http.HandlerFunc(servePID), Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	_ = s.ListenAndServe()
}

// supervisedServer serves http mode in front of a supervised process, and gives the
// address of the front.
func supervisedServer(t *testing.T, text string) string {
	t.Helper()
	route := routeOf(t, t.TempDir(), patient("mode: http\nfprocess: ${SELF}\nrestart: {min: 10ms, max: 50ms, give_up: {exits: 1000, within: 1s}}\n"+text))
	sup := supervisor.New(supervisor.Options{Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = sup.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	if _, err := sup.Reconcile([]supervisor.Spec{{
		Name: route.Name, Kind: supervisor.Route, Mode: route.Mode, Process: route.Process,
		Start: route.Timeouts.Start.D(), Listens: true, Upstream: route.Upstream,
	}}); err != nil {
		t.Fatal(err)
	}
	h, err := New(route, Deps{Process: sup.Process(route.Name)})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, h)
}

// askPID returns the pid of the process that answers.
func askPID(t *testing.T, front string, method string) int {
	t.Helper()
	body := strings.NewReader("hello")
	r, err := http.NewRequest(method, "http://"+front+"/", body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%s: got %d %s %v, want 200 and no error", method, res.StatusCode, b, err)
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestACallIsHeldUntilTheProcessIsReady(t *testing.T) {
	for _, text := range []string{
		"env: {" + asProgram + ": server}",
		"env: {" + asProgram + ": h2c server}\nupstream: h2c://127.0.0.1:${PORT}",
	} {
		front := supervisedServer(t, text)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { askPID(t, front, "POST") })
		}
		all.Wait()
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestACallThatFindsItsProcessDeadIsHeldForTheNext(t *testing.T) {
	for _, text := range []string{
		"env: {" + asProgram + ": server}",
		"env: {" + asProgram + ": h2c server}\nupstream: h2c://127.0.0.1:${PORT}",
	} {
		front := supervisedServer(t, text)
		for _, method := range []string{"GET", "POST", "PUT"} {
			for range 3 {
				before := askPID(t, front, method)
				if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				for syscall.Kill(before, 0) == nil { // until it is gone, and not until its supervisor knows
					if _, err := net.Dial("tcp", "127.0.0.1:1"); err == nil {
						t.Fatal("a server on port 1")
					}
				}
				if after := askPID(t, front, method); after == before {
					t.Errorf("%s: answered by the dead", method)
				}
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestCallsSucceedWhileTheProcessIsKilledRepeatedly(t *testing.T) {
	front := supervisedServer(t, "env: {"+asProgram+": server}")
	var stop atomic.Bool
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for !stop.Load() {
				res, err := http.Get("http://" + front + "/")
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				// The request in whose hands it dies is not sent again.
				if err != nil || res.StatusCode != 200 && res.StatusCode != 502 {
					t.Errorf("got %d %s %v, want no error, and (res.StatusCode == 200 || res.StatusCode == 502)", res.StatusCode, b, err)
				}
			}
		})
	}
	for range 10 {
		_ = syscall.Kill(askPIDUntil(t, front), syscall.SIGKILL)
	}
	stop.Store(true)
	all.Wait()
	http.DefaultClient.CloseIdleConnections()
}

// askPIDUntil is askPID for one that may be killed by others.
func askPIDUntil(t *testing.T, front string) int {
	deadline := time.Now().Add(testkit.Patience)
	for time.Now().Before(deadline) {
		res, err := http.Get("http://" + front + "/")
		if err != nil {
			continue
		}
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if pid, err := strconv.Atoi(string(b)); err == nil {
			return pid
		}
	}
	t.Fatal("got no answer, want one")
	return 0
}

// both are the servers that http mode speaks HTTP/1.1 and HTTP/2 to.
var both = []string{
	"env: {" + asProgram + ": server}",
	"env: {" + asProgram + ": h2c server}\nupstream: h2c://127.0.0.1:${PORT}",
}

func TestARequestThatKillsItsProcessIsSentOnce(t *testing.T) {
	for _, text := range both {
		dir := t.TempDir()
		front := supervisedServer(t, text+"\ndir: "+dir)
		deaths := 0
		for _, method := range []string{"GET", "PUT", "DELETE", "POST"} {
			for _, kept := range []bool{false, true} {
				if kept {
					askPIDUntil(t, front) // and its connection to the process is free
				}
				answer := ask(t, front, method+" /die HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
				if want := `"detail":"the process ended during this call: exit status 3"`; !strings.HasPrefix(answer, "HTTP/1.1 502") || !strings.Contains(answer, want) {
					t.Errorf("%s: got %q, want 502 and %s", method, answer, want)
				}
				deaths++
				if b, _ := os.ReadFile(filepath.Join(dir, "deaths")); len(b) != deaths {
					t.Errorf("%s, kept %v: got %d deaths, want %d", method, kept, len(b), deaths)
					deaths = len(b)
				}
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestTheErrorOfACallNamesTheSignalThatKilledItsProcess(t *testing.T) {
	for _, text := range both {
		dir := t.TempDir()
		front := supervisedServer(t, text+"\ndir: "+dir)
		pid := askPID(t, front, "GET")
		answer := make(chan string, 1)
		go func() { answer <- ask(t, front, "GET /hang HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n") }()
		testkit.Eventually(t, "the call is in the process", func() bool {
			_, err := os.Stat(filepath.Join(dir, "hangs"))
			return err == nil
		})
		_ = syscall.Kill(pid, syscall.SIGKILL)
		if got, want := testkit.Await(t, "the response", answer), "the process ended during this call: killed by SIGKILL"; !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestAStaleConnectionOfALivingProcessIsReplaced(t *testing.T) {
	up := testkit.Upstream(t, func(n int, p *testkit.Conn) {
		p.Head()
		p.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		if n == 0 {
			p.Head() // and it closes
		}
	})
	process := &lives{}
	alive := &life{upstream: up, done: make(chan struct{}), lives: true}
	process.next.Store(alive)
	p, err := newProxy(&schema.Route{Name: "api"}, process)
	if err != nil {
		t.Fatal(err)
	}
	front := serve(t, p)
	for range 2 {
		if answer := ask(t, front, get); !strings.HasSuffix(answer, "ok") {
			t.Errorf("got %q, want an answer that ends in ok", answer)
		}
	}
	_ = alive.kept.Close()
}

func TestAResponseThatItsProcessDiesInIsCut(t *testing.T) {
	front := supervisedServer(t, "env: {"+asProgram+": server}")
	pid := askPID(t, front, "GET")
	client := testkit.Dial(t, front)
	client.Send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n")
	res, err := http.ReadResponse(client.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("a whole response: got %q (%v), want an error", b, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestACallIsNotHeldLongerThanItsTimeout(t *testing.T) {
	front := supervisedServer(t, "env: {"+asProgram+": none}\ntimeouts: {queue: 50ms}")
	answer := ask(t, front, get)
	if !strings.HasPrefix(answer, "HTTP/1.1 503") || !strings.Contains(answer, "\r\nRetry-After: ") || !strings.Contains(answer, `"state":`) {
		t.Errorf("got %q, want %q at its start, %q in it and %q in it", answer, "HTTP/1.1 503", "\r\nRetry-After: ", `"state":`)
	}
}

// newProxy is New for a process that a test makes.
func newProxy(route *schema.Route, process proxy.Process) (http.Handler, error) {
	return proxy.New(route, proxy.Deps{Process: process, Log: slog.New(slog.DiscardHandler), Fail: Responder("", route)})
}

// lives is a process whose instances a test makes.
type lives struct {
	next    atomic.Pointer[life]
	waiting chan time.Duration
}

type life struct {
	upstream string
	done     chan struct{}
	lives    bool // though what is suspected is its end
	kept     io.Closer
	held     atomic.Int32
}

func (l *lives) AcquireFor(_ context.Context, wait time.Duration, _ supervisor.Client) (proxy.Instance, error) {
	if l.waiting != nil {
		l.waiting <- wait
	}
	i := l.next.Load()
	i.held.Add(1)
	return i, nil
}

func (i *life) Number() int               { return 7 }
func (i *life) Upstream() schema.Endpoint { return upstreamAt(i.upstream).At(schema.Vars{}) }
func (i *life) Done() <-chan struct{}     { return i.done }
func (i *life) Ending() string            { return "exit status 3" }
func (i *life) Suspect(ctx context.Context) bool {
	if i.lives {
		return false
	}
	select {
	case <-i.done:
		return true
	case <-ctx.Done():
	case <-time.After(testkit.Patience):
	}
	return false
}
func (i *life) SuspectRefusal(ctx context.Context) bool { return i.Suspect(ctx) }
func (i *life) Release()                                { i.held.Add(-1) }
func (i *life) Enter(*supervisor.Seat)                  {}
func (i *life) Leave(*supervisor.Seat)                  {}
func (i *life) Kept() io.Closer                         { return i.kept }
func (i *life) Keep(make func() io.Closer) io.Closer {
	if i.kept == nil {
		i.kept = make()
	}
	return i.kept
}

func TestTheSupervisorMayLearnOfADeathAfterUs(t *testing.T) {
	dead := &life{upstream: testkit.FreeAddress(t), done: make(chan struct{})}
	alive := &life{upstream: answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), done: make(chan struct{})}
	process := &lives{waiting: make(chan time.Duration, 1000)}
	process.next.Store(dead)
	p, err := newProxy(&schema.Route{Name: "api", Timeouts: schema.Timeouts{Queue: schema.Duration(testkit.Patience)}}, process)
	if err != nil {
		t.Fatal(err)
	}
	front := serve(t, p)
	answers := make(chan string, 1)
	go func() {
		answers <- ask(t, front, "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
	}()
	testkit.Await(t, "a wait for an instance", process.waiting)
	close(dead.done)
	for range 3 {
		testkit.Await(t, "a wait for an instance", process.waiting) // the dead one is given again, and not asked
	}
	process.next.Store(alive)
	if answer := testkit.Await(t, "a response", answers); !strings.HasPrefix(answer, "HTTP/1.1 200") {
		t.Errorf("got %q, want %q at its start", answer, "HTTP/1.1 200")
	}
	if dead.held.Load() != 0 || alive.held.Load() != 0 {
		t.Errorf("an instance is still held: got %d, %d, want 0 0", dead.held.Load(), alive.held.Load())
	}
	_ = alive.kept.Close()
}

func TestALivingProcessThatRefusesIsBad(t *testing.T) {
	process := &lives{}
	process.next.Store(&life{upstream: testkit.FreeAddress(t), done: make(chan struct{}), lives: true})
	p, err := newProxy(&schema.Route{Name: "api"}, process)
	if err != nil {
		t.Fatal(err)
	}
	front := serve(t, p)
	if answer := ask(t, front, get); !strings.HasPrefix(answer, "HTTP/1.1 502") {
		t.Errorf("got %q, want %q at its start", answer, "HTTP/1.1 502")
	}
}

func TestTheWaitForAPlaceIsAPartOfTimeoutsQueue(t *testing.T) {
	process := &lives{waiting: make(chan time.Duration, 1)}
	alive := &life{upstream: answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), done: make(chan struct{})}
	process.next.Store(alive)
	p, err := newProxy(&schema.Route{Name: "api", Timeouts: schema.Timeouts{Queue: schema.Duration(testkit.Patience)}}, process)
	if err != nil {
		t.Fatal(err)
	}
	front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, r := call.Enter(w, r)
		defer c.Leave()
		c.WaitedSince(time.Now().Add(-testkit.Patience/2), "queue")
		p.ServeHTTP(w, r)
	}))
	if answer := ask(t, front, get); !strings.HasPrefix(answer, "HTTP/1.1 200") {
		t.Errorf("got %q, want %q at its start", answer, "HTTP/1.1 200")
	}
	if wait := testkit.Await(t, "a wait for an instance", process.waiting); wait > testkit.Patience/2 {
		t.Errorf("waits for %v more, want at most %v", wait, testkit.Patience/2)
	}
	_ = alive.kept.Close()
}
