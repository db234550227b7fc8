package routes

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/schema"
)

// tableOf makes a table of routes that only have what matching looks at.
func tableOf(routes ...schema.Route) *Table {
	var entries []Entry
	for i := range routes {
		if routes[i].Name == "" {
			routes[i].Name = fmt.Sprint("r", i)
		}
		entries = append(entries, Entry{Route: &routes[i], Handler: http.NotFoundHandler()})
	}
	return NewTable(entries, Options{Metrics: metrics.New(metrics.Options{RouteLabel: true})})
}

func TestTheLongestPrefixAtASegmentBorderWins(t *testing.T) {
	table := tableOf(
		schema.Route{Name: "root", Path: "/"},
		schema.Route{Name: "api", Path: "/api"},
		schema.Route{Name: "v1", Path: "/api/v1/"},
		schema.Route{Name: "escaped", Path: "/caf%C3%A9"},
	)
	for path, want := range map[string]string{
		"/":                "root",
		"/api":             "api",
		"/api/":            "api",
		"/apix":            "root",
		"/api/v":           "api",
		"/api/v1":          "v1",
		"/api/v1/":         "v1",
		"/api/v1/x/y":      "v1",
		"/api/v12":         "api",
		"/API":             "root",
		"/api%2Fv1":        "root",
		"/a%70i":           "root",
		"//api":            "root",
		"/api//v1":         "api",
		"/./api":           "root",
		"/api/./v1":        "api",
		"/x/../api":        "root",
		"/api/../x":        "api",
		"/api/%2e%2e/x":    "api",
		"/api/v1/%2e%2e/x": "v1",
		"/caf%C3%A9/x":     "escaped",
		"/caf%c3%a9":       "root",
		"/café":            "root",
	} {
		rt, err := table.match("GET", "x", path, nil)
		if err != nil || rt.name != want {
			t.Errorf("%s goes to %q (%v), want %q", path, rt.name, err, want)
		}
	}
}

func TestHostsAreExactThenWildcardsThenNone(t *testing.T) {
	table := tableOf(
		schema.Route{Name: "none", Path: "/"},
		schema.Route{Name: "wild", Path: "/", Host: "*.Example.org"},
		schema.Route{Name: "deep", Path: "/", Host: "*.a.example.org"},
		schema.Route{Name: "exact", Path: "/", Host: "b.example.org"},
		schema.Route{Name: "part", Path: "/only", Host: "part.test"},
		schema.Route{Name: "v6", Path: "/", Host: "[::1]"},
	)
	for host, want := range map[string]string{
		"other":              "none",
		"example.org":        "none",
		"x.example.org":      "wild",
		"X.EXAMPLE.org:8080": "wild",
		"y.x.example.org.":   "wild",
		"x.a.example.org":    "deep",
		"a.example.org":      "wild",
		"b.example.org:80":   "exact",
		"xb.example.org":     "wild",
		".example.org":       "none",
		"part.test":          "none",
		"[::1]:8080":         "v6",
		"[::1]":              "v6",
		"":                   "none",
	} {
		rt, err := table.match("GET", host, "/x", nil)
		if err != nil || rt.name != want {
			t.Errorf("%s goes to %q (%v), want %q", host, rt.name, err, want)
		}
	}
}

func TestAmongRoutesOfOnePrefixThoseWithMoreHeadersComeFirst(t *testing.T) {
	table := tableOf(
		schema.Route{Name: "plain", Path: "/a"},
		schema.Route{Name: "two", Path: "/a", Headers: map[string]string{"x-version": "v2", "X-Beta": "1"}},
		schema.Route{Name: "one", Path: "/a", Headers: map[string]string{"X-Version": "v2"}},
		schema.Route{Name: "deeper", Path: "/a/b", Headers: map[string]string{"X-Version": "v3"}},
	)
	for _, c := range []struct {
		path   string
		header http.Header
		want   string
	}{
		{"/a", nil, "plain"},
		{"/a", http.Header{"X-Version": {"v2"}}, "one"},
		{"/a", http.Header{"X-Version": {"V2"}}, "plain"},
		{"/a", http.Header{"X-Version": {"v1", "v2"}, "X-Beta": {"1"}}, "two"},
		{"/a/b", http.Header{"X-Version": {"v2"}}, "one"},
		{"/a/b", http.Header{"X-Version": {"v3"}}, "deeper"},
	} {
		if rt, err := table.match("GET", "", c.path, fieldsOf(c.header)); err != nil || rt.name != c.want {
			t.Errorf("%s %v goes to %q (%v), want %q", c.path, c.header, rt.name, err, c.want)
		}
	}
}

