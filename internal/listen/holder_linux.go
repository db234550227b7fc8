package listen

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// portHolder gives the process that listens on the port of address, 0 if that
// cannot be seen: another user's processes do not show their sockets.
func portHolder(address string) int {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	port, err := net.LookupPort("tcp", text)
	if err != nil {
		return 0
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for _, inode := range listening(table, port) {
			if pid := socketOwner(inode); pid != 0 {
				return pid
			}
		}
	}
	return 0
}

// listening gives the inodes of the sockets that listen on port, from a table as
// proc(5) describes it: the local address is the second field, the state the fourth, the inode the tenth.
func listening(table string, port int) (inodes []string) {
	f, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer f.Close()
	suffix := fmt.Sprintf(":%04X", port)
	const listen = "0A"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && strings.HasSuffix(fields[1], suffix) && fields[3] == listen {
			inodes = append(inodes, fields[9])
		}
	}
	return inodes
}

// socketOwner gives the process that has the socket open.
func socketOwner(inode string) int {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // its only error is a bad pattern
	want := "socket:[" + inode + "]"
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == want {
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2]) // the pattern holds digits
			return pid
		}
	}
	return 0
}

// socketHolder gives the process that listens at the other end of c.
func socketHolder(c net.Conn) int {
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
