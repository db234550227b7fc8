package source

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// broken says what is wrong with the grammar, and where. An error of yaml.v3 has at most a
// line, which is that of the mistake or of the block around it; the column is found in the
// text, by what such a mistake looks like.
func (s *Source) broken(err error) *Problem {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if _, e := fmt.Sscanf(message, "line %d: ", &line); e == nil {
		message = message[strings.Index(message, ": ")+2:]
	}
	read := s.read()
	if name, ok := strings.CutPrefix(message, "unknown anchor '"); ok {
		name, _, _ = strings.Cut(name, "'")
		return s.within(read, 1, func(text string) int { return strings.LastIndex(text, "*"+name) },
			fmt.Sprintf("*%s refers to an unknown anchor", name), fmt.Sprintf("define it above with &%s before a value", name))
	}
	if p := s.tab(max(line, 1), read); p != nil {
		return p
	}
	if strings.HasPrefix(message, "did not find expected") {
		if p := s.quoted(message, read); p != nil {
			return p
		}
		if p := s.bracket(message, read); p != nil {
			return p
		}
	}
	for _, g := range grammar {
		if !strings.Contains(message, g.says) {
			continue
		}
		from, to := max(line, 1), max(line, 1)
		switch g.where {
		case counted: // the parser counts from 0 here, the scanner does not
			from, to = line+1, line+1
		case lastRead:
			from, to = max(read-1, 1), read
		case indented:
			if to = read; s.misaligned(read - 1) {
				to = read - 1
			}
			from = to
		}
		p := s.within(to, from, g.find, g.means, g.hint)
		if p.Column == 0 && g.where == named { // the parser names no first line
			p = s.within(1, 1, g.find, g.means, g.hint)
		}
		if p.Column > 0 {
			return p
		}
	}
	line = min(max(line, 1), len(s.lines))
	return s.Problem(line, textAt(s.line(line))+1, "invalid YAML: "+message, "")
}

// within is the problem at the place that find finds in the last possible line of those from
// to down to from. Its Column is 0 if there is none. A %s of means is the character there.
func (s *Source) within(to, from int, find func(text string) int, means, hint string) *Problem {
	for line := to; line >= from; line-- {
		text := s.line(line)
		at := find(text)
		if at < 0 || at >= len(text) {
			continue
		}
		if strings.Contains(means, "%s") {
			r, _ := utf8.DecodeRuneInString(text[at:])
			means = fmt.Sprintf(means, string(r))
		}
		return s.Problem(line, utf8.RuneCountInString(text[:at])+1, means, hint)
	}
	return &Problem{}
}

// read is how many lines the parser reads before it fails: the mistake is in the last of
// them, or in the one before if only the next line shows it.
func (s *Source) read() int {
	s.line(1) // makes the lines
	from := &lineReader{rest: []byte(strings.Join(s.lines, "\n"))}
	decoder := yaml.NewDecoder(from)
	for decoder.Decode(new(yaml.Node)) == nil {
		continue
	}
	return max(from.lines, 1)
}

// lineReader reads one line at a time.
type lineReader struct {
	rest  []byte
	lines int
}

func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	end := bytes.IndexByte(r.rest, '\n') + 1
	if end == 0 {
		end = len(r.rest)
	}
	n := copy(p, r.rest[:end])
	if r.rest = r.rest[n:]; n == end {
		r.lines++
	}
	return n, nil
}

// misaligned reports whether a line begins in a column in which it continues nothing above it.
func (s *Source) misaligned(line int) bool {
	type block struct {
		at   int
		list bool
	}
	open := []block{{at: -1}}
	for i := 1; i <= line; i++ {
		text := s.line(i)
		at := textAt(text)
		if text = text[at:]; text == "" || text[0] == '#' {
			continue
		}
		inside := len(open)
		for open[len(open)-1].at > at {
			open = open[:len(open)-1]
		}
		last := open[len(open)-1]
		if i == line {
			return len(open) < inside && (last.at < at || last.list && !strings.HasPrefix(text, "-"))
		}
		for {
			item := strings.HasPrefix(text, "- ")
			if open[len(open)-1].at < at {
				open = append(open, block{at, item})
			}
			if !item {
				break
			}
			skip := itemAt(text)
			at, text = at+skip, text[skip:]
		}
	}
	return false
}

// tab finds a tab in the indentation of the lines that an error spans: YAML
// forbids it, and complains of something else most of the time.
func (s *Source) tab(from, to int) *Problem {
	for i := from; i <= to; i++ {
		line := s.line(i)
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		text := line[len(indent):]
		if k := strings.IndexByte(indent, '\t'); k >= 0 && text != "" && text[0] != '#' {
			return s.Problem(i, k+1, "tab in the indentation", "indent YAML with spaces")
		}
		if strings.HasPrefix(text, "-\t") {
			return s.Problem(i, len(indent)+2, "tab where YAML needs a space", "replace it with a space")
		}
	}
	return nil
}