func TestWhereOnlyTheMethodDoesNotMatchTheAnswerIs405(t *testing.T) {
	table := tableOf(
		schema.Route{Name: "root", Path: "/"},
		schema.Route{Name: "read", Path: "/a", Methods: schema.Strings{"GET", "HEAD"}},
		schema.Route{Name: "write", Path: "/a", Methods: schema.Strings{"POST"}},
		schema.Route{Name: "secret", Path: "/a", Methods: schema.Strings{"PUT"}, Headers: map[string]string{"X-K": "1"}},
	)
	for method, want := range map[string]string{"GET": "read", "HEAD": "read", "POST": "write"} {
		if rt, err := table.match(method, "", "/a/x", nil); err != nil || rt.name != want {
			t.Errorf("%s goes to %q (%v), want %q", method, rt.name, err, want)
		}
	}
	rt, err := table.match("DELETE", "", "/a/x", nil)
	if err == nil || err.Kind != failure.Method || err.Allow != "GET, HEAD, POST" || rt.name != "read" {
		t.Errorf("got %v %+v, want read, an error, Kind %v and Allow %q", rt.name, err, failure.Method, "GET, HEAD, POST")
	}
	rt, err = table.match("DELETE", "", "/a/x", fieldsOf(http.Header{"X-K": {"1"}}))
	if err == nil || err.Allow != "GET, HEAD, POST, PUT" || rt == nil {
		t.Errorf("got %+v %v, want an error, Allow %q and other than nil", err, rt, "GET, HEAD, POST, PUT")
	}
	if rt, err := table.match("DELETE", "", "/b", nil); err != nil || rt.name != "root" {
		t.Errorf("got %v %v, want name root and no error", rt, err)
	}
}

func TestNoRoute(t *testing.T) {
	table := tableOf(schema.Route{Path: "/a"}, schema.Route{Path: "/", Host: "h"})
	rt, err := table.match("GET", "x", "/b", nil)
	if err == nil || err.Kind != failure.NoRoute || rt != table.none {
		t.Errorf("got %v %v, want %v, an error and Kind %v", rt, err, table.none, failure.NoRoute)
	}
}

func TestTheFirstOfEqualRoutesWins(t *testing.T) {
	table := tableOf(schema.Route{Name: "one", Path: "/a"}, schema.Route{Name: "two", Path: "/a"})
	if rt, _ := table.match("GET", "", "/a", nil); rt.name != "one" {
		t.Errorf("got %v, want one", rt.name)
	}
}

func TestTargetsAreTakenApartAsTheyWereSent(t *testing.T) {
	for uri, want := range map[string][2]string{
		"/":                      {"/", ""},
		"/a?b?c":                 {"/a", "?b?c"},
		"/a?":                    {"/a", "?"},
		"//h/a":                  {"//h/a", ""},
		"http://h/a?b":           {"/a", "?b"},
		"http://h":               {"/", ""},
		"http://h?b":             {"/", "?b"},
		"https://u@h:1/%2e%2e//": {"/%2e%2e//", ""},
		"http://h?http://x/y":    {"/", "?http://x/y"},
		"/a?http://x/y":          {"/a", "?http://x/y"},
	} {
		path, query, ok := target(uri)
		if !ok || path != want[0] || query != want[1] {
			t.Errorf("%s is %q and %q (%v)", uri, path, query, ok)
		}
	}
	for _, uri := range []string{"", "*", "h:443", "http:x", "?a"} {
		if path, _, ok := target(uri); ok {
			t.Errorf("%q has the path %q", uri, path)
		}
	}
}

