//go:build !linux

package child

import "syscall"

func guardProgram() (string, error) { return executable() }

func becomeAlone() {}

// Elsewhere a process's environment cannot be seen, and what left its group is not found.
func sweepMarked(string) {}

// keepInherited keeps descriptors above 2, which were open when this program was started,
// from its children.
func keepInherited() {
	for fd := 3; fd < 256; fd++ {
		syscall.CloseOnExec(fd)
	}
}
