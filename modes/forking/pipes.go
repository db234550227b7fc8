package forking

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/fd"
	"github.com/watchdogd/watchdogd/internal/http1/client"
)

// pipeEnds are descriptors that are closed together.
type pipeEnds []*os.File

func (e *pipeEnds) add(f *os.File) *os.File {
	*e = append(*e, f)
	return f
}

// close has a pointer as its receiver so that a defer closes what is added after it.
func (e *pipeEnds) close() {
	for _, f := range *e {
		_ = f.Close() // nothing was written that could be lost
	}
}

// outputPipe makes a pipe that a program writes: we wait for it in the poller, the
// program's end blocks.
func outputPipe(ours, its *pipeEnds) (read, write *os.File, err error) {
	r, w, err := fd.ReadPipe()
	if err != nil {
		return nil, nil, pipeFailure(err)
	}
	return ours.add(r), its.add(w), nil
}

// readEnd is the reading end of a pipe.
type readEnd struct {
	file *os.File
	raw  syscall.RawConn
	try  func(fd uintptr) bool // read, kept so that reading costs no memory

	p   []byte // of try
	n   int
	err error
}

func (r *readEnd) open() (err error) {
	r.raw, err = r.file.SyscallConn()
	r.try = func(fd uintptr) bool {
		for {
			if r.n, r.err = syscall.Read(int(fd), r.p); r.err != syscall.EINTR {
				return true
			}
		}
	}
	return err
}

// read reads. Unless it is to wait it returns client.ErrNotYet when nothing is there.
func (r *readEnd) read(p []byte, wait bool) (n int, err error) {
	if wait {
		return r.file.Read(p)
	}
	r.p = p
	err = r.raw.Read(r.try)
	switch {
	case err != nil: // closed, or its deadline has passed
		return 0, err
	case r.err == syscall.EAGAIN:
		return 0, client.ErrNotYet
	case r.err != nil:
		return 0, r.err
	case r.n == 0:
		return 0, io.EOF
	}
	return r.n, nil
}

// outputHeld reports whether a process has the writing end of a pipe open.
func outputHeld(read *os.File) bool { return events(read)&unix.POLLHUP == 0 }

// nothingIn reports whether the end of file is all that is left in a pipe.
func nothingIn(read *os.File) bool { return events(read) == unix.POLLHUP }

// events returns what poll(2) says of a file now; POLLHUP for one that is closed.
func events(file *os.File) int16 {
	var now int16 = unix.POLLHUP
	conn, err := file.SyscallConn()
	if err != nil {
		return now
	}
	_ = conn.Control(func(fd uintptr) { // as of a closed one
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			_, err := unix.Poll(p, 0)
			if err == unix.EINTR { // a signal came, as the end of a child sends one
				continue
			}
			if err == nil {
				now = p[0].Revents
			}
			return
		}
	})
	return now
}

func pipeFailure(err error) error {
	return &failure.Error{Kind: failure.StartFailed, Detail: "the program could not be started", Cause: err}
}
