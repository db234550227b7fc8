package schema

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/regular"
)

// Load reads a configuration file and all that it includes. Variables are looked up
// by env; nil is the process's own environment. The error is Problems when the
// content is wrong, else it wraps the system's error.
func Load(file string, env func(string) (string, bool)) (*Config, error) {
	data, err := regular.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", file, err)
	}
	return Parse(file, data, env)
}

// Parse is Load of text that is at hand. Paths in it are relative to the folder of
// file, which need not exist; included files are read.
func Parse(file string, data []byte, env func(string) (string, bool)) (*Config, error) {
	if env == nil {
		env = os.LookupEnv
	}
	return parse(file, data, env, notBuilt)
}

func parse(file string, data []byte, env func(string) (string, bool), notBuilt []string) (*Config, error) {
	l := &loader{decoder: newDecoder(env), notBuilt: notBuilt}
	config := l.load(file, data)
	if len(l.problems) > 0 {
		return nil, l.problems.sort(l.names())
	}
	return config, nil
}

// loader makes one Config of one file and what it includes.
type loader struct {
	*decoder
	sources  []*source
	top      *yaml.Node // the main file's mapping
	defaults item
	routes   []item // that Config.Routes are made of, one by one
	services []item
	notBuilt []string // keys to refuse
	looked   int      // files and folders that patterns of include looked at
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
	config := Default()
	main := l.open(file, data)
	if main == nil {
		return nil
	}
	l.file(main, &config)
	if !l.stopped {
		l.is = anywhere
		l.checkDefaults()
		if len(l.routes) > 0 { // an empty list is nil
			config.Routes = make([]Route, len(l.routes))
		}
		for i := range l.routes {
			l.route(l.routes[i], &config.Routes[i])
		}
		if len(l.services) > 0 {
			config.Services = make([]Service, len(l.services))
		}
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

// open makes a source and parses it. If that fails, it notes why and returns nil.
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
		l.problem(n, "a configuration must be a mapping of keys, not "+given(n), "start with routes: or services:")
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
				l.unknown(e.key, e.value, p)
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
		l.problem(n, "must be a list, not "+given(n), `start each item with "- "`)
		l.incomplete = true
		return
	case len(*items)+len(n.Content) > maxItems:
		l.problem(n, fmt.Sprintf("more than %d %s", maxItems, what), "")
		l.stopped = true
		return
	}
	for i := range l.items(n) {
		l.index(i)
		node := l.follow(n.Content[i])
		if node.Kind != yaml.MappingNode {
			l.problem(node, "must be a mapping of keys, not "+given(node), "start it with - name:, and put its other keys below")
		} else {
			*items = append(*items, item{l.from, node, slices.Clone(l.steps)})
		}
		l.pop()
	}
}

// complete fills in what follows from other values, or from the file's place.
func (l *loader) complete(c *Config) {
	c.Compat = CompatOf(c.Server.Errors)
	main := l.sources[0]
	if c.Name == "" {
		c.Name = NameOf(filepath.Base(main.dir))
	}
	if len(c.Server.Listen) == 0 {
		c.Server.Listen = Strings{":8080"}
		if port, ok := l.env("PORT"); ok && port != "" {
			c.Server.Listen = Strings{":" + port}
		}
	}
}

// NameOf returns the name nearest to s that may be written, as for a folder's.
func NameOf(s string) string {
	name := bytes.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, []byte(s))
	if trimmed := strings.Trim(string(name), "-"); trimmed != "" {
		return trimmed[:min(len(trimmed), maxName)]
	}
	return "watchdogd"
}
