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
