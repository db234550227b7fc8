package modes

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// After ten thousand calls of all kinds nothing is left of any: no process, descriptor,
// file or goroutine.
func TestMixedCallsLeaveNothing(t *testing.T) {
	calls := 10_000
	if testing.Short() {
		calls = 1000
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	route := func(mode, more string) string {
		return "mode: " + mode + "\nshell: true\nstop: {grace: 100ms}\nenviron: openfaas\n" + more + "\nfprocess: |\n" +
			"  case $$Http_Path in /fail) exit 3;; /hang) sleep 1000 & wait;; /kill) kill -9 $$$$;; /orphan) sleep 1000 >/dev/null 2>&1 & ;; /half) echo half; exit 1;; *) exec cat;; esac"
	}
	sites := []*site{
		serveRoute(t, route("streaming", "")),
		serveRoute(t, route("serializing", "form: files\nlimits: {response: 2MiB}")),
		supervise(t, route("streaming", "warm: 2")),
		serveWorkers(t, "worker", "replicas: 2\nstop: {grace: 50ms}\nrestart: {min: 1ms, max: 1ms, give_up: {exits: 100000, within: 1s}}"),
	}
	for _, s := range sites {
		s.limit = 2 << 20
	}
	typ, form := testkit.Form(t, "a", "b", "up@file", strings.Repeat("x", 100<<10))
	kinds := []struct {
		path, body string
		header     string
		patience   time.Duration
		timeout    string
		rare       bool // for its size
	}{
		{path: "/", body: "hello"},
		{path: "/echo", body: strings.Repeat("x", 100<<10)},
		{path: "/echo", body: strings.Repeat("x", 1<<20+1), rare: true},
		{path: "/fail"},
		{path: "/half"},
		{path: "/kill"},
		{path: "/orphan"},
		{path: "/", body: strings.Repeat("x", 3<<20), rare: true}, // 413
		{path: "/hang", patience: 10 * time.Millisecond},
		{path: "/hang", body: strings.Repeat("x", 20<<10), patience: 3 * time.Millisecond},
		{path: "/hang", timeout: "10ms"},
		{path: "/", body: form.String(), header: typ},
		{path: "/", body: "no form", header: "multipart/form-data; boundary=b"},
	}
	run := func(n int) {
		s := sites[n%len(sites)]
		k := kinds[n/len(sites)%len(kinds)]
		round := n / len(sites) / len(kinds)
		if k.rare && round%10 > 0 || n%len(sites) == 3 && (k.path == "/hang" || k.path == "/half") && round%4 > 0 {
			k = kinds[0] // a new worker is the dearest of all
		}
		if n%len(sites) == 3 && (k.path == "/" || k.path == "/fail" || k.path == "/kill" || k.path == "/orphan") {
			k.path = "/echo" // what the worker knows
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		if k.patience > 0 {
			ctx, cancel = context.WithTimeout(ctx, k.patience)
			defer cancel()
		}
		r, err := http.NewRequestWithContext(ctx, "POST", s.URL+k.path, strings.NewReader(k.body))
		if err != nil {
			t.Error(err)
			return
		}
		if k.header != "" {
			r.Header.Set("Content-Type", k.header)
		}
		if k.timeout != "" {
			r.Header.Set("X-Timeout", k.timeout)
		}
		resp, err := s.Client().Do(r)
		if err != nil {
			return // some are meant to fail
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	rest := func() {
		for _, s := range sites {
			s.Client().CloseIdleConnections()
		}
	}
	counts := func() (descriptors, goroutines int, children string) {
		fds, _ := os.ReadDir("/proc/self/fd")
		tasks, _ := os.ReadDir("/proc/self/task")
		for _, task := range tasks {
			pids, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%s/children", task.Name()))
			for pid := range strings.FieldsSeq(string(pids)) {
				comm, _ := os.ReadFile("/proc/" + pid + "/comm")
				if name := strings.TrimSpace(string(comm)); name != "watchdogd-guard" {
					children += name + " "
				}
			}
		}
		return len(fds), runtime.NumGoroutine(), children
	}
	all := func(from, to int) {
		next := make(chan int)
		var workers sync.WaitGroup
		for range 32 {
			workers.Go(func() {
				for n := range next {
					run(n)
				}
			})
		}
		for n := from; n < to; n++ {
			next <- n
		}
		close(next)
		workers.Wait()
		rest()
	}
	const warmUp = 156 // three times each
	all(0, warmUp)
	var fds, goroutines, same int
	var children string
	testkit.Eventually(t, "two workers, two that wait, and the same in twenty looks", func() bool {
		d, g, c := counts()
		if same++; d != fds || g != goroutines || c != children {
			same = 0
		}
		fds, goroutines, children = d, g, c
		return same >= 20 && len(strings.Fields(c)) == 4
	})
	all(warmUp, calls)
	testkit.Eventually(t, "nothing is left", func() bool {
		d, g, c := counts()
		left, _ := os.ReadDir(tmp)
		return d <= fds+4 && g <= goroutines+4 && len(strings.Fields(c)) == 4 && len(left) == 0
	})
	if t.Failed() {
		d, g, c := counts()
		t.Logf("descriptors %d then %d, goroutines %d then %d, children %q then %q", fds, d, goroutines, g, children, c)
	}
}
