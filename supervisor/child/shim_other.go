//go:build !linux

package child

import "syscall"

var resources = [...]struct {
	name     string
	resource int
}{
	{"nofile", syscall.RLIMIT_NOFILE}, {"as", syscall.RLIMIT_AS}, {"core", syscall.RLIMIT_CORE},
	{"cpu", syscall.RLIMIT_CPU}, {"data", syscall.RLIMIT_DATA}, {"fsize", syscall.RLIMIT_FSIZE},
	{"stack", syscall.RLIMIT_STACK},
}

func dieWithParent(string) error { return nil }
