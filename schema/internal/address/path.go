package address

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// CheckPath checks the prefix of a route, or the base path of an upstream.
func CheckPath(path string, prefix bool) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("must start with /, for example %s", phrase.Quote("/"+path))
	}
	if prefix && (path == "/_" || strings.HasPrefix(path, "/_/")) {
		return errors.New("paths under /_/ are reserved for watchdogd, such as /_/health")
	}
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '?' || c == '#':
			return fmt.Errorf("%s: a path cannot contain %c", phrase.Quote(path), c)
		case c == '*' && prefix:
			return fmt.Errorf("%s: a path cannot contain *; it already matches everything below it", phrase.Quote(path))
		case c == '%':
			if i+2 >= len(path) || !hexadecimal(path[i+1]) || !hexadecimal(path[i+2]) {
				return fmt.Errorf("%s: %% must be followed by two hexadecimal digits", phrase.Quote(path))
			}
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0:
			return fmt.Errorf("paths are matched in the form in which they are sent: write %s", phrase.Quote((&url.URL{Path: path}).EscapedPath()))
		}
	}
	if trimmed := strings.TrimSuffix(path, "/"); trimmed != "" {
		for _, s := range strings.Split(trimmed, "/")[1:] {
			if s == "" || s == "." || s == ".." {
				return fmt.Errorf("%s contains %s", phrase.Quote(path), map[string]string{"": "an empty segment", ".": "the segment .", "..": "the segment .."}[s])
			}
		}
	}
	return nil
}

func hexadecimal(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
