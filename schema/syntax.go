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

	"github.com/watchdogd/watchdogd/internal/regular"
)

// source is one file: its text and its place.
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
	maxFile   = regular.MaxFile // bytes of one file
	maxValues = 1 << 20         // keys and values of one file, counted by their punctuation
)

// parse parses the text into the document's node. It fails with one problem: a YAML
// parser cannot read on after a mistake.
func (s *source) parse() (root *yaml.Node, problem *Problem) {
	if p := s.scan(); p != nil {
		return nil, p
	}
	// The parser panics on some broken input; that is a broken file like another.
	defer func() {
		if r := recover(); r != nil {
			root, problem = nil, s.problem(1, 1, "this is not valid YAML", "")
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(s.data))
	document := new(yaml.Node)
	if err := decoder.Decode(document); errors.Is(err, io.EOF) {
		return nil, s.problem(1, 1, "the file is empty", "a configuration needs routes: or services:")
	} else if err != nil {
		return nil, s.broken(decoder, err)
	}
	second := new(yaml.Node)
	if err := decoder.Decode(second); err == nil {
		p := s.problem(second.Line, second.Column, "a second YAML document starts here", "keep one document per file, and list the other files under include:")
		return nil, p
	} else if !errors.Is(err, io.EOF) {
		return nil, s.broken(decoder, err)
	}
	root = document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, s.problem(1, 1, "the file is empty", "a configuration needs routes: or services:")
	}
	return root, nil
}

// scan finds what is wrong with the bytes, before anything is made of them.
func (s *source) scan() *Problem {
	if len(s.data) > maxFile {
		return s.problem(1, 1, fmt.Sprintf("the file is larger than %d MiB", maxFile>>20), "a configuration with all the files it includes can be at most that large")
	}
	if bytes.HasPrefix(s.data, []byte("\xff\xfe")) || bytes.HasPrefix(s.data, []byte("\xfe\xff")) {
		return s.problem(1, 1, "the file is UTF-16, not UTF-8", "save it as UTF-8")
	}
	if !utf8.Valid(s.data) {
		for i := 0; i < len(s.data); {
			r, size := utf8.DecodeRune(s.data[i:])
			if r == utf8.RuneError && size == 1 {
				return s.problemAt(i, fmt.Sprintf("the file is not UTF-8: invalid byte 0x%02x", s.data[i]), "save it as UTF-8")
			}
			i += size
		}
	}
	values := 0
	for i, r := range string(s.data) {
		switch {
		case r == 0:
			return s.problemAt(i, "NUL byte: this is not a text file", "")
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f, r >= 0x80 && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			return s.problemAt(i, fmt.Sprintf("YAML does not allow the control character U+%04X", r), `in double quotes, write it as "\`+fmt.Sprintf("u%04x", r)+`"`)
		case r == 0xfeff && i > 0: // which makes yaml.v3 lose count of columns
			return s.problemAt(i, "there is an invisible byte order mark (U+FEFF)", `remove it, or write it in double quotes as "\ufeff"`)
		case r == ',', r == '[', r == '{', r == ':', r == '?', r == '-', r == '\n', r == '*':
			values++
		}
	}
	if values > 2*maxValues {
		return s.problem(1, 1, fmt.Sprintf("the file has more than %d values", maxValues), "split it, and list the parts under include:")
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
			return s.problem(at.line+1, at.column+1, fmt.Sprintf("*%s refers to an unknown anchor", name), fmt.Sprintf("define it above with &%s before a value", name))
		}
	}
	if p := s.tab(context, at); p != nil {
		return p
	}
	if opened, ok := s.quoteAbove(message, at); ok {
		return s.problem(opened.line+1, opened.column+1, fmt.Sprintf("this quote is closed only by another one on line %d", at.line+1), "is a quote missing at the end of this line?")
	}
	if opened, ok := s.bracketAbove(message, at); ok {
		_, after := s.around(opened)
		return s.problem(opened.line+1, opened.column+1, fmt.Sprintf("this %q is never closed", after[:1]), "")
	}
	for _, g := range grammar {
		if !strings.Contains(message, g.says) || g.when != nil && !g.when(s.around(at)) {
			continue
		}
		if g.atContext || g.spans && context.line != at.line {
			at = context
		} else if g.spans {
			g.hint = ""
			if _, after := s.around(at); after != "" && strings.ContainsAny(after[:1], "[]{}") {
				g.hint = "inside [ ] and { }, quote a value that contains , [ ] { or }"
			}
		}
		if g.atText {
			line := s.line(at.line + 1)
			at.column = len(line) - len(strings.TrimLeft(line, " "))
		}
		means := g.means
		if strings.Contains(means, "%s") {
			_, after := s.around(at)
			r, _ := utf8.DecodeRuneInString(after)
			means = fmt.Sprintf(means, string(r))
		}
		return s.problem(at.line+1, at.column+1, means, g.hint)
	}
	return s.problem(at.line+1, at.column+1, "invalid YAML: "+message, "")
}

