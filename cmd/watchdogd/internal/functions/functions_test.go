package functions

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/routes/auth"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/swarm/enginetest"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// daemon is what a daemon has for its functions.
type daemon struct {
	*Functions
	t       testing.TB
	live    *routes.Live
	metrics *metrics.Registry
	found   *routes.Functions
}

// serve serves a file until the test ends.
func serve(t *testing.T, file string) *daemon {
	t.Helper()
	m := metrics.New(metrics.Options{RouteLabel: true})
	d := &daemon{t: t, live: &routes.Live{Respond: modes.Respond}, metrics: m, found: routes.NewFunctions(m)}
	log := slog.New(slog.DiscardHandler)
	d.Functions = New(Options{Log: log, Routes: d.found, Auth: auth.NewShared(log), Deps: func(*schema.Config) modes.Deps { return modes.Deps{Log: log} }})
	d.apply(file)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = d.Run(ctx) }) // it ends with ctx
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return d
}

// apply makes a file rule, as the daemon does.
func (d *daemon) apply(file string) {
	d.t.Helper()
	cfg, err := schema.Parse("watchdog.yaml", []byte(file), func(string) (string, bool) { return "", false })
	if err != nil {
		d.t.Fatal(err)
	}
	rule, err := d.Prepare(cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	d.live.Swap(routes.NewTable(nil, routes.Options{Metrics: d.metrics, Functions: d.found, Gateway: cfg.Gateway, Respond: modes.Respond}))
	rule()
}

// call is the status and the body of a POST to a function.
func (d *daemon) call(name string) (int, string) {
	w := httptest.NewRecorder()
	d.live.ServeHTTP(w, httptest.NewRequest("POST", "/function/"+name+"/x", strings.NewReader("hello")))
	return w.Code, w.Body.String()
}

// answers waits until a function answers so.
func (d *daemon) answers(name string, status int, words string) {
	d.t.Helper()
	testkit.Eventually(d.t, fmt.Sprintf("%d with %q of function %s", status, words, name), func() bool {
		got, body := d.call(name)
		return got == status && strings.Contains(body, words)
	})
}

// anEngine has a network and the function echo, which answers.
func anEngine(t *testing.T) (*enginetest.Engine, *enginetest.Service) {
	t.Helper()
	answering := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "echo ", r.RequestURI) }))
	t.Cleanup(answering.Close)
	port := answering.Listener.Addr().(*net.TCPAddr).Port
	e := enginetest.New()
	t.Cleanup(e.Close)
	e.PutNetwork(enginetest.Network{ID: "net1", Name: "functions", Subnet: "127.0.0.0/8"})
	s := &enginetest.Service{ID: "s1", Name: "echo", Replicas: 1, Networks: []string{"net1"}, Labels: map[string]string{"watchdogd.function": "", "watchdogd.port": strconv.Itoa(port)}}
	e.PutService(s)
	e.PutTasks("s1", enginetest.Task{ID: "t1", State: "running", Network: "net1", Address: "127.0.0.1/8", At: time.Now()})
	return e, s
}

func TestAFunctionOfASwarmIsCalledAndFollowsItsLabels(t *testing.T) {
	e, s := anEngine(t)
	d := serve(t, "gateway: {swarm: {host: \""+e.Host()+"\"}}")
	d.answers("echo", 200, "echo /x")
	d.answers("ecko", 404, "did you mean echo?")
	port := s.Labels["watchdogd.port"]
	bad := *s
	bad.Labels = map[string]string{"watchdogd.function": "", "watchdogd.port": "http"}
	e.PutService(&bad)
	d.answers("echo", 503, "label watchdogd.port")
	renamed := *s
	renamed.Labels = map[string]string{"watchdogd.function": "resize", "watchdogd.port": port}
	e.PutService(&renamed)
	d.answers("resize", 200, "echo /x")
	d.answers("echo", 404, "no route or function")
	if known, err := d.ReadyOf("resize"); !known || err != nil {
		t.Errorf("got %v %v, want the function ready", known, err)
	}
	var text strings.Builder
	d.Write(&text)
	for _, want := range []string{"watchdogd_swarm_up 1\n", `watchdogd_function_tasks{function_name="resize",service="echo"} 1`} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("got metrics without %q:\n%s", want, text.String())
		}
	}
}

func TestAReloadKeepsWhatItDoesNotChange(t *testing.T) {
	e, _ := anEngine(t)
	file := "gateway: {swarm: {host: \"" + e.Host() + "\"}}\n"
	d := serve(t, file)
	d.answers("echo", 200, "echo /x")
	handlerOf := func(name string) http.Handler {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.handlers[name].Handler
	}
	swarm, answerer := d.current(), handlerOf("echo")
	d.apply(file + "routes: [{name: other, mode: static, root: .}]\n")
	if d.current() != swarm || handlerOf("echo") != answerer {
		t.Error("got the swarm or the function anew, want both kept by a reload that changes neither")
	}
	secret := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(secret, []byte("laptop:0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.apply(file + "defaults: {auth: {keys: {file: \"" + secret + "\"}}}\n")
	if d.current() != swarm {
		t.Error("got the swarm anew, want it kept by a reload that changes the defaults")
	}
	d.answers("echo", 401, "")
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	d.apply(file + "defaults: {auth: {keys: {file: \"" + secret + "\"}}, timeouts: {exec: 1s}}\n")
	d.answers("echo", 503, "not served")
	d.apply("routes: [{name: other, mode: static, root: .}]\ngateway: {}\n")
	d.answers("echo", 404, "")
}

func TestAnEngineThatCannotBeReachedIsASentence(t *testing.T) {
	d := serve(t, "gateway: {swarm: {host: \"unix://"+filepath.Join(t.TempDir(), "none.sock")+"\"}}")
	testkit.Eventually(t, "the missing socket", func() bool { return strings.Contains(d.Note(), "none.sock does not exist") })
	if err := d.Ready(); err == nil || !strings.Contains(err.Error(), "none.sock does not exist: start Docker") {
		t.Errorf("got %v, want not ready with what to do", err)
	}
	d.answers("echo", 503, "none.sock does not exist: start Docker")
	if _, err := d.Prepare(&schema.Config{Gateway: &schema.Gateway{Swarm: &schema.Swarm{Host: "ssh://manager", Label: "f"}}}); err == nil || !strings.Contains(err.Error(), "ssh -L") {
		t.Errorf("got %v for ssh://, want what to do instead", err)
	}
}
