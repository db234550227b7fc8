// Package draft writes a watchdog.yaml that a person goes on with: few keys, each
// with a comment where one helps, and as comments what could not be written as keys.
//
//	f := &draft.File{Head: []string{"Imported from Procfile."}}
//	item := f.Route("web")
//	item.Command("bundle exec puma -p $PORT")
//	item.Set("path", "/")
//	item.Lost("stdout_logfile", "watchdogd logs shows what the program prints")
//	f.Settle("watchdog.yaml", os.LookupEnv)
//	text := f.Bytes()
//
// Values are written as they stand, so that ${PORT} in one is the port of the instance.
// What must not be replaced goes through Literal.
package draft

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/schema"
)

// Modeline is the first line of a file that an editor completes and checks.
const Modeline = "# yaml-language-server: $schema=https://raw.githubusercontent.com/watchdogd/watchdogd/main/schema/watchdog.schema.json"

// File is a watchdog.yaml to be.
type File struct {
	Head     []string // comments at the top, a paragraph each
	Server   *Item    // keys of server:; nil is none
	Routes   []*Item
	Services []*Item
	Tail     []string // comments at the end, a paragraph each

	names map[string]bool
}

// Item is a route or a service.
type Item struct {
	Name string
	Head []string // comments above it, a paragraph each
	Keys []Key
	Gone bool // what was written could not become an item; its keys are comments
}

// Key is one key of an item.
type Key struct {
	Name    string
	Value   any // a string, a number, a list, a map or Ordered
	Comment string
}

// Ordered is a map whose keys keep their order.
type Ordered []Key

// Route adds a route with the name nearest to name that is free.
func (f *File) Route(name string) *Item {
	item := &Item{Name: f.free(name)}
	f.Routes = append(f.Routes, item)
	return item
}

// Service adds a service with the name nearest to name that is free.
func (f *File) Service(name string) *Item {
	item := &Item{Name: f.free(name)}
	f.Services = append(f.Services, item)
	return item
}

func (f *File) free(name string) string {
	if f.names == nil {
		f.names = map[string]bool{}
	}
	base := schema.NameOf(name)
	free := base
	for n := 2; f.names[free]; n++ {
		suffix := fmt.Sprintf("-%d", n)
		free = base[:min(len(base), longestName-len(suffix))] + suffix
	}
	f.names[free] = true
	return free
}

const longestName = 63

// Set writes a key, in the place of one of that name.
func (i *Item) Set(name string, value any) { i.SetNoted(name, value, "") }

// SetNoted is Set with a comment behind the value.
func (i *Item) SetNoted(name string, value any, comment string) {
	key := Key{name, value, comment}
	if at := i.index(name); at >= 0 {
		i.Keys[at] = key
		return
	}
	i.Keys = append(i.Keys, key)
}

// Get returns the value of a key, or nil.
func (i *Item) Get(name string) any {
	if at := i.index(name); at >= 0 {
		return i.Keys[at].Value
	}
	return nil
}

// Replace replaces a text in the value of a key, which is a string or a list of them.
func (i *Item) Replace(name, old, with string) {
	switch value := i.Get(name).(type) {
	case string:
		i.Keys[i.index(name)].Value = strings.ReplaceAll(value, old, with)
	case []string:
		all := slices.Clone(value)
		for n := range all {
			all[n] = strings.ReplaceAll(all[n], old, with)
		}
		i.Keys[i.index(name)].Value = all
	}
}

// Drop removes a key.
func (i *Item) Drop(name string) {
	if at := i.index(name); at >= 0 {
		i.Keys = slices.Delete(i.Keys, at, at+1)
	}
}

func (i *Item) index(name string) int {
	return slices.IndexFunc(i.Keys, func(k Key) bool { return k.Name == name })
}

// Lost notes above the item that what was not carried over, and why.
func (i *Item) Lost(what, why string) {
	i.Head = append(i.Head, fmt.Sprintf("Not carried over: %s: %s.", what, why))
}