// oracle is match, written to be seen through: every route is looked at.
func oracle(routes []*route, hosts []string, method, host, path string, header http.Header) (name, allow string) {
	host = hostname(host)
	type candidate struct {
		rt            *route
		host, headers int
	}
	var all []candidate
	for i, rt := range routes {
		rank := -1
		switch want := strings.ToLower(hosts[i]); {
		case want == "":
			rank = 0
		case strings.HasPrefix(want, "*."):
			if strings.HasSuffix(host, want[1:]) && len(host) > len(want)-1 {
				rank = len(want)
			}
		case want == host:
			rank = 1 << 20
		}
		prefix := path == rt.prefix || strings.HasPrefix(path, rt.prefix+"/")
		if rank >= 0 && prefix && rt.wants(&query{host: host, fields: fieldsOf(header)}) {
			all = append(all, candidate{rt, rank, len(rt.headers)})
		}
	}
	if len(all) == 0 {
		return "", ""
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		if a.host != b.host {
			return b.host - a.host
		}
		if len(a.rt.prefix) != len(b.rt.prefix) {
			return len(b.rt.prefix) - len(a.rt.prefix)
		}
		return b.headers - a.headers
	})
	var methods []string
	for _, c := range all {
		if c.host != all[0].host || c.rt.prefix != all[0].rt.prefix {
			break
		}
		if c.rt.takes(method) {
			return c.rt.name, ""
		}
		methods = append(methods, c.rt.methods...)
	}
	slices.Sort(methods)
	return "", strings.Join(slices.Compact(methods), ", ")
}

// FuzzMatch compares the tree with the oracle. routes holds one route a line: host
// path methods header, of which all but the path may be "-".
func FuzzMatch(f *testing.F) {
	f.Add("- / - -\n- /a - -\n- /a/b GET -\n- /a/b POST,PUT k\n*.h /a - -\nx.h /a/b/ - k", "GET", "x.h", "/a/b/c", true)
	f.Add("- //a - -\n- /a//b - -\n- /%2e - -", "GET", "", "/a//b", false)
	f.Add("- / GET -\n- // - -\n- /// - k", "PUT", "h:1", "//", true)
	f.Add("*.a.b / - -\n*.b / GET -\n- / - -", "PUT", "x.a.b.", "/x", true)
	f.Add("- / POST -\n- /a GET -", "POST", "", "//a", false)
	f.Fuzz(func(t *testing.T, routes, method, host, path string, withHeader bool) {
		if !strings.HasPrefix(path, "/") || strings.Contains(path, "?") {
			return
		}
		var list []schema.Route
		var hosts []string
		for line := range strings.Lines(routes) {
			fields := strings.Fields(line)
			if len(fields) != 4 || !strings.HasPrefix(fields[1], "/") || len(list) > 50 {
				return
			}
			r := schema.Route{Path: fields[1]}
			if fields[0] != "-" {
				if fields[0] != hostname(fields[0]) || strings.Contains("."+strings.TrimPrefix(fields[0], "*."), "..") {
					return // schema lets no ports, final dots and empty labels through
				}
				r.Host = fields[0]
			}
			if fields[2] != "-" {
				r.Methods = strings.Split(fields[2], ",")
			}
			if fields[3] != "-" {
				r.Headers = map[string]string{"X-K": "1"}
			}
			list = append(list, r)
			hosts = append(hosts, r.Host)
		}
		header := http.Header{}
		if withHeader {
			header.Set("X-K", "1")
		}
		table := tableOf(list...)
		wantName, wantAllow := oracle(table.routes, hosts, method, host, path, header)
		rt, err := table.match(method, host, path, fieldsOf(header))
		name, allow := "", ""
		switch {
		case err == nil:
			name = rt.name
		case err.Kind == failure.Malformed: // it leads around the guard of another route
			if name = rt.name; plainly(path) {
				t.Errorf("%s %s%s: got %v for a path of one meaning, want route %q", method, host, path, err, wantName)
			}
		default:
			allow = err.Allow
		}
		if name != wantName || allow != wantAllow {
			t.Errorf("%s %s%s: %q allow %q, the oracle says %q allow %q", method, host, path, name, allow, wantName, wantAllow)
		}
	})
}

// BenchmarkLookup is what finding the route costs, in a table of so many.
func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		var routes []schema.Route
		for i := range n {
			routes = append(routes, schema.Route{Name: fmt.Sprint("r", i), Path: fmt.Sprintf("/functions/f%d", i)})
		}
		table := tableOf(routes...)
		path := routes[n/2].Path + "/items/42"
		b.Run(fmt.Sprint("routes=", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if rt, err := table.match("GET", "localhost:8080", path, nil); err != nil || rt.handler == nil {
					b.Fatalf("got %v, want no error and rt.handler other than nil", err)
				}
			}
		})
	}
}

// fieldsOf returns the fields of a header.
func fieldsOf(h http.Header) *http1.Fields {
	f := new(http1.Fields)
	f.From(h)
	return f
}
