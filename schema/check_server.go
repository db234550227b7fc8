package schema

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema/internal/address"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
)

// checkServer checks what is not a route's or a service's.
func (l *loader) checkServer(c *Config, top decode.Item) {
	l.checkListeners(c, top)
	l.checkTLS(c.Server.TLS, top)
	l.checkGateway(c, top)
	if path := c.Health.ReadyPath; path != "" && !strings.HasPrefix(path, "/") {
		l.Wrong(l.At(top, "health", "ready_path"), fmt.Sprintf("must start with /, for example %s", phrase.Quote("/"+path)), "")
	}
	if c.Health.ReadyPath != "" && c.Health.Ready == "none" {
		l.Wrong(l.At(top, "health", "ready_path"), "has no effect with ready: none, which leaves /_/ready to the routes", "remove one of the two")
	}
	if a := c.Admin; a.Listen != "" && a.Token == "" && address.Check(a.Listen) == nil && !address.Loopback(a.Listen) && l.Fine(l.At(top, "admin")) {
		l.Wrong(l.At(top, "admin").Under("token"), fmt.Sprintf("is missing: other hosts can reach %s", a.Listen), "set one, for example token: ${ADMIN_TOKEN}, or listen on 127.0.0.1 or unix:/path")
	}
}

// maxListeners is more than anyone needs.
const maxListeners = 100

// listener is an address and its key.
type listener struct{ address, key string }

func (l *loader) checkListeners(c *Config, top decode.Item) {
	var taken []listener
	look := func(at decode.Place, listen, key string) {
		if err := address.Check(listen); err != nil {
			message := err.Error()
			if !at.Written && key == "server.listen" {
				message = "its default comes from the environment variable PORT, which is not a valid port: " + phrase.Quote(strings.TrimPrefix(listen, ":"))
			}
			l.Wrong(at, message, portHint(listen))
			return
		}
		for _, t := range taken {
			if address.Clash(listen, t.address) {
				l.Wrong(at, fmt.Sprintf("%s is already used by %s (%s)", listen, t.key, t.address), "")
				break
			}
		}
		taken = append(taken, listener{listen, key})
	}
	at := l.At(top, "server", "listen")
	if at.Written && at.Node.Kind == yaml.SequenceNode && len(at.Node.Content) == 0 {
		l.Wrong(at, "the list is empty", `remove the key to use the default, or write an address such as ":8080"`)
	}
	if len(c.Server.Listen) > maxListeners {
		l.Wrong(at, fmt.Sprintf("more than %d addresses", maxListeners), "")
		return
	}
	for i, listen := range c.Server.Listen {
		look(at.Element(i), listen, "server.listen")
	}
	if c.Metrics.Listen != "" {
		look(l.At(top, "metrics", "listen"), c.Metrics.Listen, "metrics.listen")
	}
	if c.Admin.Listen != "" {
		look(l.At(top, "admin", "listen"), c.Admin.Listen, "admin.listen")
	}
}

func portHint(listen string) string {
	if listen != "" && strings.Trim(listen, "0123456789") == "" {
		return fmt.Sprintf("write a port alone as \":%s\"", listen)
	}
	return ""
}

func (l *loader) checkTLS(t TLS, top decode.Item) {
	at := l.At(top, "server", "tls")
	if (t.Cert == "") == (t.Key == "") || !l.Fine(at) {
		return
	}
	missing, there := "key", "cert"
	if t.Cert == "" {
		missing, there = there, missing
	}
	l.Wrong(at.Under(missing), fmt.Sprintf("is missing: TLS needs it in addition to %s", there), "")
}
