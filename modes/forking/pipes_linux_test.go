package forking

import (
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A call ends with a SIGCHLD on its way, which ends a poll(2) that finds nothing by EINTR.
func TestASignalDoesNotHideWhoHoldsTheOutput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread := unix.Gettid()
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-over:
				return
			default:
				_ = unix.Tgkill(os.Getpid(), thread, syscall.SIGCHLD)
			}
		}
	}()
	wrong := 0
	for range 50_000 {
		if !outputHeld(r) || nothingIn(r) {
			wrong++
		}
	}
	close(over)
	<-ended
	if wrong > 0 {
		t.Errorf("got %d of 50000 looks that a pipe with a writer has none, want 0", wrong)
	}
}
