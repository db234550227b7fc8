package supervisor

import (
	"fmt"
	"os"
	"sync"
	"syscall"
)

// devNull is opened once and stays open.
var devNull = sync.OnceValues(func() (*os.File, error) {
	return os.OpenFile(os.DevNull, os.O_RDWR, 0)
})

// pipe gives a pipe whose reading end waits in the poller, and whose writing end, for a
// child, blocks.
func pipe() (r, w *os.File, err error) {
	var fds [2]int
	syscall.ForkLock.RLock()
	err = syscall.Pipe(fds[:])
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("make a pipe for the output of a process: %w", err)
	}
	_ = syscall.SetNonblock(fds[0], true) // otherwise a thread waits, and all works
	return os.NewFile(uintptr(fds[0]), "|0"), os.NewFile(uintptr(fds[1]), "|1"), nil
}