// quoted finds text behind a quote that closes. If the lines above are broken because a quote
// is open at their end, that quote is the mistake.
func (s *Source) quoted(message string, read int) *Problem {
	for line := read; line >= max(read-1, 1) && !strings.Contains(message, "',' or"); line-- {
		err := yaml.Unmarshal([]byte(strings.Join(s.lines[:line-1], "\n")+"\n"), new(yaml.Node))
		if opened := 1; err != nil && strings.Contains(err.Error(), "found unexpected end of stream") {
			_, _ = fmt.Sscanf(err.Error(), "yaml: line %d:", &opened)
			for _, at := range []int{opened, 1} { // the parser names no first line
				p := s.within(at, at, openQuote, fmt.Sprintf("this quote is closed only by another one on line %d", line), "is a quote missing at the end of this line?")
				if p.Column > 0 {
					return p
				}
			}
		}
		if p := s.within(line, line, behindQuote, "there is text after the closing quote of a value", "is a quote missing here or above? Inside single quotes, write a single quote twice"); p.Column > 0 {
			return p
		}
	}
	return nil
}

// bracket finds the bracket that is open where the parser stopped.
func (s *Source) bracket(message string, read int) *Problem {
	read = min(read, len(s.lines))
	if !strings.Contains(message, "',' or") && strings.TrimSpace(strings.Join(s.lines[read:], "")) != "" {
		return nil
	}
	closed := 0
	for line := read; line >= 1; line-- {
		text := s.line(line)
		for i := len(text) - 1; i >= 0; i-- {
			switch b := text[i]; {
			case b == ']' || b == '}':
				closed++
			case (b == '[' || b == '{') && closed > 0:
				closed--
			case b == '[' || b == '{':
				means, hint := fmt.Sprintf("this %q is never closed", string(b)), ""
				if last := strings.TrimSpace(strings.Join(s.lines[line:], "")) == ""; !last && b == '[' {
					means = `this list is not closed: a "," or "]" is missing`
				} else if !last {
					means, hint = `this mapping is not closed: a "," or "}" is missing`, "quote a value that starts with {"
				}
				return s.Problem(line, utf8.RuneCountInString(text[:i])+1, means, hint)
			}
		}
	}
	return nil
}

// where is the line of a mistake.
type where int

const (
	named    where = iota // the one that the error names
	counted               // the one behind it
	lastRead              // the last that was read, or the one before
	indented              // of these the one whose indentation is wrong
)

const (
	quoteValue = "quote the value"
	alignKeys  = "align keys of the same mapping in one column"
	inFlow     = "inside [ ] and { }, quote a value that contains , [ ] { or }"
)

// grammar has what the parser reports, and what that means to the author of the file. The
// first row whose mistake is found in the text counts.
var grammar = []struct {
	says  string
	where where
	find  func(text string) int // the place in a line; -1 is none
	means string                // %s is the character at the place
	hint  string
}{
	{"mapping values are not allowed", named, secondColon, `a value without quotes cannot contain ": "`, quoteValue},
	{"mapping values are not allowed", named, textAt, "this line is indented more than the keys above it", alignKeys},
	{"could not find expected ':'", named, itemAt, `this line is not "key: value"`, `is the ":" missing, or the space after it?`},
	{"did not find expected '-' indicator", indented, textAt, "this line is indented like a list item but is not one", `indent it like the keys of its item, or start it with "- "`},
	{"did not find expected key", lastRead, startsWith("]}"), `this "%s" has no opening bracket`, ""},
	{"did not find expected key", lastRead, behindBracket, "there is text after the closing bracket of a value", "quote the value, or the part of it that starts with a bracket"},
	{"did not find expected key", indented, textAt, "the indentation of this line matches no line above it", alignKeys},
	{"did not find expected ',' or", counted, variable, "inside [ ] and { }, quote a value with ${...}", ""},
	{"did not find expected ',' or", counted, behindQuote, `a "," is missing before this, or a quote`, ""},
	{"did not find expected ',' or ']'", counted, startsValue("["), `in this list a "," is missing, or a value needs quotes`, inFlow},
	{"did not find expected ',' or '}'", counted, startsValue("{"), `in this mapping a "," is missing, or a value needs quotes`, inFlow},
	{"found unexpected end of stream", named, openQuote, "this quote is never closed", ""},
	{"found unexpected document indicator", named, openQuote, "this quote is not closed before the document ends", ""},
	{"found character that cannot start any token", named, startsValue("@`%|>"), "a value without quotes cannot start with %s", quoteValue},
	{"block sequence entries are not allowed", named, secondDash, `a list item ("- ") is not allowed here`, "start the list on its own line, or quote the value"},
	{"did not find expected alphabetic or numeric character", named, startsValue("*&"), "YAML reads a value that starts with %s as an alias or anchor, and this one has no name", quoteValue},
	{"did not find expected comment or line break", named, startsValue("|>"), "text is not allowed on the same line as %s, which starts a text block", "start the text on the next line, or quote a value that starts with | or >"},
	{"did not find expected <document start>", counted, textAt, "this line is indented less than the first one", alignKeys},
	{"found undefined tag handle", counted, startsValue("!"), "YAML reads a value that starts with ! as a tag, and this tag is unknown", quoteValue},
	{"found unknown escape character", named, escape, "this is not a valid escape in double quotes", `write \\ for a backslash, or use single quotes`},
	{"did not find expected hexdecimal number", named, escape, "this escape needs hexadecimal digits", ""},
	{"did not find expected node content", counted, startsValue(",]}:"), `a value is missing before this "%s"`, "quote a value that starts with it"},
}

