package schema

import (
	"strings"

	"github.com/watchdogd/watchdogd/schema/internal/decode"
)

// The kinds of items that a key means something for: modes, and these.
const (
	inService    decode.Use = 1 << iota
	inProcess               // has an fprocess
	inSupervised            // has one that keeps running between requests
	inListens               // has one that listens on a port
	firstMode
)

const serviceUse = inService | inProcess | inSupervised

// inModes are the modes that have a trait.
func inModes(has func(Mode, Traits) bool) decode.Use {
	var u decode.Use
	for i, m := range modes {
		if has(m.Mode, m.Traits) {
			u |= firstMode << i
		}
	}
	return u
}

// modesOf returns the names of the modes in a set.
func modesOf(u decode.Use) []string {
	var names []string
	for i, m := range modes {
		if u&(firstMode<<i) != 0 {
			names = append(names, string(m.Mode))
		}
	}
	return names
}

// parseUse reads an "in" tag.
func parseUse(tag string) decode.Use {
	var u decode.Use
	for _, word := range strings.Fields(tag) {
		switch word {
		case "service":
			u |= inService
		case "process":
			u |= inProcess
		case "supervised":
			u |= inSupervised
		case "forks":
			u |= inModes(func(_ Mode, t Traits) bool { return t.Forks })
		case "runs":
			u |= inModes(func(_ Mode, t Traits) bool { return t.Process })
		default:
			mode := inModes(func(m Mode, _ Traits) bool { return string(m) == word })
			if mode == 0 {
				panic("schema: no kind of item is called " + word)
			}
			u |= mode
		}
	}
	return u
}

// routeUse is what a route of a mode is; process is whether it has an fprocess.
func routeUse(mode Mode, process bool) decode.Use {
	is := inModes(func(m Mode, _ Traits) bool { return m == mode })
	if is == 0 {
		return decode.Anywhere
	}
	t := mode.Traits()
	if !t.Process || !process {
		return is
	}
	is |= inProcess
	if !t.Forks {
		is |= inSupervised
	}
	if t.Listens {
		is |= inListens
	}
	return is
}
