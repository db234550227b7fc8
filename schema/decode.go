package schema

import (
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-playground/validator/v10"
	"gopkg.in/yaml.v3"
	"mvdan.cc/sh/v3/syntax"

	"github.com/watchdogd/watchdogd/schema/internal/phrase"
)

// decoder writes nodes into the types of config.go, strictly, and goes on after a
// mistake, so that all of them are found. It reads over the values that are there already:
// the defaults first, then a file's defaults:, then the item's own keys.
type decoder struct {
	env      func(string) (string, bool)
	from     *source
	is       use    // what the item being read is; a key that is not allowed in it is a mistake,
	quiet    bool   // or is ignored
	shell    bool   // its commands are lines for the shell
	skip     bool   // its commands are not read now,
	skipMain bool   // or its fprocess, because another comes
	steps    []step // the path to the value being read
	base     []step // the path to the item being read
	problems Problems
	failed   map[*yaml.Node]bool // values with a problem, of which no other is reported
	plans    map[reflect.Type]*plan
	validate *validator.Validate
	words    *syntax.Parser
	visited  int  // values seen, through aliases too
	grown    int  // bytes that variables brought in
	stopped  bool // there is too much of something: read no more

	incomplete bool // the lists of routes and services are, for a mistake above them
}

// The bounds of what aliases and defaults may multiply, and of what is complained of.
const (
	maxVisited  = 2 << 20
	maxItems    = 100_000
	maxProblems = 1000
)

func newDecoder(env func(string) (string, bool)) *decoder {
	return &decoder{
		env:      env,
		is:       anywhere,
		failed:   make(map[*yaml.Node]bool),
		plans:    make(map[reflect.Type]*plan),
		validate: newValidate(),
		words:    syntax.NewParser(syntax.Variant(syntax.LangPOSIX)),
	}
}

// step is one step of a path: a key, or with an empty key an index.
type step struct {
	key   string
	index int
}

func (d *decoder) key(k string)     { d.steps = append(d.steps, step{key: k}) }
func (d *decoder) index(i int)      { d.steps = append(d.steps, step{index: i}) }
func (d *decoder) pop()             { d.steps = d.steps[:len(d.steps)-1] }
func (d *decoder) path() string     { return pathOf(d.steps) }
func (d *decoder) inFProcess() bool { return d.steps[len(d.steps)-1].key == "fprocess" }

func pathOf(steps []step) string {
	var b strings.Builder
	for i, s := range steps {
		switch {
		case s.key == "":
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(pathKey(s.key))
		}
	}
	return b.String()
}

// pathKey puts a key that could be mistaken for more than one in quotes.
func pathKey(key string) string {
	if strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return phrase.Quote(key)
	}
	return key
}

// problem notes what is wrong with the value n. It returns false, for its caller to return.
func (d *decoder) problem(n *yaml.Node, message, hint string) bool {
	return d.mistakes(n, []mistake{{message, hint}})
}

func (d *decoder) mistakes(n *yaml.Node, mistakes []mistake) bool {
	if d.quiet && d.failed[n] {
		return false // reported when the defaults were read first
	}
	d.failed[n] = true
	for _, m := range mistakes {
		d.note(d.from, n.Line, n.Column, d.path(), m.message, m.hint)
	}
	return false
}

func (d *decoder) note(from *source, line, column int, path, message, hint string) {
	if len(d.problems) >= maxProblems {
		if !d.stopped {
			p := from.problem(line, column, fmt.Sprintf("more than %d mistakes; the rest is not shown", maxProblems), "")
			d.problems = append(d.problems, *p)
		}
		d.stopped = true
		return
	}
	p := from.problem(line, column, message, hint)
	p.Path = path
	d.problems = append(d.problems, *p)
}

// mustBe reports that n is of the wrong kind.
func (d *decoder) mustBe(n *yaml.Node, what string) bool {
	return d.problem(n, "must be "+what+", not "+given(n), "")
}

// structure reads a mapping into a struct.
func (d *decoder) structure(n *yaml.Node, v reflect.Value) bool {
	if n.Kind != yaml.MappingNode {
		hint := ""
		if keys := d.plan(v.Type()).keys(d.is); len(keys) <= 8 {
			hint = "the keys are " + strings.Join(keys, ", ")
		}
		return d.problem(n, "must be a mapping of keys, not "+given(n), hint)
	}
	p := d.plan(v.Type())
	ok := true
	for _, e := range d.entries(n) {
		if d.stopped {
			return false
		}
		d.key(e.key.Value)
		switch f := p.field(e.key.Value); {
		case f != nil && f.in&d.is != 0:
			ok = d.field(e.value, v.FieldByIndex(f.index), f) && ok
		case d.quiet:
		case f != nil:
			ok = d.misplaced(e.key, f)
		default:
			ok = d.unknown(e.key, e.value, p)
		}
		d.pop()
	}
	return ok
}

