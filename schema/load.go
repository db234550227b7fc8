package schema

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/internal/regular"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
	"github.com/watchdogd/watchdogd/schema/internal/source"
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
	l := newLoader(env)
	config := l.load(file, data)
	if len(l.Problems) > 0 {
		return nil, source.Sort(withoutMisspelt(l.Problems), l.names())
	}
	return config, nil
}

// withoutMisspelt leaves out that a key is missing where an unknown key beside it was probably
// meant to be that key.
func withoutMisspelt(all Problems) Problems {
	meant := map[string]bool{}
	for _, p := range all {
		hint := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(p.Hint, "did you mean "), "write "), "?")
		if p.Message == unknownKey && hint != p.Hint {
			meant[p.File+p.Path[:strings.LastIndexByte(p.Path, '.')+1]+hint] = true
		}
	}
	return slices.DeleteFunc(all, func(p Problem) bool { return meant[p.File+p.Path] && strings.HasPrefix(p.Message, "is missing") })
}

// Problem is one mistake in a configuration and its place. Problems are all of them, in
// the order of their places.
type (
	Problem  = source.Problem
	Problems = source.Problems
)

// loader makes one Config of one file and what it includes.
type loader struct {
	*decode.Decoder
	sources    []*source.Source
	top        *yaml.Node    // the main file's mapping
	routes     []decode.Item // that Config.Routes are made of, one by one
	services   []decode.Item
	skip       bool // commands are not read now,
	skipMain   bool // or fprocess, because another comes
	incomplete bool // the lists of routes and services are, for a mistake above them
	looked     int  // files and folders that patterns of include looked at
}

func newLoader(env func(string) (string, bool)) *loader {
	l := &loader{}
	l.Decoder = decode.New(env, decode.Rules{
		In:        parseUse,
		Words:     tagWords,
		Value:     func(n *yaml.Node, v any) (ok, known bool) { return read(l.Decoder, n, v) },
		Prefill:   prefill,
		Skip:      l.skips,
		Read:      l.absolute,
		Misplaced: l.misplaced,
		Unknown:   l.unknown,
	})
	return l
}

// skips reports whether a key is not read now.
func (l *loader) skips(f *decode.Field) bool {
	return f.Type == reflect.TypeFor[Command]() && (l.skip || l.skipMain && f.Key == "fprocess")
}

func (l *loader) names() []string {
	var names []string
	for _, s := range l.sources {
		names = append(names, s.Name)
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
	if !l.Stopped {
		l.Is = decode.Anywhere
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
		if g := config.Gateway; g != nil && g.Swarm != nil {
			l.function(&g.Swarm.Function)
		}
	}
	l.Is, l.From = decode.Anywhere, l.sources[0]
	config.File = l.sources[0].Path
	for _, s := range l.sources {
		config.Files = append(config.Files, s.Path)
	}
	l.complete(&config)
	if !l.Stopped {
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
	s := &source.Source{Name: file, Path: path, Dir: filepath.Dir(path), Data: data}
	if file == "" {
		s.Dir = path
	}
	l.sources, l.From = append(l.sources, s), s
	node, problem := s.Parse()
	if problem != nil {
		l.Problems = append(l.Problems, *problem)
		return nil
	}
	return node
}

// file reads the top of the main file: all but the routes and services themselves,
// which need the defaults and are only collected.
func (l *loader) file(n *yaml.Node, config *Config) {
	if n.Kind != yaml.MappingNode {
		l.Problem(n, "a configuration must be a mapping of keys, not "+decode.Given(n), "start with routes: or services:")
		l.Stopped = true
		return
	}
	l.top = n
	v := reflect.ValueOf(config).Elem()
	p := l.Plan(reflect.TypeFor[document]())
	var include *yaml.Node
	for _, e := range l.Entries(n) {
		if l.Stopped {
			return
		}
		l.Key(e.Key.Value)
		switch e.Key.Value {
		case "include":
			include = e.Value
		case "defaults":
			l.Defaults = decode.Item{From: l.From, Node: l.Follow(e.Value), Path: slices.Clone(l.Steps)}
		case "routes":
			l.collect(e.Value, &l.routes, "routes")
		case "services":
			l.collect(e.Value, &l.services, "services")
		default:
			if f := p.Field(e.Key.Value); f == nil {
				l.Unknown(e, p)
			} else {
				// The fields of document after its own are those of Config.
				l.Field(e.Value, v.FieldByIndex(f.Index[1:]), f)
			}
		}
		l.Pop()
	}
	if include != nil {
		l.Key("include")
		l.include(l.Follow(include))
		l.Pop()
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

// maxItems bounds what aliases of a list may multiply.
const maxItems = 100_000

// collect notes the items of a list.
func (l *loader) collect(n *yaml.Node, items *[]decode.Item, what string) {
	n = l.Follow(n)
	switch {
	case decode.IsNull(n):
		return
	case n.Kind != yaml.SequenceNode:
		l.Problem(n, "must be a list, not "+decode.Given(n), `start each item with "- "`)
		l.incomplete = true
		return
	case len(*items)+len(n.Content) > maxItems:
		l.Problem(n, fmt.Sprintf("more than %d %s", maxItems, what), "")
		l.Stopped = true
		return
	}
	for i := range l.Items(n) {
		l.Index(i)
		node := l.Follow(n.Content[i])
		if node.Kind != yaml.MappingNode {
			l.Problem(node, "must be a mapping of keys, not "+decode.Given(node), "start it with - name:, and put its other keys below")
		} else {
			*items = append(*items, decode.Item{From: l.From, Node: node, Path: slices.Clone(l.Steps)})
		}
		l.Pop()
	}
}

// complete fills in what follows from other values, or from the file's place.
func (l *loader) complete(c *Config) {
	c.Compat = CompatOf(c.Server.Errors)
	main := l.sources[0]
	if c.Name == "" {
		c.Name = NameOf(filepath.Base(main.Dir))
	}
	if len(c.Server.Listen) == 0 {
		c.Server.Listen = Strings{":8080"}
		if port, ok := l.Expand.Env("PORT"); ok && port != "" {
			c.Server.Listen = Strings{":" + port}
		}
	}
}

// tagWords are the validate tags of config.go that are not the validator's own: what is
// wrong with a value, or nil.
var tagWords = map[string]func(value string) *phrase.Mistake{
	"mode": func(value string) *phrase.Mistake {
		if slices.Contains(Modes(), value) {
			return nil
		}
		m := phrase.NotOneOf(value, Modes())
		return &m
	},
	"name": func(value string) *phrase.Mistake {
		if validName(value) {
			return nil
		}
		m := phrase.Mistake{Message: fmt.Sprintf("must be 1 to %d characters from a-z, 0-9 and -, not starting with -; got %s", maxName, phrase.Quote(value))}
		if s := NameOf(value); s != "watchdogd" {
			m.Hint = "write " + s
		}
		return &m
	},
}
