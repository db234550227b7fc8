package schema

import (
	"strings"

	"github.com/watchdogd/watchdogd/schema/internal/decode"
)

// Mode is how a route answers a request.
type Mode string

// The modes.
const (
	HTTP        Mode = "http"
	Streaming   Mode = "streaming"
	Serializing Mode = "serializing"
	Afterburn   Mode = "afterburn"
	Static      Mode = "static"
)

// Traits are what the rest of watchdogd has to know of a mode.
type Traits struct {
	Process    bool // needs an fprocess
	Elsewhere  bool // or an upstream, and the server is run elsewhere
	Forks      bool // starts a process for each request, where others keep one running
	Listens    bool // its process listens on the upstream
	Socketpair bool // its process is spoken to over stdin and stdout, one request at a time
	Folder     bool // needs a root
	Timed      bool // of-watchdog's responses in this mode have X-Duration-Seconds
}

// modes has the row of each mode, in the order in which messages name them. A new mode is
// a row here, its name in the "in" tags of the keys that it takes, and a case in modes.New.
var modes = []struct {
	Mode
	Traits
}{
	{HTTP, Traits{Process: true, Elsewhere: true, Listens: true, Timed: true}},
	{Streaming, Traits{Process: true, Forks: true}},
	{Serializing, Traits{Process: true, Forks: true, Timed: true}},
	{Afterburn, Traits{Process: true, Socketpair: true}},
	{Static, Traits{Folder: true}},
}

// Modes returns the names of the modes.
func Modes() []string {
	names := make([]string, len(modes))
	for i := range modes {
		names[i] = string(modes[i].Mode)
	}
	return names
}

// Traits returns the traits of a mode; an unknown mode has none.
func (m Mode) Traits() Traits {
	for i := range modes {
		if modes[i].Mode == m {
			return modes[i].Traits
		}
	}
	return Traits{}
}

// Supervised reports whether the route has a process that keeps running between requests.
func (r *Route) Supervised() bool {
	t := r.Mode.Traits()
	return t.Process && !t.Forks && (!t.Elsewhere || !r.FProcess.Empty())
}

// Forks reports whether each request of the route has a process of its own.
func (r *Route) Forks() bool { return r.Mode.Traits().Forks }

// The kinds of items that a key means something for: modes, and these.
const (
	inService    decode.Use = 1 << iota
	inProcess               // has an fprocess
	inSupervised            // has one that keeps running between requests
	inListens               // has one that listens on a port
	inElsewhere             // forwards to servers that are run elsewhere
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
		case "elsewhere":
			u |= inElsewhere
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
	if t.Elsewhere && !process {
		is |= inElsewhere
	}
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