// field reads the value of one key. A key without a value counts as not written.
func (d *decoder) field(n *yaml.Node, v reflect.Value, f *field) bool {
	n = d.follow(n)
	if isNull(n) || f.command && (d.skip || d.skipMain && f.key == "fprocess") {
		return true
	}
	if !d.value(n, v) {
		return false
	}
	if f.validate != "" {
		if err := d.validate.Var(v.Interface(), f.validate); err != nil {
			return d.mistakes(n, []mistake{invalid(err, v)})
		}
	}
	if f.path != "" {
		d.absolute(v, f.path)
	}
	return true
}

// value reads any value.
func (d *decoder) value(n *yaml.Node, v reflect.Value) bool {
	switch p := v.Addr().Interface().(type) {
	case *string:
		s, ok := d.string(n, "a string")
		if ok {
			*p = s
		}
		return ok
	case *Text:
		s, ok := d.text(n)
		if ok {
			*p = Text(s)
		}
		return ok
	case *Upstream:
		return d.upstream(n, p)
	case *bool:
		return d.bool(n, p)
	case *int:
		return d.int(n, p)
	case *Duration:
		return parsed(d, n, p, aDuration, parseDuration)
	case *Size:
		return parsed(d, n, p, aSize, parseSize)
	case *Rate:
		return parsed(d, n, p, aRate, parseRate)
	case *Umask:
		return parsed(d, n, p, aUmask, parseUmask)
	case *Signal:
		return parsed(d, n, p, aSignal, parseSignal)
	case *netip.Prefix:
		return parsed(d, n, p, aNetwork, parsePrefix)
	case *Strings:
		return d.strings(n, p)
	case *Command:
		return d.command(n, p)
	case *Dependencies:
		return d.dependencies(n, p)
	case *Replicas:
		return d.replicas(n, p)
	case *Restart:
		return d.restart(n, p)
	case *Probe:
		return d.probe(n, p)
	case *Auth:
		return d.auth(n, p)
	}
	switch v.Kind() {
	case reflect.String:
		s, ok := d.string(n, "a string")
		if ok {
			v.SetString(s)
		}
		return ok
	case reflect.Struct:
		return d.structure(n, v)
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
			prefill(v.Interface())
		}
		return d.value(n, v.Elem())
	case reflect.Map:
		return d.dictionary(n, v)
	case reflect.Slice:
		return d.list(n, v)
	}
	panic("schema: no way to read a " + v.Type().String())
}

// parsed reads a scalar whose text has a form of its own.
func parsed[T any](d *decoder, n *yaml.Node, p *T, what string, parse func(string) (T, error)) bool {
	text, ok := d.string(n, what)
	if !ok {
		return false
	}
	value, err := parse(text)
	if err != nil {
		m := err.(*formError)
		return d.problem(n, m.Error(), m.hint)
	}
	*p = value
	return true
}

// plain returns the text of a scalar as it is written; what describes what it must be.
func (d *decoder) plain(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		hint := ""
		if n.Style&yaml.FlowStyle != 0 {
			hint = "quote text that starts with [ or {"
		}
		return "", d.problem(n, "must be "+what+", not "+given(n), hint)
	}
	if n.Style&yaml.TaggedStyle != 0 && !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!null"}, n.Tag) {
		return "", d.problem(n, fmt.Sprintf("the tag %s is not supported here", n.Tag), "quote a value that starts with !")
	}
	if strings.Contains(n.Value, "\x00") {
		return "", d.problem(n, "the value contains a NUL character", "")
	}
	if isNull(n) {
		return "", true
	}
	return n.Value, true
}

// string returns the text of a scalar with all its variables replaced.
func (d *decoder) string(n *yaml.Node, what string) (string, bool) {
	s, ok := d.plain(n, what)
	if !ok {
		return "", false
	}
	s, mistakes := d.interpolate(s, false)
	if len(mistakes) > 0 {
		return "", d.mistakes(n, mistakes)
	}
	return s, true
}

// text returns the text of a scalar with all its variables replaced but those of an instance.
func (d *decoder) text(n *yaml.Node) (string, bool) {
	n = d.follow(n)
	s, ok := d.plain(n, "a string")
	if !ok {
		return "", false
	}
	s, mistakes := d.interpolate(s, true)
	if len(mistakes) > 0 {
		return "", d.mistakes(n, mistakes)
	}
	return s, true
}

func (d *decoder) bool(n *yaml.Node, p *bool) bool {
	s, ok := d.string(n, "true or false")
	if !ok {
		return false
	}
	switch {
	case !d.bare(n):
	case s == "true", s == "True", s == "TRUE":
		*p = true
		return true
	case s == "false", s == "False", s == "FALSE":
		*p = false
		return true
	}
	hint := ""
	switch strings.ToLower(s) {
	case "true", "false":
		hint = "write it without quotes"
	case "yes", "on", "y", "1":
		hint = "write true"
	case "no", "off", "n", "0":
		hint = "write false"
	}
	return d.problem(n, "must be true or false, not "+given(&yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: s}), hint)
}