// textAt is where the text of a line begins, and itemAt the text of an item in it.
func textAt(text string) int { return len(text) - len(strings.TrimLeft(text, " ")) }

func itemAt(text string) int {
	return len(text) - len(strings.TrimLeft(text, " -"))
}

// secondColon finds the ": " of a line that has one before it.
func secondColon(text string) int {
	first := strings.Index(text, ": ")
	if first < 0 {
		return -1
	}
	if second := strings.Index(text[first+2:]+" ", ": "); second >= 0 {
		return first + 2 + second
	}
	return -1
}

// secondDash finds the "- " that is a value.
func secondDash(text string) int {
	if i := strings.Index(text, ": - "); i >= 0 {
		return i + 2
	}
	return -1
}

// variable finds the { of a ${...}.
func variable(text string) int {
	if i := strings.Index(text, "${"); i >= 0 {
		return i + 1
	}
	return -1
}

// startsWith finds one of chars at the beginning of the text of a line.
func startsWith(chars string) func(string) int {
	return func(text string) int {
		if i := textAt(text); i < len(text) && strings.IndexByte(chars, text[i]) >= 0 {
			return i
		}
		return -1
	}
}

// startsValue finds one of chars where a value may begin.
func startsValue(chars string) func(string) int {
	return func(text string) int {
		for i := range len(text) {
			if strings.IndexByte(chars, text[i]) >= 0 && valueAt(text, i) {
				return i
			}
		}
		return -1
	}
}

// valueAt reports whether a value may begin at text[i].
func valueAt(text string, i int) bool {
	before := strings.TrimRight(text[:i], " ")
	return before == "" || strings.IndexByte(":-,[{?", before[len(before)-1]) >= 0
}

// openQuote finds the quote that is open at the end of a line, and behindQuote what follows
// one that is closed and cannot.
func openQuote(text string) int   { open, _ := quotes(text); return open }
func behindQuote(text string) int { _, behind := quotes(text); return behind }

func quotes(text string) (open, behind int) {
	open, behind = -1, -1
	for i := 0; i < len(text); i++ {
		b := text[i]
		switch {
		case open < 0 && (b == '"' || b == '\'') && valueAt(text, i):
			open = i
		case open < 0:
		case b == '\\' && text[open] == '"', b == '\'' && text[open] == b && strings.HasPrefix(text[i+1:], "'"):
			i++ // an escape
		case b == text[open]:
			open = -1
			if rest := strings.TrimLeft(text[i+1:], " "); behind < 0 && rest != "" && strings.IndexByte(",:]}#", rest[0]) < 0 {
				behind = len(text) - len(rest)
			}
		}
	}
	return open, behind
}

// behindBracket finds text behind the last bracket of a value that starts with one.
func behindBracket(text string) int {
	rest := strings.TrimLeft(text[strings.LastIndexAny(text, "]}")+1:], " ")
	if startsValue("[{")(text) < 0 || rest == "" || strings.IndexByte(",:#", rest[0]) >= 0 {
		return -1
	}
	return len(text) - len(rest)
}

// escape finds a backslash that does not begin an escape of double quotes.
func escape(text string) int {
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[text[i+1]]
		if digits == 0 && strings.IndexByte("0abt\tnvfre \"'/\\N_LP", text[i+1]) < 0 {
			return i
		}
		if number := text[i+2 : min(i+2+digits, len(text))]; len(number) < digits || strings.Trim(number, "0123456789abcdefABCDEF") != "" {
			return i
		}
		i++
	}
	return -1
}
