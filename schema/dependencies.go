package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/internal/cycles"
	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
	"gopkg.in/yaml.v3"
)

// checkDependencies refuses what depends on what is not there, or on itself.
func (l *loader) checkDependencies(c *Config) {
	graph := &dependencies{loader: l, byName: make(map[string]*dependent, len(c.Routes)+len(c.Services))}
	for i := range c.Routes {
		r := &c.Routes[i]
		graph.add(&dependent{l.routes[i], r.Name, r.DependsOn, r.Supervised(), r.Restart.Policy})
	}
	for i := range c.Services {
		s := &c.Services[i]
		graph.add(&dependent{l.services[i], s.Name, s.DependsOn, true, s.Restart.Policy})
	}
	for _, d := range graph.all {
		for _, need := range slices.Sorted(maps.Keys(d.needs)) {
			if need != d.name && !l.Stopped {
				graph.known(d, need)
			}
		}
	}
	if !l.Stopped {
		graph.cycles()
	}
}

type dependent struct {
	it         decode.Item
	name       string
	needs      Dependencies
	supervised bool
	restart    string
}

type dependencies struct {
	*loader
	all    []*dependent
	byName map[string]*dependent
}

func (g *dependencies) add(d *dependent) {
	if d.name != "" && g.byName[d.name] == nil {
		g.byName[d.name] = d
		g.all = append(g.all, d)
	}
}

// known checks that what d needs is there, and can come as far as d needs it.
func (g *dependencies) known(d *dependent, need string) {
	switch other := g.byName[need]; {
	case other == nil:
		var names []string
		for _, o := range g.all[:min(len(g.all), 1000)] { // in a longer list a similar name means little
			if o.supervised && o != d {
				names = append(names, o.name)
			}
		}
		hint := ""
		if near := phrase.Nearest(need, names); near != "" {
			hint = "did you mean " + near + "?"
		} else if len(names) > 0 && len(names) <= 10 {
			hint = phrase.Of(len(names), "the only name is ", "the names are ") + strings.Join(names, ", ")
		}
		g.Wrong(g.dependency(d.it, need), fmt.Sprintf("no route or service is named %s", phrase.Quote(need)), hint)
	case !other.supervised && g.Fine(g.At(other.it, "mode")) && g.Fine(g.At(other.it, "fprocess")):
		g.Wrong(g.dependency(d.it, need), phrase.Quote(need)+" keeps no process running, so it cannot be waited for", "only services and routes in mode http or afterburn can be waited for")
	case d.needs[need] == "completed" && other.restart == "always":
		g.Wrong(g.dependency(d.it, need), phrase.Quote(need)+" never completes: it is restarted whenever it exits", fmt.Sprintf("set restart: never or restart: on-failure for %s", need))
	}
}

// cycles reports names that depend on each other in a circle.
func (g *dependencies) cycles() {
	names := make([]string, len(g.all))
	for i, d := range g.all {
		names[i] = d.name
	}
	for _, c := range cycles.Find(names, func(name string) []string { return slices.Sorted(maps.Keys(g.byName[name].needs)) }) {
		g.cycle(g.byName[c[len(c)-2]].it, c)
	}
}

func (g *dependencies) cycle(it decode.Item, names []string) {
	at := g.dependency(it, names[len(names)-1])
	if len(names) == 2 {
		g.Wrong(at, phrase.Quote(names[0])+" depends on itself", "")
		return
	}
	if len(names) > 12 {
		names = append(append(slices.Clone(names[:6]), "..."), names[len(names)-5:]...)
	}
	g.Wrong(at, "circular dependency: "+strings.Join(names, " -> "), "none of them could start first; remove one of these dependencies")
}

// dependency returns the place at which an item depends on name.
func (l *loader) dependency(it decode.Item, name string) decode.Place {
	list := l.At(it, "depends_on")
	if !list.Written || list.Node.Kind == yaml.MappingNode {
		return l.At(it, "depends_on", name)
	}
	for i, c := range list.Node.Content {
		if decode.Dealias(c).Value == name {
			return list.Element(i)
		}
	}
	if list.Node.Kind == yaml.SequenceNode && list.Item.Node != l.Defaults.Node && l.Defaults.Node != nil {
		return l.dependency(l.Defaults, name) // the list is added to the default
	}
	return list
}
