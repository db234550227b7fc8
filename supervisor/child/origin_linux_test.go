package child

import (
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// A life that ended with 0 owns what was born meanwhile and bears no mark. When many go to
// the background at once, each sweeps its own daemon, which then is of no other life.
func TestAProcessThatIsEndingIsOfNoOtherLife(t *testing.T) {
	o := newOrigin("mark", "/bin/sh")
	running := exec.Command("sleep", "1000")
	running.Env = []string{}
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	daemon := entry{pid: running.Process.Pid, pgrp: running.Process.Pid, state: 'S', began: now(), top: os.Getpid()}
	o.wentAway()
	if !o.owns(daemon) {
		t.Error("got a process of another life, want the life's own: it was born before its child ended, and has no mark")
	}
	_ = running.Process.Kill()
	_ = running.Wait()
	other := newOrigin("other", "/bin/sh")
	other.since = o.since
	other.wentAway()
	if other.owns(daemon) {
		t.Error("got a process that is gone as the life's own, want it left to its own life")
	}
}

// On a busy machine it takes long until a life is swept.
func TestALifeThatHasEndedKeepsItsDaemonUntilItIsSwept(t *testing.T) {
	daemon, other := newOrigin("daemon", "/usr/sbin/nginx"), newOrigin("other", "/bin/true")
	f := children{running: map[int]info{1: {origin: daemon}, 2: {origin: other}}, over: make(chan struct{}, 1)}
	f.forget(1)
	f.former[0].ended = time.Now().Add(-2 * sweepBound)
	f.forget(2)
	if !slices.Contains(f.origins(), daemon) {
		t.Error("got a life that is forgotten before it was swept, want its daemon to be taken for that of no other")
	}
	f.swept(daemon)
	f.swept(other)
	if got := f.origins(); len(got) != 0 {
		t.Errorf("got %d lives after they were swept, want none", len(got))
	}
}
