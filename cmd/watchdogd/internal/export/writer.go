package export

import (
	"encoding/json"
	"fmt"
	"strings"
)

// writer gathers the lines of a file whose nesting is indentation: YAML, HCL, a unit.
type writer struct{ strings.Builder }

// line writes one line at a depth of nesting.
func (w *writer) line(depth int, format string, args ...any) {
	w.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(w, format, args...)
	w.WriteByte('\n')
}

// block writes text as the lines of a literal block, as YAML's "|" reads them.
func (w *writer) block(depth int, text string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			w.WriteByte('\n')
		} else {
			w.WriteString(strings.Repeat("  ", depth) + line + "\n")
		}
	}
}

// list writes a key and its items, each a string, in one line.
func (w *writer) list(depth int, key string, items []string) {
	w.line(depth, "%s: %s", key, quoteList(items))
}

// head writes the comment that every manifest begins with: where it came from, how long a
// stop may take, and what has no equivalent.
func (p *plan) head(w *writer, comment, what string) {
	line := func(format string, args ...any) {
		text := strings.NewReplacer("\n", " ", "\r", " ").Replace(fmt.Sprintf(format, args...))
		w.line(0, "%s", strings.TrimRight(comment+" "+text, " "))
	}
	line("%s of %s, written by watchdogd export.", what, p.name)
	for _, u := range p.units {
		line("")
		line("Time to stop of %s: %s", u.Name, u.Budget.Sum)
		line("Memory of %s: %s", u.Name, u.MemoryIs)
	}
	if len(p.notes) > 0 {
		line("")
		line("Not carried over, or to be checked:")
		for _, n := range p.notes {
			line("- %s", n)
		}
	}
	var optional []string
	for _, v := range p.app.Variables {
		if !v.Required && v.Name != "PORT" {
			optional = append(optional, v.Name)
		}
	}
	if len(optional) > 0 {
		line("")
		line("Variables with a default, which are not set here: %s", strings.Join(optional, ", "))
	}
}

// quote writes s as a string of YAML, JSON and HCL alike.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // a string can always be written
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func quoteList(items []string) string {
	var quoted []string
	for _, s := range items {
		quoted = append(quoted, quote(s))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// mebibytes is n in MiB, rounded up.
func mebibytes(n int64) int64 { return (n + 1<<20 - 1) >> 20 }

// literal writes a key and a text of several lines as it is.
func (w *writer) literal(depth int, key, text string) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == '\ufeff' }) {
		w.line(depth, "%s: %s", key, quote(text)) // a literal block cannot hold these
		return
	}
	chomp := ""
	switch {
	case !strings.HasSuffix(text, "\n"):
		chomp = "-"
	case strings.HasSuffix(text, "\n\n"):
		chomp = "+"
	}
	w.line(depth, "%s: |2%s", key, chomp)
	w.block(depth+1, text)
}
