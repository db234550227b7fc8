package routes

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema"
)

// Ten times the bytes cost at most fifteen times as much to route, forward and guard;
// counted in what is allocated, and never in time.
func TestRoutingARequestCostsInProportionToItsBytes(t *testing.T) {
	ok := func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }
	entries := []Entry{
		entry("files", ok, func(r *schema.Route) { r.Path, r.Mode = "/", schema.Static }),
		entry("admin", ok, withAuth, func(r *schema.Route) { r.Path = "/a/admin" }),
		entry("app", ok, stripped, func(r *schema.Route) { r.Path = "/a" }),
	}
	for _, host := range strings.Fields("*.a *.b.a *.c.b.a *.example.org *.a.a *.a.a.a") {
		entries = append(entries, entry("r"+strings.Trim(strings.ReplaceAll(host, ".", "-"), "*-"), ok, func(r *schema.Route) { r.Host, r.Path = host, "/" }))
	}
	live := &Live{Respond: respond}
	live.Swap(NewTable(entries, Options{
		Log: slog.New(slog.DiscardHandler), Metrics: metrics.New(metrics.Options{RouteLabel: true}), Respond: respond,
		Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	}))
	path := func(part string) func(int) (string, http.Header) {
		return func(n int) (string, http.Header) { return "/a" + strings.Repeat(part, n/len(part)), http.Header{} }
	}
	field := func(name, part string) func(int) (string, http.Header) {
		return func(n int) (string, http.Header) {
			return "/a/b", http.Header{name: {strings.Repeat(part, n/len(part))}}
		}
	}
	for name, shape := range map[string]func(int) (string, http.Header){
		"segments": path("/a"), "empty segments": path("/"), "dots": path("/."), "climbing": path("/.."), "escaped slashes": path("%2f"), "escaped twice": path("%252f"),
		"backslashes": path(`\`), "parameters": path(";a"), "climbing and back": path("/../a"), "a query": path("?a=%41&"),
		"X-Forwarded-For": field("X-Forwarded-For", "1.1.1.1, "), "X-Forwarded-Host": field("X-Forwarded-Host", "a."), "X-Forwarded-Prefix": field("X-Forwarded-Prefix", "/a"),
		"X-Request-Id": field("X-Request-Id", "a"), "underscores": field("X_"+strings.Repeat("_", 100), "a"), "Origin": field("Origin", "http://a"), "X-Timeout": field("X-Timeout", "1s"),
	} {
		cost := func(n int) testkit.Cost {
			target, header := shape(n)
			u, err := url.ParseRequestURI(target)
			if err != nil {
				t.Fatal(err)
			}
			r := &http.Request{Method: "POST", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, URL: u, RequestURI: target, Host: strings.Repeat("a.", 120) + "a",
				Header: header.Clone(), RemoteAddr: "192.0.2.7:4711", Body: http.NoBody}
			return testkit.Allocated(func() { live.ServeHTTP(&discard{header: http.Header{}}, r) })
		}
		const n = 40_000
		testkit.InProportion(t, name, n, testkit.Cost{"bytes": n, "pieces": 100}, cost)
	}
}

// A name is looked at from its end, and no further than the wildcards have labels.
func TestWildcardsAreFoundInAsManyStepsAsTheyHaveLabels(t *testing.T) {
	table := tableOf(schema.Route{Name: "a", Path: "/only", Host: "*.b.a"}, schema.Route{Name: "b", Path: "/only", Host: "*.a"}, schema.Route{Name: "c", Path: "/only", Host: "*.example.org"})
	steps := func(host string) (n int) {
		for d := &table.wild; d != nil && host != ""; n++ {
			var label string
			label, host = lastLabel(host)
			d = d.beneath[label]
		}
		return n
	}
	for _, labels := range []int{3, 30, 300_000} {
		if got, want := steps(strings.Repeat("x.", labels)+"b.a"), 3; got != want {
			t.Errorf("%d labels: got %d steps, want %d", labels+2, got, want)
		}
	}
}

// What is looked at of a path are its meanings, each from its begin to its end.
func TestAPathHasFewMeanings(t *testing.T) {
	const mostMeanings = 8
	for _, part := range []string{"/a", "//", "/.", "/../", "/x/..", "%2f", "%252f", "%25", `\`, ";", "/;", "..;/", "/%2e%2e", "%00", "%3f", "%23a", "/a;b/", "%5c..", "%25252f"} {
		for _, n := range []int{1, 1000, 100_000} {
			sent := "/a" + strings.Repeat(part, n)
			all := meanings(sent, "/a", true)
			steps := 0
			for _, meant := range all {
				steps += len(meant)
			}
			if most := mostMeanings * (len(sent) + len("/a/")); len(all) > mostMeanings || steps > most {
				t.Errorf("%d times %s: got %d meanings of %d bytes, want at most %d of %d", n, part, len(all), steps, mostMeanings, most)
			}
		}
	}
}
