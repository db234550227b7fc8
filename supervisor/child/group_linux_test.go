package child

import (
	"bufio"
	"context"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// tend runs Tend until the end of the test.
func tend(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var tending sync.WaitGroup
	tending.Go(func() { Tend(ctx, slog.New(slog.DiscardHandler)) })
	t.Cleanup(func() {
		cancel()
		tending.Wait()
	})
}

func TestProcessesThatLeftGroupAndOutputAreSweptAfterTheCall(t *testing.T) {
	tend(t)
	p := program(t, "")
	p.Shell = true
	p.FProcess = schema.Command{Line: "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $!; read line"}
	prog, err := NewProgram("test", p)
	if err != nil {
		t.Fatal(err)
	}
	stdin, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	defer hold.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_ = r.SetReadDeadline(time.Now().Add(bound))
	c, err := prog.Start(StartOptions{Stdin: stdin, Stdout: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	daemon := atoi(t, readLine(t, bufio.NewReader(r)))
	if ours.sweepCalls(); !alive(daemon) {
		t.Error("it was swept while the call was under way")
	}
	c.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	if !awaitEnd(ctx, daemon) {
		t.Error("it is alive after the call's end")
	}
}

func TestNoZombieOfAGroupIsLeft(t *testing.T) {
	p := program(t, "")
	p.Shell = true
	p.FProcess = schema.Command{Line: "for i in 1 2 3 4 5 6 7 8; do (sleep 1000 & sleep 1000) & done; echo up; wait"}
	prog, err := NewProgram("test", p)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c, err := prog.Start(StartOptions{Stdout: w})
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		_ = r.SetReadDeadline(time.Now().Add(bound))
		readLine(t, bufio.NewReader(r))
		c.Kill()
		r.Close()
		for _, e := range readTable() {
			if e.pgrp == c.PID() && e.ppid == os.Getpid() {
				t.Errorf("%d is left, state %c", e.pid, e.state)
			}
		}
	}
}

// One whose shell had signals blocked while it started him, or that was about to set
// its own, has had none though he was there.
func TestTheYoungOfAGroupGetItsSignalAgain(t *testing.T) {
	c, out := start(t, "teacher")
	deaf := atoi(t, readLine(t, out))
	e, _ := readEntry(deaf, make([]byte, 1024))
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	// As StopUntil does, which takes the time of the signal: on a slow machine the process is not
	// young any more by then.
	_ = c.Signal(syscall.SIGTERM)
	if got := readLine(t, out); got != "missed" {
		t.Errorf(`got %q, want "missed"`, got)
	}
	if gone := c.emptied(ctx, &missed{signal: syscall.SIGTERM, since: e.began}); !gone || c.Exit().Signal != syscall.SIGTERM {
		t.Errorf("got all gone: %v, the leader %v, want all gone by the signal", gone, c.Exit())
	}
	if got := readLine(t, out); got != "bye" {
		t.Errorf(`got %q, want "bye"`, got)
	}
}

func TestAProcessIsYoungForASecond(t *testing.T) {
	m := missed{since: 1000}
	for began, want := range map[uint64]bool{1200: true, 1000: true, 1000 - youth: true, 1000 - youth - 1: false} {
		if got := m.by(began); got != want {
			t.Errorf("one that began at %d, asked to end at %d: got %v, want %v", began, m.since, got, want)
		}
	}
}
