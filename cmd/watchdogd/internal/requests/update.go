package requests

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// of a body, what becomes lines of an answer
const (
	mostLines = 20
	mostWidth = 200
)

// Updated is the text of f in which the answers of results that differ are as they were
// received: the status, the lines that still hold, and for the others lines of the body. A
// request that was not answered stays as it is. All other lines stay.
func (f *File) Updated(results []Result) string {
	lines := slices.Clone(f.lines)
	for _, r := range slices.Backward(results) { // from the end, so that indices hold
		if len(r.Differs) == 0 || r.Got.Status == 0 {
			continue
		}
		answer := append([]string{strconv.Itoa(r.Got.Status)}, r.answer()...)
		if r.Status == 0 {
			lines = append(append(trimmed(lines), answer...), "")
			continue
		}
		end := r.statusAt + 1
		for end < len(f.lines) && f.lines[end] != "" {
			end++
		}
		for _, line := range f.lines[r.statusAt+1 : end] { // comments among the answer stay
			if strings.HasPrefix(line, "#") {
				answer = append(answer, line)
			}
		}
		lines = slices.Concat(lines[:r.statusAt], answer, lines[end:])
	}
	end := "\n"
	if f.crlf {
		end = "\r\n"
	}
	return strings.Join(lines, end)
}

// trimmed is lines without empty ones at the end, also those before the comments there: above a
// status they would be lines of the body.
func trimmed(lines []string) []string {
	end := len(lines)
	for end > 0 && (lines[end-1] == "" || strings.HasPrefix(lines[end-1], "#")) {
		end--
	}
	comments := slices.DeleteFunc(slices.Clone(lines[end:]), func(line string) bool { return line == "" })
	return slices.Concat(lines[:end], comments)
}

// answer is the lines below the status that hold for what was received.
func (r Result) answer() (lines []string) {
	text, lost := r.Got.text(), r.Status == 0
	for _, want := range r.Want {
		if strings.Contains(text, want.Text) {
			lines = append(lines, want.Text)
			continue
		}
		if name, _, ok := strings.Cut(want.Text, ": "); ok && r.Got.Header.Get(name) != "" {
			lines = append(lines, http.CanonicalHeaderKey(name)+": "+r.Got.Header.Get(name))
			continue
		}
		lost = true
	}
	if !lost {
		return lines
	}
	for line := range strings.Lines(r.Got.Body) {
		line = strings.TrimRight(line, "\r\n")
		if len(lines) >= mostLines {
			break
		}
		if line == "" || len(line) > mostWidth || strings.HasPrefix(line, "#") || !utf8.ValidString(line) || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' }) {
			continue // it would be read as something else, or by no one
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Write replaces the file by text, all at once. A link stays one.
func (f *File) Write(text string) error {
	name, err := filepath.EvalSymlinks(f.Name)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	return Replace(name, []byte(text), info.Mode().Perm())
}

// Replace writes a file so that it is never half-written.
func Replace(name string, content []byte, mode os.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(name), ".watchdogd-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	if err == nil {
		err = temporary.Chmod(mode)
	}
	if closeErr := temporary.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temporary.Name(), name)
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
	}
	return err
}
