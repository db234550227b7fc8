package schema

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// maxName is the length of a DNS label, which names become here and there.
const maxName = 63

func validName(s string) bool {
	if s == "" || len(s) > maxName || s[0] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// NameOf returns the name nearest to s that may be written, as for a folder's.
func NameOf(s string) string {
	name := bytes.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, []byte(s))
	if trimmed := strings.Trim(string(name), "-"); trimmed != "" {
		return trimmed[:min(len(trimmed), maxName)]
	}
	return "watchdogd"
}

// tagWords are the validate tags of config.go that are not the validator's own: what is
// wrong with a value, or nil.
var tagWords = map[string]func(value string) *phrase.Mistake{
	"mode": func(value string) *phrase.Mistake {
		if slices.Contains(Modes(), value) {
			return nil
		}
		m := phrase.NotOneOf(value, Modes())
		return &m
	},
	"name": func(value string) *phrase.Mistake {
		if validName(value) {
			return nil
		}
		m := phrase.Mistake{Message: fmt.Sprintf("must be 1 to %d characters from a-z, 0-9 and -, not starting with -; got %s", maxName, phrase.Quote(value))}
		if s := NameOf(value); s != "watchdogd" {
			m.Hint = "write " + s
		}
		return &m
	},
}
