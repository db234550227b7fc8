package schema

import (
	"fmt"
	"strconv"
	"strings"
)

// The command line takes a duration, a number of instances and the like by the rules of the
// file, so that a value that stands in one can be given to the other.

// MaxReplicas is how many instances a route or service may have.
const MaxReplicas = 10000

// ParseDuration reads a duration as the file has it: 250ms, 1m30s, or a number of seconds.
func ParseDuration(s string) (Duration, error) {
	d, err := parseDuration(s)
	if e, ok := err.(*formError); ok && e.hint != "" {
		return 0, fmt.Errorf("%w; %s", err, e.hint)
	}
	return d, err
}

// ParseCount reads a whole number from least to most, in digits.
func ParseCount(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || strings.HasPrefix(s, "+") || n < least || n > most {
		return 0, &formError{must: fmt.Sprintf("a whole number from %d to %d", least, most), value: s}
	}
	return n, nil
}
