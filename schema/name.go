package schema

import (
	"bytes"
	"strings"
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
