package supervisor

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guardProgram is ourselves, also after the file has been replaced.
func guardProgram() (string, error) { return "/proc/self/exe", nil }

// becomeAlone takes a name that is not watchdogd's, and closes what was open without
// close-on-exec when watchdogd was started, such as the listeners of a socket activation.
func becomeAlone() {
	_ = os.WriteFile("/proc/self/comm", []byte("watchdogd-guard"), 0) // without /proc it is called exe
	if unix.CloseRange(3, 1<<31-1, 0) == nil {
		return
	}
	fds, _ := os.ReadDir("/proc/self/fd") // before Linux 5.9; what cannot be read stays open
	for _, f := range fds {
		if fd, err := strconv.Atoi(f.Name()); err == nil && fd > 2 {
			_ = unix.Close(fd) // the folder's own is closed already
		}
	}
}

// killMarked kills all whose mark begins so, again and again until there is nobody:
// they may be forking.
func killMarked(mark string) {
	for limit := time.Now().Add(sweepBound); time.Now().Before(limit); time.Sleep(firstPause) {
		dir, err := os.Open("/proc")
		if err != nil {
			return
		}
		names, _ := dir.Readdirnames(-1) // what could be read is what there is
		dir.Close()
		found := false
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil && pid > 1 && strings.HasPrefix(markOf(pid), mark) {
				found = true
				_ = syscall.Kill(pid, syscall.SIGKILL) // gone is as good
			}
		}
		if !found {
			return
		}
	}
}
