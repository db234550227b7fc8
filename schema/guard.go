package schema

import (
	"fmt"
	"iter"
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
	if r.Auth != (Auth{}) && !reflect.DeepEqual(r.Auth, wide.Auth) {
		return "auth"
	}
	return r.tighter(wide)
}

// tighter is Guard without auth.
func (r *Route) tighter(wide *Route) string {
	looser := func(limit, other int64) bool { return limit > 0 && (other == 0 || other > limit) }
	switch {
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

// Yielding reports of each route whether another is guarded more. It compares ways to be
// guarded, of which there are few, instead of all pairs of routes.
func Yielding(routes []*Route) []bool {
	var tightest, other *Route // two that have auth, and not the same
	ways := map[way]*Route{}
	for _, r := range routes {
		switch {
		case r.Auth == (Auth{}) || other != nil:
		case tightest == nil:
			tightest = r
		case !reflect.DeepEqual(r.Auth, tightest.Auth):
			other = r
		}
		ways[wayOf(r)] = r
	}
	more := make(map[way]bool, len(ways))
	for w, wide := range ways {
		for _, r := range ways {
			if r.tighter(wide) != "" {
				more[w] = true
				break
			}
		}
	}
	all := make([]bool, len(routes))
	for i, r := range routes {
		all[i] = more[wayOf(r)] || other != nil || tightest != nil && !reflect.DeepEqual(r.Auth, tightest.Auth)
	}
	return all
}

// way is what tighter looks at.
type way struct {
	crossOrigin, methods string
	body, inflight       int64
	rate                 float64
}

func wayOf(r *Route) way {
	return way{r.CrossOrigin, strings.Join(r.Methods, " "), int64(r.Limits.Body), int64(r.Limits.Inflight), r.Limits.Rate.PerSecond}
}

// Around returns a sentence for each route that refuses paths because they would lead
// around another route's control of access: auth, methods or cross_origin. Those that
// would lead around tighter limits are refused too, and not worth a sentence.
func (c *Config) Around() []string {
	var said []string
	for wide, r := range c.Nested() {
		guard := r.Guard(wide)
		if guard == "" || strings.HasPrefix(guard, "limits.") {
			continue
		}
		status := "400"
		if wide.Mode == Static {
			status = "404"
		}
		said = append(said, fmt.Sprintf("route %s: paths that lead to %s only when they are cleaned or decoded, such as /.%s, are answered %s, because route %s has %s of its own",
			wide.Name, r.Path, r.Path, status, r.Name, guard))
	}
	return said
}

// Nested returns the pairs of routes of which the second is Beneath the first, in the order
// of the file.
func (c *Config) Nested() iter.Seq2[*Route, *Route] {
	return func(yield func(wide, r *Route) bool) {
		beneath := map[string][]int{} // a path without its last slash, and the routes below it
		for i := range c.Routes {
			for p := strings.TrimSuffix(c.Routes[i].Path, "/"); p != ""; {
				p = p[:strings.LastIndexByte(p, '/')]
				beneath[p] = append(beneath[p], i)
			}
		}
		for i := range c.Routes {
			wide := &c.Routes[i]
			for _, j := range beneath[strings.TrimSuffix(wide.Path, "/")] {
				if r := &c.Routes[j]; r.Beneath(wide) && !yield(wide, r) {
					return
				}
			}
		}
	}
}
