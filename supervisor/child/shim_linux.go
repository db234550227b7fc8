package child

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var resources = [...]struct {
	name     string
	resource int
}{
	{"nofile", unix.RLIMIT_NOFILE}, {"as", unix.RLIMIT_AS}, {"core", unix.RLIMIT_CORE},
	{"cpu", unix.RLIMIT_CPU}, {"data", unix.RLIMIT_DATA}, {"fsize", unix.RLIMIT_FSIZE},
	{"memlock", unix.RLIMIT_MEMLOCK}, {"nproc", unix.RLIMIT_NPROC}, {"stack", unix.RLIMIT_STACK},
	{"rss", unix.RLIMIT_RSS}, {"nice", unix.RLIMIT_NICE}, {"rtprio", unix.RLIMIT_RTPRIO},
	{"sigpending", unix.RLIMIT_SIGPENDING}, {"msgqueue", unix.RLIMIT_MSGQUEUE}, {"locks", unix.RLIMIT_LOCKS},
	{"rttime", unix.RLIMIT_RTTIME},
}

// execLimited sets the limit of the address space and executes path. It returns only if it fails.
//
// This program has more addresses than most limits allow, so Go's runtime would get none between the
// two, and it ends the process when it cannot get any. So all is allocated before, and nothing but
// system calls is in between: not syscall.Exec, which copies the environment.
func execLimited(as rlimit, path string, argv, env []string) error {
	program, err := syscall.BytePtrFromString(path)
	if err != nil {
		return err
	}
	words, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return err
	}
	variables, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	// It takes back the limit of open files that Go has raised for itself, and then fails, for
	// want of a program.
	_ = syscall.Exec("", nil, nil)
	limit := syscall.Rlimit{Cur: as.value, Max: as.value}
	_, _, errno := syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_AS, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("set rlimits.as to %d: %w", as.value, errno)
	}
	_, _, errno = syscall.RawSyscall(syscall.SYS_EXECVE, uintptr(unsafe.Pointer(program)), uintptr(unsafe.Pointer(&words[0])), uintptr(unsafe.Pointer(&variables[0])))
	return errno
}

// dieWithParent asks for the parent-death signal again: a change of user forgets it
// (PR_SET_PDEATHSIG(2const)).
func dieWithParent(parent string) error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	if strconv.Itoa(os.Getppid()) != parent {
		return errors.New("watchdogd has ended meanwhile")
	}
	return nil
}
