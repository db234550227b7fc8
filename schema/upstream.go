package schema

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/schema/internal/phrase"
)

// Upstream is where the server of a route listens: http://host:port/base, host:port,
// h2c://host:port or unix:/path, with the variables of an instance in it. It is parsed
// when it is read, so that At cannot fail. The zero Upstream is none.
type Upstream struct {
	Network  string // tcp or unix
	H2C      bool   // HTTP/2 without TLS
	PortFrom PortFrom

	written         Text
	host, port      Text // of tcp
	socket          Text // of unix
	base, authority Text
}

// PortFrom is what decides the port of an upstream.
type PortFrom uint8

// The origins of a port.
const (
	PortNone     PortFrom = iota // a unix socket has no port
	PortFixed                    // the same for all instances
	PortInstance                 // made of ${INSTANCE}
	PortChosen                   // ${PORT}: a free one is chosen for each instance
)

// Endpoint is where one instance listens.
type Endpoint struct {
	Network  string // tcp or unix
	Address  string // host:port, or a socket's path
	BasePath string // "", or a path that begins with / and does not end with one
	H2C      bool   // HTTP/2 without TLS
	Host     string // the authority: host:port as written, or localhost for a socket
}

// Empty reports whether no upstream was given.
func (u Upstream) Empty() bool { return u == Upstream{} }

// String returns the upstream as it was written.
func (u Upstream) String() string { return string(u.written) }

// Varies reports whether two instances can have different upstreams.
func (u Upstream) Varies() bool { return u.written.Uses("PORT") || u.written.Uses("INSTANCE") }

// At returns where the instance with these variables listens.
func (u Upstream) At(v Vars) Endpoint {
	e := Endpoint{Network: u.Network, H2C: u.H2C, BasePath: u.base.Expand(v), Host: "localhost"}
	if u.Network == "unix" {
		e.Address = u.socket.Expand(v)
		return e
	}
	e.Address = net.JoinHostPort(u.host.Expand(v), u.port.Expand(v))
	e.Host = u.authority.Expand(v)
	return e
}

// URL returns the URL of the endpoint's base path, without a slash at its end.
func (e Endpoint) URL() string { return "http://" + e.Host + e.BasePath }

// anInstance stands for any when an upstream is checked. The ports that are chosen
// have five digits.
var anInstance = Vars{Port: 10001, Name: "name"}

// ParseUpstream parses an upstream. Its parts are cut as they are written, which no
// variable changes, and checked as they are for one instance.
func ParseUpstream(text Text) (Upstream, error) {
	s := string(text)
	u := Upstream{Network: "tcp", written: text}
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		// unix:///run/app.sock is a common way to write it.
		if rest, ok := strings.CutPrefix(path, "//"); ok && strings.HasPrefix(rest, "/") {
			path = rest
		}
		u.Network, u.socket = "unix", Text(path)
		if u.socket.Uses("PORT") {
			u.PortFrom = PortChosen
		}
		if err := checkSocket(u.socket.Expand(anInstance)); err != nil {
			return Upstream{}, err
		}
		return u, nil
	}
	rest := s
	if scheme, after, ok := strings.Cut(s, "://"); ok {
		switch strings.ToLower(scheme) {
		case "http":
		case "h2c":
			u.H2C = true
		case "https":
			return Upstream{}, errors.New("https is not supported; use http:// for a process on this host or network, with a TLS proxy between for others")
		default:
			return Upstream{}, fmt.Errorf("unknown scheme %s: use http, h2c or unix", phrase.Quote(scheme))
		}
		rest = after
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	switch {
	case strings.ContainsAny(path, "?#"):
		return Upstream{}, errors.New("a query or fragment is not allowed")
	case strings.Contains(authority, "@"):
		return Upstream{}, errors.New("a user name is not allowed")
	case authority == "":
		return Upstream{}, errors.New("the host is missing: write host:port")
	}
	if err := checkPath(Text(path).Expand(anInstance), false); path != "" && err != nil {
		return Upstream{}, err
	}
	u.base = Text(strings.TrimRight(path, "/"))
	if err := u.server(authority, rest != s); err != nil {
		return Upstream{}, err
	}
	return u, nil
}

// server takes the host and port apart. With a scheme, 80 is the default port.
func (u *Upstream) server(authority string, scheme bool) error {
	host, port, err := net.SplitHostPort(authority)
	if err != nil {
		if !scheme {
			return errors.New("the port is missing: write host:port")
		}
		host, port = authority, "80"
		if inner, ok := strings.CutPrefix(authority, "["); ok && strings.HasSuffix(inner, "]") {
			host = strings.TrimSuffix(inner, "]")
		}
	}
	if host == "" {
		host = "127.0.0.1"
		authority = net.JoinHostPort(host, port)
	}
	u.host, u.port, u.authority = Text(host), Text(port), Text(authority)
	if err := checkHost(u.host.Expand(anInstance)); err != nil {
		return err
	}
	if err := checkPort(u.port.Expand(anInstance), 1); err != nil {
		return err
	}
	u.PortFrom = PortFixed
	switch {
	case u.port.Uses("PORT") || u.host.Uses("PORT"):
		u.PortFrom = PortChosen
	case u.port.Uses("INSTANCE"):
		u.PortFrom = PortInstance
	}
	return nil
}

// checkAddress checks what can be listened on: host:port, :port or unix:/path.
func checkAddress(s string) error {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return checkSocket(path)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("must be host:port, :port or unix:/path, not %s", phrase.Quote(s))
	}
	if host != "" {
		if err := checkHost(host); err != nil {
			return err
		}
	}
	return checkPort(port, 0)
}

// maxSocket is the length of Linux's sockaddr_un.sun_path, without the NUL at its end.
const maxSocket = 107

func checkSocket(path string) error {
	switch {
	case path == "":
		return errors.New("the path of the socket is missing: write unix:/path")
	case len(path) > maxSocket:
		return fmt.Errorf("the path of the socket is %d bytes long; the limit is %d", len(path), maxSocket)
	}
	return nil
}

func checkPort(port string, least int) error {
	n, err := strconv.ParseUint(port, 10, 32)
	if err != nil || int(n) < least || n > 65535 {
		return fmt.Errorf("%s is not a valid port: write a number from %d to 65535", phrase.Quote(port), least)
	}
	return nil
}

// checkHost takes an address or a name; RFC 1123, and the underscore that names of
// containers have.
func checkHost(host string) error {
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
