package decode

import (
	"fmt"
	"iter"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// Entry is a key of a mapping and its value.
type Entry struct{ Key, Value *yaml.Node }

// Entries returns the keys of a mapping: its own, then those that << adds. It reports
// keys that are written twice.
func (d *Decoder) Entries(n *yaml.Node) []Entry {
	entries := make([]Entry, 0, len(n.Content)/2)
	entries, merges := d.own(n, entries)
	if len(merges) == 0 {
		return entries
	}
	seen := make(map[string]bool, len(entries))
	for _, e := range entries {
		seen[e.Key.Value] = true
	}
	return d.merge(merges, entries, seen, []*yaml.Node{n})
}

// own returns the keys of a mapping itself, and what it merges.
func (d *Decoder) own(n *yaml.Node, entries []Entry) ([]Entry, []*yaml.Node) {
	var merges []*yaml.Node
	var first map[string]*yaml.Node
	if len(n.Content) > 32 {
		first = make(map[string]*yaml.Node, len(n.Content)/2)
	}
	for i := 0; i+1 < len(n.Content) && !d.Stopped; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		d.visit(key)
		if key.Tag == "!!merge" {
			merges = append(merges, value)
			continue
		}
		key = d.Follow(key)
		if key.Kind != yaml.ScalarNode {
			d.Problem(key, "a key must be a string, not "+Given(key), "")
			continue
		}
		earlier := first[key.Value]
		if first != nil {
			if earlier == nil {
				first[key.Value] = key
			}
		} else if k := slices.IndexFunc(entries, func(e Entry) bool { return e.Key.Value == key.Value }); k >= 0 {
			earlier = entries[k].Key
		}
		if earlier != nil {
			d.Key(key.Value)
			d.Problem(key, fmt.Sprintf("duplicate key: already set on line %d", earlier.Line), "remove one of them")
			d.Pop()
			continue
		}
		entries = append(entries, Entry{key, value})
	}
	return entries, merges
}

// merge adds the keys of merged mappings, nearest first. inside are the mappings
// whose merging is under way.
func (d *Decoder) merge(merges []*yaml.Node, entries []Entry, seen map[string]bool, inside []*yaml.Node) []Entry {
	for _, m := range merges {
		if d.Stopped {
			break
		}
		at := m
		m = d.Follow(m)
		switch m.Kind {
		case yaml.SequenceNode:
			entries = d.merge(m.Content, entries, seen, inside)
			continue
		case yaml.MappingNode:
		default:
			d.Problem(at, "<< needs a mapping or a list of mappings, not "+Given(m), "write an alias, for example <<: *name")
			continue
		}
		if slices.Contains(inside, m) {
			d.Problem(at, "this mapping merges itself", "")
			continue
		}
		own, more := d.own(m, nil)
		for _, e := range own {
			if !seen[e.Key.Value] {
				seen[e.Key.Value] = true
				entries = append(entries, e)
			}
		}
		if len(more) > 0 {
			entries = d.merge(more, entries, seen, append(slices.Clip(inside), m))
		}
	}
	return entries
}

// Items yields the indices of a list.
func (d *Decoder) Items(n *yaml.Node) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n.Content {
			d.visit(n.Content[i])
			if d.Stopped || !yield(i) {
				return
			}
		}
	}
}

// Follow returns the value of an alias, and counts it.
func (d *Decoder) Follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		d.visit(n)
		n = n.Alias
		if d.Stopped {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line, Column: n.Column}
		}
	}
	return n
}

func (d *Decoder) visit(n *yaml.Node) {
	if d.visited++; d.visited > maxVisited && !d.Stopped {
		d.Problem(n, fmt.Sprintf("aliases and defaults expand this file to more than %d values", maxVisited), "use fewer aliases of aliases, or smaller defaults")
		d.Stopped = true
	}
}

// Dealias is Follow that counts nothing.
func Dealias(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// Has reports whether a mapping has a key with a value.
func (d *Decoder) Has(n *yaml.Node, key string) bool { return d.Peek(n, key) != nil }

// Peek returns the value of a mapping's key, also of a merged one; nil when there is none.
// It reports no problem.
func (d *Decoder) Peek(n *yaml.Node, key string) *yaml.Node {
	_, value := d.Lookup(n, key)
	if value == nil || IsNull(value) {
		return nil
	}
	return value
}

// Lookup finds a key in a mapping and in what it merges.
func (d *Decoder) Lookup(n *yaml.Node, key string) (k, v *yaml.Node) { return d.lookup(n, key, 0) }

func (d *Decoder) lookup(n *yaml.Node, key string, depth int) (k, v *yaml.Node) {
	n = Dealias(n)
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
		if c := Dealias(n.Content[i]); c.Kind == yaml.ScalarNode && c.Value == key && c.Tag != "!!merge" {
			return c, Dealias(n.Content[i+1])
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

// IsNull reports whether n is a null, or no value at all.
func IsNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// Given describes a value as it was written.
func Given(n *yaml.Node) string {
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
