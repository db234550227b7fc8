package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"gopkg.in/yaml.v3"
)

// Load reads a configuration file and all that it includes. Variables are looked up
// by env; nil is the process's own environment. The error is Problems when the
// content is at fault, else it wraps what the system said.
func Load(file string, env func(string) (string, bool)) (*Config, error) {
	data, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration %s: %w", file, err)
	}
	return Parse(file, data, env)
}

// Parse is Load of text that is at hand. Paths in it are relative to the folder of
// file, which need not exist; included files are read.
func Parse(file string, data []byte, env func(string) (string, bool)) (*Config, error) {
	if env == nil {
		env = os.LookupEnv
	}
	l := &loader{decoder: newDecoder(env)}
	config := l.load(file, data)
	if len(l.problems) > 0 {
		return nil, l.problems.sort(l.names())
	}
	return config, nil
}

// read reads a file whole, if it is not too large for a configuration.
func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("it is a directory, not a file")
	}
	// One byte more than allowed, so that scan sees that it is too large.
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return data, err
}

// loader makes one Config of one file and what it includes.
type loader struct {
	*decoder
	sources  []*source
	top      *yaml.Node // the main file's mapping
	defaults item
	routes   []item // that Config.Routes are made of, one by one
	services []item
}

// item is a mapping in a file that became a part of the configuration.
type item struct {
	from *source
	node *yaml.Node
	path []step
}

func (l *loader) names() []string {
	var names []string
	for _, s := range l.sources {
		names = append(names, s.name)
	}
	return names
}

func (l *loader) load(file string, data []byte) *Config {
	config := defaultConfig()
	main := l.open(file, data)
	if main == nil {
		return nil
	}
	l.file(main, &config)
	if !l.stopped {
		l.is = anywhere
		l.checkDefaults()
		config.Routes = make([]Route, len(l.routes))
		for i := range l.routes {
			l.route(l.routes[i], &config.Routes[i])
		}
		config.Services = make([]Service, len(l.services))
		for i := range l.services {
			l.service(l.services[i], &config.Services[i])
		}
	}
	l.is, l.from = anywhere, l.sources[0]
	config.File = l.sources[0].path
	for _, s := range l.sources {
		config.Files = append(config.Files, s.path)
	}
	l.complete(&config)
	if !l.stopped {
		l.check(&config)
	}
	return &config
}

// open makes a source and parses it. It gives nil, and has noted why, when that fails.
func (l *loader) open(file string, data []byte) *yaml.Node {
	path, err := filepath.Abs(file)
	if err != nil {
		path = file
	}
	s := &source{name: file, path: path, dir: filepath.Dir(path), data: data}
	if file == "" {
		s.dir = path
	}
	l.sources, l.from = append(l.sources, s), s
	node, problem := s.parse()
	if problem != nil {
		l.problems = append(l.problems, *problem)
		return nil
	}
	return node
}

// file reads the top of the main file: all but the routes and services themselves,
// which need the defaults and are only collected.
func (l *loader) file(n *yaml.Node, config *Config) {
	if n.Kind != yaml.MappingNode {
		l.problem(n, "a configuration is a mapping of keys, not "+given(n), "begin with routes: or services:")
		l.stopped = true
		return
	}
	l.top = n
	v := reflect.ValueOf(config).Elem()
	p := l.plan(reflect.TypeFor[document]())
	var include *yaml.Node
	for _, e := range l.entries(n) {
		if l.stopped {
			return
		}
		l.key(e.key.Value)
		switch e.key.Value {
		case "include":
			include = e.value
		case "defaults":
			l.defaults = item{l.from, l.follow(e.value), slices.Clone(l.steps)}
		case "routes":
			l.collect(e.value, &l.routes, "routes")
		case "services":
			l.collect(e.value, &l.services, "services")
		default:
			if f := p.field(e.key.Value); f == nil {
				l.unknown(e.key, p)
			} else {
				// The fields of document after its own are those of Config.
				l.field(e.value, v.FieldByIndex(f.index[1:]), f)
			}
		}
		l.pop()
	}
	if include != nil {
		l.key("include")
		l.include(l.follow(include))
		l.pop()
	}
}

// document is the top of a file.
type document struct {
	Include  Strings  `yaml:"include"`
	Defaults Defaults `yaml:"defaults"`
	Config   `yaml:",inline"`
}

// Defaults are what routes and services inherit: any of their keys. Those of a
// service are keys of a route too.
type Defaults Route

