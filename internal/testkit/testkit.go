// Package testkit holds what the tests of many packages share. Only tests import it.
//
//	func TestMain(m *testing.M) { testkit.Main(m) } // fails when a goroutine is left
//
//	address := testkit.Serve(t, server)             // on a port of its own, until the test ends
//	c := testkit.Dial(t, address)
//	c.Send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
//	got := c.Rest()
//
//	v := testkit.Await(t, "the call", calls)        // receives from a channel
//	testkit.Eventually(t, "the file", exists)       // for what nothing announces
//	port := testkit.FreePort(t)                     // reserved until the test ends
//
// Every wait ends after Patience and then fails the test. A wait never paces a test: what can
// be waited for by a channel, a read or a Log is not polled with Eventually.
package testkit

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Patience bounds every wait for what must happen: long enough for a loaded machine, and
// never reached by a test that passes.
const Patience = time.Minute

// Main runs the tests and exits. It fails them when a goroutine is left at the end.
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		err := goleak.Find() // which itself waits a little
		for end := time.Now().Add(Patience); err != nil && time.Now().Before(end); {
			err = goleak.Find() // net/http lingers for half a second on what it closes
		}
		if err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

// Await receives from c, or returns when c is closed. It fails the test, naming what, when
// neither happens within Patience.
func Await[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case v = <-c:
	case <-timer.C:
		t.Fatalf("got no sign within %v, want %s", Patience, what)
	}
	return v
}

// InTime calls try with a short time, and with longer and longer ones as long as it returns
// false: the machine was too slow to come to what is tried within the time before.
func InTime(t testing.TB, short time.Duration, try func(short time.Duration) bool) {
	t.Helper()
	for ; !try(short); short *= 2 {
		if short > Patience/10 {
			t.Fatalf("got too late for a time of %v, want to come to what is tried", short)
		}
	}
}

// Eventually waits until ok returns true. It is for what nothing announces, such as the files
// and children of another process.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(Patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("got nothing within %v, want %s", Patience, what)
		}
	}
}
