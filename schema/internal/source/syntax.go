package source

import (
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// mark is a place as the YAML parser counts: from 0.
type mark struct{ line, column int }

// broken says what is wrong with the grammar, and where. The error of yaml.v3 has
// only a line, which for some errors is the line of the surrounding block or the
// line before; the parser itself knows both places exactly, and is asked.
func (s *Source) broken(decoder *yaml.Decoder, err error) *Problem {
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
			return s.Problem(at.line+1, at.column+1, fmt.Sprintf("*%s refers to an unknown anchor", name), fmt.Sprintf("define it above with &%s before a value", name))
		}
	}
	if p := s.tab(context, at); p != nil {
		return p
	}
	if opened, ok := s.quoteAbove(message, at); ok {
		return s.Problem(opened.line+1, opened.column+1, fmt.Sprintf("this quote is closed only by another one on line %d", at.line+1), "is a quote missing at the end of this line?")
	}
	if opened, ok := s.bracketAbove(message, at); ok {
		_, after := s.around(opened)
		return s.Problem(opened.line+1, opened.column+1, fmt.Sprintf("this %q is never closed", after[:1]), "")
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
		return s.Problem(at.line+1, at.column+1, means, g.hint)
	}
	return s.Problem(at.line+1, at.column+1, "invalid YAML: "+message, "")
}

// around returns the line before and after a place.
func (s *Source) around(m mark) (before, after string) {
	return splitColumn(s.line(m.line+1), m.column+1)
}

// quoteAbove finds the quote that was still open at the end of the line before a
// place where text stands behind a quote: that it was not closed is the mistake.
func (s *Source) quoteAbove(message string, at mark) (mark, bool) {
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
func (s *Source) bracketAbove(message string, at mark) (mark, bool) {
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
func (s *Source) ended(m mark) bool {
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
func (s *Source) tab(from, to mark) *Problem {
	for i := from.line; i <= to.line; i++ {
		line := s.line(i + 1)
		text := strings.TrimLeft(line, " \t")
		indent := line[:len(line)-len(text)]
		if k := strings.IndexByte(indent, '\t'); k >= 0 && text != "" && text[0] != '#' {
			return s.Problem(i+1, k+1, "tab in the indentation", "indent YAML with spaces")
		}
	}
	// A tab elsewhere, as between the dash of an item and its text.
	if line := s.line(to.line + 1); to.column < len(line) && line[to.column] == '\t' {
		return s.Problem(to.line+1, to.column+1, "tab where YAML needs a space", "replace it with a space")
	}
	return nil
}
