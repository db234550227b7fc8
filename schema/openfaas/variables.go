package openfaas

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/watchdogd/watchdogd/internal/phrase"
)

// variables is the environment while FromEnv reads it.
type variables struct {
	values map[string]string
	used   map[string]bool
	notes  Notes
	errors []error
}

func newVariables(environ []string) *variables {
	v := &variables{values: make(map[string]string, len(environ)), used: make(map[string]bool)}
	for _, pair := range environ {
		name, value, ok := strings.Cut(pair, "=")
		// As in os.Environ, the first of two counts.
		if _, twice := v.values[name]; ok && name != "" && !twice {
			v.values[name] = value
		}
	}
	return v
}

// get looks up a variable. For the classic watchdog an empty one counts as not set.
func (v *variables) get(name string) (string, bool) {
	value, ok := v.values[name]
	v.used[name] = v.used[name] || ok
	if ok && !utf8.ValidString(value) {
		v.fail(fmt.Errorf("the value of %s is not valid UTF-8 text", name))
		return "", false
	}
	return value, ok && (value != "" || !v.classic())
}

func (v *variables) fail(err error) { v.errors = append(v.errors, err) }

// wrong is an error about a variable.
func (v *variables) wrong(name, value, message string) {
	v.fail(fmt.Errorf("%s=%s %s", name, phrase.Quote(value), message))
}

func (v *variables) note(name, message string) {
	v.notes.Notes = append(v.notes.Notes, Note{name, v.values[name], message})
}

// duration reads a whole number of seconds, or a duration in Go's format, which may be
// negative. An empty one counts as not set. One that cannot be parsed is noted, and the
// default is used, as in of-watchdog.
func (v *variables) duration(name string, otherwise time.Duration) time.Duration {
	value, _ := v.get(name)
	if value == "" {
		return otherwise
	}
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 && int64(seconds) <= math.MaxInt64/int64(time.Second) {
		return time.Duration(seconds) * time.Second
	}
	if d, err := time.ParseDuration(value); err == nil {
		return d
	}
	using := "no limit"
	if otherwise > 0 {
		using = otherwise.String()
	}
	v.note(name, "is not a valid duration; using "+using)
	return otherwise
}

// bool reads a boolean that is true only if it is one of these words.
func (v *variables) bool(name string, otherwise bool) bool {
	value, _ := v.get(name)
	switch {
	case value == "":
		return otherwise
	case value == "true", value == "1" && !v.classic():
		return true
	}
	if value != "false" && value != "0" {
		message := `is treated as false; of-watchdog accepts only "true" and "1"`
		if v.classic() {
			message = `is treated as false; the classic watchdog accepts only "true"`
		}
		v.note(name, message)
	}
	return false
}

// parsedBool reads a boolean as strconv.ParseBool does.
func (v *variables) parsedBool(name string, otherwise bool) bool {
	value, _ := v.get(name)
	if value == "" {
		return otherwise
	}
	b, err := strconv.ParseBool(value)
	if err != nil {
		v.note(name, fmt.Sprintf("is not a valid boolean; using %t", otherwise))
		return otherwise
	}
	return b
}

// int reads a whole number. Any other value is an error: the originals read it as 0.
func (v *variables) int(name string, otherwise int) int {
	value, _ := v.get(name)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n > math.MaxInt32 || n < math.MinInt32 {
		v.wrong(name, value, "is not a number; write digits only")
		return otherwise
	}
	return n
}

// own reads a variable that only we have. An image may use the same name for another
// purpose, so a value that does not fit is only noted.
func (v *variables) own(name string, fits func(string) bool, what string) (string, bool) {
	value, _ := v.get(name)
	if value == "" {
		return "", false
	}
	if !fits(value) {
		v.note(name, "has no effect; it is not "+what)
		return "", false
	}
	return value, true
}

func (v *variables) ownInt(name string, least, most int) (int, bool) {
	n := 0
	_, ok := v.own(name, func(s string) bool {
		var err error
		n, err = strconv.Atoi(s)
		return err == nil && n >= least && n <= most
	}, fmt.Sprintf("a number from %d to %d", least, most))
	return n, ok
}

func (v *variables) ownWord(name string, words ...string) (string, bool) {
	return v.own(name, func(s string) bool { return slices.Contains(words, s) }, phrase.Either(words))
}
