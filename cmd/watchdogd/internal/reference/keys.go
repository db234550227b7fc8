package reference

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// Key is the reference of one key of the file.
type Key struct {
	Path        string   `json:"path"` // as in routes.timeouts.queue
	Description string   `json:"description"`
	Type        string   `json:"type"`
	Default     any      `json:"default,omitempty"`
	Modes       []string `json:"modes,omitempty"` // of a route, if not all have the key
	Examples    []string `json:"examples"`        // lines of the file
	Keys        []string `json:"keys,omitempty"`  // of a mapping
}

// Summary returns the first sentence of the description.
func (k Key) Summary() string { return firstSentence(k.Description) }

// Keys are the keys of the file, by the JSON Schema that describes them.
type Keys struct {
	root  node
	paths []string
}

type node = map[string]any

// ReadKeys takes the JSON Schema and the paths of all keys, in their order.
func ReadKeys(schema string, paths []string) (*Keys, error) {
	k := &Keys{}
	if err := json.Unmarshal([]byte(schema), &k.root); err != nil {
		return nil, fmt.Errorf("read the JSON Schema: %w", err)
	}
	for _, p := range paths {
		if k.find(p) != nil {
			k.paths = append(k.paths, p)
		}
	}
	return k, nil
}

// All returns every key. Those of services that routes have too are left out.
func (k *Keys) All() []Key {
	var all []Key
	for _, p := range k.paths {
		if other, inService := strings.CutPrefix(p, "services."); !inService || !slices.Contains(k.paths, "routes."+other) {
			all = append(all, k.key(p))
		}
	}
	return all
}

// Find returns the key at a path. The path may lack its beginning: stop.drain is
// routes.stop.drain.
func (k *Keys) Find(path string) (Key, error) {
	path = strings.Trim(strings.ReplaceAll(path, "[]", ""), ".")
	if inherited, ok := strings.CutPrefix(path, "defaults."); ok {
		path = "routes." + inherited
	}
	for _, p := range []string{path, "routes." + path} {
		if slices.Contains(k.paths, p) {
			return k.key(p), nil
		}
	}
	ends := k.ending("." + path)
	switch {
	case len(ends) == 1, len(ends) > 1 && strings.Count(ends[0], ".") < strings.Count(ends[1], "."):
		return k.key(ends[0]), nil
	case len(ends) > 1:
		return Key{}, fmt.Errorf("several keys are called %q: %s", path, strings.Join(ends, ", "))
	}
	return Key{}, k.unknown(path)
}

// ending returns the paths with an end, the shortest first; those of services are those of
// routes.
func (k *Keys) ending(end string) []string {
	var paths []string
	for _, p := range k.paths {
		if strings.HasSuffix(p, end) && !strings.HasPrefix(p, "services.") {
			paths = append(paths, p)
		}
	}
	slices.SortStableFunc(paths, func(a, b string) int { return strings.Count(a, ".") - strings.Count(b, ".") })
	return paths
}

// unknown names the key that was probably meant, and the keys of the mapping in which the
// path goes wrong.
func (k *Keys) unknown(path string) error {
	known := path
	for known != "" && !slices.Contains(k.paths, known) && !slices.Contains(k.paths, "routes."+known) {
		known = known[:max(strings.LastIndexByte(known, '.'), 0)]
	}
	if known == "" {
		words := make([]string, len(k.paths))
		for i, p := range k.paths {
			words[i] = p[strings.LastIndexByte(p, '.')+1:]
		}
		near := phrase.Nearest(path, append(slices.Clone(k.paths), words...))
		if i := slices.Index(words, near); i >= 0 {
			near = k.paths[i]
		}
		top := slices.DeleteFunc(slices.Clone(k.paths), func(p string) bool { return strings.Contains(p, ".") })
		return unknown("key", path, near, append(top, "..."))
	}
	if !slices.Contains(k.paths, known) {
		known, path = "routes."+known, "routes."+path
	}
	keys := k.key(known).Keys
	if len(keys) == 0 {
		return fmt.Errorf("unknown key %q: %s has no keys", path, known)
	}
	near := phrase.Nearest(path[len(known)+1:], keys)
	if near != "" {
		near = known + "." + near
	}
	return unknown("key", path, near, keys)
}

// find returns the schema of the key at a path, or nil.
func (k *Keys) find(path string) node {
	at := k.root
	for i, step := range strings.Split(path, ".") {
		if i > 0 {
			at = k.mapping(at)
		}
		properties, _ := at["properties"].(node)
		next, ok := properties[step].(node)
		if !ok {
			return nil
		}
		at = next
		switch {
		case i > 0:
		case step == "routes", step == "defaults":
			at = with(at, k.definition("RouteKeys"))
		case step == "services":
			at = with(at, k.definition("Service"))
		}
	}
	return at
}

// with is a list, or what items inherit, with the keys of an item.
func with(list, item node) node {
	list = maps.Clone(list)
	list["properties"] = item["properties"]
	return list
}

// mapping returns the form of a value that has keys, or an empty one.
func (k *Keys) mapping(s node) node {
	if s["properties"] != nil {
		return s
	}
	if name, ok := s["$ref"].(string); ok {
		return k.mapping(k.refer(name))
	}
	for _, form := range forms(s) {
		if inner := k.mapping(form); inner["properties"] != nil {
			return inner
		}
	}
	return node{}
}

func (k *Keys) refer(ref string) node { return k.definition(strings.TrimPrefix(ref, "#/$defs/")) }

func (k *Keys) definition(name string) node {
	definitions, _ := k.root["$defs"].(node)
	definition, _ := definitions[name].(node)
	return definition
}

// forms are the alternatives of a value.
func forms(s node) []node {
	var all []node
	alternatives, _ := s["anyOf"].([]any)
	for _, a := range alternatives {
		if form, ok := a.(node); ok {
			all = append(all, form)
		}
	}
	return all
}

func (k *Keys) key(path string) Key {
	s := k.find(path)
	key := Key{Path: path, Default: s["default"], Type: k.describe(s), Modes: k.modes(path)}
	key.Description, _ = s["description"].(string)
	for _, p := range k.paths {
		if rest, under := strings.CutPrefix(p, path+"."); under && !strings.Contains(rest, ".") {
			key.Keys = append(key.Keys, rest)
		}
	}
	examples, _ := s["examples"].([]any)
	for _, e := range examples {
		key.Examples = append(key.Examples, example(path, e))
	}
	return key
}

// modes returns the modes whose routes may have a key, or nil if all may.
func (k *Keys) modes(path string) []string {
	steps := strings.Split(path, ".")
	if steps[0] != "routes" || len(steps) == 1 {
		return nil
	}
	all := k.words(k.definition("mode"))
	in := slices.DeleteFunc(slices.Clone(all), func(mode string) bool { return refuses(k.definition(mode), steps[1:]) })
	if len(in) == len(all) {
		return nil
	}
	return in
}

// refuses reports whether a rule does not allow the key at a path.
func refuses(rule node, steps []string) bool {
	for _, step := range steps {
		properties, _ := rule["properties"].(node)
		if properties[step] == false {
			return true
		}
		rule, _ = properties[step].(node)
	}
	return false
}
