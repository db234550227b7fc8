package terminal

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ErrUnread is the cause of the end of a context of WhileRead.
var ErrUnread = errors.New("the terminal, or the program that read the lines, has gone")

// lookEvery is how often the wait for the end of a reader looks for its own end, in
// milliseconds.
const lookEvery = 200

// WhileRead returns a context that ends with ctx, or with ErrUnread when what w writes to was
// closed: a terminal, or the reading end of a pipe. A file is never closed so. stop ends the
// wait for that, and returns when it has ended.
func WhileRead(ctx context.Context, w io.Writer) (reading context.Context, stop func()) {
	f := Of(w)
	if f == nil {
		f, _ = w.(*os.File)
	}
	reading, cancel := context.WithCancelCause(ctx)
	if f == nil {
		return reading, func() { cancel(nil) }
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for reading.Err() == nil {
			of := []unix.PollFd{{Fd: int32(f.Fd())}} // no event but the end (poll(2))
			n, err := unix.Poll(of, lookEvery)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return // where it cannot be known, a write finds out
			}
			if n > 0 && of[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0 {
				cancel(ErrUnread)
			}
		}
	}()
	return reading, func() {
		cancel(nil)
		<-done
	}
}
