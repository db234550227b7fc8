package reference

import (
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// types are what the definitions of values are called.
var types = map[string]string{
	"duration":     "duration: 250ms, 10s, 1m30s, or a whole number of seconds",
	"size":         "size: 64KiB, 10MB, or a whole number of bytes",
	"rate":         "rate: 100/s, 20/m, 5/h, or 100/s burst 50",
	"umask":        "octal number in quotes",
	"text":         "string",
	"word":         "string",
	"strings":      "string, or list of strings",
	"command":      "command: one string, or a list of words",
	"upstream":     "address",
	"dependencies": "name, list of names, or mapping of names to started, ready or completed",
}

// describe returns what a value may be, in words.
func (k *Keys) describe(s node) string {
	if name, ok := s["$ref"].(string); ok {
		if t := types[strings.TrimPrefix(name, "#/$defs/")]; t != "" {
			return t
		}
		return k.describe(k.refer(name))
	}
	if all, ok := s["allOf"].([]any); ok && s["type"] == nil && s["anyOf"] == nil && len(all) > 0 {
		first, _ := all[0].(node)
		return k.describe(first)
	}
	var kinds []string
	if words := k.words(s); len(words) > 0 {
		kinds = []string{phrase.Either(words)}
	}
	add := func(kind string) {
		if kind != "" && !slices.Contains(kinds, kind) && (len(k.words(s)) == 0 || kind == "mapping" || kind == "number") {
			kinds = append(kinds, kind)
		}
	}
	for _, form := range forms(s) {
		if s["type"] == nil && form["$ref"] != "#/$defs/variable" && form["enum"] == nil {
			for kind := range strings.SplitSeq(k.describe(form), ", or ") {
				add(kind)
			}
		}
	}
	if s["type"] != nil || len(forms(s)) == 0 { // beside a type, anyOf is a rule
		for _, name := range typesOf(s) {
			if name != "number" { // which is text as well
				add(map[string]string{"integer": "number", "array": "list", "object": "mapping", "string": "string", "boolean": "true or false"}[name])
			}
		}
	}
	return strings.Join(kinds, ", or ")
}

// words returns the words of an enumeration.
func (k *Keys) words(s node) []string {
	if name, ok := s["$ref"].(string); ok {
		return k.words(k.refer(name))
	}
	var words []string
	values, _ := s["enum"].([]any)
	for _, v := range values {
		if w, ok := v.(string); ok && w != "" {
			words = append(words, w)
		}
	}
	for _, form := range forms(s) {
		if form["enum"] != nil {
			words = append(words, k.words(form)...)
		}
	}
	return words
}

func typesOf(s node) []string {
	switch t := s["type"].(type) {
	case string:
		return []string{t}
	case []any:
		names := make([]string, len(t))
		for i, name := range t {
			names[i] = fmt.Sprint(name)
		}
		return names
	}
	return nil
}

// example writes a value at its place in a file, the value itself in one line.
func example(path string, value any) string {
	n := &yaml.Node{}
	if err := n.Encode(value); err != nil {
		return ""
	}
	n.Style |= yaml.FlowStyle
	steps := strings.Split(path, ".")
	for i := len(steps) - 1; i >= 0; i-- {
		n = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: steps[i]}, n}}
		if i == 1 && (steps[0] == "routes" || steps[0] == "services") {
			n = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{n}}
		}
	}
	var b strings.Builder
	out := yaml.NewEncoder(&b)
	out.SetIndent(2)
	_ = out.Encode(n) // to memory
	return strings.TrimSuffix(b.String(), "\n")
}
