package child

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/watchdogd/watchdogd/internal/regular"
)

// environ is an environment in which each variable stands once.
type environ struct {
	list []string       // NAME=VALUE
	at   map[string]int // where in list
}

func newEnviron(list []string) environ {
	e := environ{list: make([]string, 0, len(list)+8), at: make(map[string]int, len(list)+8)}
	e.add(list)
	return e
}

func (e *environ) set(name, value string) { e.put(name, name+"="+value) }

func (e *environ) add(list []string) {
	for _, kv := range list {
		if name, _, ok := strings.Cut(kv, "="); ok && name != "" {
			e.put(name, kv)
		}
	}
}

func (e *environ) put(name, kv string) {
	if i, ok := e.at[name]; ok {
		e.list[i] = kv
		return
	}
	e.at[name] = len(e.list)
	e.list = append(e.list, kv)
}

func (e *environ) get(name string) string {
	if i, ok := e.at[name]; ok {
		return e.list[i][len(name)+1:]
	}
	return ""
}

// with returns the list with more in it, more winning, and the variable mark, which wins
// over all. e itself stays as it is.
func (e *environ) with(more []string, mark string) []string {
	list := make([]string, len(e.list), len(e.list)+len(more)+1)
	copy(list, e.list)
	put := func(kv string) {
		name, _, _ := strings.Cut(kv, "=")
		if i, ok := e.at[name]; ok {
			list[i] = kv
		} else {
			list = append(list, kv)
		}
	}
	for _, kv := range more {
		put(kv)
	}
	put(mark)
	return list
}

// readEnvFile reads NAME=VALUE lines. Empty lines and lines that begin with # are
// passed over, as is the word export. A value may stand in single quotes, which keep
// all as it is, or double quotes, in which \n, \t, \", \\ and \$ are what they are in
// a shell; without quotes it ends at a # that follows a space.
//
// It is not godotenv's: that adds 0.09 ms to the start of watchdogd and of each shim, its
// errors have no line, and it expands $NAME, which a password may contain.
func readEnvFile(file string) ([]string, error) {
	data, err := regular.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("env_file %s is not there: create it or correct env_file: %w", file, err)
	}
	if err != nil {
		return nil, fmt.Errorf("env_file %s cannot be read: %w", file, err)
	}
	return parseEnvFile(file, string(data))
}

// maxEnvFile bounds the variables of one env_file, in bytes: Linux takes no more than
// 6 MiB of arguments and environment (execve(2)), and 2 MiB by default.
const maxEnvFile = 6 << 20

// parseEnvFile is readEnvFile of text that is at hand.
func parseEnvFile(file, text string) ([]string, error) {
	var pairs []string
	i, size := -1, 0
	for line := range strings.SplitSeq(text, "\n") {
		i++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "export "); ok {
			line = strings.TrimSpace(rest)
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || strings.ContainsAny(name, " \t\x00") {
			return nil, fmt.Errorf("env_file %s:%d: this is not NAME=VALUE", file, i+1)
		}
		value, ok = unquote(strings.TrimSpace(value))
		if !ok {
			return nil, fmt.Errorf("env_file %s:%d: the quote of %s does not end on its line", file, i+1, name)
		}
		size += len(name) + len(value) + 2
		if size > maxEnvFile || len(pairs) == maxEnvFile/16 {
			return nil, fmt.Errorf("env_file %s:%d: the variables up to here are more than a program's environment can carry (%d MiB)", file, i+1, maxEnvFile>>20)
		}
		pairs = append(pairs, name+"="+value)
	}
	return pairs, nil
}

func unquote(v string) (string, bool) {
	switch {
	case strings.HasPrefix(v, "'"):
		inner, _, ok := strings.Cut(v[1:], "'")
		return inner, ok
	case strings.HasPrefix(v, `"`):
		var b strings.Builder
		for i := 1; i < len(v); i++ {
			switch {
			case v[i] == '"':
				return b.String(), true
			case v[i] == '\\' && i+1 < len(v):
				i++
				switch v[i] {
				case 'n':
					b.WriteByte('\n')
				case 't':
					b.WriteByte('\t')
				case '"', '\\', '$':
					b.WriteByte(v[i])
				default:
					b.WriteByte('\\')
					b.WriteByte(v[i])
				}
			default:
				b.WriteByte(v[i])
			}
		}
		return "", false
	}
	if i := strings.Index(v, " #"); i >= 0 {
		v = strings.TrimSpace(v[:i])
	}
	return v, true
}
