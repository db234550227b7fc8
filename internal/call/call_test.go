package call_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// A handler works alike behind a front that begins calls and behind any other server.
func Example() {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, r := call.Enter(w, r)
		defer c.Leave()
		c.SetInstance("api/1")
		body, err := io.ReadAll(r.Body)
		if err != nil {
			c.Fail(err)
			return
		}
		_, _ = fmt.Fprintf(w, "%s says %s", c.Instance(), body)
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/hello", strings.NewReader("hello")))
	fmt.Println(w.Body)
	// Output: api/1 says hello
}

// deadlines is a ResponseWriter that notes what is done to its connection.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write int
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.read++; return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.write++; return nil }

func begun(t *testing.T, parent context.Context, body io.Reader) (*call.Call, *deadlines, *http.Request) {
	t.Helper()
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest("POST", "/", body).WithContext(parent)
	c, in := call.Enter(w, r)
	t.Cleanup(c.Leave)
	return c, w, in
}

func TestACallStoppedBeforeItsResponseCanStillBeAnswered(t *testing.T) {
	c, w, r := begun(t, context.Background(), io.MultiReader(strings.NewReader("x")))
	called := 0
	c.OnEnd(func() { called++ })
	why := &failure.Error{Kind: failure.Timeout, Timeout: "exec"}
	if !c.Stop(why) || c.Stop(errors.New("late")) {
		t.Error("got a second stop, want the first only")
	}
	if called != 1 || !c.OffEnd() {
		t.Errorf("interrupt called %d times, want 1", called)
	}
	if got := context.Cause(r.Context()); got != error(why) {
		t.Errorf("cause: got %v, want %v", got, why)
	}
	if w.read != 1 || w.write != 0 {
		t.Errorf("deadlines: got %d of reading and %d of writing, want 1 and 0", w.read, w.write)
	}
	if _, err := r.Body.Read(make([]byte, 1)); err != error(why) {
		t.Errorf("reading the body: got %v, want %v", err, why)
	}
	if c.Answer() {
		t.Error("Answer: got true, want false: there is another response to send")
	}
	if s := c.State(); s.Cut || s.Failed != why {
		t.Errorf("got %+v, want the timeout, and nothing cut", s)
	}
}

func TestACallStoppedDuringItsResponseWritesNoMore(t *testing.T) {
	c, w, _ := begun(t, context.Background(), nil)
	if !c.Answer() {
		t.Fatal("Answer: got false, want true")
	}
	c.Stop(&failure.Error{Kind: failure.Timeout})
	if s := c.State(); w.write != 1 || !s.Cut {
		t.Errorf("got %d deadlines of writing and %+v, want 1 and a response that is cut", w.write, s)
	}
}

func TestTheEndOfTheServersContextStopsTheCall(t *testing.T) {
	parent, cancel := context.WithCancel(context.Background())
	c, _, r := begun(t, parent, nil)
	stopped := make(chan struct{})
	c.OnEnd(func() { close(stopped) })
	cancel()
	<-stopped
	if got := context.Cause(r.Context()); got != context.Canceled {
		t.Errorf("cause: got %v, want %v", got, context.Canceled)
	}
	if s := c.State(); s.Failed != nil {
		t.Errorf("failed: got %v, want none: the client has left", s.Failed)
	}
}

func TestWhatKeepsTheContextOfACallDoesNotFindTheNext(t *testing.T) {
	c := new(call.Call)
	x := new(call.Context)
	c.Begin(context.Background(), x, httptest.NewRecorder(), time.Now())
	if got := call.From(x); got != c {
		t.Errorf("From: got %p, want %p", got, c)
	}
	_, _ = c.End()
	if got := call.From(x); got == c {
		t.Error("From after the end: got the call, want an empty one")
	}
	if x.Err() == nil {
		t.Error("the context of a call that is over has not ended")
	}
}

func TestAnEventStreamEndsWhole(t *testing.T) {
	c, w, _ := begun(t, context.Background(), nil)
	if c.EndStream() {
		t.Error("EndStream before the response: got true, want false")
	}
	c.Answer()
	c.Streams()
	if s := c.State(); !s.Whole || s.Cut || s.Failed != nil || !s.Stopped || w.write != 0 {
		t.Errorf("got %+v and %d deadlines of writing, want a stream that ended whole", s, w.write)
	}
	c.StopStream()
	if s := c.State(); s.Whole || !s.Cut || w.write != 1 {
		t.Errorf("after StopStream: got %+v and %d deadlines of writing, want a stream that is cut", s, w.write)
	}
}

func TestAConnectionThatWasTakenOverEndsByItsFarewell(t *testing.T) {
	c, _, _ := begun(t, context.Background(), nil)
	ours, theirs := net.Pipe()
	defer func() { _, _ = ours.Close(), theirs.Close() }()
	c.Took(ours)
	said := 0
	c.OnFarewell(func() { said++ })
	if !c.EndStream() || said != 1 || c.State().Stopped {
		t.Errorf("got %d farewells and %+v, want 1 and a call that goes on", said, c.State())
	}
	c.StopStream()
	if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading after StopStream: got %v, want a deadline", err)
	}
}

func TestOutsideOfACallEverythingCanBeAsked(t *testing.T) {
	c := call.From(context.Background())
	c.SetInstance("x")
	c.Touch()
	c.Fail(errors.New("x"))
	c.OnEnd(func() {})
	if c.OffEnd() || c.Local() || c.EndStream() || c.Body() != nil {
		t.Error("got something of a call that is none, want nothing")
	}
	c.Leave()
}

// net/http takes the deadline of a body that is given up for the client's leaving, and ends
// its context: the response that is on its way must not be cut.
func TestADroppedBodyIsNotTakenForTheClientsLeaving(t *testing.T) {
	parent, cancel := context.WithCancel(context.Background())
	c, w, _ := begun(t, parent, io.MultiReader(strings.NewReader("x")))
	c.Answer()
	c.Body().Drop()
	cancel()
	stopped := make(chan struct{})
	context.AfterFunc(parent, func() { close(stopped) })
	<-stopped
	if s := c.State(); s.Stopped || w.write != 0 || w.read != 1 {
		t.Errorf("got %+v with %d deadlines of writing and %d of reading, want a call that goes on, 0 and 1", s, w.write, w.read)
	}
}