// collect notes the items of a list.
func (l *loader) collect(n *yaml.Node, items *[]item, what string) {
	n = l.follow(n)
	switch {
	case isNull(n):
		return
	case n.Kind != yaml.SequenceNode:
		l.problem(n, "must be a list, not "+given(n), `begin each of its items with "- "`)
		l.incomplete = true
		return
	case len(*items)+len(n.Content) > maxItems:
		l.problem(n, fmt.Sprintf("there are more than %d %s", maxItems, what), "")
		l.stopped = true
		return
	}
	for i := range l.items(n) {
		l.index(i)
		node := l.follow(n.Content[i])
		if node.Kind != yaml.MappingNode {
			l.problem(node, "must be a mapping of keys, not "+given(node), "begin it with - name:, and write its other keys beneath")
		} else {
			*items = append(*items, item{l.from, node, slices.Clone(l.steps)})
		}
		l.pop()
	}
}

// include reads the files that the main file names.
func (l *loader) include(n *yaml.Node) {
	if isNull(n) {
		return
	}
	var patterns Strings
	if !l.strings(n, &patterns) {
		l.incomplete = true
		return
	}
	main := l.from
	for i, pattern := range patterns {
		at := n
		if n.Kind == yaml.SequenceNode {
			at = l.follow(n.Content[i])
			l.index(i)
		}
		before := len(l.problems)
		for _, file := range l.match(at, pattern) {
			if l.stopped {
				break
			}
			l.included(at, main, file)
		}
		l.incomplete = l.incomplete || len(l.problems) > before
		if n.Kind == yaml.SequenceNode {
			l.pop()
		}
	}
}

