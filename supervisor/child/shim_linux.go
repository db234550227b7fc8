package child

import (
	"errors"
	"os"
	"strconv"
	"syscall"

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
