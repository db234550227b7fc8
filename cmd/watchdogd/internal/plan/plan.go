// Package plan compares two configurations: what a reload from one to the other would do.
package plan

import (
	"reflect"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor"
)

// Changes is what a reload from was to is would do: to the listeners, to the processes, of
// which the supervisor says it, and to the routes that keep none.
func Changes(was, is *schema.Config, processes []supervisor.Change) []supervisor.Change {
	before, after := routesOf(was), routesOf(is)
	for i := range processes {
		c := &processes[i]
		r, old := after[c.Name], before[c.Name]
		if c.Action == supervisor.Keep && r != nil && old != nil && c.Why == "" {
			if keys := changedKeys(old, r); keys != "" {
				c.Why = keys + " changed, which applies to the running instances"
			}
		}
	}
	return slices.Concat(listeners(was, is), processes, routes(was, is, processes))
}

func listeners(was, is *schema.Config) (changes []supervisor.Change) {
	for _, address := range is.Server.Listen {
		if !slices.Contains(was.Server.Listen, address) {
			changes = append(changes, supervisor.Change{Name: "server.listen " + address, Action: supervisor.Begin, Why: "a new address to listen on"})
		}
	}
	for _, address := range was.Server.Listen {
		if !slices.Contains(is.Server.Listen, address) {
			changes = append(changes, supervisor.Change{Name: "server.listen " + address, Action: supervisor.End, Why: "no longer an address to listen on"})
		}
	}
	return changes
}

// routes is what happens to the routes that processes does not name.
func routes(was, is *schema.Config, processes []supervisor.Change) (changes []supervisor.Change) {
	named := func(name string) bool {
		return slices.ContainsFunc(processes, func(c supervisor.Change) bool { return c.Name == name })
	}
	before, after := routesOf(was), routesOf(is)
	for i := range is.Routes {
		r := &is.Routes[i]
		if named(r.Name) {
			continue
		}
		c := supervisor.Change{Name: r.Name, Action: supervisor.Keep}
		if old := before[r.Name]; old == nil {
			c.Action, c.Why = supervisor.Begin, "it is new"
		} else if keys := changedKeys(old, r); keys != "" {
			c.Action, c.Why = supervisor.Replace, keys+" changed"
		}
		changes = append(changes, c)
	}
	for i := range was.Routes {
		if name := was.Routes[i].Name; after[name] == nil && !named(name) {
			changes = append(changes, supervisor.Change{Name: name, Action: supervisor.End, Why: "it is not in the configuration any more"})
		}
	}
	return changes
}

// Replaced are the routes of was that start a process for each request and that is either
// does not have any more or runs otherwise: their calls may go on for stop.drain, as those
// of a long-lived process that is stopped or replaced, which the supervisor ends.
func Replaced(was, is *schema.Config) (all []*schema.Route) {
	now := routesOf(is)
	for name, old := range routesOf(was) {
		r := now[name]
		if old.Forks() && (r == nil || r.Mode != old.Mode || !reflect.DeepEqual(old.Process, r.Process)) {
			all = append(all, old)
		}
	}
	return all
}

func routesOf(cfg *schema.Config) map[string]*schema.Route {
	all := make(map[string]*schema.Route, len(cfg.Routes))
	for i := range cfg.Routes {
		all[cfg.Routes[i].Name] = &cfg.Routes[i]
	}
	return all
}

// changedKeys names the keys in which two routes differ, as the file has them; empty is
// none.
func changedKeys(a, b *schema.Route) string {
	var keys []string
	compareKeys(reflect.ValueOf(*a), reflect.ValueOf(*b), &keys)
	return strings.Join(keys, ", ")
}

func compareKeys(a, b reflect.Value, keys *[]string) {
	for n := range a.NumField() {
		field := a.Type().Field(n)
		tag := field.Tag.Get("yaml")
		name, _, _ := strings.Cut(tag, ",")
		switch {
		case !field.IsExported() || name == "-":
		case strings.Contains(tag, ",inline"):
			compareKeys(a.Field(n), b.Field(n), keys)
		case name != "" && !reflect.DeepEqual(a.Field(n).Interface(), b.Field(n).Interface()):
			*keys = append(*keys, name)
		}
	}
}

// NeedRestart says what of a new configuration only a restart of watchdogd can bring.
func NeedRestart(was, is *schema.Config) []string {
	var notes []string
	note := func(changed bool, key string) {
		if changed {
			notes = append(notes, key+" changed; restart watchdogd to apply it")
		}
	}
	note(was.Server.TLS != is.Server.TLS, "server.tls (other files; the same files are read again)")
	note(was.Server.Timeouts != is.Server.Timeouts, "server.timeouts")
	note(was.Server.MaxHeader != is.Server.MaxHeader, "server.max_header")
	note(was.Metrics != is.Metrics, "metrics")
	note(was.Admin != is.Admin, "admin")
	note(was.Health.LockFile != is.Health.LockFile || was.Health.Live != is.Health.Live, "health.lock_file or health.live")
	before, after := was.Log, is.Log
	before.Level, before.Access, before.CallID = after.Level, after.Access, after.CallID
	note(before != after, "log (other than level, access and call_id)")
	return notes
}
