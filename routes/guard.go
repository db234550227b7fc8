package routes

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// watch marks the routes that look at how a path is spelled: those beside which another
// route is guarded more, and those of files where there are other routes at all.
func (t *Table) watch(entries []Entry) {
	specs := make([]*schema.Route, len(entries))
	for i, e := range entries {
		specs[i] = e.Route
	}
	yielding := schema.Yielding(specs)
	for i, rt := range t.routes {
		rt.static = rt.spec.Mode == schema.Static
		rt.wary = yielding[i] || rt.static && len(entries) > 1
		if rt.spec.Auth != (schema.Auth{}) {
			t.locked.add(rt)
		}
	}
}

// locked is the routes with auth, by their prefixes without regard to case.
type locked struct {
	routes map[string][]*route // by fold of the prefix
	depths []int               // how long the prefixes are, each length once
}

func (l *locked) add(rt *route) {
	if l.routes == nil {
		l.routes = map[string][]*route{}
	}
	key := fold(rt.prefix)
	l.routes[key] = append(l.routes[key], rt)
	if n := len(rt.prefix); !slices.Contains(l.depths, n) {
		l.depths = append(l.depths, n)
	}
}

// fold returns the same for two strings if and only if they are equal without regard to case
// (strings.EqualFold): of the runes that are one without regard to case, it takes the
// greatest, or that of ASCII.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r
		}
		greatest := r
		for n := unicode.SimpleFold(r); n != r; n = unicode.SimpleFold(n) {
			if 'a' <= n && n <= 'z' {
				return n
			}
			greatest = max(greatest, n)
		}
		return greatest
	}, s)
}

// around reports a path that rt must not answer: one that in the eyes of a program or of a
// file system is the path of another route, and goes around what guards that one. Static
// routes leave every path of another route to it.
//
// Paths are matched as they were sent, and that is what rt's program gets; this looks
// only at what else they could mean. A method that the other route does not take is
// its guard too.
func (t *Table) around(rt *route, q query) *failure.Error {
	return t.otherwise(rt, q, false)
}

// leads is around for a route that was not found by q's path: what the path says plainly is
// examined too.
func (t *Table) leads(rt *route, q query, hosted bool) *failure.Error {
	if err := t.beside(rt, q, hosted); err != nil {
		return err
	}
	return t.otherwise(rt, q, hosted)
}

// otherwise examines what q's path could mean beside what it says.
func (t *Table) otherwise(rt *route, q query, hosted bool) *failure.Error {
	sent := q.path
	var all []string
	if plainly(sent) {
		one := [1]string{sent}
		all = t.recased(rt, one[:])
	} else {
		all = meanings(sent, rt.prefix, !rt.static)
		all = append(all, t.recased(rt, all)...)
	}
	for _, meant := range all {
		if meant == sent {
			continue
		}
		q.path = meant
		if err := t.beside(rt, q, hosted); err != nil {
			return err
		}
	}
	return nil
}

// beside reports that q's path is that of another route, which is guarded more than rt, or
// any other if rt is static. hosted leaves out routes for any host.
func (t *Table) beside(rt *route, q query, hosted bool) *failure.Error {
	q.refused = nil
	other, found := t.gateway.named(q.path), true
	if other == nil {
		if other, found = t.find(&q); found && other == nil {
			other = q.refused[0]
		}
	}
	if !found || other == rt || hosted && other.host == "" {
		return nil
	}
	if rt.static {
		return &failure.Error{Kind: failure.NotFound, Route: rt.name, Detail: "file not found"}
	}
	if guard := other.spec.Guard(rt.spec); guard != "" {
		return &failure.Error{Kind: failure.Malformed, Route: rt.name,
			Detail: "the path can also be read as one of route " + other.name + ", which has " + guard + " of its own; write it without empty segments, dot segments and escapes, and in the case in which it is configured"}
	}
	return nil
}

// recased returns paths as they are for programs and file systems that do not distinguish upper
// and lower case: with the prefix of a route with auth that rt does not have as that is written.
func (t *Table) recased(rt *route, paths []string) (all []string) {
	for _, n := range t.locked.depths {
		for _, p := range paths {
			if len(p) < n || len(p) > n && p[n] != '/' {
				continue
			}
			for _, other := range t.locked.routes[fold(p[:n])] {
				if other != rt && other.prefix != p[:n] && len(other.prefix) == n && other.spec.Guard(rt.spec) == "auth" {
					all = append(all, other.prefix+p[n:])
				}
			}
		}
	}
	return all
}

// plainly reports whether a path has one meaning only.
func plainly(p string) bool {
	for i := range len(p) {
		switch p[i] {
		case '%', '\\', ';':
			return false
		case '/':
			if rest := p[i+1:]; rest != "" && (rest[0] == '/' || rest[0] == '.') {
				return false
			}
		}
	}
	return true
}

// meanings returns what a path can mean to those who clean and decode it: as a whole, and
// as what follows a prefix, above which dot segments do not lead. A program may also
// take a backslash for a slash, what follows a semicolon for parameters of a segment, and
// an escaped ?, # or NUL for the end of the path.
func meanings(sent, prefix string, program bool) []string {
	var all []string
	add := func(from string, decode bool) (plain string) {
		plain, err := url.PathUnescape(from)
		if !decode || err != nil {
			plain = from
		}
		all = append(all, path.Clean("/"+plain))
		if prefix != "" && len(plain) >= len(prefix) && plain[:len(prefix)] == prefix {
			all = append(all, prefix+path.Clean("/"+plain[len(prefix):]))
		}
		return plain
	}
	plain := add(sent, true)
	if program {
		if strings.Contains(plain, "%") {
			plain = add(plain, true) // by a server, and again by what it runs
		}
		if strings.ContainsAny(plain, `\;`) {
			add(withoutParameters(strings.ReplaceAll(plain, `\`, "/")), false)
		}
		if i := strings.IndexAny(plain, "\x00?#"); i >= 0 {
			add(plain[:i], false)
		}
	}
	return all
}

// withoutParameters is a path without what follows a semicolon in a segment.
func withoutParameters(p string) string {
	var b strings.Builder
	skip := false
	for i := range len(p) {
		switch p[i] {
		case '/':
			skip = false
		case ';':
			skip = true
		}
		if !skip {
			b.WriteByte(p[i])
		}
	}
	return b.String()
}