// match gives the files that an entry of include names, in order.
func (l *loader) match(at *yaml.Node, name string) []string {
	full := name
	if !filepath.IsAbs(full) {
		full = pattern.Replace(filepath.ToSlash(l.from.dir)) + "/" + name
	}
	if !strings.ContainsAny(name, `*?[{\`) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(l.from.dir, name)
		}
		return []string{filepath.Clean(name)}
	}
	if !validPattern(full) {
		l.problem(at, quote(name)+" is no pattern of files", patternHint)
		return nil
	}
	base, _ := doublestar.SplitPattern(full)
	base = unescape(base, false)
	if info, err := os.Stat(base); err != nil || !info.IsDir() {
		l.problem(at, fmt.Sprintf("there is no folder %s", shown(l.from, base)), "")
		return nil
	}
	files, err := doublestar.FilepathGlob(full, doublestar.WithFilesOnly())
	if err != nil {
		l.problem(at, fmt.Sprintf("cannot look for %s: %v", quote(name), err), "")
		return nil
	}
	slices.Sort(files) // the order of folders is nobody's
	// A pattern may well match the file that it stands in.
	return slices.DeleteFunc(files, func(file string) bool {
		return slices.ContainsFunc(l.sources, func(s *source) bool { return s.path == file })
	})
}

// included reads one included file, whose routes and services join the others.
func (l *loader) included(at *yaml.Node, main *source, file string) {
	for _, s := range l.sources {
		if s.path == file {
			what := "is included already"
			if s == main {
				what = "is this file itself"
			}
			l.problem(at, fmt.Sprintf("%s %s", shown(main, file), what), "remove it here")
			return
		}
	}
	data, err := read(file)
	if err != nil {
		l.problem(at, fmt.Sprintf("cannot read %s: %v", shown(main, file), err), "")
		return
	}
	outer := l.steps
	l.steps = nil
	defer func() { l.steps, l.from = outer, main }()
	n := l.open(shown(main, file), data)
	if n == nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		l.problem(n, "an included file is a mapping with routes: and services:, not "+given(n), "")
		return
	}
	p := l.plan(reflect.TypeFor[document]())
	for _, e := range l.entries(n) {
		if l.stopped {
			return
		}
		l.key(e.key.Value)
		switch {
		case e.key.Value == "routes":
			l.collect(e.value, &l.routes, "routes")
		case e.key.Value == "services":
			l.collect(e.value, &l.services, "services")
		case p.field(e.key.Value) != nil:
			l.problem(e.key, "an included file holds only routes: and services:", "move this key to "+main.name)
		default:
			l.unknown(e.key, p)
		}
		l.pop()
	}
}

// shown is how an included file is called in messages: as the main file is, from
// the same folder.
func shown(main *source, file string) string {
	if filepath.IsAbs(main.name) {
		return file
	}
	if rel, err := filepath.Rel(main.dir, file); err == nil && !strings.HasPrefix(rel, "../..") {
		return filepath.Join(filepath.Dir(main.name), rel)
	}
	return file
}

// checkDefaults reads defaults: for its own mistakes. Its commands are read with
// each item, which may say that they are the shell's.
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
	route := defaultRoute()
	l.over(l.defaults, reflect.ValueOf(&route).Elem(), false)
	if name, _ := l.lookup(n, "name", 0); name != nil {
		l.note(l.defaults.from, name.Line, name.Column, "defaults.name", "a name cannot be a default: each route and service has its own", "")
	}
	l.skip = false
}

// over reads an item over what v holds.
func (l *loader) over(it item, v reflect.Value, quiet bool) bool {
	l.from, l.base, l.quiet = it.from, it.path, quiet
	l.steps = append(l.steps[:0], it.path...)
	defer func() { l.steps, l.base, l.quiet = l.steps[:0], nil, false }()
	return l.structure(it.node, v)
}

func (l *loader) route(it item, r *Route) {
	*r = defaultRoute()
	if l.stopped {
		return
	}
	l.is = l.use(it)
	l.item(it, reflect.ValueOf(r).Elem())
	l.notItself(it, r.Name, r.DependsOn)
	l.withoutPort(it, &r.Process, l.use(it))
	r.complete(it.from.dir, l.use(it)&inProcess != 0)
}

func (l *loader) service(it item, s *Service) {
	*s = defaultService()
	if l.stopped {
		return
	}
	l.is = serviceUse
	l.item(it, reflect.ValueOf(s).Elem())
	if r := &s.Replicas; r.Min != r.Max && !l.has(it.node, "replicas") {
		// A service is not scaled: of such a default it takes what always runs.
		r.Min = max(1, r.Min)
		r.Max = r.Min
	}
	l.notItself(it, s.Name, s.DependsOn)
	l.withoutPort(it, &s.Process, serviceUse)
	s.complete(it.from.dir)
}

// notItself takes an item out of what all depend on by default.
func (l *loader) notItself(it item, name string, needs Dependencies) {
	if _, ok := needs[name]; ok && l.dependency(it, name).it.node == l.defaults.node {
		delete(needs, name)
	}
}

// withoutPort takes out of an item that has no port what it inherits and what means
// something only with one.
func (l *loader) withoutPort(it item, p *Process, is use) {
	if is&inHTTP != 0 || l.defaults.node == nil {
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
		if value.uses("PORT") && l.at(it, "env", name).it.node == l.defaults.node {
			delete(p.Env, name)
		}
	}
	if len(p.Env) == 0 {
		p.Env = nil
	}
}

// use gives what a route is. One that lacks an fprocess, where only that can be
// meant, counts as having it: that it is missing is mistake enough.
func (l *loader) use(it item) use {
	mode := Mode(l.word(it, "mode", string(HTTP)))
	return routeUse(mode, mode != HTTP || l.inherits(it, "fprocess") || !l.inherits(it, "upstream"))
}

// item reads the defaults and then the item's own keys.
func (l *loader) item(it item, v reflect.Value) {
	l.shell = l.word(it, "shell", "false") == "true"
	if l.defaults.node != nil {
		l.skipMain = l.has(it.node, "fprocess")
		l.over(l.defaults, v, true)
		l.skipMain = false
	}
	l.over(it, v, false)
	l.shell, l.is = false, anywhere
}

// inherits reports whether an item has a key, of its own or by the defaults.
func (l *loader) inherits(it item, key string) bool {
	return l.has(it.node, key) || l.defaults.node != nil && l.has(l.defaults.node, key)
}

// word gives the text of an item's key before the item is read.
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

// complete fills in what follows from other values, or from where the file stands.
func (l *loader) complete(c *Config) {
	main := l.sources[0]
	if c.Name == "" {
		c.Name = stackName(filepath.Base(main.dir))
	}
	if len(c.Server.Listen) == 0 {
		c.Server.Listen = Strings{":8080"}
		if port, ok := l.env("PORT"); ok && port != "" {
			c.Server.Listen = Strings{":" + port}
		}
	}
}

// stackName makes a name of a folder's.
func stackName(folder string) string {
	name := bytes.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, []byte(folder))
	if s := strings.Trim(string(name), "-"); s != "" {
		return s[:min(len(s), maxName)]
	}
	return "watchdogd"
}