// around returns the line before and after a place.
func (s *source) around(m mark) (before, after string) {
	return splitColumn(s.line(m.line+1), m.column+1)
}

// quoteAbove finds the quote that was still open at the end of the line before a
// place where text stands behind a quote: that it was not closed is the mistake.
func (s *source) quoteAbove(message string, at mark) (mark, bool) {
	if before, after := s.around(at); !strings.Contains(message, "did not find expected") || at.line == 0 || !afterQuote(before, after) {
		return mark{}, false
	}
	above := strings.Join(s.lines[:at.line], "\n") + "\n"
	decoder := yaml.NewDecoder(strings.NewReader(above))
	err := decoder.Decode(new(yaml.Node))
	parser := reflect.ValueOf(decoder).Elem().FieldByName("parser").Elem().FieldByName("parser")
	if err == nil || !strings.Contains(err.Error(), "found unexpected end of stream") || !parser.IsValid() {
		return mark{}, false
	}
	return markOf(parser, "context_mark"), true
}

// bracketAbove finds the bracket that is open when the file ends.
func (s *source) bracketAbove(message string, at mark) (mark, bool) {
	if !strings.HasPrefix(message, "did not find") || !s.ended(at) {
		return mark{}, false
	}
	closed := 0
	for line := min(at.line, len(s.lines)-1); line >= 0; line-- {
		column := utf8.RuneCountInString(s.lines[line])
		for text := s.lines[line]; text != ""; column-- {
			r, size := utf8.DecodeLastRuneInString(text)
			text = text[:len(text)-size]
			switch {
			case r == ']' || r == '}':
				closed++
			case (r == '[' || r == '{') && closed > 0:
				closed--
			case r == '[' || r == '{':
				return mark{line, column - 1}, true
			}
		}
	}
	return mark{}, false
}

// ended reports whether only blank lines follow a place.
func (s *source) ended(m mark) bool {
	_, after := s.around(m)
	if strings.TrimSpace(after) != "" {
		return false
	}
	for i := m.line + 2; i <= len(s.lines); i++ {
		if strings.TrimSpace(s.line(i)) != "" {
			return false
		}
	}
	return true
}

func markOf(parser reflect.Value, name string) mark {
	m := parser.FieldByName(name)
	return mark{line: int(m.FieldByName("line").Int()), column: int(m.FieldByName("column").Int())}
}

