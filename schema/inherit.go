package schema

import (
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"
)

// checkDefaults reads defaults: for its own mistakes. Its commands are read with
// each item, which may leave them to the shell.
func (l *loader) checkDefaults() {
	n := l.defaults.node
	if n == nil || isNull(n) {
		l.defaults.node = nil
		return
	}
	if n.Kind != yaml.MappingNode {
		l.from, l.steps = l.defaults.from, l.defaults.path
		l.problem(n, "must be a mapping of keys, not "+given(n), "")
		l.defaults.node, l.steps = nil, nil
		return
	}
	l.skip = true
	route := DefaultRoute()
	l.over(l.defaults, reflect.ValueOf(&route).Elem(), false)
	if name, _ := l.lookup(n, "name", 0); name != nil {
		l.note(l.defaults.from, name.Line, name.Column, "defaults.name", "a name cannot be a default: each route and service needs its own", "")
	}
	l.skip = false
}

// route makes a route of an item.
func (l *loader) route(it item, r *Route) {
	*r = DefaultRoute()
	if l.stopped {
		return
	}
	is := l.use(it)
	l.item(it, is, reflect.ValueOf(r).Elem())
	l.notItself(it, r.Name, r.DependsOn)
	l.withoutPort(it, &r.Process, is)
	r.complete(it.from.dir, is&inProcess != 0)
}

// service makes a service of an item.
func (l *loader) service(it item, s *Service) {
	*s = defaultService()
	if l.stopped {
		return
	}
	l.item(it, serviceUse, reflect.ValueOf(s).Elem())
	if r := &s.Replicas; r.Min != r.Max && !l.has(it.node, "replicas") {
		// A service is not scaled: of such a default it takes what always runs.
		r.Min = max(1, r.Min)
		r.Max = r.Min
	}
	l.notItself(it, s.Name, s.DependsOn)
	l.withoutPort(it, &s.Process, serviceUse)
	s.complete(it.from.dir)
}

// item reads the defaults and then the item's own keys.
func (l *loader) item(it item, is use, v reflect.Value) {
	l.is, l.shell = is, l.word(it, "shell", "false") == "true"
	if l.defaults.node != nil {
		l.skipMain = l.has(it.node, "fprocess")
		l.over(l.defaults, v, true)
		l.skipMain = false
	}
	l.over(it, v, false)
	l.is, l.shell = anywhere, false
}

// over reads an item over the values in v.
func (l *loader) over(it item, v reflect.Value, quiet bool) bool {
	l.from, l.base, l.quiet = it.from, it.path, quiet
	l.steps = append(l.steps[:0], it.path...)
	defer func() { l.steps, l.base, l.quiet = l.steps[:0], nil, false }()
	return l.structure(it.node, v)
}

// use returns what a route is. One that lacks an fprocess, where only that can be
// meant, counts as having it: that it is missing is mistake enough.
func (l *loader) use(it item) use {
	mode := Mode(l.word(it, "mode", string(HTTP)))
	return routeUse(mode, !mode.Traits().Elsewhere || l.inherits(it, "fprocess") || !l.inherits(it, "upstream"))
}

// inherits reports whether an item has a key, of its own or by the defaults.
func (l *loader) inherits(it item, key string) bool {
	return l.has(it.node, key) || l.defaults.node != nil && l.has(l.defaults.node, key)
}

// word returns the text of an item's key before the item is read.
func (l *loader) word(it item, key, otherwise string) string {
	n := l.peek(it.node, key)
	if n == nil && l.defaults.node != nil {
		n = l.peek(l.defaults.node, key)
	}
	if n == nil || n.Kind != yaml.ScalarNode {
		return otherwise
	}
	s, mistakes := l.interpolate(n.Value, false)
	if len(mistakes) > 0 {
		return ""
	}
	if key == "shell" {
		return strings.ToLower(s)
	}
	return s
}

// withoutPort takes out of an item that has no port what it inherits and what means
// something only with one.
func (l *loader) withoutPort(it item, p *Process, is use) {
	if is&inListens != 0 || l.defaults.node == nil {
		return
	}
	fresh := defaultProcess()
	if own := p.Ready.TCP == "${PORT}" || strings.HasPrefix(string(p.Ready.HTTP), "/"); own && !l.has(it.node, "ready") {
		p.Ready = fresh.Ready
	}
	if own := p.Live.TCP == "${PORT}" || strings.HasPrefix(string(p.Live.HTTP), "/"); own && !l.has(it.node, "live") {
		p.Live = fresh.Live
	}
	for name, value := range p.Env {
		if value.Uses("PORT") && l.at(it, "env", name).it.node == l.defaults.node {
			delete(p.Env, name)
		}
	}
	if len(p.Env) == 0 {
		p.Env = nil
	}
}

// notItself takes an item out of what all depend on by default.
func (l *loader) notItself(it item, name string, needs Dependencies) {
	if _, ok := needs[name]; ok && l.dependency(it, name).it.node == l.defaults.node {
		delete(needs, name)
	}
}
