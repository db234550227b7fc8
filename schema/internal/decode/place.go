package decode

import (
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/schema/internal/source"
)

// Item is a mapping in a file that became a part of the configuration.
type Item struct {
	From *source.Source
	Node *yaml.Node
	Path []Step
}

// Where returns the place of an item, as seen from another item.
func (it Item) Where(from Item) string {
	if it.From != from.From {
		return fmt.Sprintf("%s:%d", it.From.Name, it.Node.Line)
	}
	return fmt.Sprintf("line %d", it.Node.Line)
}

// Place is where a value is, or would be.
type Place struct {
	Item    Item // that has it; the file's defaults may
	Node    *yaml.Node
	Written bool

	keys  []string // that lead to it
	index int      // of an element of the list there, from 1; 0 is the list
}

// path is built only for a problem, which is rare.
func (p Place) path() string {
	steps := slices.Clone(p.Item.Path)
	for _, k := range p.keys {
		steps = append(steps, Step{key: k})
	}
	if p.index > 0 {
		steps = append(steps, Step{index: p.index})
	}
	return pathOf(steps)
}

// Under returns the place that a key of the mapping at p would have.
func (p Place) Under(key string) Place {
	p.keys = append(slices.Clone(p.keys), key)
	return p
}

// Element returns the place of one element of a list, which may be written as one value.
func (p Place) Element(i int) Place {
	if p.Written && p.Node.Kind == yaml.SequenceNode && i < len(p.Node.Content) {
		p.Node, p.index = Dealias(p.Node.Content[i]), i+1
	}
	return p
}

// At finds the value of an item's key, its own or the one it inherits; where there
// is none it is the item's own place.
func (d *Decoder) At(it Item, keys ...string) Place {
	if n := d.Descend(it.Node, keys); n != nil {
		return Place{Item: it, Node: n, keys: keys, Written: true}
	}
	if d.Defaults.Node != nil {
		if n := d.Descend(d.Defaults.Node, keys); n != nil {
			return Place{Item: d.Defaults, Node: n, keys: keys, Written: true}
		}
	}
	return Place{Item: it, Node: it.Node, keys: keys}
}

// OfNode returns the place of a node of an item that keys lead to.
func OfNode(it Item, n *yaml.Node, keys ...string) Place {
	return Place{Item: it, Node: n, keys: keys}
}

// Descend follows keys down. A short form stands for all that its map would say.
func (d *Decoder) Descend(n *yaml.Node, keys []string) *yaml.Node {
	for _, k := range keys {
		_, v := d.Lookup(n, k)
		if v == nil || IsNull(v) {
			return nil
		}
		if n = v; n.Kind != yaml.MappingNode {
			break
		}
	}
	return n
}

// Inherits reports whether an item has a key, of its own or by the defaults.
func (d *Decoder) Inherits(it Item, key string) bool {
	return d.Has(it.Node, key) || d.Defaults.Node != nil && d.Has(d.Defaults.Node, key)
}

// Wrong notes a problem of a value, unless the value has one already.
func (d *Decoder) Wrong(p Place, message, hint string) {
	if p.Written && d.failed[p.Node] {
		return
	}
	d.Note(p.Item.From, p.Node.Line, p.Node.Column, p.path(), message, hint)
}

// Missing notes that an item lacks a key.
func (d *Decoder) Missing(it Item, why, hint string, keys ...string) {
	d.Wrong(Place{Item: it, Node: it.Node, keys: keys}, "is missing"+why, hint)
}

// Failed reports whether the value itself has a problem.
func (d *Decoder) Failed(p Place) bool { return d.failed[p.Node] }

// Fine reports whether the value at a place was read without a problem.
func (d *Decoder) Fine(p Place) bool { return !p.Written || !d.anyFailed(p.Node, 3) }

// anyFailed reports whether a value or one inside it has a problem.
func (d *Decoder) anyFailed(n *yaml.Node, depth int) bool {
	if d.failed[n] {
		return true
	}
	for _, c := range n.Content {
		if depth > 0 && d.anyFailed(Dealias(c), depth-1) {
			return true
		}
	}
	return false
}
