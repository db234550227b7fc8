package testkit

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

// failing is a test that records how it failed.
type failing struct {
	testing.TB
	said []string
}

func (f *failing) Helper()                   {}
func (f *failing) Errorf(s string, a ...any) { f.said = append(f.said, fmt.Sprintf(s, a...)) }

func TestWorkThatGrowsFasterThanItsInputFails(t *testing.T) {
	for name, c := range map[string]struct {
		cost  func(n int) Cost
		fails int
	}{
		"linear":                   {func(n int) Cost { return Cost{"steps": uint64(n)} }, 0},
		"half as much again":       {func(n int) Cost { return Cost{"steps": uint64(n + n/4)} }, 0},
		"square":                   {func(n int) Cost { return Cost{"steps": uint64(n * n)} }, 2},
		"a floor that grows later": {func(n int) Cost { return Cost{"steps": uint64(max(5, n-500))} }, 1},
	} {
		f := &failing{TB: t}
		InProportion(f, name, 100, Cost{"steps": 5}, c.cost)
		if len(f.said) != c.fails {
			t.Errorf("%s: got %d failures (%q), want %d", name, len(f.said), f.said, c.fails)
		}
	}
	var kept []byte
	if got := Allocated(func() { kept = make([]byte, 1<<20) }); got["bytes"] < 1<<20 || got["pieces"] == 0 || len(kept) == 0 {
		t.Errorf("got %v for a piece of 1 MiB, want at least that", got)
	}
}

func TestAFreePortIsKeptFromOthersAndServes(t *testing.T) {
	port := FreePort(t)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatalf("got %v, want to listen on the port", err)
	}
	defer l.Close()
	for range 100 {
		if other := FreePort(t); other == port {
			t.Fatalf("got port %d twice", port)
		}
	}
}

func TestAFreePairIsTwoPortsThatServe(t *testing.T) {
	first := FreePair(t)
	if first%10 != 0 {
		t.Errorf("got %d, want one that ends in 0", first)
	}
	for port := first; port < first+2; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatalf("got %v, want to listen on the port", err)
		}
		defer l.Close()
	}
}

func TestAllocationsOfOthersDoNotCount(t *testing.T) {
	var kept []byte
	calls := 0
	if n := Allocs(10, 0, func() {
		if calls++; calls < 15 { // as another goroutine would, in the first attempt
			kept = make([]byte, 1<<10)
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
	if n := Allocs(10, 0, func() { kept = make([]byte, 1<<10) }); n != 1 || len(kept) == 0 {
		t.Errorf("got %v allocations, want 1", n)
	}
}

func TestALogIsWaitedForWhileItGrows(t *testing.T) {
	var log Log
	go func() {
		for i := range 100 {
			fmt.Fprintf(&log, "line %d\n", i)
		}
	}()
	if got := log.Await(t, "line 99"); strings.Count(got, "\n") != 100 {
		t.Errorf("got %d lines, want 100", strings.Count(got, "\n"))
	}
}

func TestAServerAndAnUpstreamAnswer(t *testing.T) {
	up := Upstream(t, func(n int, c *Conn) {
		c.Head()
		c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n))
	})
	web := Serve(t, &http.Server{Handler: http.NotFoundHandler()})
	for i, c := range []struct {
		address, body string
		status        int
	}{{up, "0", 200}, {up, "1", 200}, {web, "404 page not found\n", 404}} {
		conn := Dial(t, c.address)
		conn.Send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if res, body := conn.Response("GET"); res.StatusCode != c.status || body != c.body {
			t.Errorf("request %d: got %d %q, want %d %q", i, res.StatusCode, body, c.status, c.body)
		}
		if rest := conn.Rest(); rest != "" {
			t.Errorf("request %d: got %q behind the response, want nothing", i, rest)
		}
	}
}

func TestAZombieHasEnded(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if Ended(cmd.Process.Pid) {
		t.Errorf("got an ended process, want one that runs")
	}
	_ = cmd.Process.Kill()
	if runtime.GOOS == "linux" {
		AwaitEnd(t, cmd.Process.Pid) // a zombie until Wait
	}
	_ = cmd.Wait()
	AwaitEnd(t, cmd.Process.Pid)
}

func TestAProgramThatWasJustWrittenCanBeStartedWhileOthersAre(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			for i := range 10 {
				path := filepath.Join(dir, fmt.Sprintf("program-%d-%d", n, i))
				WriteProgram(t, path, "#!/bin/sh\necho here\n")
				if out, err := exec.Command(path).Output(); err != nil || string(out) != "here\n" {
					t.Errorf("got %q, %v, want what it prints", out, err)
				}
			}
		})
	}
	all.Wait()
}
