package auth

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/watchdogd/watchdogd/internal/regular"
	"github.com/watchdogd/watchdogd/schema"
)

// maxLine is the length in bytes of the longest line of a file with keys or passwords.
const maxLine = 4 << 10

// mistakes collects what is wrong with one file. None of its messages holds a part of the file.
type mistakes struct {
	file  string
	found schema.Problems
}

func (m *mistakes) add(line int, message, hint string) {
	column := 1
	if line == 0 {
		column = 0
	}
	m.found = append(m.found, schema.Problem{File: shown(m.file), Line: line, Column: column, Message: message, Hint: hint})
}

// err returns the mistakes, or nil if there are none.
func (m *mistakes) err() error {
	if len(m.found) == 0 {
		return nil
	}
	return m.found
}

// read returns the content of the file. If it cannot be read, that is noted.
func (m *mistakes) read(what string) (string, bool) {
	data, err := regular.ReadFile(m.file)
	if err != nil {
		m.add(0, fmt.Sprintf("cannot read the %s: %v", what, err), "")
		return "", false
	}
	return strings.TrimPrefix(string(data), "\ufeff"), true
}

// each calls f with each line that is not empty and not a comment, and its number. f returns
// what is wrong with it.
func (m *mistakes) each(text string, f func(line string, number int) (message, hint string)) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\r\n")
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		message, hint := "", ""
		switch {
		case len(m.found) >= maxMistakes:
			return
		case len(line) > maxLine:
			message = fmt.Sprintf("the line is longer than %d bytes", maxLine)
		case strings.IndexByte(line, 0) >= 0:
			message = "the line contains a NUL character"
		default:
			message, hint = f(line, number)
		}
		if message != "" {
			m.add(number, message, hint)
		}
	}
}

// maxMistakes is how many mistakes of one file are listed: a file of another kind has one in
// each line.
const maxMistakes = 20

// shown is a file as an operator writes it: relative to the current folder if it is below it.
func shown(file string) string {
	folder, err := os.Getwd()
	if err != nil {
		return file
	}
	if rel, err := filepath.Rel(folder, file); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return file
}
