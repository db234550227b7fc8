package schema

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/http/httpguts"
	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/schema/internal/phrase"
)

// checkServer checks what is not a route's or a service's.
func (l *loader) checkServer(c *Config, top item) {
	l.checkListeners(c, top)
	l.checkTLS(c.Server.TLS, top)
	if g := c.Gateway; g != nil {
		if err := checkPath(g.Functions, true); g.Functions != "" && err != nil {
			l.wrong(l.at(top, "gateway", "functions"), err.Error(), "")
		}
		if g.Header != "" && !httpguts.ValidHeaderFieldName(g.Header) {
			l.wrong(l.at(top, "gateway", "header"), phrase.Quote(g.Header)+" is not a valid header name", "")
		}
	}
	if path := c.Health.ReadyPath; path != "" && !strings.HasPrefix(path, "/") {
		l.wrong(l.at(top, "health", "ready_path"), fmt.Sprintf("must start with /, for example %s", phrase.Quote("/"+path)), "")
	}
	if c.Health.ReadyPath != "" && c.Health.Ready == "none" {
		l.wrong(l.at(top, "health", "ready_path"), "has no effect with ready: none, which leaves /_/ready to the routes", "remove one of the two")
	}
	if a := c.Admin; a.Listen != "" && a.Token == "" && checkAddress(a.Listen) == nil && !loopback(a.Listen) && l.fine(l.at(top, "admin")) {
		l.wrong(l.at(top, "admin").under("token"), fmt.Sprintf("is missing: other hosts can reach %s", a.Listen), "set one, for example token: ${ADMIN_TOKEN}, or listen on 127.0.0.1 or unix:/path")
	}
}

// maxListeners is more than anyone needs.
const maxListeners = 100

// listener is an address and its key.
type listener struct{ address, key string }

func (l *loader) checkListeners(c *Config, top item) {
	var taken []listener
	look := func(at place, address, key string) {
		if err := checkAddress(address); err != nil {
			message := err.Error()
			if !at.written && key == "server.listen" {
				message = "its default comes from the environment variable PORT, which is not a valid port: " + phrase.Quote(strings.TrimPrefix(address, ":"))
			}
			l.wrong(at, message, portHint(address))
			return
		}
		for _, t := range taken {
			if clash(address, t.address) {
				l.wrong(at, fmt.Sprintf("%s is already used by %s (%s)", address, t.key, t.address), "")
				break
			}
		}
		taken = append(taken, listener{address, key})
	}
	at := l.at(top, "server", "listen")
	if at.written && at.node.Kind == yaml.SequenceNode && len(at.node.Content) == 0 {
		l.wrong(at, "the list is empty", `remove the key to use the default, or write an address such as ":8080"`)
	}
	if len(c.Server.Listen) > maxListeners {
		l.wrong(at, fmt.Sprintf("more than %d addresses", maxListeners), "")
		return
	}
	for i, address := range c.Server.Listen {
		look(l.element(at, i), address, "server.listen")
	}
	if c.Metrics.Listen != "" {
		look(l.at(top, "metrics", "listen"), c.Metrics.Listen, "metrics.listen")
	}
	if c.Admin.Listen != "" {
		look(l.at(top, "admin", "listen"), c.Admin.Listen, "admin.listen")
	}
}

func portHint(address string) string {
	if address != "" && strings.Trim(address, "0123456789") == "" {
		return fmt.Sprintf("write a port alone as \":%s\"", address)
	}
	return ""
}

// clash reports whether two addresses cannot both be listened on.
func clash(a, b string) bool {
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

// loopback reports whether only this host can reach an address.
func loopback(address string) bool {
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

func (l *loader) checkTLS(t TLS, top item) {
	at := l.at(top, "server", "tls")
	if (t.Cert == "") == (t.Key == "") || !l.fine(at) {
		return
	}
	missing, there := "key", "cert"
	if t.Cert == "" {
		missing, there = there, missing
	}
	l.wrong(at.under(missing), fmt.Sprintf("is missing: TLS needs it in addition to %s", there), "")
}
