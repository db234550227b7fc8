package source

import (
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

// WithoutSecrets is a line of a file as it may be shown beside a mistake at path: the values of
// secrets that stand in it are asterisks, as many as they have characters.
func WithoutSecrets(line, path string) string {
	if strings.Contains(path, ".auth.keys.keys.") || strings.Contains(path, ".auth.basic.users.") {
		// The value may be written in any way: all that follows the first key counts as secret.
		name, value, _ := strings.Cut(line, ":")
		if value == "" {
			name, value = "", line // the name is on another line
		}
		from := len(line) - len(strings.TrimLeft(value, " "))
		if name == "" {
			from = len(line) - len(strings.TrimLeft(line, " "))
		}
		return coverFrom(line, from, len(line))
	}
	if strings.Contains(path, "auth") {
		line = cover(line, secretMaps())
	}
	if strings.Contains(line, "secret") || strings.Contains(line, "token") {
		line = cover(line, secretValues())
	}
	return line
}

// cover covers the last group of each match of form.
func cover(line string, form *regexp.Regexp) string {
	for _, m := range form.FindAllStringSubmatchIndex(line, -1) {
		line = coverFrom(line, m[len(m)-2], m[len(m)-1])
	}
	return line
}

// coverFrom covers a part of a line. A variable is not secret, nor is the name of a file.
func coverFrom(line string, from, to int) string {
	value := line[from:to]
	if strings.HasPrefix(strings.TrimLeft(value, `"'`), "${") || strings.HasPrefix(strings.TrimSpace(value), "file:") {
		return line
	}
	n := utf8.RuneCountInString(value)
	return line[:from] + strings.Repeat("*", n) + strings.Repeat(" ", len(value)-n) + line[to:]
}

// They are made only when there is a mistake to show.
var (
	secretValues = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`\b(?:secret|token)["']?\s*:\s*("[^"]*"?|'[^']*'?|[^\s,}]+)`)
	})
	secretMaps = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`\b(?:keys|users)["']?\s*:\s*\{((?:[^{}]|\$\{[^{}]*\})*)\}`)
	})
)
