package decode

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema/internal/source"
)

type box struct {
	Name   string            `yaml:"name"`
	Size   int               `yaml:"size" validate:"min=1,max=9"`
	Open   bool              `yaml:"open"`
	Kind   string            `yaml:"kind" validate:"omitempty,oneof=wood iron"`
	Tags   []string          `yaml:"tags"`
	Env    map[string]string `yaml:"env"`
	Inner  *box              `yaml:"inner"`
	Only   string            `yaml:"only" in:"special"`
	Hidden string            `yaml:"-"`
	parts  `yaml:",inline"`
}

type parts struct {
	Part string `yaml:"part"`
}

const special Use = 2

// read reads text into b, and returns what is wrong with it, a line each.
func read(t *testing.T, text string, b *box, is Use) string {
	t.Helper()
	from := &source.Source{Name: "a.yaml", Data: []byte(text)}
	root, problem := from.Parse()
	if problem != nil {
		t.Fatalf("%q: got %v, want YAML", text, problem)
	}
	env := func(name string) (string, bool) { return map[string]string{"SIZE": "7"}[name], name == "SIZE" }
	d := New(env, Rules{
		In:        func(string) Use { return special },
		Value:     func(*yaml.Node, any) (bool, bool) { return false, false },
		Prefill:   func(v any) { v.(*box).Size = 5 },
		Skip:      func(*Field) bool { return false },
		Read:      func(*Field, reflect.Value) {},
		Misplaced: func(f *Field) (string, string) { return f.Key + " is not allowed here", "" },
		Unknown: func(key string, _ *yaml.Node, p *Plan) (string, string) {
			return "unknown key", phrase.Nearest(key, p.Keys(Anywhere))
		},
	})
	d.From, d.Is = from, is
	d.Structure(root, reflect.ValueOf(b).Elem())
	var all []string
	for _, p := range source.Sort(d.Problems, []string{"a.yaml"}) {
		line := fmt.Sprintf("%d:%d %s: %s", p.Line, p.Column, p.Path, p.Message)
		if p.Hint != "" {
			line += " (" + p.Hint + ")"
		}
		all = append(all, line)
	}
	return strings.Join(all, "\n")
}

func TestAMappingIsReadOverWhatIsThere(t *testing.T) {
	got := box{Name: "before", Size: 3, Tags: []string{"x"}, Env: map[string]string{"A": "1", "B": "2"}}
	text := "size: ${SIZE}\nopen: true\nkind:\ntags: one\nenv: {B: b}\ninner: {name: in}\npart: p\n"
	if problems := read(t, text, &got, Anywhere); problems != "" {
		t.Errorf("got %s, want no problem", problems)
	}
	want := box{Name: "before", Size: 7, Open: true, Tags: []string{"one"}, Env: map[string]string{"A": "1", "B": "b"}, Inner: &box{Name: "in", Size: 5}, parts: parts{Part: "p"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestAnEmptyListOrMappingClearsWhatIsThere(t *testing.T) {
	got := box{Tags: []string{"x"}, Env: map[string]string{"A": "1"}, Size: 1}
	if problems := read(t, "tags: []\nenv: {}\n", &got, Anywhere); problems != "" || got.Tags != nil || got.Env != nil {
		t.Errorf("got %+v, %s, want neither tags nor env", got, problems)
	}
}

func TestMergedKeysComeAfterOnesOwnNearestFirst(t *testing.T) {
	text := "inner: &a {name: a, part: a, kind: iron}\n<<: [{name: near, part: near}, *a]\nname: own\nsize: 1\n"
	got := box{}
	if problems := read(t, text, &got, Anywhere); problems != "" || got.Name != "own" || got.Part != "near" || got.Kind != "iron" {
		t.Errorf("got %+v, %s, want the name own, part near and kind iron", got, problems)
	}
}

func TestEveryMistakeIsReportedAtItsPlace(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"several", "size: x\nopen: yes\nnaem: a\n", "1:7 size: must be a whole number, not \"x\"\n2:7 open: must be true or false, not \"yes\" (write true)\n3:1 naem: unknown key (name)"},
		{"bounds", "size: 10\n", "1:7 size: must be 9 or less, not 10"},
		{"one of", "size: 1\nkind: gold\n", "2:7 kind: must be wood or iron, not \"gold\""},
		{"numbers", "inner:\n  size: 08\n", "2:9 inner.size: must be a whole number, not 08 (write it without leading zeros)"},
		{"a number in quotes", "size: '3'\n", "1:7 size: must be a whole number, not \"3\" (write it without quotes)"},
		{"a large number", "size: 99999999999\n", "1:7 size: must be a whole number below 2147483648, not 99999999999"},
		{"twice", "name: a\nname: b\n", "2:1 name: duplicate key: already set on line 1 (remove one of them)"},
		{"a list for a mapping", "inner: [a]\n", "1:8 inner: must be a mapping of keys, not a list"},
		{"a mapping for text", "name: {a: b}\n", "1:7 name: must be a string, not a mapping (quote text that starts with [ or {)"},
		{"in a list", "tags: [a, [b]]\n", "1:11 tags[1]: must be a string, not a list (quote text that starts with [ or {)"},
		{"a key that is none", "[a]: b\n", "1:1 : a key must be a string, not a list"},
		{"a free key that is empty", "env: {'': a}\n", "1:7 env.\"\": the name is empty"},
		{"a key with dots", "env: {a.b: [c]}\n", "1:12 env.\"a.b\": must be a string, not a list (quote text that starts with [ or {)"},
		{"a merge of text", "<<: a\n", "1:5 : << needs a mapping or a list of mappings, not \"a\" (write an alias, for example <<: *name)"},
		{"a mapping that merges itself", "inner: &a\n  <<: *a\n", "2:7 inner: this mapping merges itself"},
		{"a tag", "name: !x a\n", "1:7 name: the tag !x is not supported here (quote a value that starts with !)"},
		{"a key of another item", "only: a\n", "1:1 only: only is not allowed here"},
	} {
		if got := read(t, c.text, &box{Size: 1}, 1); !strings.HasPrefix(got, c.want) || strings.Count(got, "\n") > strings.Count(c.want, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	if got := read(t, "only: a\n", &box{Size: 1}, special); got != "" {
		t.Errorf("a key of its item: got %s, want no problem", got)
	}
}

func TestAliasesCannotMultiplyAFileWithoutBound(t *testing.T) {
	text := "env: {A: a}\ntags: &t0 [a, a, a, a, a, a, a, a, a, a]\n"
	for i := range 8 {
		text += fmt.Sprintf("k%d: &t%d [%s]\n", i, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*t%d, ", i), 10), ", "))
	}
	type any10 struct {
		Tags [][][][][][][][][]string `yaml:"k7"`
	}
	from := &source.Source{Name: "a.yaml", Data: []byte(text)}
	root, problem := from.Parse()
	if problem != nil {
		t.Fatalf("got %v, want YAML", problem)
	}
	d := New(func(string) (string, bool) { return "", false }, Rules{
		Value: func(*yaml.Node, any) (bool, bool) { return false, false }, Skip: func(*Field) bool { return false }, Read: func(*Field, reflect.Value) {},
		Unknown: func(string, *yaml.Node, *Plan) (string, string) { return "unknown", "" },
	})
	d.From = from
	d.Structure(root, reflect.ValueOf(new(any10)).Elem())
	last := d.Problems[len(d.Problems)-1]
	if want := "aliases and defaults expand this file to more than"; !d.Stopped || !strings.Contains(last.Message, want) {
		t.Errorf("got stopped %v, %s, want %s", d.Stopped, last.Message, want)
	}
}
