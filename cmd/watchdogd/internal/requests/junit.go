package requests

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Run is a file and what became of its requests. Err is why the rest were not sent.
type Run struct {
	File    *File
	Results []Result
	Err     error
}

// Differing is the number of results that differ.
func (r Run) Differing() (n int) {
	for _, result := range r.Results {
		if len(result.Differs) > 0 {
			n++
		}
	}
	return n
}

// JUnit writes runs in the XML that CI systems read: a suite for each file.
func JUnit(w io.Writer, runs []Run) error {
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"watchdogd test\">\n")
	for _, run := range runs {
		errors, seconds := 0, 0.0
		if run.Err != nil {
			errors = 1
		}
		for _, r := range run.Results {
			seconds += r.Took.Seconds()
		}
		fmt.Fprintf(&b, "  <testsuite name=%s tests=\"%d\" failures=\"%d\" errors=\"%d\" time=\"%.3f\">\n",
			attribute(run.File.Name), len(run.Results)+errors, run.Differing(), errors, seconds)
		for _, r := range run.Results {
			fmt.Fprintf(&b, "    <testcase classname=%s name=%s file=%s line=\"%d\" time=\"%.3f\"", attribute(run.File.Name),
				attribute(fmt.Sprintf("%s %s (line %d)", r.Method, r.Target, r.Line)), attribute(run.File.Name), r.Line, r.Took.Seconds())
			if len(r.Differs) == 0 {
				b.WriteString("/>\n")
				continue
			}
			var text strings.Builder
			for _, d := range r.Differs {
				text.WriteString(d.String() + "\n")
			}
			text.WriteString("\n" + strings.Join(r.Got.shown(), "\n"))
			fmt.Fprintf(&b, ">\n      <failure message=%s>%s</failure>\n    </testcase>\n", attribute(r.Differs[0].Message), escaped(text.String()))
		}
		if run.Err != nil {
			fmt.Fprintf(&b, "    <testcase classname=%s name=\"watchdogd\">\n      <error message=%s/>\n    </testcase>\n", attribute(run.File.Name), attribute(run.Err.Error()))
		}
		b.WriteString("  </testsuite>\n")
	}
	b.WriteString("</testsuites>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func attribute(s string) string { return `"` + escaped(s) + `"` }

// escaped is text as XML 1.0 may hold it: a character that it cannot is U+FFFD.
func escaped(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '"':
			b.WriteString("&#34;")
		case r == '\n' || r == '\t' || r == '\r':
			fmt.Fprintf(&b, "&#%d;", r)
		case r < ' ' || r == 0xfffe || r == 0xffff:
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
