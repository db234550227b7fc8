// Package decode reads YAML nodes into structs by their yaml tags, strictly, and goes on after
// a mistake, so that all of them are found, each with its place.
//
// A Decoder reads over the values that are there already: the defaults first, then a
// file's defaults:, then the item's own keys. What is special to a configuration (its types
// with a form of their own, where a key may stand, what an unknown one was meant to be)
// are its Rules. When all is read, the places of values are found again by At, for what
// can only be checked then.
package decode

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-playground/validator/v10"
	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema/internal/expand"
	"github.com/watchdogd/watchdogd/schema/internal/source"
)

// Decoder reads one configuration, of one file or more.
type Decoder struct {
	Expand   *expand.Expander
	From     *source.Source
	Is       Use    // what the item being read is; a key that is not allowed in it is a mistake,
	Quiet    bool   // or is ignored
	Steps    []Step // the path to the value being read
	Base     []Step // the path to the item being read
	Defaults Item   // what items inherit; without a node there is nothing
	Problems source.Problems
	Stopped  bool // there is too much of something: read no more

	rules    Rules
	plans    *Plans
	failed   map[*yaml.Node]bool // values with a problem, of which no other is reported
	validate *validator.Validate
	visited  int // values seen, through aliases too
}

// Rules are what a configuration knows of its own types. Each may be nil.
type Rules struct {
	In        func(tag string) Use                                               // reads an "in" tag
	Words     map[string]func(value string) *phrase.Mistake                      // the validate tags that are not the validator's own
	Value     func(n *yaml.Node, v any) (ok, known bool)                         // reads into v, if its type has a form of its own
	Prefill   func(v any)                                                        // sets the defaults of what a pointer is given
	Skip      func(f *Field) bool                                                // leaves a key out for now
	Read      func(f *Field, v reflect.Value)                                    // completes what was read
	Misplaced func(f *Field) (message, hint string)                              // why a key is not allowed in an item
	Unknown   func(key string, value *yaml.Node, p *Plan) (message, hint string) // what to say of an unknown key
}

// The bounds of what aliases and defaults may multiply, and of what is complained of.
const (
	maxVisited  = 2 << 20
	maxProblems = 1000
)

// New returns a decoder whose variables are looked up by env.
func New(env func(string) (string, bool), rules Rules) *Decoder {
	return &Decoder{
		Expand:   expand.New(env),
		rules:    rules,
		Is:       Anywhere,
		plans:    &Plans{In: rules.In},
		failed:   make(map[*yaml.Node]bool),
		validate: newValidate(rules.Words),
	}
}

// Step is one step of a path: a key, or an index, which counts from 1.
type Step struct {
	key   string
	index int
}

// Key and Index go one step down, to where the next problem is. Pop goes up again.
func (d *Decoder) Key(k string) { d.Steps = append(d.Steps, Step{key: k}) }

// Index is described at Key.
func (d *Decoder) Index(i int) { d.Steps = append(d.Steps, Step{index: i + 1}) }

// Pop is described at Key.
func (d *Decoder) Pop() { d.Steps = d.Steps[:len(d.Steps)-1] }

// Path returns the path to the value being read.
func (d *Decoder) Path() string { return pathOf(d.Steps) }

// InKey reports whether the value being read is that of a key.
func (d *Decoder) InKey(key string) bool { return d.Steps[len(d.Steps)-1].key == key }

// Keys returns the path to the mapping that the value being read is in, without its indices.
func (d *Decoder) Keys() string {
	var keys []string
	for _, s := range d.Steps[:len(d.Steps)-1] {
		if s.index == 0 {
			keys = append(keys, s.key)
		}
	}
	return strings.Join(keys, ".")
}

// Own reports whether the value being read is that of a key of an item itself.
func (d *Decoder) Own() bool { return len(d.Steps) == len(d.Base)+1 && d.Is != Anywhere }

func pathOf(steps []Step) string {
	var b strings.Builder
	for i, s := range steps {
		switch {
		case s.index > 0:
			b.WriteString("[" + strconv.Itoa(s.index-1) + "]")
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
	if key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return phrase.Quote(key)
	}
	return key
}

// Problem notes what is wrong with the value n. It returns false, for its caller to return.
func (d *Decoder) Problem(n *yaml.Node, message, hint string) bool {
	return d.Mistakes(n, phrase.Mistake{Message: message, Hint: hint})
}

// Mistakes is Problem for each of several.
func (d *Decoder) Mistakes(n *yaml.Node, mistakes ...phrase.Mistake) bool {
	if d.Quiet && d.failed[n] {
		return false // reported when the defaults were read first
	}
	d.failed[n] = true
	for _, m := range mistakes {
		d.Note(d.From, n.Line, n.Column, d.Path(), m.Message, m.Hint)
	}
	return false
}

// Note notes a problem at any place, up to a bound of all.
func (d *Decoder) Note(from *source.Source, line, column int, path, message, hint string) {
	if len(d.Problems) >= maxProblems {
		if !d.Stopped {
			p := from.Problem(line, column, fmt.Sprintf("more than %d mistakes; the rest is not shown", maxProblems), "")
			d.Problems = append(d.Problems, *p)
		}
		d.Stopped = true
		return
	}
	p := from.Problem(line, column, message, hint)
	p.Path, p.Source = path, source.WithoutSecrets(p.Source, path)
	d.Problems = append(d.Problems, *p)
}

// MustBe reports that n is of the wrong kind.
func (d *Decoder) MustBe(n *yaml.Node, what string) bool {
	return d.Problem(n, "must be "+what+", not "+Given(n), "")
}

// Plan returns how a struct is read.
func (d *Decoder) Plan(t reflect.Type) *Plan { return d.plans.Of(t) }