// Bytes is the text of the file.
func (f *File) Bytes() []byte {
	var out bytes.Buffer
	out.WriteString(Modeline + "\n")
	for _, paragraph := range f.Head {
		comment(&out, "", paragraph)
	}
	if f.Server != nil {
		out.WriteString("\nserver:\n")
		for _, key := range f.Server.Keys {
			write(&out, "  ", key)
		}
	}
	for _, list := range []struct {
		key   string
		items []*Item
	}{{"routes", f.Routes}, {"services", f.Services}} {
		if len(list.items) == 0 {
			continue
		}
		alive := slices.ContainsFunc(list.items, func(i *Item) bool { return !i.Gone })
		if alive {
			fmt.Fprintf(&out, "\n%s:\n", list.key)
		}
		for n, item := range list.items {
			if n > 0 || !alive {
				out.WriteByte('\n')
			}
			item.write(&out)
		}
	}
	if len(f.Tail) > 0 {
		out.WriteByte('\n')
	}
	for _, paragraph := range f.Tail {
		comment(&out, "", paragraph)
	}
	return out.Bytes()
}

func (i *Item) write(out *bytes.Buffer) {
	for _, paragraph := range i.Head {
		comment(out, "  ", paragraph)
	}
	var text bytes.Buffer
	text.WriteString("  - name: " + i.Name + "\n")
	for _, key := range i.Keys {
		write(&text, "    ", key)
	}
	if !i.Gone {
		out.Write(text.Bytes())
		return
	}
	for line := range strings.Lines(text.String()) {
		out.WriteString("  # " + strings.TrimPrefix(line, "  "))
	}
}

// write writes one key on lines that begin with indent.
func write(out *bytes.Buffer, indent string, key Key) {
	document := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: key.Name}, node(key.Value, key.Name == "env")}}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	_ = encoder.Encode(document) // strings, numbers, lists and maps can be written
	_ = encoder.Close()
	lines := slices.Collect(strings.Lines(text.String()))
	for n, line := range lines {
		line = strings.TrimSuffix(line, "\n")
		if n == 0 && key.Comment != "" && len(lines) == 1 {
			line = fmt.Sprintf("%s    # %s", line, oneLine(key.Comment))
		} else if n == 0 && key.Comment != "" {
			comment(out, indent, key.Comment)
		}
		if line == "" { // of a block of text
			out.WriteByte('\n')
			continue
		}
		out.WriteString(indent + line + "\n")
	}
}

// node is a value as YAML; maps and lists on one line unless block is set.
func node(value any, block bool) *yaml.Node {
	n := &yaml.Node{}
	switch v := value.(type) {
	case Ordered:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		for _, key := range v {
			name := &yaml.Node{}
			name.SetString(key.Name)
			n.Content = append(n.Content, name, node(key.Value, false))
		}
	case string:
		n.SetString(clean(v))
		if strings.HasPrefix(strings.TrimLeft(n.Value, "\n"), "\t") || strings.ContainsAny(n.Value, "\u2028\u2029") {
			n.Style = yaml.DoubleQuotedStyle // yaml.v3 reads no block that begins with a tab or has other ends of lines
		}
	default:
		_ = n.Encode(value) // plain values
	}
	if (n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode) && !block {
		n.Style = yaml.FlowStyle
	}
	return n
}

// clean is s without the runes that YAML cannot carry.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || r != '\t' && r != '\n' && unicode.IsControl(r) || r == '\ufeff' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// widest is how long the lines of comments become.
const widest = 96

// comment writes a paragraph as lines of a comment.
func comment(out *bytes.Buffer, indent, paragraph string) {
	for part := range strings.SplitSeq(paragraph, "\n") {
		line := indent + "#"
		begun := false
		for word := range strings.FieldsSeq(clean(part)) {
			if begun && len(line)+1+len(word) > widest {
				out.WriteString(line + "\n")
				line = indent + "#"
			}
			line, begun = line+" "+word, true
		}
		out.WriteString(line + "\n")
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(clean(s)), " ") }
