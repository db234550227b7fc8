package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// The watchdog that the scenarios run: this test binary, unless the flag names another,
// such as one of the originals.
var watchdogFlag = flag.String("watchdog", "", "the watchdog that TestOpenFaaS runs, in place of the one under test")

// A scenario is one sentence of what the two watchdogs of OpenFaaS promise, or do, shown
// from outside: a process, its variables, requests, signals and what came of it.
type scenario struct {
	says string
	of   dialect // whose sentence it is
	ours bool    // what the originals do not do, or not so well
	solo bool    // needs a port of the host that is always the same one
	do   func(w *watchdog)
}

type dialect int

const (
	modern  dialect = iota // of-watchdog
	classic                // the classic watchdog
	either                 // both
)

func (d dialect) String() string { return [...]string{"of-watchdog", "classic-watchdog", "either"}[d] }

// TestOpenFaaS holds a watchdog against the scenarios:
//
//	go test ./cmd/watchdogd -run OpenFaaS -watchdog /usr/bin/fwatchdog -v
//
// An original always has the port 8081, so for another binary they run one by one.
// Ours mostly wait, so more of them run at once than there are processors.
func TestOpenFaaS(t *testing.T) {
	b := openBench(t)
	var running sync.WaitGroup
	defer running.Wait()
	places := make(chan struct{}, 6)
	for _, part := range []struct {
		name string
		rows []scenario
	}{
		{"choosing", choosing()},
		{"variables", variables()},
		{"environment", environment()},
		{"streaming", streaming()},
		{"serializing", serializing()},
		{"http", httpMode()},
		{"static", staticMode()},
		{"tokens", tokens()},
		{"limit", inflight()},
		{"output", output()},
		{"classic", classicMode()},
		{"health", healthAndLock()},
		{"ending", ending()},
		{"metrics", metricsPort()},
		{"afterburn", afterburn()},
		{"images", images()},
	} {
		for _, s := range part.rows {
			run := func() { t.Run(part.name+"/"+s.says, func(t *testing.T) { b.hold(t, s) }) }
			if !b.ours || s.solo {
				run()
				continue
			}
			places <- struct{}{}
			running.Go(func() { defer func() { <-places }(); run() })
		}
	}
}

// bench is what all scenarios share.
type bench struct {
	path string  // of the watchdog
	ours bool    // it is the one of this repository
	is   dialect // of another
	env  []string
}

func openBench(t *testing.T) *bench {
	b := &bench{path: *watchdogFlag}
	if b.path == "" {
		b.path, b.ours, b.env = self(t), true, []string{
			"WATCHDOGD_TEST_AS=watchdogd",
			"GORACE=atexit_sleep_ms=0", // or each end takes a second with -race
		}
		return b
	}
	full, err := filepath.Abs(b.path)
	if err != nil {
		t.Fatal(err)
	}
	b.path = full
	b.recognize(t)
	return b
}

// recognize finds out which watchdog another binary is: with no variable at all,
// of-watchdog asks for function_process, and the classic one never heard of it.
func (b *bench) recognize(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.path)
	cmd.Args[0] = "watchdogd" // ours says its own words by this name only
	cmd.Env, cmd.Dir = []string{"PATH=" + os.Getenv("PATH")}, t.TempDir()
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err == nil {
		t.Fatalf("%s with no variables did not fail: got\n%s\nwant an error", b.path, said.String())
	}
	switch {
	case strings.Contains(said.String(), "watchdog.yaml"):
		b.ours = true
	case !strings.Contains(said.String(), "function_process"):
		b.is = classic
	}
	t.Logf("%s: ours %v, else %v", b.path, b.ours, b.is)
}

// hold runs one scenario.
func (b *bench) hold(t *testing.T, s scenario) {
	switch {
	case b.ours:
	case s.ours:
		t.Skipf("%s is an original, and this is better here than there, or ours alone", b.path)
	case s.of != either && s.of != b.is:
		t.Skipf("%s is a %s, and this is said of the %s", b.path, b.is, s.of)
	}
	w := newWatchdog(t, b)
	w.classic = s.of == classic
	s.do(w)
}

// soon bounds every wait for what must happen.
const soon = testkit.Patience
