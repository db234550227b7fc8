package modes

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1/client"
)

// upload is the body of a request, read by one goroutine while another may tell it to
// stop: neither a program that has ended nor a call that is over waits for the
// uploader. It knows whether the body was read to its end.
type upload struct {
	body    io.ReadCloser
	w       http.ResponseWriter
	stopped atomic.Bool
	whole   atomic.Bool
}

// errStopped is what a body gives after stop.
var errStopped = errors.New("the call is over")

// newUpload gives the body of r, or nil when there is none.
func newUpload(w http.ResponseWriter, r *http.Request) *upload {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil
	}
	return &upload{body: r.Body, w: w}
}

// Read reads the body. Its errors but io.EOF and errStopped are *failure.Error.
func (u *upload) Read(p []byte) (int, error) {
	if u.stopped.Load() {
		return 0, errStopped
	}
	n, err := u.body.Read(p)
	return n, u.told(err)
}

// told gives what a reader of u is told of an error of the body.
func (u *upload) told(err error) error {
	switch {
	case err == nil:
	case err == io.EOF:
		u.whole.Store(true)
	case u.stopped.Load():
		err = errStopped
	default:
		err = unreadable(err)
	}
	return err
}

// spliceTo moves the n bytes that are left of u to an upstream by splice(2), where both
// ends are sockets and n is worth it; else tried is false. The error is io.EOF when all
// is moved, what Read would have given, or else the upstream's.
func (u *upload) spliceTo(to *client.Conn, n int64) (tried bool, err error) {
	from, ok := u.body.(interface {
		Socket() (net.Conn, int64)
		Took(n int64, err error) error
	})
	tcp, isTCP := to.Conn.(*net.TCPConn)
	if !ok || !isTCP || n < spliceLeast || u.stopped.Load() {
		return false, nil
	}
	socket, left := from.Socket()
	if socket == nil || left != n {
		return false, nil
	}
	took, err := tcp.ReadFrom(&io.LimitedReader{R: socket, N: n})
	if err != nil && to.Broken() {
		_ = from.Took(took, os.ErrDeadlineExceeded) // nothing is wrong with the caller: it is we who read no more
		return true, err
	}
	return true, u.told(from.Took(took, err))
}

// has reports whether n bytes can be read without waiting.
func (u *upload) has(n int64) bool {
	b, ok := u.body.(interface{ Buffered() int64 })
	return ok && b.Buffered() >= n
}

// unreadable says why a body cannot be read, if those who limit it have not said so.
func unreadable(err error) error {
	if _, ok := errors.AsType[*failure.Error](err); ok {
		return err
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return &failure.Error{Kind: failure.SlowBody, Detail: "the request's body came too slowly", Cause: err}
	}
	return &failure.Error{Kind: failure.Malformed, Detail: "the request's body cannot be read", Cause: err}
}

// stop makes Read fail, also one that waits. It returns when done is closed, which is
// for the one who reads to do.
func (u *upload) stop(done <-chan struct{}) {
	u.stopped.Store(true)
	control := http.NewResponseController(u.w)
	for {
		select {
		case <-done:
			return
		default:
		}
		if control.SetReadDeadline(aLongTimeAgo) != nil {
			_ = u.body.Close() // no connection is behind it that could be waited for
			<-done
			return
		}
		// Once is enough, unless the body was given another deadline in that moment.
		select {
		case <-done:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// until calls read, which reads u, and stops u when ctx ends.
func (u *upload) until(ctx context.Context, read func() error) error {
	over := make(chan struct{})
	done := atEnd(ctx, func() { u.stop(over) })
	err := read()
	close(over)
	done()
	return err
}

// atEnd has interrupt called when ctx ends, unless done was called before. done
// reports whether it was called, and returns when it has returned.
func atEnd(ctx context.Context, interrupt func()) (done func() bool) {
	returned := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(returned)
		interrupt()
	})
	return func() bool {
		if stop() {
			return false
		}
		<-returned
		return true
	}
}

// last says, in the head of a response to HTTP/1, that it is the connection's last when
// the body of its request is not at its end. What is left of it must not be
// taken for the next request: a caller could have put one there.
func (u *upload) last(r *http.Request) {
	if u != nil && r.ProtoMajor == 1 && !u.whole.Load() {
		u.w.Header().Set("Connection", "close")
	}
}

// drop gives up what was not read of the body, once the answer is written: or the
// front would wait a moment for the rest of it.
func (u *upload) drop() {
	if u != nil && !u.whole.Load() {
		_ = http.NewResponseController(u.w).SetReadDeadline(aLongTimeAgo) // where there is none, nothing waits
	}
}
