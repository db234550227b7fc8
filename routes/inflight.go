package routes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/internal/failure"
)

// Calls is how many calls of t the route called name has, or may have: those on their way
// to any route count too.
func (t *Table) Calls(name string) (n int) {
	all := 0
	for rt := range t.all() {
		own := 0
		rt.limiter.each(func(c *serving) {
			if c.table == t {
				own++
			}
		})
		all += own
		if rt.name == name {
			n = own
		}
	}
	return n + max(t.Inflight()-all, 0)
}

// Former is a route that is not in the current table any more and still has calls.
type Former struct {
	Name  string
	Calls int
}

// Former gives the routes that were removed and still have calls.
func (l *Live) Former() (all []Former) {
	current := l.table.Load()
	if current == nil {
		return nil
	}
	kept := make(map[string]bool, len(current.routes))
	for rt := range current.all() {
		kept[rt.name] = true
	}
	for _, t := range l.tables() {
		for rt := range t.all() {
			n := 0
			rt.limiter.each(func(c *serving) {
				if c.table == t {
					n++
				}
			})
			if n > 0 && !kept[rt.name] {
				all = append(all, Former{rt.name, n})
			}
		}
	}
	return all
}

// Old gives the tables that were swapped out and may still have calls.
func (l *Live) Old() []*Table {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.old)
}

// CutRoute ends each call of t to the route called name for the reason why: an event stream
// like one that is complete, the others as Cut does. It returns which they were, for the log.
func (t *Table) CutRoute(name string, why *failure.Error) (cut []string) {
	for rt := range t.all() {
		if rt.name != name {
			continue
		}
		rt.limiter.each(func(c *serving) {
			if c.table == t && (c.EndStream() || c.Stop(why)) {
				cut = append(cut, c.String())
			}
		})
	}
	return cut
}

// mostNamed is how many calls are named one by one.
const mostNamed = 3

// Waits names the calls in flight for an operator; empty when there are none.
func (l *Live) Waits() string {
	var names []string
	n := 0
	for _, t := range l.tables() {
		for rt := range t.all() {
			rt.limiter.each(func(c *serving) {
				if c.table != t {
					return
				}
				if n++; n <= mostNamed {
					names = append(names, c.String()+" (route "+rt.name+")")
				}
			})
		}
	}
	if n > mostNamed {
		names = append(names, fmt.Sprintf("%d more", n-mostNamed))
	}
	return strings.Join(names, ", ")
}
