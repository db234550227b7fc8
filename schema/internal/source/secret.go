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
		return ""
	}
	if strings.Contains(path, "auth") {
		line = cover(line, secretMaps())
	}
	if strings.Contains(line, "secret") || strings.Contains(line, "token") {
		line = cover(line, secretValues())
	}
	return line
}

// cover covers the last group of each match of form. A variable is not secret.
func cover(line string, form *regexp.Regexp) string {
	matches := form.FindAllStringSubmatchIndex(line, -1)
	for _, m := range matches {
		from, to := m[len(m)-2], m[len(m)-1]
		if value := line[from:to]; !strings.HasPrefix(strings.TrimLeft(value, `"'`), "${") && !strings.HasPrefix(strings.TrimSpace(value), "file:") {
			line = line[:from] + strings.Repeat("*", utf8.RuneCountInString(value)) + strings.Repeat(" ", len(value)-utf8.RuneCountInString(value)) + line[to:]
		}
	}
	return line
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
