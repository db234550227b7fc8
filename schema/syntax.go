package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// source is one file: its text, and where it stands.
type source struct {
	name  string // as the user named it; what problems show
	path  string // absolute
	dir   string // absolute; what relative paths in it are relative to
	data  []byte
	lines []string // as YAML counts them; made when the first problem asks
}

// The bounds of what is read. A file within them is parsed in at most a few
// hundred megabytes whatever its bytes; ten thousand written-out routes are a
// tenth of them.
const (
	maxFile   = 16 << 20 // bytes of one file
	maxValues = 1 << 20  // keys and values of one file, counted by their punctuation
)

// parse makes the document's node of the text. It fails with one problem: YAML's
// grammar says nothing of what stands behind a mistake.
func (s *source) parse() (root *yaml.Node, problem *Problem) {
	if p := s.scan(); p != nil {
		return nil, p
	}
	// The parser panics on some broken input; that is a broken file like another.
	defer func() {
		if r := recover(); r != nil {
			root, problem = nil, s.problem(0, 0, "this is no YAML that can be read", "")
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(s.data))
	document := new(yaml.Node)
	if err := decoder.Decode(document); errors.Is(err, io.EOF) {
		return nil, s.problem(0, 0, "the file is empty", "a configuration has routes: or services:")
	} else if err != nil {
		return nil, s.broken(decoder, err)
	}
	second := new(yaml.Node)
	if err := decoder.Decode(second); err == nil {
		p := s.problem(second.Line, second.Column, "a second document begins here", "write one document a file; others can be included by include:")
		return nil, p
	} else if !errors.Is(err, io.EOF) {
		return nil, s.broken(decoder, err)
	}
	root = document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, s.problem(0, 0, "the file is empty", "a configuration has routes: or services:")
	}
	return root, nil
}

