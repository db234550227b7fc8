package schema

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema/internal/address"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
)

// checkGateway checks the gateway, and that each route can be reached by its path beside it.
func (l *loader) checkGateway(c *Config, top decode.Item) {
	g := c.Gateway
	if g == nil {
		return
	}
	beneath := l.checkFunctions(g, top)
	if g.Header != "" {
		switch {
		case !httpguts.ValidHeaderFieldName(g.Header):
			l.Wrong(l.At(top, "gateway", "header"), phrase.Quote(g.Header)+" is not a valid header name", "")
		case http.CanonicalHeaderKey(g.Header) == "Host":
			l.Wrong(l.At(top, "gateway", "header"), "must not be Host, which every request has", "to choose a route by its host, use the host key of the route")
		}
	}
	if g.Swarm != nil {
		l.checkSwarm(g.Swarm, top)
	}
	for i := range c.Routes {
		r := &c.Routes[i]
		if beneath != "" && strings.HasPrefix(r.Path+"/", beneath) {
			l.Wrong(l.At(l.routes[i], "path"), phrase.Quote(r.Path)+" is below gateway.functions ("+g.Functions+"), where the gateway finds routes by their names", "give one of them another path")
		}
	}
}

// checkFunctions returns what begins a path with a name, and "" if nothing does.
func (l *loader) checkFunctions(g *Gateway, top decode.Item) (beneath string) {
	if g.Functions == "" {
		return ""
	}
	at := l.At(top, "gateway", "functions")
	if err := address.CheckPath(g.Functions, true); err != nil {
		l.Wrong(at, err.Error(), "")
		return ""
	}
	if g.Functions = strings.TrimRight(g.Functions, "/"); g.Functions == "" {
		l.Wrong(at, "must not be /, or the first segment of every path would be a name", "write a path such as /function")
		return ""
	}
	return g.Functions + "/"
}

// engineSchemes begin the address of an engine.
var engineSchemes = []string{"unix:/", "tcp://", "http://", "https://"}

// checkSwarm checks where the engine is, and the label.
func (l *loader) checkSwarm(s *Swarm, top decode.Item) {
	if s.Host != "" && !slices.ContainsFunc(engineSchemes, func(scheme string) bool {
		return strings.HasPrefix(s.Host, scheme) && len(s.Host) > len(scheme)
	}) {
		l.Wrong(l.At(top, "gateway", "swarm", "host"), phrase.Quote(s.Host)+" is not the address of a Docker Engine", "write unix:///PATH or tcp://HOST:PORT")
	}
	if s.Label == "" || strings.ContainsAny(s.Label, " \t\r\n=,\"") {
		l.Wrong(l.At(top, "gateway", "swarm", "label"), phrase.Quote(s.Label)+" is not a valid name of a label", "for example watchdogd.function")
	}
}
