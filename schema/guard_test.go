package schema

import (
	"slices"
	"testing"
)

func TestARouteThatRefusesPathsAroundAGuardIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		routes []Route
		want   []string
	}{
		"nothing is guarded": {[]Route{{Name: "web", Path: "/"}, {Name: "admin", Path: "/admin"}}, nil},
		"auth beneath a program": {
			[]Route{{Name: "web", Path: "/"}, {Name: "admin", Path: "/admin", Auth: Auth{JWT: &JWTAuth{Issuer: "x"}}}},
			[]string{"route web: paths that lead to /admin only when they are cleaned or decoded, such as /./admin, are answered 400, because route admin has auth of its own"},
		},
		"methods beneath files": {
			[]Route{{Name: "admin", Path: "/pub/admin", Methods: Strings{"GET"}}, {Name: "files", Path: "/pub", Mode: Static}},
			[]string{"route files: paths that lead to /pub/admin only when they are cleaned or decoded, such as /./pub/admin, are answered 404, because route admin has methods of its own"},
		},
		"limits alone":       {[]Route{{Name: "web", Path: "/"}, {Name: "admin", Path: "/admin", Limits: Limits{Body: 100, Inflight: 2}}}, nil},
		"another host":       {[]Route{{Name: "web", Path: "/", Host: "a"}, {Name: "admin", Path: "/admin", Host: "b", Methods: Strings{"GET"}}}, nil},
		"not a segment":      {[]Route{{Name: "web", Path: "/ad"}, {Name: "admin", Path: "/admin", Methods: Strings{"GET"}}}, nil},
		"the wider is tight": {[]Route{{Name: "web", Path: "/", Limits: Limits{Body: 10}}, {Name: "admin", Path: "/admin", Limits: Limits{Body: 100}}}, nil},
	} {
		c := Config{Routes: test.routes}
		if got := c.Around(); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// Yielding compares ways to be guarded; it must agree with a look at all pairs.
func TestARouteYieldsWhereAnyOtherIsGuardedMore(t *testing.T) {
	kinds := []Route{
		{},
		{Auth: Auth{JWT: &JWTAuth{Issuer: "x"}}},
		{Auth: Auth{JWT: &JWTAuth{Issuer: "x"}}, Methods: Strings{"GET"}},
		{Auth: Auth{JWT: &JWTAuth{Issuer: "y"}}},
		{CrossOrigin: "refuse"},
		{CrossOrigin: "allow"},
		{Methods: Strings{"GET"}},
		{Methods: Strings{"GET", "POST"}},
		{Limits: Limits{Body: 10}},
		{Limits: Limits{Body: 20, Inflight: 1}},
		{Limits: Limits{Rate: Rate{PerSecond: 1}}},
	}
	for set := range 1 << len(kinds) {
		var routes []*Route
		for i := range kinds {
			if set&(1<<i) != 0 {
				routes = append(routes, &kinds[i])
			}
		}
		for i, got := range Yielding(routes) {
			want := slices.ContainsFunc(routes, func(r *Route) bool { return r != routes[i] && r.Guard(routes[i]) != "" })
			if got != want {
				t.Fatalf("got %t, want %t for %+v among the set %b", got, want, *routes[i], set)
			}
		}
	}
}
