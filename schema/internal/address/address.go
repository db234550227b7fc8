// Package address is what is wrong with addresses and their parts: hosts, ports, the paths
// of unix sockets, and paths of URLs. An error completes a sentence that begins with the key.
package address

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// Check checks what can be listened on: host:port, :port or unix:/path.
func Check(s string) error {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return CheckSocket(path)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("must be host:port, :port or unix:/path, not %s", phrase.Quote(s))
	}
	if host != "" {
		if err := CheckHost(host); err != nil {
			return err
		}
	}
	return CheckPort(port, 0)
}

// maxSocket is the length of Linux's sockaddr_un.sun_path, without the NUL at its end.
const maxSocket = 107

// CheckSocket checks the path of a unix socket.
func CheckSocket(path string) error {
	switch {
	case path == "":
		return errors.New("the path of the socket is missing: write unix:/path")
	case len(path) > maxSocket:
		return fmt.Errorf("the path of the socket is %d bytes long; the limit is %d", len(path), maxSocket)
	}
	return nil
}

// CheckPort checks a port, which is least or more.
func CheckPort(port string, least int) error {
	n, err := strconv.ParseUint(port, 10, 32)
	if err != nil || int(n) < least || n > 65535 {
		return fmt.Errorf("%s is not a valid port: write a number from %d to 65535", phrase.Quote(port), least)
	}
	return nil
}

// CheckHost takes an address or a name; RFC 1123, and the underscore that names of
// containers have.
func CheckHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	for _, r := range host {
		if r != '-' && r != '.' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return fmt.Errorf("%s is not a valid host", phrase.Quote(host))
		}
	}
	if host == "" || len(host) > 253 || strings.HasPrefix(host, ".") || strings.Contains(host, "..") {
		return fmt.Errorf("%s is not a valid host", phrase.Quote(host))
	}
	return nil
}

// Clash reports whether two addresses cannot both be listened on.
func Clash(a, b string) bool {
	if strings.HasPrefix(a, "unix:") || strings.HasPrefix(b, "unix:") {
		return a == b
	}
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	every := func(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }
	return hostA == hostB || every(hostA) || every(hostB)
}

// Loopback reports whether only this host can reach an address.
func Loopback(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}
