package schema

import (
	"reflect"
	"strings"

	"github.com/watchdogd/watchdogd/schema/internal/decode"
	"gopkg.in/yaml.v3"
)

// checkDefaults reads defaults: for its own mistakes. Its commands are read with
// each item, which may leave them to the shell.
func (l *loader) checkDefaults() {
	n := l.Defaults.Node
	if n == nil || decode.IsNull(n) {
		l.Defaults.Node = nil
		return
	}
	if n.Kind != yaml.MappingNode {
		l.From, l.Steps = l.Defaults.From, l.Defaults.Path
		l.Problem(n, "must be a mapping of keys, not "+decode.Given(n), "")
		l.Defaults.Node, l.Steps = nil, nil
		return
	}
	l.skip = true
	route := DefaultRoute()
	l.over(l.Defaults, reflect.ValueOf(&route).Elem(), false)
	if name, _ := l.Lookup(n, "name"); name != nil {
		l.Note(l.Defaults.From, name.Line, name.Column, "defaults.name", "a name cannot be a default: each route and service needs its own", "")
	}
	l.skip = false
}

// route makes a route of an item.
func (l *loader) route(it decode.Item, r *Route) {
	*r = DefaultRoute()
	if l.Stopped {
		return
	}
	is := l.use(it)
	l.item(it, is, reflect.ValueOf(r).Elem())
	l.notItself(it, r.Name, r.DependsOn)
	l.withoutPort(it, &r.Process, is)
	r.complete(it.From.Dir, is&inProcess != 0)
}

// function makes the route of a function that is run elsewhere: of the defaults, without what
// means something only with a process.
func (l *loader) function(r *Route) {
	*r = DefaultRoute()
	if l.Defaults.Node == nil || l.Stopped {
		return
	}
	l.Is, l.skip = routeUse(HTTP, false), true
	l.over(l.Defaults, reflect.ValueOf(r).Elem(), true)
	l.Is, l.skip = decode.Anywhere, false
	r.Name, r.Path, r.Mode = "", "", HTTP
	r.Host, r.Methods, r.Headers = "", nil, nil
	r.Upstream = Upstream{}
}

// service makes a service of an item.
func (l *loader) service(it decode.Item, s *Service) {
	*s = defaultService()
	if l.Stopped {
		return
	}
	l.item(it, serviceUse, reflect.ValueOf(s).Elem())
	if r := &s.Replicas; r.Min != r.Max && !l.Has(it.Node, "replicas") {
		// A service is not scaled: of such a default it takes what always runs.
		r.Min = max(1, r.Min)
		r.Max = r.Min
	}
	l.notItself(it, s.Name, s.DependsOn)
	l.withoutPort(it, &s.Process, serviceUse)
	s.complete(it.From.Dir)
}

// item reads the defaults and then the item's own keys.
func (l *loader) item(it decode.Item, is decode.Use, v reflect.Value) {
	l.Is, l.Expand.Shell = is, l.word(it, "shell", "false") == "true"
	if l.Defaults.Node != nil {
		l.skipMain = l.Has(it.Node, "fprocess")
		l.over(l.Defaults, v, true)
		l.skipMain = false
	}
	l.over(it, v, false)
	l.Is, l.Expand.Shell = decode.Anywhere, false
}

// over reads an item over the values in v.
func (l *loader) over(it decode.Item, v reflect.Value, quiet bool) bool {
	l.From, l.Base, l.Quiet = it.From, it.Path, quiet
	l.Steps = append(l.Steps[:0], it.Path...)
	defer func() { l.Steps, l.Base, l.Quiet = l.Steps[:0], nil, false }()
	return l.Structure(it.Node, v)
}

// use returns what a route is. One that lacks an fprocess, where only that can be
// meant, counts as having it: that it is missing is mistake enough.
func (l *loader) use(it decode.Item) decode.Use {
	mode := Mode(l.word(it, "mode", string(HTTP)))
	return routeUse(mode, !mode.Traits().Elsewhere || l.Inherits(it, "fprocess") || !l.Inherits(it, "upstream"))
}

// word returns the text of an item's key before the item is read.
func (l *loader) word(it decode.Item, key, otherwise string) string {
	n := l.Peek(it.Node, key)
	if n == nil && l.Defaults.Node != nil {
		n = l.Peek(l.Defaults.Node, key)
	}
	if n == nil || n.Kind != yaml.ScalarNode {
		return otherwise
	}
	s, mistakes := l.Expand.Value(n.Value)
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
func (l *loader) withoutPort(it decode.Item, p *Process, is decode.Use) {
	if is&(inListens|inElsewhere) != 0 || l.Defaults.Node == nil {
		return
	}
	fresh := defaultProcess()
	if own := p.Ready.TCP == "${PORT}" || strings.HasPrefix(string(p.Ready.HTTP), "/"); own && !l.Has(it.Node, "ready") {
		p.Ready = fresh.Ready
	}
	if own := p.Live.TCP == "${PORT}" || strings.HasPrefix(string(p.Live.HTTP), "/"); own && !l.Has(it.Node, "live") {
		p.Live = fresh.Live
	}
	for name, value := range p.Env {
		if value.Uses("PORT") && l.At(it, "env", name).Item.Node == l.Defaults.Node {
			delete(p.Env, name)
		}
	}
	if len(p.Env) == 0 {
		p.Env = nil
	}
}

// notItself takes an item out of what all depend on by default.
func (l *loader) notItself(it decode.Item, name string, needs Dependencies) {
	if _, ok := needs[name]; ok && l.dependency(it, name).Item.Node == l.Defaults.Node {
		delete(needs, name)
	}
}