func (d *decoder) int(n *yaml.Node, p *int) bool {
	s, ok := d.string(n, "a whole number")
	if !ok {
		return false
	}
	i, err := strconv.ParseInt(s, 10, 32)
	switch digits := strings.TrimPrefix(s, "-"); {
	case len(digits) > 1 && digits[0] == '0' && d.bare(n):
		return d.problem(n, "must be a whole number, not "+s, "write it without leading zeros")
	case err == nil && d.bare(n):
		*p = int(i)
		return true
	case err == nil:
		return d.problem(n, "must be a whole number, not "+phrase.Quote(s), "write it without quotes")
	case strings.Contains(err.Error(), "range"):
		return d.problem(n, "must be a whole number below 2147483648, not "+s, "")
	}
	return d.problem(n, "must be a whole number, not "+given(&yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: s}), "")
}

// bare reports whether a value can be a number or a boolean: it is not in quotes,
// or a variable makes it.
func (d *decoder) bare(n *yaml.Node) bool {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	return n.Style&quoted == 0 || strings.Contains(n.Value, "${")
}

// list reads a list, or one value as a list of one.
func (d *decoder) list(n *yaml.Node, v reflect.Value) bool {
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
	for i := range d.items(n) {
		d.index(i)
		ok = d.value(d.follow(n.Content[i]), v.Index(i)) && ok
		d.pop()
	}
	return ok
}

func (d *decoder) strings(n *yaml.Node, p *Strings) bool {
	switch n.Kind {
	case yaml.ScalarNode:
		s, ok := d.string(n, "a string")
		if ok && s == "" {
			ok = d.problem(n, "must be a string or a list of strings, not empty", "")
		}
		if ok {
			*p = Strings{s}
		}
		return ok
	case yaml.SequenceNode:
	default:
		return d.mustBe(n, "a string or a list of strings")
	}
	var list Strings // an empty list is nil, as one that is not written
	ok := true
	for i := range d.items(n) {
		d.index(i)
		item := d.follow(n.Content[i])
		s, fine := d.string(item, "a string")
		if fine && s == "" {
			fine = d.problem(item, "the item is empty", "")
		}
		list, ok = append(list, s), ok && fine
		d.pop()
	}
	if ok {
		*p = list
	}
	return ok
}

// dictionary reads a mapping whose keys are free into a map, over its values; an empty
// one clears it.
func (d *decoder) dictionary(n *yaml.Node, v reflect.Value) bool {
	if n.Kind != yaml.MappingNode {
		return d.problem(n, "must be a mapping, not "+given(n), "write NAME: value")
	}
	entries := d.entries(n)
	if len(entries) == 0 {
		v.SetZero()
	} else if v.IsNil() {
		v.Set(reflect.MakeMapWithSize(v.Type(), len(entries)))
	}
	ok := true
	for _, e := range entries {
		d.key(e.key.Value)
		element := reflect.New(v.Type().Elem()).Elem()
		switch {
		case e.key.Value == "":
			ok = d.problem(e.key, "the name is empty", "")
		case strings.Contains(e.key.Value, "\x00"):
			ok = d.problem(e.key, "the name contains a NUL character", "")
		case d.value(d.follow(e.value), element):
			v.SetMapIndex(reflect.ValueOf(e.key.Value).Convert(v.Type().Key()), element)
		default:
			ok = false
		}
		d.pop()
	}
	return ok
}

// absolute makes paths absolute, relative to the folder of their file.
func (d *decoder) absolute(v reflect.Value, kind string) {
	if v.Kind() == reflect.Slice {
		for i := range v.Len() {
			d.absolute(v.Index(i), kind)
		}
		return
	}
	s, base := v.String(), d.from.dir
	if v.Type() == reflect.TypeFor[Text]() {
		base = escape(base, true)
	}
	switch {
	case s == "":
	case kind == "address":
		v.SetString(absoluteSocket(base, s))
	case filepath.IsAbs(s):
		v.SetString(filepath.Clean(s))
	case kind == "pattern":
		v.SetString(path.Join(pattern.Replace(filepath.ToSlash(base)), s))
	default:
		v.SetString(filepath.Join(base, s))
	}
}

// absoluteSocket is an address in which the path of a unix socket is absolute.
func absoluteSocket(base, address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok && path != "" && !filepath.IsAbs(path) {
		return "unix:" + filepath.Join(base, path)
	}
	return address
}

// pattern makes a pattern of a path that means only itself.
var pattern = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`, "{", `\{`, "}", `\}`)
