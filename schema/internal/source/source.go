// Package source is the text of a configuration: one file as a tree of YAML nodes, and
// a mistake with its place in it.
//
// A Source checks its bytes and parses them. What breaks the grammar of YAML is one
// Problem at the character that is wrong, in words for the author of the file.
package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/internal/regular"
)

// Source is one file: its text and its place.
type Source struct {
	Name  string // as the user named it; what problems show
	Path  string // absolute
	Dir   string // absolute; what relative paths in it are relative to
	Data  []byte
	lines []string // as YAML counts them; made when the first problem asks
}

// The bounds of what is read. A file within them is parsed in at most a few
// hundred megabytes whatever its bytes; ten thousand written-out routes are a
// tenth of them.
const (
	MaxFile   = regular.MaxFile // bytes of one file
	MaxValues = 1 << 20         // keys and values of one file, counted by their punctuation
)

// Parse parses the text into the document's node. It fails with one problem: a YAML
// parser cannot read on after a mistake.
func (s *Source) Parse() (root *yaml.Node, problem *Problem) {
	if p := s.scan(); p != nil {
		return nil, p
	}
	// The parser panics on some broken input; that is a broken file like another.
	defer func() {
		if r := recover(); r != nil {
			root, problem = nil, s.Problem(1, 1, "this is not valid YAML", "")
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(s.Data))
	document := new(yaml.Node)
	if err := decoder.Decode(document); errors.Is(err, io.EOF) {
		return nil, s.Problem(1, 1, "the file is empty", "a configuration needs routes: or services:")
	} else if err != nil {
		return nil, s.broken(err)
	}
	second := new(yaml.Node)
	if err := decoder.Decode(second); err == nil {
		p := s.Problem(second.Line, second.Column, "a second YAML document starts here", "keep one document per file, and list the other files under include:")
		return nil, p
	} else if !errors.Is(err, io.EOF) {
		return nil, s.broken(err)
	}
	root = document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, s.Problem(1, 1, "the file is empty", "a configuration needs routes: or services:")
	}
	return root, nil
}

// scan finds what is wrong with the bytes, before anything is made of them.
func (s *Source) scan() *Problem {
	if len(s.Data) > MaxFile {
		return s.Problem(1, 1, fmt.Sprintf("the file is larger than %d MiB", MaxFile>>20), "a configuration with all the files it includes can be at most that large")
	}
	if bytes.HasPrefix(s.Data, []byte("\xff\xfe")) || bytes.HasPrefix(s.Data, []byte("\xfe\xff")) {
		return s.Problem(1, 1, "the file is UTF-16, not UTF-8", "save it as UTF-8")
	}
	if !utf8.Valid(s.Data) {
		for i := 0; i < len(s.Data); {
			r, size := utf8.DecodeRune(s.Data[i:])
			if r == utf8.RuneError && size == 1 {
				return s.problemAt(i, fmt.Sprintf("the file is not UTF-8: invalid byte 0x%02x", s.Data[i]), "save it as UTF-8")
			}
			i += size
		}
	}
	values := 0
	for i, r := range string(s.Data) {
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
	if values > 2*MaxValues {
		return s.Problem(1, 1, fmt.Sprintf("the file has more than %d values", MaxValues), "split it, and list the parts under include:")
	}
	return nil
}

// Problem is a problem of this file at a line and column, which count from 1;
// line 0 is the file as a whole.
func (s *Source) Problem(line, column int, message, hint string) *Problem {
	return &Problem{File: s.Name, Line: line, Column: column, Message: message, Hint: hint, Source: WithoutSecrets(s.line(line), "")}
}

// problemAt is a problem at a byte of the file.
func (s *Source) problemAt(offset int, message, hint string) *Problem {
	before := string(s.Data[:offset])
	start := strings.LastIndexByte(before, '\n') + 1
	line := strings.Count(before, "\n") + 1
	column := utf8.RuneCountInString(strings.TrimPrefix(before[start:], "\ufeff")) + 1
	p := s.Problem(line, column, message, hint)
	end := bytes.IndexByte(s.Data[start:], '\n')
	if end < 0 {
		end = len(s.Data) - start
	}
	p.Source = strings.ToValidUTF8(string(s.Data[start:start+end]), "\ufffd")
	return p
}

// line is the text of a line, which counts from 1, without its break; "" when
// there is none.
func (s *Source) line(number int) string {
	if s.lines == nil {
		text := strings.TrimPrefix(string(s.Data), "\ufeff")
		// What YAML takes for the end of a line.
		text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text)
		s.lines = strings.Split(text, "\n")
	}
	if number < 1 || number > len(s.lines) {
		return ""
	}
	return s.lines[number-1]
}
