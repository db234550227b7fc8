package decode

import (
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// Structure reads a mapping into a struct.
func (d *Decoder) Structure(n *yaml.Node, v reflect.Value) bool {
	p := d.Plan(v.Type())
	if n.Kind != yaml.MappingNode {
		hint := ""
		if keys := p.Keys(d.Is); len(keys) <= 8 {
			hint = "the keys are " + strings.Join(keys, ", ")
		}
		return d.Problem(n, "must be a mapping of keys, not "+Given(n), hint)
	}
	ok := true
	for _, e := range d.Entries(n) {
		if d.Stopped {
			return false
		}
		d.Key(e.Key.Value)
		switch f := p.Field(e.Key.Value); {
		case f != nil && f.In&d.Is != 0:
			ok = d.Field(e.Value, v.FieldByIndex(f.Index), f) && ok
		case d.Quiet:
		case f != nil:
			message, hint := d.rules.Misplaced(f)
			ok = d.Problem(e.Key, message, hint)
		default:
			ok = d.Unknown(e, p)
		}
		d.Pop()
	}
	return ok
}

// Unknown reports a key that is not in the plan of its mapping.
func (d *Decoder) Unknown(e Entry, p *Plan) bool {
	message, hint := d.rules.Unknown(e.Key.Value, Dealias(e.Value), p)
	return d.Problem(e.Key, message, hint)
}

// Field reads the value of one key. A key without a value counts as not written.
func (d *Decoder) Field(n *yaml.Node, v reflect.Value, f *Field) bool {
	n = d.Follow(n)
	if IsNull(n) || d.rules.Skip(f) {
		return true
	}
	if !d.value(n, v) {
		return false
	}
	if f.Validate != "" {
		if m := d.invalid(v, f.Validate); m != nil {
			return d.Mistakes(n, *m)
		}
	}
	if f.Path != "" {
		d.rules.Read(f, v)
	}
	return true
}

// value reads any value.
func (d *Decoder) value(n *yaml.Node, v reflect.Value) bool {
	if ok, known := d.rules.Value(n, v.Addr().Interface()); known {
		return ok
	}
	switch v.Kind() {
	case reflect.String:
		s, ok := d.Scalar(n, "a string")
		if ok {
			v.SetString(s)
		}
		return ok
	case reflect.Bool:
		b, ok := d.bool(n)
		if ok {
			v.SetBool(b)
		}
		return ok
	case reflect.Int:
		i, ok := d.Int(n)
		if ok {
			v.SetInt(int64(i))
		}
		return ok
	case reflect.Struct:
		return d.Structure(n, v)
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
			d.rules.Prefill(v.Interface())
		}
		return d.value(n, v.Elem())
	case reflect.Map:
		return d.Dictionary(n, v)
	case reflect.Slice:
		return d.list(n, v)
	}
	panic("schema: no way to read a " + v.Type().String())
}

// list reads a list, or one value as a list of one.
func (d *Decoder) list(n *yaml.Node, v reflect.Value) bool {
	if n.Kind != yaml.SequenceNode {
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return d.value(n, v.Index(0))
	}
	if len(n.Content) == 0 {
		v.SetZero()
		return true
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	ok := true
	for i := range d.Items(n) {
		d.Index(i)
		ok = d.value(d.Follow(n.Content[i]), v.Index(i)) && ok
		d.Pop()
	}
	return ok
}

// Strings reads a list of strings, or one string as a list of one.
func (d *Decoder) Strings(n *yaml.Node, p *[]string) bool {
	switch n.Kind {
	case yaml.ScalarNode:
		s, ok := d.Scalar(n, "a string")
		if ok && s == "" {
			ok = d.Problem(n, "must be a string or a list of strings, not empty", "")
		}
		if ok {
			*p = []string{s}
		}
		return ok
	case yaml.SequenceNode:
	default:
		return d.MustBe(n, "a string or a list of strings")
	}
	var list []string // an empty list is nil, as one that is not written
	ok := true
	for i := range d.Items(n) {
		d.Index(i)
		item := d.Follow(n.Content[i])
		s, fine := d.Scalar(item, "a string")
		if fine && s == "" {
			fine = d.Problem(item, "the item is empty", "")
		}
		list, ok = append(list, s), ok && fine
		d.Pop()
	}
	if ok {
		*p = list
	}
	return ok
}

// Dictionary reads a mapping whose keys are free into a map, over its values; an empty
// one clears it.
func (d *Decoder) Dictionary(n *yaml.Node, v reflect.Value) bool {
	if n.Kind != yaml.MappingNode {
		return d.Problem(n, "must be a mapping, not "+Given(n), "write NAME: value")
	}
	entries := d.Entries(n)
	if len(entries) == 0 {
		v.SetZero()
	} else if v.IsNil() {
		v.Set(reflect.MakeMapWithSize(v.Type(), len(entries)))
	}
	ok := true
	for _, e := range entries {
		d.Key(e.Key.Value)
		element := reflect.New(v.Type().Elem()).Elem()
		switch {
		case e.Key.Value == "":
			ok = d.Problem(e.Key, "the name is empty", "")
		case strings.Contains(e.Key.Value, "\x00"):
			ok = d.Problem(e.Key, "the name contains a NUL character", "")
		case d.value(d.Follow(e.Value), element):
			v.SetMapIndex(reflect.ValueOf(e.Key.Value).Convert(v.Type().Key()), element)
		default:
			ok = false
		}
		d.Pop()
	}
	return ok
}
