package forking

import (
	"bytes"
	"context"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/buffers"
	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/fd"
)

// bodyPause is how long a call waits for a small body before it starts the program. One
// that is there already, as nearly all are, then never needs the program to wait.
const bodyPause = 5 * time.Millisecond

// openStdin returns the program's standard input: the file of a large body, or a pipe
// that holds all of a small one or is fed; nil for none.
func (c *forked) openStdin(ctx context.Context, its *pipeEnds) (*os.File, error) {
	in := c.in
	switch {
	case in.held == nil && in.live == nil, in.held != nil && in.held.Size() == 0:
		return nil, nil
	case in.held != nil:
		if file, err := in.held.File(); file != nil {
			return file, err
		}
	}
	ends, err := fd.Pipe()
	if err != nil {
		return nil, pipeFailure(err)
	}
	read, write := ends[0], ends[1]
	_ = syscall.SetNonblock(write, true) // of a new pipe
	file := its.add(os.NewFile(uintptr(read), "stdin"))
	if in.held != nil {
		body, _ := in.held.Memory()
		return file, c.fill(write, body)
	}
	if n := in.content.length; n > 0 && n <= buffers.Size && in.live.Has(n) {
		buf := buffers.Get()
		defer buffers.Put(buf)
		if _, err := io.ReadFull(in.live, (*buf)[:n]); err != nil {
			_ = unix.Close(write) // nothing reads it
			return file, err
		}
		return file, c.fill(write, (*buf)[:n])
	}
	c.stdin = c.feed(os.NewFile(uintptr(write), "stdin"), in.live, in.live)
	if in.content.length < 0 || in.content.length > buffers.Size {
		return file, nil
	}
	select {
	case <-c.stdin.done:
		return file, c.stdin.err
	case <-ctx.Done():
		return file, context.Cause(ctx)
	case <-time.After(bodyPause):
		return file, nil
	}
}

// fill writes a body to the pipe of standard input before anybody reads it. What the pipe
// does not hold is fed.
func (c *forked) fill(pipe int, body []byte) error {
	n, err := unix.Write(pipe, body)
	if err == nil && n == len(body) {
		return unix.Close(pipe)
	}
	c.stdin = c.feed(os.NewFile(uintptr(pipe), "stdin"), bytes.NewReader(bytes.Clone(body[max(n, 0):])), nil)
	return nil
}

// feeder writes a program's standard input to a pipe. A program that does not want
// more of it is not an error: what is left of an upload is then read and dropped, so that
// its sender comes to read the answer.
type feeder struct {
	pipe   *os.File
	upload *call.Body    // nil: what is fed is in memory
	failed func(error)   // called when reading ended with an error
	done   chan struct{} // closed when nothing more is read
	err    error         // of reading; set before done is closed
}

// feed writes from to pipe. When from, which is u if that is not nil, cannot be read the
// call is cut short.
func (c *forked) feed(pipe *os.File, from io.Reader, u *call.Body) *feeder {
	s := &feeder{pipe: pipe, upload: u, failed: func(err error) { c.call.Stop(err) }, done: make(chan struct{})}
	go s.run(from)
	return s
}

func (s *feeder) run(from io.Reader) {
	defer close(s.done)
	buf := buffers.Get()
	defer buffers.Put(buf)
	wanted := true
	for {
		n, err := from.Read(*buf)
		if wanted && n > 0 {
			if _, err := s.pipe.Write((*buf)[:n]); err != nil {
				wanted = false
				if s.upload == nil {
					return
				}
			}
		}
		switch err {
		case nil:
		case io.EOF:
			_ = s.pipe.Close() // a pipe keeps nothing back
			return
		default:
			if err != call.ErrStopped {
				s.err = err
				s.failed(err)
			}
			return
		}
	}
}

// stop ends the feeding wherever it waits, and returns when it has ended.
func (s *feeder) stop() {
	_ = s.pipe.Close() // perhaps a second time
	if s.upload != nil {
		s.upload.Stop()
	}
	<-s.done
}
