package testkit

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
)

// Ended reports whether process pid has ended. A zombie has.
func Ended(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid) }

// AwaitEnd waits until process pid, of whatever parent, has ended.
func AwaitEnd(t testing.TB, pid int) {
	t.Helper()
	Eventually(t, fmt.Sprintf("the end of process %d", pid), func() bool { return Ended(pid) })
}
