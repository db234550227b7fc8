package schema

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema/internal/address"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
	"github.com/watchdogd/watchdogd/schema/internal/expand"
)

// Upstream is where the server of a route listens: http://host:port/base, host:port,
// h2c://host:port or unix:/path, with the variables of an instance in it. It is parsed
// when it is read, so that At cannot fail. Servers that are run elsewhere may be several.
// The zero Upstream is none.
type Upstream struct {
	Network  string // tcp or unix
	H2C      bool   // HTTP/2 without TLS
	PortFrom PortFrom

	written         Text
	host, port      Text // of tcp
	socket          Text // of unix
	base, authority Text

	next *Upstream // of a list
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

// String returns the upstream as it was written; the members of a list with a comma between.
func (u Upstream) String() string { return strings.Join(u.Written(), ", ") }

// Written returns the members of a list as they were written, or the one that there is.
func (u Upstream) Written() (all []string) {
	for at := &u; at != nil; at = at.next {
		all = append(all, string(at.written))
	}
	return all
}

// All returns where each member of a list listens, for servers that are run elsewhere.
func (u Upstream) All(v Vars) (all []Endpoint) {
	for at := &u; at != nil; at = at.next {
		all = append(all, at.At(v))
	}
	return all
}

// Varies reports whether two instances can have different upstreams.
func (u Upstream) Varies() bool {
	return u.written.Uses("PORT") || u.written.Uses("INSTANCE") || u.next != nil && u.next.Varies()
}

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
		if err := address.CheckSocket(u.socket.Expand(anInstance)); err != nil {
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
	if err := address.CheckPath(Text(path).Expand(anInstance), false); path != "" && err != nil {
		return Upstream{}, err
	}
	u.base = Text(strings.TrimRight(path, "/"))
	if err := u.server(authority, rest != s); err != nil {
		return Upstream{}, err
	}
	return u, nil
}

// checkLast checks the port of the instance with the highest number.
func (u *Upstream) checkLast(number int) error {
	if u.PortFrom != PortInstance {
		return nil
	}
	if err := address.CheckPort(u.port.Expand(Vars{Port: anInstance.Port, Number: number}), 1); err != nil {
		return fmt.Errorf("instance %d would listen on an invalid port: %w", number, err)
	}
	return nil
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
	if err := address.CheckHost(u.host.Expand(anInstance)); err != nil {
		return err
	}
	if err := address.CheckPort(u.port.Expand(anInstance), 1); err != nil {
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

// read reads an address, in which the path of a socket becomes absolute.
func (u *Upstream) read(d *decode.Decoder, n *yaml.Node) bool {
	if n.Kind == yaml.SequenceNode {
		return u.readList(d, n)
	}
	s, ok := d.Text(n)
	if !ok || s == "" {
		return ok
	}
	parsed, err := ParseUpstream(Text(absoluteSocket(expand.Escape(d.From.Dir), s)))
	if err != nil {
		return d.Problem(n, fmt.Sprintf("%s is not a valid upstream: %v", phrase.Quote(s), err), "write host:port, http://host:port/base, h2c://host:port or unix:/path")
	}
	*u = parsed
	return true
}

// mostUpstreams is how many servers a list may name; a name in it may have more addresses.
const mostUpstreams = 256

// readList reads a list of servers that are run elsewhere, which differ in their addresses
// only.
func (u *Upstream) readList(d *decode.Decoder, n *yaml.Node) bool {
	if len(n.Content) == 0 || len(n.Content) > mostUpstreams {
		return d.Problem(n, fmt.Sprintf("has %d servers; a list has 1 to %d", len(n.Content), mostUpstreams), "")
	}
	all := make([]Upstream, len(n.Content))
	good := true
	for i, item := range n.Content {
		if item.Kind == yaml.SequenceNode {
			return d.Problem(item, "is a list in a list", "write one address")
		}
		if !all[i].read(d, item) {
			good = false
		} else if all[i].Empty() {
			good = d.Problem(item, "is empty", "write host:port")
		} else if a, b := &all[0], &all[i]; good && (a.Network != b.Network || a.H2C != b.H2C || a.base != b.base) {
			good = d.Problem(item, "differs from the first server in more than its address", "give all servers of a list the same scheme and path")
		}
	}
	for i := range all[1:] {
		all[i].next = &all[i+1]
	}
	*u = all[0]
	return good
}
