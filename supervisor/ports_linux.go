package supervisor

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// quietPorts is a range that the kernel chooses no port from by itself.
func quietPorts() [2]int {
	var low, high int
	data, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		_, err = fmt.Sscan(string(data), &low, &high)
	}
	switch {
	case err != nil:
		return [2]int{20000, 32767}
	case low > 12000:
		return [2]int{10000, low - 1}
	case high < 63000:
		return [2]int{high + 1, 65535}
	}
	return [2]int{10000, 65535}
}

// holder names the process that listens on port, if /proc shows it to us.
func holder(port int) string {
	inode := ""
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if inode = listener(file, port); inode != "" {
			break
		}
	}
	if inode == "" {
		return ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is good
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && to == "socket:["+inode+"]" {
			pid := strings.Split(l, "/")[2]
			name, _ := os.ReadFile("/proc/" + pid + "/comm") // without a name the pid says it
			return strings.TrimSpace(fmt.Sprintf("process %s %s", pid, name))
		}
	}
	return ""
}

// listener gives the inode of the socket that listens on port (proc_pid_net(5)).
func listener(file string, port int) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		w := strings.Fields(in.Text())
		if len(w) > 9 && w[3] == "0A" {
			if _, hex, ok := strings.Cut(w[1], ":"); ok {
				if n, err := strconv.ParseInt(hex, 16, 32); err == nil && int(n) == port {
					return w[9]
				}
			}
		}
	}
	return ""
}