// scan finds what is wrong with the bytes, before anything is made of them.
func (s *source) scan() *Problem {
	if len(s.data) > maxFile {
		return s.problem(0, 0, fmt.Sprintf("the file is larger than %d MiB", maxFile>>20), "split it, and name the parts under include:")
	}
	if bytes.HasPrefix(s.data, []byte("\xff\xfe")) || bytes.HasPrefix(s.data, []byte("\xfe\xff")) {
		return s.problem(0, 0, "the file is UTF-16, not UTF-8", "save it as UTF-8")
	}
	if !utf8.Valid(s.data) {
		for i := 0; i < len(s.data); {
			r, size := utf8.DecodeRune(s.data[i:])
			if r == utf8.RuneError && size == 1 {
				return s.problemAt(i, fmt.Sprintf("the file is not UTF-8: byte 0x%02x stands here", s.data[i]), "save it as UTF-8")
			}
			i += size
		}
	}
	values := 0
	for i, r := range string(s.data) {
		switch {
		case r == 0:
			return s.problemAt(i, "a NUL byte stands here: this is no text file", "")
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f, r >= 0x80 && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			return s.problemAt(i, fmt.Sprintf("the control character U+%04X stands here, which YAML does not allow", r), `in double quotes it can be written as "\`+fmt.Sprintf("u%04x", r)+`"`)
		case r == ',', r == '[', r == '{', r == ':', r == '?', r == '-', r == '\n', r == '*':
			values++
		}
	}
	if values > 2*maxValues {
		return s.problem(0, 0, fmt.Sprintf("the file has more than %d values", maxValues), "split it, and name the parts under include:")
	}
	return nil
}

// mark is a place as the YAML parser counts: from 0.
type mark struct{ line, column int }

// broken says what is wrong with the grammar, and where. The error of yaml.v3 has
// only a line, which for some errors is the line of the surrounding block or the
// line before; the parser itself knows both places exactly, and is asked.
func (s *source) broken(decoder *yaml.Decoder, err error) *Problem {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	var line int
	if _, e := fmt.Sscanf(message, "line %d: ", &line); e == nil {
		message = message[strings.Index(message, ": ")+2:]
	}
	at, context := mark{line: max(line-1, 0)}, mark{line: max(line-1, 0)}
	outer := reflect.ValueOf(decoder).Elem().FieldByName("parser").Elem()
	if parser := outer.FieldByName("parser"); parser.IsValid() {
		at, context = markOf(parser, "problem_mark"), markOf(parser, "context_mark")
		if anchor, found := strings.CutPrefix(message, "unknown anchor '"); found {
			name, _, _ := strings.Cut(anchor, "'")
			at = markOf(outer.FieldByName("event"), "start_mark")
			return s.problem(at.line+1, at.column+1, fmt.Sprintf("*%s refers to an anchor that is not there", name), fmt.Sprintf("&%s must stand before a value further up", name))
		}
	}
	if p := s.tab(context, at); p != nil {
		return p
	}
	for _, g := range grammar {
		if strings.Contains(message, g.says) {
			if g.atContext || g.spans && context.line != at.line {
				at = context
			}
			return s.problem(at.line+1, at.column+1, g.means, g.hint)
		}
	}
	return s.problem(at.line+1, at.column+1, "this is no YAML: "+message, "")
}

func markOf(parser reflect.Value, name string) mark {
	m := parser.FieldByName(name)
	return mark{line: int(m.FieldByName("line").Int()), column: int(m.FieldByName("column").Int())}
}

// grammar is what the parser says, and what that means to somebody who writes a file.
var grammar = []struct {
	says      string
	means     string
	hint      string
	atContext bool // the mistake is where the construct began
	spans     bool // the same, if that is on another line
}{
	{says: "mapping values are not allowed", means: "a key cannot stand here", hint: `is this line indented as its neighbours are? A value that holds ": " must be in quotes`},
	{says: "could not find expected ':'", means: `this line is no "key: value"`, hint: `is the ":" missing, or the blank after it?`, atContext: true},
	{says: "did not find expected '-' indicator", means: "this line is indented like the items of a list, and is none", hint: `indent it as the keys of its item are, or begin it with "- "`},
	{says: "did not find expected key", means: "the indentation of this line fits no line above it", hint: "keys that belong together begin in the same column"},
	{says: "did not find expected ',' or ']'", means: `a "," or the closing "]" is missing`, hint: "", spans: true},
	{says: "did not find expected ',' or '}'", means: `a "," or the closing "}" is missing`, hint: "", spans: true},
	{says: "found unexpected end of stream", means: "this quote is never closed", atContext: true},
	{says: "found unexpected document indicator", means: "this quote is not closed before the document ends", atContext: true},
	{says: "found unknown escape character", means: `this backslash means nothing in double quotes`, hint: `write \\ for a plain backslash, or use single quotes`},
	{says: "did not find expected hexdecimal number", means: `the digits of this escape are no hexadecimal number`},
	{says: "found character that cannot start any token", means: "a value cannot begin with this character", hint: "put the value in quotes"},
	{says: "block sequence entries are not allowed", means: `a list item ("- ") cannot stand here`, hint: "begin the list on a line of its own, or put the value in quotes"},
	{says: "block mapping keys are not allowed", means: `a key cannot stand here`},
	{says: "did not find expected alphabetic or numeric character", means: "a value cannot begin with * or &, which are YAML's aliases and anchors", hint: "put the value in quotes", atContext: true},
	{says: "did not find expected node content", means: "a value is missing here, or begins with a character that means something to YAML", hint: "put the value in quotes"},
	{says: "did not find expected <document start>", means: "this stands outside of the document", hint: "is it indented less than the first line?"},
	{says: "exceeded max depth", means: "values are nested too deeply"},
	{says: "found a tab character", means: "a tab stands in the indentation", hint: "YAML is indented by spaces"},
	{says: "while scanning a block scalar", means: "this block of text is not written right"},
	{says: "found undefined tag handle", means: "a value cannot begin with !, which is YAML's sign of a tag", hint: "put the value in quotes", atContext: true},
}

// tab finds a tab in the indentation of the lines that an error spans: YAML
// forbids it, and complains of something else most of the time.
func (s *source) tab(from, to mark) *Problem {
	for i := from.line; i <= to.line; i++ {
		line := s.line(i + 1)
		text := strings.TrimLeft(line, " \t")
		indent := line[:len(line)-len(text)]
		if k := strings.IndexByte(indent, '\t'); k >= 0 && text != "" && text[0] != '#' {
			return s.problem(i+1, k+1, "a tab stands in the indentation", "YAML is indented by spaces")
		}
	}
	// A tab elsewhere, as between the dash of an item and its text.
	if line := s.line(to.line + 1); to.column < len(line) && line[to.column] == '\t' {
		return s.problem(to.line+1, to.column+1, "a tab stands where YAML wants a space", "replace it by a space")
	}
	return nil
}

// problem is a problem of this file at a line and column, which count from 1;
// line 0 is the file as a whole.
func (s *source) problem(line, column int, message, hint string) *Problem {
	return &Problem{File: s.name, Line: line, Column: column, Message: message, Hint: hint, Source: s.line(line)}
}

// problemAt is a problem at a byte of the file.
func (s *source) problemAt(offset int, message, hint string) *Problem {
	before := string(s.data[:offset])
	start := strings.LastIndexByte(before, '\n') + 1
	line := strings.Count(before, "\n") + 1
	column := utf8.RuneCountInString(strings.TrimPrefix(before[start:], "\ufeff")) + 1
	p := s.problem(line, column, message, hint)
	end := bytes.IndexByte(s.data[start:], '\n')
	if end < 0 {
		end = len(s.data) - start
	}
	p.Source = strings.ToValidUTF8(string(s.data[start:start+end]), "\ufffd")
	return p
}

// line is the text of a line, which counts from 1, without its break; "" when
// there is none.
func (s *source) line(number int) string {
	if s.lines == nil {
		text := strings.TrimPrefix(string(s.data), "\ufeff")
		// What YAML takes for the end of a line.
		text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text)
		s.lines = strings.Split(text, "\n")
	}
	if number < 1 || number > len(s.lines) {
		return ""
	}
	return s.lines[number-1]
}
