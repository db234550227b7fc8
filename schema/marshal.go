package schema

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/schema/internal/decode"
	"github.com/watchdogd/watchdogd/schema/internal/expand"
	"gopkg.in/yaml.v3"
	"mvdan.cc/sh/v3/syntax"
)

// Marshal writes the configuration as a file that reads back as the same: Parse of
// it, under the same name, equals c. Keys that equal their default are left out, and
// short forms are used where they are enough. The defaults of the file are written into each
// route, and not as such, so that the functions of gateway.swarm have none.
func (c *Config) Marshal() ([]byte, error) {
	e := &encoder{plans: decode.Plans{In: parseUse}, is: decode.Anywhere}
	e.split = expand.New(func(string) (string, bool) { return "", false })
	base := Default()
	top := e.structure(reflect.ValueOf(c).Elem(), reflect.ValueOf(&base).Elem(), yaml.Style(0))
	var routes, services []*yaml.Node
	for i := range c.Routes {
		routes = append(routes, e.route(&c.Routes[i]))
	}
	for i := range c.Services {
		services = append(services, e.service(&c.Services[i]))
	}
	for _, list := range []struct {
		key   string
		items []*yaml.Node
	}{{"routes", routes}, {"services", services}} {
		if len(list.items) > 0 {
			top.Content = append(top.Content, word(list.key), &yaml.Node{Kind: yaml.SequenceNode, Content: list.items})
		}
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(top); err != nil {
		return nil, err
	}
	return out.Bytes(), enc.Close()
}

type encoder struct {
	plans decode.Plans
	is    decode.Use // what the item being written is
	shell bool       // its strings are lines for the shell
	split *expand.Expander
}

func (e *encoder) route(r *Route) *yaml.Node {
	base := DefaultRoute()
	base.Name, base.Mode, base.FProcess = r.Name, r.Mode, r.FProcess
	e.is, e.shell = routeUse(r.Mode, !r.FProcess.Empty()), r.Shell
	base.complete("", false)
	base.Mode, base.FProcess, base.Name = "", Command{}, ""
	n := e.structure(reflect.ValueOf(r).Elem(), reflect.ValueOf(&base).Elem(), 0)
	e.is, e.shell = decode.Anywhere, false
	return n
}

func (e *encoder) service(s *Service) *yaml.Node {
	base := defaultService()
	e.is, e.shell = serviceUse, s.Shell
	n := e.structure(reflect.ValueOf(s).Elem(), reflect.ValueOf(&base).Elem(), 0)
	e.is, e.shell = decode.Anywhere, false
	return n
}

// structure writes what differs from base.
func (e *encoder) structure(v, base reflect.Value, style yaml.Style) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Style: style}
	for _, f := range e.plans.Of(v.Type()).Fields {
		if f.Key == "routes" || f.Key == "services" {
			continue
		}
		value, otherwise := v.FieldByIndex(f.Index), base.FieldByIndex(f.Index)
		if f.In&e.is == 0 || reflect.DeepEqual(value.Interface(), otherwise.Interface()) {
			continue
		}
		if written := e.value(value, otherwise); written != nil {
			n.Content = append(n.Content, word(f.Key), written)
		}
	}
	return n
}

// value writes any value; nil is nothing to write.
func (e *encoder) value(v, base reflect.Value) *yaml.Node {
	switch p := v.Interface().(type) {
	case Secret, map[string]Secret:
		return nil
	case string:
		return text(expand.Escape(p))
	case Upstream:
		return list(Strings(p.Written()), text)
	case Mode, Text, Signal, Rate, Umask, netip.Prefix:
		return text(fmt.Sprint(p))
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(p)}
	case int:
		return number(p)
	case Duration, Size:
		return word(fmt.Sprint(p))
	case Strings:
		return list(p, func(s string) *yaml.Node { return text(expand.Escape(s)) })
	case []netip.Prefix:
		return list(p, func(p netip.Prefix) *yaml.Node { return text(p.String()) })
	case Command:
		return e.command(p)
	case Dependencies:
		return dependenciesNode(p)
	case Replicas:
		return replicasNode(p, base.Interface().(Replicas))
	case Restart:
		return e.restart(p, base.Interface().(Restart))
	case Probe:
		return e.probe(p, base.Interface().(Probe))
	}
	switch v.Kind() {
	case reflect.Pointer:
		fresh := reflect.New(v.Type().Elem())
		prefill(fresh.Interface())
		return e.structure(v.Elem(), fresh.Elem(), yaml.FlowStyle)
	case reflect.Struct:
		n := e.structure(v, base, yaml.FlowStyle)
		if len(n.Content) == 0 {
			return nil
		}
		if slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return c.Kind == yaml.MappingNode }) {
			n.Style = 0
		}
		return n
	case reflect.Map:
		return e.dictionary(v)
	}
	panic("schema: no way to write a " + v.Type().String())
}

