package schema

import (
	"iter"
	"reflect"
	"slices"
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

// fieldsOf goes through the fields of a struct that have a key.
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

// use is a set of the kinds of items that a key means something for.
type use uint8

const (
	inHTTP use = 1 << iota
	inStreaming
	inSerializing
	inAfterburn
	inStatic
	inService
	inProcess    // has an fprocess
	inSupervised // has one that runs on from call to call
	anywhere     = ^use(0)
)

var useNames = []string{"http", "streaming", "serializing", "afterburn", "static", "service", "process", "supervised"}

func parseUse(tag string) use {
	if tag == "" {
		return anywhere
	}
	var u use
	for _, word := range strings.Fields(tag) {
		i := slices.Index(useNames, word)
		if i < 0 {
			panic("schema: no kind of item is called " + word)
		}
		u |= 1 << i
	}
	return u
}

// routeUse is what a route of a mode is.
func routeUse(mode Mode, process bool) use {
	i := slices.Index(useNames, string(mode))
	if i < 0 {
		return anywhere
	}
	is := use(1) << i
	if mode == Static || !process {
		return is
	}
	is |= inProcess
	if mode == HTTP || mode == Afterburn {
		is |= inSupervised
	}
	return is
}

const serviceUse = inService | inProcess | inSupervised
