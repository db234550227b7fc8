package importer

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
)

// object is a mapping of a file, whose values are what YAML or JavaScript made of them.
type object map[string]any

// topLevel reads a YAML file: its top mapping, and the names in one of its mappings in
// their order.
func topLevel(text []byte, key string) (top object, names []string, err error) {
	var document yaml.Node
	if err := unmarshal(text, &document); err != nil {
		return nil, nil, err
	}
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return nil, nil, fmt.Errorf("it is not a mapping with the key %s", key)
	}
	if err := unmarshal(text, &top); err != nil {
		return nil, nil, err
	}
	content := document.Content[0].Content
	for n := 0; n+1 < len(content); n += 2 {
		value := content[n+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if content[n].Value != key || value.Kind != yaml.MappingNode {
			continue
		}
		for m := 0; m+1 < len(value.Content); m += 2 {
			if name := value.Content[m].Value; !slices.Contains(names, name) && name != "<<" {
				names = append(names, name)
			}
		}
	}
	for name := range top.object(key) { // what a merge brought in
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, nil, fmt.Errorf("it has no %s", key)
	}
	if len(names) > mostPrograms {
		return nil, nil, fmt.Errorf("it has %d entries under %s:, more than %d", len(names), key, mostPrograms)
	}
	return top, names, nil
}

// mostPrograms is how many programs one file may have.
const mostPrograms = 2000

// unmarshal is yaml.Unmarshal with the errors of yaml.v3 that are panics.
func unmarshal(text []byte, into any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it is not valid YAML: %v", p)
		}
	}()
	if err := yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("it is not valid YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return nil
}

func (o object) object(key string) object { return asObject(o[key]) }

// asObject is a mapping, whatever its Go type; nil is none.
func asObject(v any) object {
	switch m := v.(type) {
	case object:
		return m
	case map[string]any:
		return m
	case map[any]any:
		all := object{}
		for key, value := range m {
			all[fmt.Sprint(key)] = value
		}
		return all
	}
	return nil
}

// list is a list, or a value as a list of one; nil is none.
func list(v any) []any {
	switch l := v.(type) {
	case nil:
		return nil
	case []any:
		return l
	}
	return []any{v}
}

// scalar is a value as text.
func scalar(v any) string {
	switch s := v.(type) {
	case nil:
		return ""
	case string:
		return s
	case float64:
		return strconv.FormatFloat(s, 'f', -1, 64)
	case time.Time:
		return s.Format(time.DateOnly)
	case map[string]any, map[any]any, object, []any:
		return ""
	}
	return fmt.Sprint(v)
}

func (o object) text(key string) string { return scalar(o[key]) }

// number is a whole number, or 0 and false.
func (o object) number(key string) (int, bool) {
	n, err := strconv.Atoi(o.text(key))
	return n, err == nil
}

// keys are the names of a mapping in alphabetical order.
func (o object) keys() []string {
	names := make([]string, 0, len(o))
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// variable is $NAME, ${NAME}, ${NAME:-default} or another form of it, or $$.
var variable = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])([^{}]*))?\}|\$([A-Za-z_][A-Za-z0-9_]*)`)
})

// substituted is s, in which variables are written as compose files write them, as a
// value of watchdog.yaml. A variable that is not set is nothing, as there; one that
// defaults knows is that.
func (b *builder) substituted(s string, defaults map[string]string) string {
	var out strings.Builder
	for {
		at := variable().FindStringSubmatchIndex(s)
		if at == nil {
			return out.String() + draft.Literal(s)
		}
		out.WriteString(draft.Literal(s[:at[0]]))
		name, operator, word := group(s, at, 1)+group(s, at, 4), group(s, at, 2), group(s, at, 3)
		whole := s[at[0]:at[1]]
		s = s[at[1]:]
		switch fallback := defaults[name]; {
		case whole == "$$":
			out.WriteString("$$")
		case name == "PORT":
			out.WriteString("${PORT}")
		case name == "INSTANCE" || name == "NAME": // these are the instance's own in a watchdog.yaml
			value, set := b.Env(name)
			if !set {
				value = word
			}
			out.WriteString(draft.Literal(value))
		case strings.HasSuffix(operator, "?"):
			out.WriteString("${" + name + ":?" + word + "}")
		case strings.HasSuffix(operator, "+"):
			if value, set := b.Env(name); set && value != "" {
				out.WriteString(draft.Literal(word))
			}
		case fallback != "" && !strings.ContainsAny(fallback, "{}"):
			out.WriteString("${" + name + ":-" + draft.Literal(fallback) + "}")
		default:
			if _, set := b.Env(name); set && operator == "-" {
				word = "" // an empty value counts as one
			}
			out.WriteString("${" + name + ":-" + draft.Literal(word) + "}")
		}
	}
}

func group(s string, at []int, n int) string {
	if at[2*n] < 0 {
		return ""
	}
	return s[at[2*n]:at[2*n+1]]
}

// resolved is s with its variables replaced by what they are now, for what decides how
// something is imported.
func (b *builder) resolved(s string, defaults map[string]string) string {
	return variable().ReplaceAllStringFunc(s, func(match string) string {
		at := variable().FindStringSubmatchIndex(match)
		name := group(match, at, 1) + group(match, at, 4)
		if match == "$$" {
			return "$"
		}
		if value, set := b.Env(name); set && value != "" {
			return value
		}
		if value := defaults[name]; value != "" {
			return value
		}
		if strings.HasSuffix(group(match, at, 2), "-") {
			return group(match, at, 3)
		}
		return ""
	})
}

// goDuration is a duration of a compose file: 10s, 1m30s, a number of seconds.
func goDuration(s string) (string, bool) {
	if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 && n < 1e9 {
		return seconds(n), true
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return "", false
	}
	return d.String(), true
}

func no(value string) bool {
	return slices.Contains([]string{"false", "no", "off", "0"}, strings.ToLower(value))
}

// shlex splits a command as Python's shlex does: quotes and backslashes, and nothing else
// of a shell.
func shlex(command string) (words []string, err error) {
	var word strings.Builder
	begun := false
	var quote rune
	escaped := false
	for _, r := range command {
		switch {
		case escaped:
			if quote == '"' && r != '"' && r != '\\' {
				word.WriteByte('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, begun = true, true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '"' || r == '\'':
			quote, begun = r, true
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote (%c) is never closed: %s", quote, cut(command))
	}
	if escaped {
		word.WriteByte('\\')
	}
	if begun {
		words = append(words, word.String())
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("it is empty")
	}
	return words, nil
}

// cut is the beginning of a line, for a message.
func cut(line string) string {
	if len(line) > 60 {
		return line[:60] + "..."
	}
	return line
}
