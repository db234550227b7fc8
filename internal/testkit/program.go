package testkit

import (
	"os"
	"syscall"
	"testing"
)

// WriteProgram writes an executable file, which everyone may run. Nothing that this process
// starts meanwhile inherits the open file: the kernel starts no program that is open for
// writing somewhere, and a program that has just been forked has it until it is executed.
func WriteProgram(t testing.TB, path, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte(text), 0o755)
	syscall.ForkLock.RUnlock()
	if err == nil {
		err = os.Chmod(path, 0o755) // whatever the umask is, or the file was before
	}
	if err != nil {
		t.Fatal(err)
	}
}
