package modes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/http1/client"
	"github.com/watchdogd/watchdogd/supervisor"
)

// mute is what is asked of a worker of a route of which none has ever answered.
const mute = "no worker of this route has ever printed an HTTP response: does it speak HTTP on its stdout? A program that reads its input to the end and then prints is mode: streaming"

// holding is said of a worker that has read its request and not answered it: its answer may
// stand in a buffer of its own. Streamer is what is added as long as none has ever answered.
const (
	holding  = "the worker has read the whole request and printed no HTTP response: it must flush its stdout after each response"
	streamer = "; a program that reads its input to the end and then prints is mode: streaming"
)

// heldBack is holding, in the words for a route of which a worker has answered or not.
func heldBack(spoke bool) string {
	if spoke {
		return holding
	}
	return holding + streamer
}

// overran is why a worker is replaced whose call ran out of time.
func overran(timeout string, held bool) error {
	if held {
		return fmt.Errorf("it overran timeouts.%s: %s", timeout, holding)
	}
	return fmt.Errorf("it overran timeouts.%s", timeout)
}

// uselessError says that a worker could not be given the request at all, so that
// another may.
type uselessError struct{ error }

// endedWorker is err, which says that the worker ended with the call in its hands.
func endedWorker(err error, how string) error {
	e, ok := errors.AsType[*failure.Error](err)
	if !ok || e.Kind != failure.BadUpstream {
		return err
	}
	ended := *e
	ended.Detail, ended.Cause = "the worker ended during this call: "+how, err
	return &ended
}

// part sees to it that no call gets the instance any more, and returns when that is
// so. One that has ended by itself, or does so in a moment where that may be, is left to
// the policy of restart, and part reports true.
func part(instance *supervisor.Instance, reason string, mayEnd bool) bool {
	if mayEnd && instance.Suspect(context.Background()) {
		return true
	}
	instance.Replace(reason)
	select {
	case <-instance.Done():
	case <-time.After(time.Second): // the supervisor is busy; the next one finds the same fault
	}
	return false
}

// broken is a worker that does not keep to the protocol. The cause may hold what it
// printed, and is for the log.
func broken(what string, cause error) error {
	return &failure.Error{Kind: failure.BadUpstream, Detail: what, Cause: cause, Plain: plainBroken(cause)}
}

// plainBroken is what package http and the system say of such a worker.
func plainBroken(cause error) string {
	switch {
	case cause == nil:
		return ""
	case errors.Is(cause, io.EOF), errors.Is(cause, io.ErrUnexpectedEOF), errors.Is(cause, syscall.ECONNRESET):
		return io.ErrUnexpectedEOF.Error()
	case errors.Is(cause, syscall.EPIPE):
		return "write |1: broken pipe"
	}
	return "malformed HTTP response"
}

// worker is the connection to one life of a worker.
type worker struct {
	*client.Conn
	settled time.Time // until then its last answer may go on
}

// workerSettling is how long a worker that answered without a body has no next request:
// one that knows nothing of HEAD or 204 prints a body behind it. It is shorter than
// settling is, because the worker is the only one, and on the other end of a socketpair.
const workerSettling = 50 * time.Millisecond

func newWorker(nc net.Conn) *worker {
	c, err := client.NewConn(nc)
	if err != nil {
		return &worker{}
	}
	c.Release()
	return &worker{Conn: c}
}

// Close does nothing: the socket is the supervisor's, which closes it when no call reads
// from it any more. A worker's last answer may end with its life.
func (w *worker) Close() error { return nil }

// settle waits until the worker's last answer is over, and returns why it was not.
func (w *worker) settle() error {
	if !time.Now().Before(w.settled) {
		return nil
	}
	if err := w.SetReadDeadline(w.settled); err != nil {
		return errClosed
	}
	n, err := w.Conn.Conn.Read(w.Free())
	switch {
	case n > 0:
		return strayOutput(w.Free()[:n])
	case errors.Is(err, os.ErrDeadlineExceeded):
		return w.SetReadDeadline(time.Time{})
	case err == io.EOF:
		return errClosed
	}
	return fmt.Errorf("its socket failed: %w", err)
}

func strayOutput(p []byte) error {
	return fmt.Errorf("it printed what belongs to no answer: %s", http1.Quoted(string(p)))
}

// idleFault is why a worker that should be waiting for a request is not, or nil.
func (w *worker) idleFault() error {
	n, err := w.ReadNow(w.Free())
	switch {
	case n > 0:
		return strayOutput(w.Free()[:n])
	case err == client.ErrNotYet:
		return nil
	case err == io.EOF:
		return errClosed
	}
	return fmt.Errorf("its socket failed: %w", err)
}

var errClosed = errors.New("it closed its output")

// unread reports whether the worker has left bytes of its request unread. They would
// be the beginning of its next one.
func (w *worker) unread() bool {
	left := 0
	if err := w.Control(func(fd uintptr) { left = unreadBytes(int(fd)) }); err != nil {
		return true // the socket is closed
	}
	return left > 0
}
