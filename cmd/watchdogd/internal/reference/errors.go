// Package reference looks things up for watchdogd help: the errors that it answers, which
// docs/errors.md explains, and the keys of the file, which its JSON Schema describes.
package reference

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// Problem is one error that watchdogd answers itself.
type Problem struct {
	Name   string `json:"name"` // the last part of the type of a problem+json
	Status string `json:"status"`
	Text   string `json:"text"` // what it means and what to do, as paragraphs
}

// Summary returns the first sentence of the text.
func (p Problem) Summary() string { return firstSentence(p.Text) }

// Problems returns the errors that a page explains: its sections that begin with a status.
func Problems(page string) []Problem {
	status := regexp.MustCompile(`(?s)^([1-5][0-9]{2}) (.*)$`)
	var found []Problem
	for _, section := range strings.Split("\n"+page, "\n## ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		if m := status.FindStringSubmatch(strings.TrimSpace(text)); m != nil {
			found = append(found, Problem{Name: name, Status: m[1], Text: plain(m[2])})
		}
	}
	return found
}

// FindProblem returns the error of a name, which may be the whole type of a problem+json.
func FindProblem(all []Problem, name string) (Problem, error) {
	if i := strings.LastIndexAny(name, "#/"); i >= 0 {
		name = name[i+1:]
	}
	names := make([]string, len(all))
	for i, p := range all {
		if p.Name == name {
			return p, nil
		}
		names[i] = p.Name
	}
	return Problem{}, unknown("error", name, phrase.Nearest(name, names), names)
}

// unknown is the error for a name that is not known.
func unknown(what, name, near string, known []string) error {
	if near != "" {
		near = "; did you mean " + near + "?"
	}
	return fmt.Errorf("unknown %s %q%s (known: %s)", what, name, near, strings.Join(known, ", "))
}

// plain makes text of Markdown: paragraphs and items in one line each, and links as their text.
func plain(markdown string) string {
	link, space := regexp.MustCompile(`\[([^\]]+)\]\(([^)]+)\)`), regexp.MustCompile(` +`)
	var out []string
	for _, line := range strings.Split(link.ReplaceAllString(markdown, "$1"), "\n") {
		line = space.ReplaceAllString(strings.TrimSpace(line), " ")
		if n := len(out); n > 0 && out[n-1] != "" && line != "" && !strings.HasPrefix(line, "- ") {
			out[n-1] += " " + line
			continue
		}
		out = append(out, line)
	}
	return strings.TrimSpace(strings.ReplaceAll(strings.Join(out, "\n"), "`", ""))
}

// firstSentence returns text up to its first full stop, which ends a line or has a space after it.
func firstSentence(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if first, _, more := strings.Cut(line, ". "); more {
		return first + "."
	}
	return line
}
