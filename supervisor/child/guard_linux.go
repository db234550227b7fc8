package child

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// guardProgram is ourselves, also after the file has been replaced.
func guardProgram() (string, error) { return "/proc/self/exe", nil }

// becomeAlone closes what was open without close-on-exec when watchdogd was started,
// such as the listeners of a socket activation, and then takes a name that is not
// watchdogd's. Nothing is opened by package os, before or here: its poller would be
// closed with the rest, or stay.
func becomeAlone() {
	closeOthers()
	if fd, err := unix.Open("/proc/self/comm", unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil { // without /proc it is called exe
		_, _ = unix.Write(fd, []byte("watchdogd-guard")) // as above
		_ = unix.Close(fd)                               // was written at once
	}
}

// keepInherited keeps descriptors above 2, which were open when this program was started,
// from its children: a lock, a socket or a pipe that they held would never be released.
// It is called before anything else is opened that a child is meant to have.
func keepInherited() {
	if unix.CloseRange(3, 1<<31-1, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	dir, err := os.ReadDir("/proc/self/fd") // before Linux 5.11
	if err != nil {
		for fd := 3; fd < 1024; fd++ {
			unix.CloseOnExec(fd)
		}
		return
	}
	for _, entry := range dir {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

func closeOthers() {
	first := 3
	for fd := first; fd < 64; fd++ { // the runtime opens its own, if at all, before all others
		if ofRuntime(fd) {
			closeRange(first, fd-1)
			first = fd + 1
		}
	}
	closeRange(first, 1<<31-1)
}

// ofRuntime reports whether a descriptor is one by which the runtime waits for files: a
// package of the program may have opened one before main. The runtime ends without it.
func ofRuntime(fd int) bool {
	var buf [64]byte
	n, err := unix.Readlink("/proc/self/fd/"+strconv.Itoa(fd), buf[:])
	return err == nil && strings.HasPrefix(string(buf[:n]), "anon_inode:[event")
}

// closeRange closes the descriptors from first to last.
func closeRange(first, last int) {
	if first > last || unix.CloseRange(uint(first), uint(last), 0) == nil {
		return
	}
	for fd := first; fd <= min(last, 1023); fd++ { // before Linux 5.9
		_ = unix.Close(fd) // nearly all are not open
	}
}
