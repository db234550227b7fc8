package source

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is one mistake in a configuration and its place: at the value for
// a bad value, at the key for an unknown or misplaced one, at the item for what is
// missing from it.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`   // from 1; 0 is the file as a whole
	Column  int    `json:"column"` // from 1, in characters
	Path    string `json:"path"`   // as in routes[1].timeouts.exec; empty for what is no key's, as a broken quote
	Message string `json:"message"`
	Hint    string `json:"hint"` // what to do, if that is known
	Source  string `json:"-"`    // the whole line
}

// Error is the problem in one line: file:line:column: path: message.
func (p Problem) Error() string {
	var b strings.Builder
	p.head(&b)
	return b.String()
}

func (p Problem) head(b *strings.Builder) {
	b.WriteString(cmp.Or(p.File, "configuration"))
	if p.Line > 0 {
		fmt.Fprintf(b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
}

// Problems are all the mistakes of a configuration, in the order of their places.
type Problems []Problem

// Error shows each problem with its line of the file, a caret below the place, and the hint:
//
//	watchdog.yaml:14:11: routes[1].mode: must be http, streaming, serializing, afterburn or static, not "htpp"
//	      mode: htpp
//	            ^ did you mean http?
func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i > 0 {
			b.WriteByte('\n')
		}
		p.head(&b)
		if line, caret := p.excerpt(); line != "" {
			b.WriteString("\n" + line + "\n" + caret)
			if p.Hint != "" {
				b.WriteString(" " + p.Hint)
			}
		} else if p.Hint != "" {
			b.WriteString("\n  " + p.Hint)
		}
	}
	return b.String()
}

// The part of a long line that is shown, in characters.
const (
	excerptBefore = 60
	excerptAfter  = 60
)

// excerpt is the source line, or the part of it around the column, and a line that
// puts a caret beneath the column. Tabs stay tabs, so that the caret stands right
// whatever their width; what a terminal would obey is shown as a dot.
func (p Problem) excerpt() (line, caret string) {
	if strings.TrimSpace(p.Source) == "" {
		return "", ""
	}
	before, after := splitColumn(p.Source, p.Column)
	cutBefore, cutAfter := "", ""
	if n := utf8.RuneCountInString(before); n > excerptBefore {
		for range n - excerptBefore {
			_, size := utf8.DecodeRuneInString(before)
			before = before[size:]
		}
		cutBefore = "..."
	}
	if head, tail := splitColumn(after, excerptAfter+1); tail != "" {
		after, cutAfter = head, "..."
	}
	before = cutBefore + strings.Map(printable, before)
	after = strings.Map(printable, after) + cutAfter
	blank := strings.Map(func(r rune) rune {
		if r == '\t' {
			return '\t'
		}
		return ' '
	}, before)
	return "  " + before + after, "  " + blank + "^"
}

// splitColumn cuts s before its character number column, which counts from 1.
func splitColumn(s string, column int) (before, after string) {
	n := 1
	for i := range s {
		if n == column {
			return s[:i], s[i:]
		}
		n++
	}
	return s, ""
}

func printable(r rune) rune {
	if r != '\t' && (r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfeff) {
		return '.'
	}
	return r
}

// Sort orders problems by file, in the order in which the files were read, and by
// place within one, and drops repetitions: a default is read for each route.
func Sort(ps Problems, files []string) Problems {
	rank := make(map[string]int, len(files))
	for i, f := range files {
		rank[f] = i
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if d := rank[a.File] - rank[b.File]; d != 0 {
			return d
		}
		if d := a.Line - b.Line; d != 0 {
			return d
		}
		return a.Column - b.Column
	})
	type told struct {
		file         string
		line, column int
		message      string
	}
	seen := make(map[told]bool, len(ps))
	return slices.DeleteFunc(ps, func(p Problem) bool {
		t := told{p.File, p.Line, p.Column, p.Message}
		again := seen[t]
		seen[t] = true
		return again
	})
}
