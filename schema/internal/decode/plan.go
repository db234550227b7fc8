package decode

import (
	"iter"
	"reflect"
	"strings"
)

// Use is a set of the kinds of items that a key means something for. What its bits are,
// the rules decide.
type Use uint32

// Anywhere is the set of all kinds.
const Anywhere = ^Use(0)

// Plan is how a struct is read: its fields by their keys, those of inlined structs too.
type Plan struct {
	Fields []Field
	byKey  map[string]int
}

// Field is a field of a struct that has a key, and what its tags say.
type Field struct {
	Key      string
	Index    []int
	Type     reflect.Type
	In       Use    // the items that may have it
	Path     string // how it is made absolute
	Validate string // what the validator checks
}

// Field returns the field of a key, or nil.
func (p *Plan) Field(key string) *Field {
	i, ok := p.byKey[key]
	if !ok {
		return nil
	}
	return &p.Fields[i]
}

// Keys returns the keys that mean something for an item.
func (p *Plan) Keys(is Use) []string {
	var keys []string
	for _, f := range p.Fields {
		if f.In&is != 0 {
			keys = append(keys, f.Key)
		}
	}
	return keys
}

// Plans are the plans of types, each made when it is first asked for.
type Plans struct {
	In    func(tag string) Use // reads an "in" tag
	plans map[reflect.Type]*Plan
}

// Of returns the plan of a struct.
func (ps *Plans) Of(t reflect.Type) *Plan {
	p := ps.plans[t]
	if p != nil {
		return p
	}
	p = &Plan{byKey: make(map[string]int)}
	for f, in := range Fields(t) {
		f.In = Anywhere
		if in != "" {
			f.In = ps.In(in)
		}
		p.byKey[f.Key] = len(p.Fields)
		p.Fields = append(p.Fields, f)
	}
	if ps.plans == nil {
		ps.plans = make(map[reflect.Type]*Plan)
	}
	ps.plans[t] = p
	return p
}

// Fields yields the fields of a struct that have a key, each with its "in" tag.
func Fields(t reflect.Type) iter.Seq2[Field, string] {
	return func(yield func(Field, string) bool) {
		for _, f := range reflect.VisibleFields(t) {
			key, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if key == "-" || key == "" || option == "inline" {
				continue
			}
			field := Field{Key: key, Index: f.Index, Type: f.Type, Path: f.Tag.Get("path"), Validate: f.Tag.Get("validate")}
			if !yield(field, f.Tag.Get("in")) {
				return
			}
		}
	}
}
