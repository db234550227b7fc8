//go:build !linux

package child

import "syscall"

func guardProgram() (string, error) { return executable() }

func becomeAlone() {}

// Elsewhere nobody shows another's environment: who has left its group is not found.
func killMarked(string) {}

// keepInherited keeps descriptors above 2, which whoever started this program left open,
// from its children.
func keepInherited() {
	for fd := 3; fd < 256; fd++ {
		syscall.CloseOnExec(fd)
	}
}