// dictionary writes a map in the order of its keys.
func (e *encoder) dictionary(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	if limits, ok := v.Interface().(map[string]Size); ok {
		n.Style = yaml.FlowStyle
		for _, name := range slices.Sorted(maps.Keys(limits)) {
			// Some limits are counts.
			value := limits[name].String()
			if limits[name] < 1<<20 {
				value = strconv.FormatInt(int64(limits[name]), 10)
			}
			n.Content = append(n.Content, text(name), word(value))
		}
		return n
	}
	for _, key := range slices.SortedFunc(maps.Keys(stringKeys(v)), strings.Compare) {
		n.Content = append(n.Content, text(key), e.value(v.MapIndex(reflect.ValueOf(key)), reflect.Value{}))
	}
	return n
}

func stringKeys(v reflect.Value) map[string]bool {
	keys := make(map[string]bool, v.Len())
	for _, k := range v.MapKeys() {
		keys[k.String()] = true
	}
	return keys
}

// word is a scalar that needs no quotes.
func word(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }

func number(i int) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(i)}
}

// text is a string, in quotes where YAML wants them, lines as lines.
func text(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	switch {
	case strings.Trim(s, plainRunes) == "" && s != "":
		// yaml.v3 puts what would read as something else in quotes.
	case block(s):
		n.Style = yaml.LiteralStyle
	default:
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

const plainRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ${}_./:@%+=-*?~()"

// block reports whether lines can be written unchanged under a |.
func block(s string) bool {
	if !strings.Contains(s, "\n") || strings.HasPrefix(s, "\n") || strings.HasSuffix(s, "\n\n") {
		return false
	}
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		if strings.TrimRight(line, " ") != line {
			return false
		}
		for _, r := range line {
			if r < ' ' || r > '~' {
				return false
			}
		}
	}
	return s[0] != ' '
}

// list writes one element as itself.
func list[T any](items []T, write func(T) *yaml.Node) *yaml.Node {
	if len(items) == 1 {
		return write(items[0])
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, item := range items {
		n.Content = append(n.Content, write(item))
	}
	return n
}

// command writes words as a string when it splits into them again.
func (e *encoder) command(c Command) *yaml.Node {
	if c.Line != "" {
		return text(string(c.Line))
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	quoted := make([]string, 0, len(c.Words))
	for _, w := range c.Words {
		n.Content = append(n.Content, text(string(w)))
		quoted = append(quoted, shellWord(string(w)))
	}
	if line := strings.Join(quoted, " "); !e.shell && len(line) <= expand.MaxCommand {
		same := func(a string, b Text) bool { return a == string(b) }
		if words, mistakes := e.split.Words(line); len(mistakes) == 0 && slices.EqualFunc(words, c.Words, same) {
			return text(line)
		}
	}
	return n
}

// shellWord quotes a word for a POSIX shell, if it must be.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, plainRunes[:len(plainRunes)-len("*?~()")]) == "" && !strings.Contains(s, " ") {
		return s
	}
	if quoted, err := syntax.Quote(s, syntax.LangPOSIX); err == nil {
		return quoted
	}
	return "''"
}

func dependenciesNode(d Dependencies) *yaml.Node {
	names := slices.Sorted(maps.Keys(d))
	n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	ready := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, name := range names {
		n.Content = append(n.Content, text(name), text(d[name]))
		ready.Content = append(ready.Content, text(name))
		if d[name] != "ready" {
			ready.Content = nil
		}
	}
	if len(ready.Content) == len(names) {
		return ready
	}
	return n
}

func replicasNode(r, base Replicas) *yaml.Node {
	if r.Min == r.Max && r.Target == base.Target && r.Idle == base.Idle {
		return number(r.Min)
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: []*yaml.Node{
		word("min"), number(r.Min), word("max"), number(r.Max),
	}}
	if r.Target != base.Target {
		n.Content = append(n.Content, word("target"), number(r.Target))
	}
	if r.Idle != base.Idle {
		n.Content = append(n.Content, word("idle"), word(r.Idle.String()))
	}
	return n
}

func (e *encoder) restart(r, base Restart) *yaml.Node {
	other := base
	other.Policy = r.Policy
	if r == other {
		return text(r.Policy)
	}
	if r.Min != base.Min || r.Max != base.Max {
		// One without the other would move the other.
		base.Min, base.Max = -1, -1
	}
	return e.structure(reflect.ValueOf(r), reflect.ValueOf(base), yaml.FlowStyle)
}

func (e *encoder) probe(p, base Probe) *yaml.Node {
	other := base
	other.TCP, other.HTTP, other.Exec, other.Log = "${PORT}", "", Command{}, ""
	if reflect.DeepEqual(p, other) {
		return word("tcp")
	}
	if p.Empty() {
		return nil
	}
	base.TCP, base.HTTP, base.Exec, base.Log = "", "", Command{}, ""
	return e.structure(reflect.ValueOf(p), reflect.ValueOf(base), yaml.FlowStyle)
}
