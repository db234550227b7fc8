package schema

import (
	"fmt"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
)

// check compares values with each other, and with the system where a look is enough, as
// for a folder that must exist. A single value was checked when it was read, by the
// validate tags of config.go.
func (l *loader) check(c *Config) {
	top := decode.Item{From: l.sources[0], Node: l.top}
	if len(c.Routes) == 0 && len(c.Services) == 0 && (c.Gateway == nil || c.Gateway.Swarm == nil) && !l.incomplete {
		l.Note(top.From, top.Node.Line, top.Node.Column, "", "there are no routes and no services", "add a route under routes:, with at least - name: and fprocess:")
	}
	l.checkServer(c, top)
	for i := range c.Routes {
		l.checkRoute(&c.Routes[i], l.routes[i], c.Compat.MissingAllowed)
	}
	for i := range c.Services {
		l.checkService(&c.Services[i], l.services[i])
	}
	l.checkNames(c)
	l.checkAlike(c)
	l.checkServedSecrets(c)
	l.checkDependencies(c)
}

// checkNames refuses two routes or services of one name.
func (l *loader) checkNames(c *Config) {
	type named struct {
		it   decode.Item
		kind string
	}
	first := make(map[string]named, len(c.Routes)+len(c.Services))
	look := func(name, kind string, it decode.Item) {
		if name == "" {
			return
		}
		if other, taken := first[name]; taken {
			l.Wrong(l.At(it, "name"), fmt.Sprintf("%s is already the name of the %s on %s", phrase.Quote(name), other.kind, other.it.Where(it)), "names must be unique among routes and services")
			return
		}
		first[name] = named{it, kind}
	}
	for i := range c.Routes {
		look(c.Routes[i].Name, "route", l.routes[i])
	}
	for i := range c.Services {
		look(c.Services[i].Name, "service", l.services[i])
	}
}
