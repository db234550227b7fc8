//go:build !linux

package testprogram

import "syscall"

// Alive reports whether there is a process pid.
func Alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