// grammar has what the parser reports, and what that means to the author of the file.
var grammar = []struct {
	says      string
	when      func(before, after string) bool // of the line around the place
	means     string                          // %s is the character at the place
	hint      string
	atContext bool // the mistake is where the construct began,
	spans     bool // the same, if that is on another line,
	atText    bool // or it is the whole line
}{
	{says: "mapping values are not allowed", when: secondColon, means: `a value without quotes cannot contain ": "`, hint: "quote the value"},
	{says: "mapping values are not allowed", means: "this line is indented more than the keys above it", hint: "align keys of the same mapping in one column", atText: true},
	{says: "could not find expected ':'", means: `this line is not "key: value"`, hint: `is the ":" missing, or the space after it?`, atContext: true},
	{says: "did not find expected '-' indicator", means: "this line is indented like a list item but is not one", hint: `indent it like the keys of its item, or start it with "- "`},
	{says: "did not find expected key", when: afterQuote, means: "there is text after the closing quote of a value", hint: "is a quote missing here or above? Inside single quotes, write a single quote twice"},
	{says: "did not find expected key", when: bracket, means: `this "%s" has no opening bracket`},
	{says: "did not find expected key", means: "the indentation of this line matches no line above it", hint: "align keys of the same mapping in one column"},
	{says: "did not find expected ',' or", when: variableBefore, means: "inside [ ] and { }, quote a value with ${...}"},
	{says: "did not find expected ',' or ']'", means: `this list is not closed: a "," or "]" is missing`, spans: true},
	{says: "did not find expected ',' or '}'", means: `this mapping is not closed: a "," or "}" is missing`, hint: "quote a value that starts with {", spans: true},
	{says: "found unexpected end of stream", means: "this quote is never closed", atContext: true},
	{says: "found unexpected document indicator", means: "this quote is not closed before the document ends", atContext: true},
	{says: "found unknown escape character", means: "this is not a valid escape in double quotes", hint: `write \\ for a backslash, or use single quotes`},
	{says: "did not find expected hexdecimal number", means: "this escape needs hexadecimal digits"},
	{says: "found character that cannot start any token", means: "a value without quotes cannot start with %s", hint: "quote the value"},
	{says: "block sequence entries are not allowed", means: `a list item ("- ") is not allowed here`, hint: "start the list on its own line, or quote the value"},
	{says: "did not find expected alphabetic or numeric character", means: "YAML reads a value that starts with %s as an alias or anchor, and this one has no name", hint: "quote the value", atContext: true},
	{says: "did not find expected comment or line break", means: "text is not allowed on the same line as %s, which starts a text block", hint: "start the text on the next line, or quote a value that starts with | or >", atContext: true},
	{says: "did not find expected node content", means: `a value is missing before this "%s"`, hint: "quote a value that starts with it"},
	{says: "did not find expected <document start>", means: "this line is indented less than the first one", hint: "align keys of the same mapping in one column"},
	{says: "exceeded max depth", means: "values are nested too deeply"},
	{says: "found a tab character", means: "tab in the indentation", hint: "indent YAML with spaces"},
	{says: "found undefined tag handle", means: "YAML reads a value that starts with ! as a tag, and this tag is unknown", hint: "quote the value", atContext: true},
}

// secondColon reports whether the line has a key before the place already.
func secondColon(before, after string) bool {
	return strings.Contains(before, ": ")
}

func afterQuote(before, after string) bool {
	before = strings.TrimRight(before, " ")
	return strings.HasSuffix(before, `"`) || strings.HasSuffix(before, "'")
}

// variableBefore reports whether the place is the { of ${...}.
func variableBefore(before, after string) bool {
	return strings.HasSuffix(before, "$") && strings.HasPrefix(after, "{")
}

func bracket(before, after string) bool { return after != "" && strings.ContainsAny(after[:1], "}])") }

// tab finds a tab in the indentation of the lines that an error spans: YAML
// forbids it, and complains of something else most of the time.
func (s *source) tab(from, to mark) *Problem {
	for i := from.line; i <= to.line; i++ {
		line := s.line(i + 1)
		text := strings.TrimLeft(line, " \t")
		indent := line[:len(line)-len(text)]
		if k := strings.IndexByte(indent, '\t'); k >= 0 && text != "" && text[0] != '#' {
			return s.problem(i+1, k+1, "tab in the indentation", "indent YAML with spaces")
		}
	}
	// A tab elsewhere, as between the dash of an item and its text.
	if line := s.line(to.line + 1); to.column < len(line) && line[to.column] == '\t' {
		return s.problem(to.line+1, to.column+1, "tab where YAML needs a space", "replace it with a space")
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
