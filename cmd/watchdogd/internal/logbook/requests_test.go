package logbook

import (
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/routes"
)

func TestTheLastRequestToARouteSaysWhetherItFails(t *testing.T) {
	var r Requests
	if line, failing := r.Failing("a"); failing {
		t.Errorf("before any request: got %+v, want none", line)
	}
	at := time.Unix(1000, 0)
	add := func(route string, status int) {
		at = at.Add(time.Second)
		r.add(&routes.Line{Time: at, Method: "GET", Path: "/" + route, Route: route, Status: status})
	}
	for n := range 2*mostRequests + 1 { // the ring is full, and begins again
		if n%(mostRequests/2) == 0 {
			add("a", 502)
		}
		add("b", 200)
		if line, failing := r.Failing("a"); !failing || !strings.Contains(line.Text, "GET /a 502") {
			t.Fatalf("after %d requests: got %q, %v; want that of /a, which fails", n, line.Text, failing)
		}
	}
	for range mostRequests {
		add("b", 200)
	}
	if line, failing := r.Failing("a"); failing {
		t.Errorf("after it left the ring: got %q, want none", line.Text)
	}
	add("a", 502)
	add("a", 404)
	if line, failing := r.Failing("a"); failing {
		t.Errorf("after a request that did not fail: got %q, want none", line.Text)
	}
}
