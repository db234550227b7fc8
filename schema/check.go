package schema

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/go-playground/validator/v10"
	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/schema/internal/phrase"
)

// check compares values with each other, and with the system where a look is enough, as
// for a folder that must exist. A single value was checked when it was read, by the
// validate tags of config.go.
func (l *loader) check(c *Config) {
	top := item{from: l.sources[0], node: l.top}
	if len(c.Routes) == 0 && len(c.Services) == 0 && !l.incomplete {
		l.note(top.from, top.node.Line, top.node.Column, "", "there are no routes and no services", "add a route under routes:, with at least - name: and fprocess:")
	}
	l.checkServer(c, top)
	l.checkNotBuilt(top)
	for i := range c.Routes {
		l.checkRoute(&c.Routes[i], l.routes[i], c.Compat)
	}
	for i := range c.Services {
		l.checkService(&c.Services[i], l.services[i])
	}
	l.checkNames(c)
	l.checkAlike(c)
	l.checkDependencies(c)
}

// place is where a value is, or would be.
type place struct {
	it      item // that has it; the file's defaults may
	node    *yaml.Node
	keys    []string // that lead to it
	written bool
	index   int // of an element of the list there, from 1; 0 is the list
}

// path is built only for a problem, which is rare.
func (p place) path() string {
	steps := slices.Clone(p.it.path)
	for _, k := range p.keys {
		steps = append(steps, step{key: k})
	}
	if p.index > 0 {
		steps = append(steps, step{index: p.index - 1})
	}
	return pathOf(steps)
}

// under returns the place that a key of the mapping at p would have.
func (p place) under(key string) place {
	p.keys = append(slices.Clone(p.keys), key)
	return p
}

// at finds the value of an item's key, its own or the one it inherits; where there
// is none it is the item's own place.
func (l *loader) at(it item, keys ...string) place {
	if n := l.descend(it.node, keys); n != nil {
		return place{it: it, node: n, keys: keys, written: true}
	}
	if l.defaults.node != nil {
		if n := l.descend(l.defaults.node, keys); n != nil {
			return place{it: l.defaults, node: n, keys: keys, written: true}
		}
	}
	return place{it: it, node: it.node, keys: keys}
}

// descend follows keys down. A short form stands for all that its map would say.
func (l *loader) descend(n *yaml.Node, keys []string) *yaml.Node {
	for _, k := range keys {
		_, v := l.lookup(n, k, 0)
		if v == nil || isNull(v) {
			return nil
		}
		if n = v; n.Kind != yaml.MappingNode {
			break
		}
	}
	return n
}

// element is the place of one element of a list, which may be written as one value.
func (l *loader) element(p place, i int) place {
	if p.written && p.node.Kind == yaml.SequenceNode && i < len(p.node.Content) {
		p.node, p.index = dealias(p.node.Content[i]), i+1
	}
	return p
}

// wrong notes a problem of a value, unless the value has one already.
func (l *loader) wrong(p place, message, hint string) {
	if p.written && l.failed[p.node] {
		return
	}
	l.note(p.it.from, p.node.Line, p.node.Column, p.path(), message, hint)
}

// missing notes that an item lacks a key.
func (l *loader) missing(it item, why, hint string, keys ...string) {
	l.wrong(place{it: it, node: it.node, keys: keys}, "is missing"+why, hint)
}

// fine reports whether the value at a place was read without a problem.
func (l *loader) fine(p place) bool { return !p.written || !l.anyFailed(p.node, 3) }

// anyFailed reports whether a value or one inside it has a problem.
func (l *loader) anyFailed(n *yaml.Node, depth int) bool {
	if l.failed[n] {
		return true
	}
	for _, c := range n.Content {
		if depth > 0 && l.anyFailed(dealias(c), depth-1) {
			return true
		}
	}
	return false
}

// where returns the place of an item, as seen from another item.
func where(it, from item) string {
	if it.from != from.from {
		return fmt.Sprintf("%s:%d", it.from.name, it.node.Line)
	}
	return fmt.Sprintf("line %d", it.node.Line)
}

// notBuilt are the keys, and with a = the values, whose behaviour is not there yet.
var notBuilt = []string{
	"gateway",
	"routes.auth.basic",
	"routes.auth.keys",
	"routes.auth.hmac",
	"routes.auth.jwt",
}

