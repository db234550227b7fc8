package admin

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// On a busy machine an answer may come late: then watchdogd has not ended, and its socket is
// not free.
func TestAWatchdogdThatDoesNotAnswerInTimeIsNotGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	a := Client{address: "unix:" + path}
	if _, err := a.infoWithin(time.Millisecond); err == nil || !silent(err) {
		t.Errorf("without an answer: got %v, want the end of the wait", err)
	}
	_ = l.Close() // which removes it
	if _, err := a.Info(); err == nil || silent(err) || !a.Gone() {
		t.Errorf("without a socket: got %v, want it gone", err)
	}
}
