package why

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/watchdogd/watchdogd/supervisor/child"
)

// mostPrinted is how many characters of a line that a program printed are repeated.
const mostPrinted = 200

// clean makes a line that a program printed one that does no harm to a terminal, a log
// or a header: no escape sequences, no control characters, and not too long.
func clean(line string) string {
	line = escapes().ReplaceAllString(line, "")
	line = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == utf8.RuneError, !unicode.IsPrint(r) && !unicode.IsSpace(r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, line)
	line = strings.TrimSpace(line)
	if utf8.RuneCountInString(line) > mostPrinted {
		line = strings.TrimSpace(string([]rune(line)[:mostPrinted])) + "..."
	}
	return line
}

// escapes are the sequences of ECMA-48 that a terminal obeys: of one letter, with
// parameters (colours), and strings (titles, links).
var escapes = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(\x07|\x1b\\)?|[ -/]*[0-~])`)
})

// telling is the last of lines, which are in order, that says what went wrong. What
// runtimes print below that is passed over: stacks, and hints at how to see more.
func telling(lines []string) string {
	last := ""
	for n := len(lines) - 1; n >= 0; n-- {
		line := clean(lines[n])
		if line == "" {
			continue
		}
		if last == "" {
			last = line
		}
		if lines[n] == strings.TrimLeft(lines[n], " \t") && !noise().MatchString(line) {
			return line
		}
	}
	return last
}

// noise is what comes below the line that says what went wrong: in Node.js, npm, Go,
// Rust, Ruby and Java, and what no line of words is.
var noise = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(Node\.js v\d|Require stack:$|- /|npm (error|ERR!) (A complete log|$|\s{2,}/)|npm (error|ERR!)$|goroutine \d|created by |exit status \d|[\w./*]+\([^ ]*\)$|note: run with|\.\.\. \d+ more|[^\pL\pN]*$)`)
})

// telling is the line that says best why the program failed: on its standard error and,
// where that is silent and it was never ready, on its standard output.
func (f *Facts) telling() string {
	if s := telling(f.Errors); s != "" || f.Served {
		return s
	}
	return telling(f.Prints)
}

// TellingOf is the line that says best why process pid failed: on its standard error, and
// where that is silent, with stdout, on its standard output.
func TellingOf(lines []child.Line, pid int, stdout bool) string {
	f := Facts{Served: !stdout}
	for _, l := range lines {
		switch {
		case l.PID != pid:
		case l.Stream == "stderr":
			f.Errors = append(f.Errors, l.Text)
		case l.Stream == "stdout":
			f.Prints = append(f.Prints, l.Text)
		}
	}
	return f.telling()
}
