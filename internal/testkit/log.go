package testkit

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// Log is a log that may be read, and waited for, while it is written. The zero Log is empty.
type Log struct {
	mu   sync.Mutex
	all  bytes.Buffer
	grew chan struct{} // closed when it grows; nil while no one waits
}

// Write adds p.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grew != nil {
		close(l.grew)
		l.grew = nil
	}
	return l.all.Write(p)
}

// String is all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// Await waits until the log holds text, and returns all of it.
func (l *Log) Await(t testing.TB, text string) string {
	t.Helper()
	return l.AwaitThat(t, text, func(all string) bool { return strings.Contains(all, text) })
}

// AwaitThat waits until ok returns true for all that was written, and returns that.
func (l *Log) AwaitThat(t testing.TB, what string, ok func(all string) bool) string {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	for {
		l.mu.Lock()
		if l.grew == nil {
			l.grew = make(chan struct{})
		}
		all, grew := l.all.String(), l.grew
		l.mu.Unlock()
		if ok(all) {
			return all
		}
		select {
		case <-grew:
		case <-timer.C:
			t.Fatalf("got this log within %v, want %s:\n%s", Patience, what, all)
		}
	}
}
