package routes

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// spellings all mean /admin/f to those who clean or decode a path.
var spellings = []string{
	"//admin/f", "/./admin/f", "/%61dmin/f", "/x/../admin/f", "/admin%2ff", "/admin%2Ff", "/%2e/admin/f", "/x/%2e%2e/admin/f", "/../admin/f",
	"/%2fadmin/f", "///admin//f", "/x/y/../../admin/f", "/.//admin/./f", "/%41/../admin/f", "/admin%2f/f", "/admin%2f..%2fadmin/f",
}

// forPrograms mean it to some programs.
var forPrograms = []string{`/\admin/f`, `/%5cadmin/f`, "/admin;x/f", "/;/admin/f", "/x/..;/admin/f", "/%2561dmin/f", "/%252e/admin/f", "/admin%3bx/f", `/x\..\admin\f`,
	"/admin%00", "/admin%00/f.png", "/admin%3fx", "/admin%23/../../x", "/x/../admin%2500"}

// guards makes a table of a wide route and a narrower one.
func guards(wide, narrow func(*schema.Route)) *Table {
	w, n := schema.Route{Name: "wide", Path: "/"}, schema.Route{Name: "admin", Path: "/admin"}
	wide(&w)
	narrow(&n)
	return tableOf(w, n, schema.Route{Name: "other", Path: "/other"})
}

func plainRoute(*schema.Route) {}
func withAuth(r *schema.Route) { r.Auth.Basic = &schema.BasicAuth{File: "htpasswd"} }
func ofFiles(r *schema.Route)  { r.Mode = schema.Static }

func TestNoSpellingOfAPathLeadsAroundAGuard(t *testing.T) {
	for name, guard := range map[string]func(*schema.Route){
		"auth":            withAuth,
		"methods":         func(r *schema.Route) { r.Methods = schema.Strings{"POST"} },
		"limits.body":     func(r *schema.Route) { r.Limits.Body = 100 },
		"limits.inflight": func(r *schema.Route) { r.Limits.Inflight = 1 },
		"limits.rate":     func(r *schema.Route) { r.Limits.Rate.PerSecond = 1 },
	} {
		table := guards(plainRoute, guard)
		for _, p := range slices.Concat(spellings, forPrograms) {
			rt, err := table.match("GET", "x", p, nil)
			if err == nil || err.Kind != failure.Malformed || rt.name != "wide" || !strings.Contains(err.Detail, "route admin, which has "+name+" of its own") {
				t.Errorf("%s beside a guard of %s: got route %s, %v, want 400 and why", p, name, rt.name, err)
			}
		}
	}
}

func TestAFileOfAnotherRouteIsNotFoundByAnySpelling(t *testing.T) {
	table := guards(ofFiles, plainRoute)
	for _, p := range spellings {
		if rt, err := table.match("GET", "x", p, nil); err == nil || err.Kind != failure.NotFound {
			t.Errorf("%s: got route %s, %v, want 404", p, rt.name, err)
		}
	}
	stripped := tableOf(schema.Route{Name: "pub", Path: "/pub", StripPrefix: true, Mode: schema.Static}, schema.Route{Name: "admin", Path: "/pub/admin"})
	for _, p := range []string{"/pub/../admin/f", "/pub/x/../../admin/f", "/pub/%2e%2e/admin/f", "/pub//admin/f", "/pub/../pub/admin/f"} {
		if rt, err := stripped.match("GET", "x", p, nil); err == nil || err.Kind != failure.NotFound {
			t.Errorf("%s, whose prefix is stripped: got route %s, %v, want 404", p, rt.name, err)
		}
	}
}

// The contract: what is nobody else's business reaches the program as it was sent.
func TestASpellingThatLeadsAroundNothingIsServed(t *testing.T) {
	for name, table := range map[string]*Table{
		"no guard":       guards(plainRoute, plainRoute),
		"the same guard": guards(withAuth, withAuth),
		"a looser one":   guards(func(r *schema.Route) { r.Limits.Body = 10 }, func(r *schema.Route) { r.Limits.Body = 100 }),
	} {
		for _, p := range slices.Concat(spellings, forPrograms) {
			if rt, err := table.match("GET", "x", p, nil); err != nil || rt.name != "wide" && !strings.HasPrefix(p, "/admin/") {
				t.Errorf("%s, %s: got route %s, %v, want wide", p, name, rt.name, err)
			}
		}
	}
	for name, table := range map[string]*Table{"programs": guards(plainRoute, withAuth), "files": guards(ofFiles, withAuth)} {
		for p, want := range map[string]string{
			"/a%2Fb": "wide", "/a//b": "wide", "/%7Euser/x": "wide", "/a/../b": "wide", "/a;b/c": "wide", "/adminx/%61": "wide", "/.well-known/x": "wide",
			"/admin": "admin", "/admin/": "admin", "/admin//f": "admin", "/admin/%2e%2e/x": "admin", "/admin/a%2fb": "admin",
		} {
			if rt, err := table.match("GET", "x", p, nil); err != nil || rt.name != want {
				t.Errorf("%s, %s: got route %s, %v, want %s", p, name, rt.name, err, want)
			}
		}
	}
}

func TestAPathAroundAGuardIsAnsweredInWords(t *testing.T) {
	f := serve(t, entry("wide", hello("wide"), func(r *schema.Route) { r.Path = "/" }),
		entry("admin", hello("admin"), func(r *schema.Route) { r.Methods = schema.Strings{http.MethodPost} }))
	resp, body := f.get("/%61dmin/f")
	if want := "the path can also be read as one of route admin, which has methods of its own"; resp.StatusCode != 400 || !strings.Contains(body, want) {
		t.Errorf("got %d %q, want 400 %q", resp.StatusCode, body, want)
	}
}

func TestFoldAgreesWithEqualFold(t *testing.T) {
	all := []string{"", "/", "/a", "/A", "/ADMIN", "/admin", "/aDmIn", "/ſ", "/s", "/S", "/K", "/k", "/K", "/å", "/Å", "/Å", "/ς", "/σ", "/Σ", "/µ", "/μ", "/Μ", "/ı", "/I", "/i", "/\xff", "/\xfe"}
	for _, a := range all {
		for _, b := range all {
			if got, want := fold(a) == fold(b), strings.EqualFold(a, b); got != want {
				t.Errorf("got %t, want %t: %q (%q) and %q (%q)", got, want, a, fold(a), b, fold(b))
			}
		}
	}
}
