package child

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/internal/holder"
)

// LostPort reports whether a process listens on port that does not descend from the child,
// which has an Owner. A listener
// whose owner cannot be read, or that started after the child (such as a container's port
// proxy), is accepted.
func (c *Child) LostPort(port int) bool {
	inode := holder.Listener(port)
	if inode == "" {
		return false
	}
	for _, pid := range c.processes() {
		if holder.Has(pid, inode) {
			return false
		}
	}
	pid := holder.Process(inode)
	return pid != 0 && c.predates(pid)
}

// Listeners is where the child, which has an Owner, its group and its descendants listen,
// those that left it included. TCP addresses are host:port, sockets paths.
func (c *Child) Listeners() []string {
	sockets := listening(c.pid)
	if len(sockets) == 0 {
		return nil
	}
	var at []string
	for _, pid := range c.processes() {
		for _, inode := range socketsOf(pid) {
			if address, ok := sockets[inode]; ok {
				at = append(at, address)
			}
		}
	}
	return at
}

// socketsOf is the inodes of the sockets that process pid has open.
func socketsOf(pid int) []string {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	f, err := os.Open(dir)
	if err != nil {
		return nil // gone, or not ours to see
	}
	names, _ := f.Readdirnames(-1) // what could be read is what there is
	f.Close()
	var inodes []string
	for _, name := range names {
		to, err := os.Readlink(dir + "/" + name)
		if inode, ok := strings.CutPrefix(to, "socket:["); err == nil && ok {
			inodes = append(inodes, strings.TrimSuffix(inode, "]"))
		}
	}
	return inodes
}

// listening is the sockets that listen in the network namespace of process pid, by their
// inodes: of TCP, and those of unix that have a path.
func listening(pid int) map[string]string {
	found := map[string]string{}
	net := "/proc/" + strconv.Itoa(pid) + "/net/"
	for _, table := range []string{"tcp", "tcp6"} {
		eachLine(net+table, func(w []string) {
			if len(w) > 9 && w[3] == "0A" {
				if address, ok := tableAddress(w[1]); ok {
					found[w[9]] = address.String()
				}
			}
		})
	}
	eachLine(net+"unix", func(w []string) {
		// Num RefCount Protocol Flags Type St Inode Path; 0x10000 is __SO_ACCEPTCON.
		if len(w) > 7 && w[3] == "00010000" && strings.HasPrefix(w[7], "/") {
			found[w[6]] = w[7]
		}
	})
	return found
}

func eachLine(file string, do func(words []string)) {
	f, err := os.Open(file)
	if err != nil {
		return
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		do(strings.Fields(in.Text()))
	}
}

// tableAddress reads an address as proc_pid_net(5) has it: words of 32 bits in the order
// of the machine's bytes, in hexadecimal, and the port.
func tableAddress(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, false
	}
	for w := 0; w < len(b); w += 4 {
		binary.NativeEndian.PutUint32(b[w:], binary.BigEndian.Uint32(b[w:]))
	}
	ip, _ := netip.AddrFromSlice(b) // of 4 or 16
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), true
}
