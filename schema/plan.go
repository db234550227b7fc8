package schema

import (
	"iter"
	"reflect"
	"strings"
)

// plan is how a struct is read: its fields by their keys, those of inlined structs too.
type plan struct {
	fields []field
	byKey  map[string]int
}

type field struct {
	key      string
	index    []int
	in       use
	validate string
	path     string
	command  bool
}

func (p *plan) field(key string) *field {
	i, ok := p.byKey[key]
	if !ok {
		return nil
	}
	return &p.fields[i]
}

// keys are the keys that mean something for an item.
func (p *plan) keys(is use) []string {
	var keys []string
	for _, f := range p.fields {
		if f.in&is != 0 {
			keys = append(keys, f.key)
		}
	}
	return keys
}

func (d *decoder) plan(t reflect.Type) *plan {
	p := d.plans[t]
	if p == nil {
		p = newPlan(t)
		d.plans[t] = p
	}
	return p
}

func newPlan(t reflect.Type) *plan {
	p := &plan{byKey: make(map[string]int)}
	for f := range fieldsOf(t) {
		p.byKey[f.key] = len(p.fields)
		p.fields = append(p.fields, f)
	}
	return p
}

// fieldsOf yields the fields of a struct that have a key.
func fieldsOf(t reflect.Type) iter.Seq[field] {
	return func(yield func(field) bool) {
		for _, f := range reflect.VisibleFields(t) {
			key, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if key == "-" || key == "" || option == "inline" {
				continue
			}
			if !yield(field{
				key:      key,
				index:    f.Index,
				in:       parseUse(f.Tag.Get("in")),
				validate: f.Tag.Get("validate"),
				path:     f.Tag.Get("path"),
				command:  f.Type == reflect.TypeFor[Command](),
			}) {
				return
			}
		}
	}
}

// use is a set of the kinds of items that a key means something for: modes, and these.
type use uint32

const (
	inService    use = 1 << iota
	inProcess        // has an fprocess
	inSupervised     // has one that keeps running between requests
	inListens        // has one that listens on a port
	firstMode
	anywhere = ^use(0)
)

const serviceUse = inService | inProcess | inSupervised

// inModes are the modes that have a trait.
func inModes(has func(Mode, Traits) bool) use {
	var u use
	for i, m := range modes {
		if has(m.Mode, m.Traits) {
			u |= firstMode << i
		}
	}
	return u
}

// modes are the names of the modes in the set.
func (u use) modes() []string {
	var names []string
	for i, m := range modes {
		if u&(firstMode<<i) != 0 {
			names = append(names, string(m.Mode))
		}
	}
	return names
}

// parseUse reads an "in" tag.
func parseUse(tag string) use {
	if tag == "" {
		return anywhere
	}
	var u use
	for _, word := range strings.Fields(tag) {
		switch word {
		case "service":
			u |= inService
		case "process":
			u |= inProcess
		case "supervised":
			u |= inSupervised
		case "forks":
			u |= inModes(func(_ Mode, t Traits) bool { return t.Forks })
		case "runs":
			u |= inModes(func(_ Mode, t Traits) bool { return t.Process })
		default:
			mode := inModes(func(m Mode, _ Traits) bool { return string(m) == word })
			if mode == 0 {
				panic("schema: no kind of item is called " + word)
			}
			u |= mode
		}
	}
	return u
}

// routeUse is what a route of a mode is; process is whether it has an fprocess.
func routeUse(mode Mode, process bool) use {
	is := inModes(func(m Mode, _ Traits) bool { return m == mode })
	if is == 0 {
		return anywhere
	}
	t := mode.Traits()
	if !t.Process || !process {
		return is
	}
	is |= inProcess
	if !t.Forks {
		is |= inSupervised
	}
	if t.Listens {
		is |= inListens
	}
	return is
}
