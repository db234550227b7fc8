package schema

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
)

// read reads a value whose type has a form of its own.
func read(d *decode.Decoder, n *yaml.Node, v any) (ok, known bool) {
	switch p := v.(type) {
	case interface {
		read(*decode.Decoder, *yaml.Node) bool
	}:
		return p.read(d, n), true
	case *netip.Prefix:
		return parsed(d, n, p, aNetwork, parsePrefix), true
	}
	return false, false
}

func (p *Strings) read(d *decode.Decoder, n *yaml.Node) bool { return d.Strings(n, (*[]string)(p)) }

func (p *Text) read(d *decode.Decoder, n *yaml.Node) bool {
	s, ok := d.Text(n)
	if ok {
		*p = Text(s)
	}
	return ok
}

// read reads names, which are waited for until they are ready, or the map.
func (p *Dependencies) read(d *decode.Decoder, n *yaml.Node) bool {
	if n.Kind == yaml.MappingNode {
		v := reflect.ValueOf((*map[string]string)(p)).Elem()
		if !d.Dictionary(n, v) {
			return false
		}
		ok := true
		for _, e := range d.Entries(n) {
			value := d.Follow(e.Value)
			d.Key(e.Key.Value)
			if condition := (*p)[e.Key.Value]; !slices.Contains(conditions, condition) {
				delete(*p, e.Key.Value)
				ok = d.Mistakes(value, phrase.NotOneOf(condition, conditions))
			}
			d.Pop()
		}
		return ok
	}
	var names Strings
	if !names.read(d, n) {
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

// read reads a number, or the map. A min above the default max, without a max, is
// also the max.
func (p *Replicas) read(d *decode.Decoder, n *yaml.Node) bool {
	if n.Kind == yaml.ScalarNode {
		count, ok := d.Int(n)
		if !ok {
			return false
		}
		if count < 1 || count > MaxReplicas {
			return d.Problem(n, fmt.Sprintf("must be from 1 to %d, not %d", MaxReplicas, count), "{min: 0, max: 1} starts one on the first request")
		}
		p.Min, p.Max = count, count
		return true
	}
	if !d.Structure(n, reflect.ValueOf(p).Elem()) {
		return false
	}
	if hasMin, hasMax := d.Has(n, "min"), d.Has(n, "max"); hasMin && !hasMax {
		p.Max = max(p.Max, p.Min, 1)
	} else if hasMax && !hasMin {
		p.Min = min(p.Min, p.Max)
	}
	return true
}

// read reads a policy, or the map.
func (p *Restart) read(d *decode.Decoder, n *yaml.Node) bool {
	if n.Kind == yaml.ScalarNode {
		policy, ok := d.Scalar(n, "always, on-failure or never")
		if !ok {
			return false
		}
		if words := []string{"always", "on-failure", "never"}; !slices.Contains(words, policy) {
			return d.Mistakes(n, phrase.NotOneOf(policy, words))
		}
		p.Policy = policy
		return true
	}
	if !d.Structure(n, reflect.ValueOf(p).Elem()) {
		return false
	}
	if hasMin, hasMax := d.Has(n, "min"), d.Has(n, "max"); hasMin && !hasMax {
		p.Max = max(p.Max, p.Min)
	} else if hasMax && !hasMin {
		p.Min = min(p.Min, p.Max)
	}
	return true
}

// read reads tcp, or the map. It replaces what was set before.
func (p *Probe) read(d *decode.Decoder, n *yaml.Node) bool {
	if n.Kind == yaml.ScalarNode {
		s, ok := d.Scalar(n, "tcp")
		if ok && s != "tcp" {
			ok = d.Problem(n, "must be tcp or a mapping, not "+phrase.Quote(s), "write {http: /path}, {tcp: host:port}, {exec: command} or {log: regexp}")
		}
		if ok {
			p.TCP, p.HTTP, p.Exec, p.Log = "${PORT}", "", Command{}, ""
		}
		return ok
	}
	asked := *p
	p.TCP, p.HTTP, p.Exec, p.Log = "", "", Command{}, ""
	ok := d.Structure(n, reflect.ValueOf(p).Elem())
	if p.Empty() {
		p.TCP, p.HTTP, p.Exec, p.Log = asked.TCP, asked.HTTP, asked.Exec, asked.Log
	}
	return ok
}

// read reads how clients authenticate; none is not at all. It replaces what was set before. A method that is
// named but empty is a mistake: ignored like a key that was not written, it would leave
// the route open.
func (p *Auth) read(d *decode.Decoder, n *yaml.Node) bool {
	if n.Kind == yaml.ScalarNode && !decode.IsNull(n) {
		if n.Value != "none" {
			return d.Problem(n, "must be a mapping or none", "write basic:, keys:, hmac: or jwt: below it; none opens the route to everyone")
		}
		*p = Auth{}
		return true
	}
	if n.Kind == yaml.MappingNode && len(n.Content) > 0 {
		*p = Auth{}
	}
	ok := d.Structure(n, reflect.ValueOf(p).Elem())
	for i := 0; ok && n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		if decode.IsNull(d.Follow(n.Content[i+1])) {
			ok = d.Problem(n.Content[i], phrase.Quote(n.Content[i].Value)+" is empty, which would leave the route open to everyone", "fill it in, or remove it")
		}
	}
	return ok
}
