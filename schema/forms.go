package schema

import (
	"fmt"
	"reflect"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/schema/internal/phrase"
)

// dependencies reads names, which are waited for until they are ready, or the map.
func (d *decoder) dependencies(n *yaml.Node, p *Dependencies) bool {
	if n.Kind == yaml.MappingNode {
		v := reflect.ValueOf((*map[string]string)(p)).Elem()
		if !d.dictionary(n, v) {
			return false
		}
		ok := true
		for _, e := range d.entries(n) {
			value := d.follow(e.value)
			d.key(e.key.Value)
			if condition := (*p)[e.key.Value]; !slices.Contains(conditions, condition) {
				delete(*p, e.key.Value)
				ok = d.oneOf(value, condition, conditions)
			}
			d.pop()
		}
		return ok
	}
	var names Strings
	if !d.strings(n, &names) {
		return false
	}
	if len(names) == 0 {
		*p = nil
	} else if *p == nil {
		*p = make(Dependencies, len(names))
	}
	for _, name := range names {
		(*p)[name] = "ready"
	}
	return true
}

var conditions = []string{"started", "ready", "completed"}

func (d *decoder) oneOf(n *yaml.Node, word string, words []string) bool {
	m := notOneOf(word, words)
	return d.problem(n, m.message, m.hint)
}

// replicas reads a number, or the map. A min above the default max, without a max, is
// also the max.
func (d *decoder) replicas(n *yaml.Node, p *Replicas) bool {
	if n.Kind == yaml.ScalarNode {
		var count int
		if !d.int(n, &count) {
			return false
		}
		if count < 1 || count > MaxReplicas {
			return d.problem(n, fmt.Sprintf("must be from 1 to %d, not %d", MaxReplicas, count), "{min: 0, max: 1} starts one on the first request")
		}
		p.Min, p.Max = count, count
		return true
	}
	if !d.structure(n, reflect.ValueOf(p).Elem()) {
		return false
	}
	if hasMin, hasMax := d.has(n, "min"), d.has(n, "max"); hasMin && !hasMax {
		p.Max = max(p.Max, p.Min, 1)
	} else if hasMax && !hasMin {
		p.Min = min(p.Min, p.Max)
	}
	return true
}

// restart reads a policy, or the map.
func (d *decoder) restart(n *yaml.Node, p *Restart) bool {
	if n.Kind == yaml.ScalarNode {
		policy, ok := d.string(n, "always, on-failure or never")
		if !ok {
			return false
		}
		if words := []string{"always", "on-failure", "never"}; !slices.Contains(words, policy) {
			return d.oneOf(n, policy, words)
		}
		p.Policy = policy
		return true
	}
	if !d.structure(n, reflect.ValueOf(p).Elem()) {
		return false
	}
	if hasMin, hasMax := d.has(n, "min"), d.has(n, "max"); hasMin && !hasMax {
		p.Max = max(p.Max, p.Min)
	} else if hasMax && !hasMin {
		p.Min = min(p.Min, p.Max)
	}
	return true
}

// probe reads tcp, or the map. It replaces what was set before.
func (d *decoder) probe(n *yaml.Node, p *Probe) bool {
	if n.Kind == yaml.ScalarNode {
		s, ok := d.string(n, "tcp")
		if ok && s != "tcp" {
			ok = d.problem(n, "must be tcp or a mapping, not "+phrase.Quote(s), "write {http: /path}, {tcp: host:port}, {exec: command} or {log: regexp}")
		}
		if ok {
			p.TCP, p.HTTP, p.Exec, p.Log = "${PORT}", "", Command{}, ""
		}
		return ok
	}
	asked := *p
	p.TCP, p.HTTP, p.Exec, p.Log = "", "", Command{}, ""
	ok := d.structure(n, reflect.ValueOf(p).Elem())
	if p.Empty() {
		p.TCP, p.HTTP, p.Exec, p.Log = asked.TCP, asked.HTTP, asked.Exec, asked.Log
	}
	return ok
}

// upstream reads an address, in which the path of a socket becomes absolute.
func (d *decoder) upstream(n *yaml.Node, p *Upstream) bool {
	s, ok := d.text(n)
	if !ok || s == "" {
		return ok
	}
	u, err := ParseUpstream(Text(absoluteSocket(escape(d.from.dir, true), s)))
	if err != nil {
		return d.problem(n, fmt.Sprintf("%s is not a valid upstream: %v", phrase.Quote(s), err), "write host:port, http://host:port/base, h2c://host:port or unix:/path")
	}
	*p = u
	return true
}

// auth reads how clients authenticate. It replaces what was set before. A method that is
// named but empty is a mistake: ignored like a key that was not written, it would leave
// the route open.
func (d *decoder) auth(n *yaml.Node, p *Auth) bool {
	if n.Kind == yaml.MappingNode && len(n.Content) > 0 {
		*p = Auth{}
	}
	ok := d.structure(n, reflect.ValueOf(p).Elem())
	for i := 0; ok && n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		if isNull(d.follow(n.Content[i+1])) {
			ok = d.problem(n.Content[i], phrase.Quote(n.Content[i].Value)+" is empty, which would leave the route open to everyone", "fill it in, or remove it")
		}
	}
	return ok
}
