package schema

import (
	"fmt"
	"iter"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/schema/internal/phrase"
)

// entry is a key of a mapping and its value.
type entry struct{ key, value *yaml.Node }

// entries returns the keys of a mapping: its own, then those that << adds. It reports
// keys that are written twice.
func (d *decoder) entries(n *yaml.Node) []entry {
	entries := make([]entry, 0, len(n.Content)/2)
	entries, merges := d.own(n, entries)
	if len(merges) == 0 {
		return entries
	}
	seen := make(map[string]bool, len(entries))
	for _, e := range entries {
		seen[e.key.Value] = true
	}
	return d.merge(merges, entries, seen, []*yaml.Node{n})
}

// own returns the keys of a mapping itself, and what it merges.
func (d *decoder) own(n *yaml.Node, entries []entry) ([]entry, []*yaml.Node) {
	var merges []*yaml.Node
	var first map[string]*yaml.Node
	if len(n.Content) > 32 {
		first = make(map[string]*yaml.Node, len(n.Content)/2)
	}
	for i := 0; i+1 < len(n.Content) && !d.stopped; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		d.visit(key)
		if key.Tag == "!!merge" {
			merges = append(merges, value)
			continue
		}
		key = d.follow(key)
		if key.Kind != yaml.ScalarNode {
			d.problem(key, "a key must be a string, not "+given(key), "")
			continue
		}
		earlier := first[key.Value]
		if first != nil {
			if earlier == nil {
				first[key.Value] = key
			}
		} else if k := slices.IndexFunc(entries, func(e entry) bool { return e.key.Value == key.Value }); k >= 0 {
			earlier = entries[k].key
		}
		if earlier != nil {
			d.key(key.Value)
			d.problem(key, fmt.Sprintf("duplicate key: already set on line %d", earlier.Line), "remove one of them")
			d.pop()
			continue
		}
		entries = append(entries, entry{key, value})
	}
	return entries, merges
}

// merge adds the keys of merged mappings, nearest first. inside are the mappings
// whose merging is under way.
func (d *decoder) merge(merges []*yaml.Node, entries []entry, seen map[string]bool, inside []*yaml.Node) []entry {
	for _, m := range merges {
		if d.stopped {
			break
		}
		at := m
		m = d.follow(m)
		switch m.Kind {
		case yaml.SequenceNode:
			entries = d.merge(m.Content, entries, seen, inside)
			continue
		case yaml.MappingNode:
		default:
			d.problem(at, "<< needs a mapping or a list of mappings, not "+given(m), "write an alias, for example <<: *name")
			continue
		}
		if slices.Contains(inside, m) {
			d.problem(at, "this mapping merges itself", "")
			continue
		}
		own, more := d.own(m, nil)
		for _, e := range own {
			if !seen[e.key.Value] {
				seen[e.key.Value] = true
				entries = append(entries, e)
			}
		}
		if len(more) > 0 {
			entries = d.merge(more, entries, seen, append(slices.Clip(inside), m))
		}
	}
	return entries
}

// items yields the indices of a list.
func (d *decoder) items(n *yaml.Node) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n.Content {
			d.visit(n.Content[i])
			if d.stopped || !yield(i) {
				return
			}
		}
	}
}

// follow returns the value of an alias, and counts it.
func (d *decoder) follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		d.visit(n)
		n = n.Alias
		if d.stopped {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line, Column: n.Column}
		}
	}
	return n
}

func (d *decoder) visit(n *yaml.Node) {
	if d.visited++; d.visited > maxVisited && !d.stopped {
		d.problem(n, fmt.Sprintf("aliases and defaults expand this file to more than %d values", maxVisited), "use fewer aliases of aliases, or smaller defaults")
		d.stopped = true
	}
}

func dealias(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// has reports whether a mapping has a key with a value.
func (d *decoder) has(n *yaml.Node, key string) bool { return d.peek(n, key) != nil }

// peek returns the value of a mapping's key, also of a merged one; nil when there is none.
// It reports no problem.
func (d *decoder) peek(n *yaml.Node, key string) *yaml.Node {
	_, value := d.lookup(n, key, 0)
	if value == nil || isNull(value) {
		return nil
	}
	return value
}

// lookup finds a key in a mapping and in what it merges.
func (d *decoder) lookup(n *yaml.Node, key string, depth int) (k, v *yaml.Node) {
	n = dealias(n)
	if depth > 0 {
		d.visited++
	}
	if depth > 20 || d.visited > maxVisited {
		return nil, nil
	}
	if n.Kind == yaml.SequenceNode && depth > 0 {
		for _, m := range n.Content {
			if k, v := d.lookup(m, key, depth+1); k != nil {
				return k, v
			}
		}
	}
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if c := dealias(n.Content[i]); c.Kind == yaml.ScalarNode && c.Value == key && c.Tag != "!!merge" {
			return c, dealias(n.Content[i+1])
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag == "!!merge" {
			if k, v := d.lookup(n.Content[i+1], key, depth+1); k != nil {
				return k, v
			}
		}
	}
	return nil, nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// given describes a value as it was written.
func given(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!bool", "!!int", "!!float":
		return n.Value
	}
	return phrase.Quote(n.Value)
}
