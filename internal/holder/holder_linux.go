package holder

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listener returns the inode of the TCP socket that listens on port; empty when there is
// none in our network namespace.
func Listener(port int) string {
	if inode := listenerIn("/proc/net/tcp", port); inode != "" {
		return inode
	}
	return listenerIn("/proc/net/tcp6", port)
}

// listenerIn reads a table as proc_pid_net(5) has it: the local address is the second field,
// the state the fourth, the inode the tenth.
func listenerIn(file string, port int) string {
	const listens = "0A"
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		w := strings.Fields(in.Text())
		if len(w) > 9 && w[3] == listens {
			if _, hex, ok := strings.Cut(w[1], ":"); ok {
				if n, err := strconv.ParseInt(hex, 16, 32); err == nil && int(n) == port {
					return w[9]
				}
			}
		}
	}
	return ""
}

// Has reports whether process pid has the socket of that inode open, as far as can be seen.
func Has(pid int, inode string) bool { return among(strconv.Itoa(pid), inode) != 0 }

// Process returns a process that has the socket of that inode open, 0 if none can be seen:
// another user's processes do not show their sockets.
func Process(inode string) int { return among("[0-9]*", inode) }

func among(pattern, inode string) int {
	if inode == "" {
		return 0
	}
	links, _ := filepath.Glob("/proc/" + pattern + "/fd/*") // the pattern is good
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && to == "socket:["+inode+"]" {
			pid, _ := strconv.Atoi(strings.Split(l, "/")[2]) // it is one, by the pattern
			return pid
		}
	}
	return 0
}

// OfPort returns the process that listens on a port of TCP, 0 if it cannot be seen.
func OfPort(port int) int { return Process(Listener(port)) }

// OfSocket returns the process that listens at the other end of c, 0 if it cannot be seen.
func OfSocket(c net.Conn) int {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) { // pid stays 0
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}
