package why

import (
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
)

// elsewhere is what to do about a server that listens where it is not asked.
func (f *Facts) elsewhere() string {
	want := f.Upstream
	if f.Port != 0 {
		want = fmt.Sprintf("$PORT (%d)", f.Port)
	}
	at := strings.Join(f.Listens[:min(len(f.Listens), 3)], " and ")
	if family := f.otherFamily(); family != "" {
		return fmt.Sprintf("listens on %s, which is for %s only, not on %s: write upstream: %s", at, family, f.Upstream, dialable(f.Listens[0]))
	}
	s := fmt.Sprintf("listens on %s, not on %s: ", at, want)
	if f.Port != 0 {
		if how := passPort(f.words()); how != "" {
			s += how + " or "
		}
	}
	return s + "write upstream: " + dialable(f.Listens[0])
}

// otherFamily is the family of addresses of a server that listens at the port that it is
// asked to, but not for those that ask; empty for others.
func (f *Facts) otherFamily() string {
	host, port, err := net.SplitHostPort(f.Listens[0])
	_, want, wantErr := net.SplitHostPort(f.Upstream)
	switch ip := net.ParseIP(host); {
	case err != nil || wantErr != nil || port != want || ip == nil:
		return ""
	case ip.To4() != nil:
		return "IPv4"
	}
	return "IPv6"
}

// dialable is the value of upstream for a server that listens on address.
func dialable(address string) string {
	if strings.HasPrefix(address, "/") {
		return "unix:" + address
	}
	i := strings.LastIndexByte(address, ':')
	switch host, port := address[:i], address[i:]; host {
	case "0.0.0.0", "[::]":
		return "http://127.0.0.1" + port
	default:
		return "http://" + host + port
	}
}

// passPort is how the port is given to the program that words name; empty where a
// command line cannot.
func passPort(words []string) string {
	for n, w := range words {
		switch name := path.Base(w); name {
		case "nginx", "apache2", "httpd", "apache2ctl", "apachectl", "lighttpd", "haproxy", "caddy":
			return ""
		case "http.server":
			return "pass it on (http.server ${PORT})"
		case "gunicorn", "hypercorn":
			return "pass it on (--bind 127.0.0.1:${PORT})"
		case "php":
			return "pass it on (-S 127.0.0.1:${PORT})"
		case "npm", "pnpm":
			if n+1 < len(words) && !strings.Contains(strings.Join(words[n:], " "), " -- ") {
				return "pass it on (-- --port ${PORT})"
			}
		}
	}
	return "pass it on (--port ${PORT})"
}

// Reaches reports whether a connection to asked reaches a listener on address: at the same
// port, and on an address that takes it. either is that the other loopback address is tried too.
func Reaches(address, asked string, either bool) bool {
	if address == asked {
		return true
	}
	host, port, err := net.SplitHostPort(address)
	wanted, want, wantErr := net.SplitHostPort(asked)
	if err != nil || wantErr != nil || port != want {
		return false
	}
	ip, to := net.ParseIP(host), net.ParseIP(wanted)
	switch {
	case ip == nil || !ip.IsUnspecified() && !ip.IsLoopback():
		return false
	case to == nil || either: // localhost is one or the other
		return true
	case ip.IsUnspecified() && ip.To4() == nil:
		return true // mostly for IPv4 too
	}
	return (ip.To4() != nil) == (to.To4() != nil) && (ip.IsUnspecified() || ip.Equal(to))
}

// DebugPort reports whether an address is where debuggers and the like wait by default:
// those of Node.js, Java, Python and Vite's reloading.
func DebugPort(address string) bool {
	return slices.Contains([]string{"9229", "5005", "5678", "24678"}, address[strings.LastIndexByte(address, ':')+1:])
}