func (l *loader) checkNotBuilt(top item) {
	for _, path := range l.notBuilt {
		path, value, byValue := strings.Cut(path, "=")
		items, keys := []item{top}, strings.Split(path, ".")
		switch keys[0] {
		case "routes":
			items, keys = append(slices.Clip(l.routes), l.defaults), keys[1:]
		case "services":
			items, keys = append(slices.Clip(l.services), l.defaults), keys[1:]
		}
		for _, it := range items {
			if it.node == nil {
				continue
			}
			n := l.descend(it.node, keys[:len(keys)-1])
			if n == nil || len(keys) > 1 && n == it.node {
				continue
			}
			k, v := l.lookup(n, keys[len(keys)-1], 0)
			switch {
			case k == nil || isNull(v):
			case byValue && v.Value == value:
				l.wrong(place{it: it, node: v, keys: keys}, phrase.Quote(value)+" is not supported yet", "remove it; a later version will support it")
			case !byValue && (path == "gateway" || v.Kind != yaml.MappingNode || len(v.Content) > 0):
				l.wrong(place{it: it, node: k, keys: keys}, "is not supported yet", "remove it; a later version will support it")
			}
		}
	}
}

// checkNames refuses two routes or services of one name.
func (l *loader) checkNames(c *Config) {
	type named struct {
		it   item
		kind string
	}
	first := make(map[string]named, len(c.Routes)+len(c.Services))
	look := func(name, kind string, it item) {
		if name == "" {
			return
		}
		if other, taken := first[name]; taken {
			l.wrong(l.at(it, "name"), fmt.Sprintf("%s is already the name of the %s on %s", phrase.Quote(name), other.kind, where(other.it, it)), "names must be unique among routes and services")
			return
		}
		first[name] = named{it, kind}
	}
	for i := range c.Routes {
		look(c.Routes[i].Name, "route", l.routes[i])
	}
	for i := range c.Services {
		look(c.Services[i].Name, "service", l.services[i])
	}
}

// maxName is the length of a DNS label, which names become here and there.
const maxName = 63

// newValidate knows the words of the validate tags in config.go.
func newValidate() *validator.Validate {
	v := validator.New()
	// An error is for a tag that is empty or reserved.
	_ = v.RegisterValidation("mode", func(f validator.FieldLevel) bool { return slices.Contains(Modes(), f.Field().String()) })
	_ = v.RegisterValidation("name", func(f validator.FieldLevel) bool { return validName(f.Field().String()) })
	return v
}

func validName(s string) bool {
	if s == "" || len(s) > maxName || s[0] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// invalid describes what a validate tag found.
func invalid(err error, v reflect.Value) mistake {
	var fields validator.ValidationErrors
	if !errors.As(err, &fields) {
		return mistake{message: err.Error()}
	}
	value := fmt.Sprint(v.Interface())
	switch f := fields[0]; f.Tag() {
	case "oneof":
		return notOneOf(value, strings.Fields(f.Param()))
	case "mode":
		return notOneOf(value, Modes())
	case "min":
		return mistake{message: fmt.Sprintf("must be %s or more, not %s", limit(f.Param(), v), value)}
	case "max":
		return mistake{message: fmt.Sprintf("must be %s or less, not %s", limit(f.Param(), v), value)}
	case "name":
		m := mistake{message: fmt.Sprintf("must be 1 to %d characters from a-z, 0-9 and -, not starting with -; got %s", maxName, phrase.Quote(value))}
		if s := NameOf(value); s != "watchdogd" {
			m.hint = "write " + s
		}
		return m
	}
	return mistake{message: fmt.Sprintf("must not be %s", phrase.Quote(value))}
}

// limit writes a bound as a value of its type is written.
func limit(bound string, v reflect.Value) string {
	if v.Type() == reflect.TypeFor[Size]() {
		if n, err := parseSize(bound); err == nil {
			return n.String()
		}
	}
	return bound
}

func notOneOf(word string, words []string) mistake {
	m := mistake{message: fmt.Sprintf("must be %s, not %s", phrase.Either(words), phrase.Quote(word))}
	if near := phrase.Nearest(word, words); near != "" {
		m.hint = "did you mean " + near + "?"
	}
	return m
}

// cause is the system's error without the path, which the message has already.
func cause(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}
