package schema

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Guard names the key by which r protects its calls more than wide does, a route whose
// path leads to r's too: "auth", say. It is empty where there is none.
//
// Programs and folders read //admin, /./admin and /%61dmin as /admin. Where a route for
// /admin has a guard and a wider one reaches the same files or the same program, such a
// spelling must not lead around it: see Around.
func (r *Route) Guard(wide *Route) string {
	looser := func(limit, other int64) bool { return limit > 0 && (other == 0 || other > limit) }
	switch {
	case r.Auth != (Auth{}) && !reflect.DeepEqual(r.Auth, wide.Auth):
		return "auth"
	case r.CrossOrigin == "refuse" && wide.CrossOrigin == "allow":
		return "cross_origin"
	case len(r.Methods) > 0 && (len(wide.Methods) == 0 || slices.ContainsFunc(wide.Methods, func(m string) bool { return !slices.Contains(r.Methods, m) })):
		return "methods"
	case looser(int64(r.Limits.Body), int64(wide.Limits.Body)):
		return "limits.body"
	case looser(int64(r.Limits.Inflight), int64(wide.Limits.Inflight)):
		return "limits.inflight"
	case r.Limits.Rate.PerSecond > 0 && (wide.Limits.Rate.PerSecond == 0 || wide.Limits.Rate.PerSecond > r.Limits.Rate.PerSecond):
		return "limits.rate"
	}
	return ""
}

// Beneath reports whether r is for a part of wide's path, so that a call that is spelled
// in another way than r's path could reach wide.
func (r *Route) Beneath(wide *Route) bool {
	if wide.Host != "" && wide.Host != r.Host {
		return false
	}
	prefix := strings.TrimSuffix(wide.Path, "/")
	return len(r.Path) > len(wide.Path) && strings.HasPrefix(r.Path, prefix+"/")
}

// Around returns a sentence for each route that refuses paths because they would lead
// around another route's control of access: auth, methods or cross_origin. Those that
// would lead around tighter limits are refused too, and not worth a sentence.
func (c *Config) Around() []string {
	var said []string
	for i := range c.Routes {
		wide := &c.Routes[i]
		for j := range c.Routes {
			r := &c.Routes[j]
			guard := r.Guard(wide)
			if !r.Beneath(wide) || guard == "" || strings.HasPrefix(guard, "limits.") {
				continue
			}
			status := "400"
			if wide.Mode == Static {
				status = "404"
			}
			said = append(said, fmt.Sprintf("route %s: paths that lead to %s only when they are cleaned or decoded, such as /.%s, are answered %s, because route %s has %s of its own",
				wide.Name, r.Path, r.Path, status, r.Name, guard))
		}
	}
	return said
}
