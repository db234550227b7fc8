package routes_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
)

// named answers with its name, the path that it sees, and the prefix in front of it.
func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, name+" "+r.RequestURI+" "+r.Header.Get("X-Forwarded-Prefix"))
	})
}

// function is an entry without a path.
func function(name string, h http.Handler) routes.Entry {
	r := schema.DefaultRoute()
	r.Name = name
	return routes.Entry{Route: &r, Handler: h, Untimed: true}
}

// functionTable serves the route "api" and functions beside it.
func functionTable(t *testing.T) (*routes.Live, *routes.Functions, *metrics.Registry) {
	t.Helper()
	m := metrics.New(metrics.Options{RouteLabel: true})
	f := routes.NewFunctions(m)
	live := &routes.Live{Respond: modes.Respond}
	r := schema.DefaultRoute()
	r.Name, r.Path = "api", "/api"
	live.Swap(routes.NewTable([]routes.Entry{{Route: &r, Handler: named("api route")}}, routes.Options{
		Metrics: m, Functions: f, Gateway: &schema.Gateway{Functions: "/function", Header: "X-Function", Alexa: true}, Respond: modes.Respond,
	}))
	return live, f, m
}

// answer is the status and the body of a request.
func answer(live http.Handler, r *http.Request) (int, string) {
	w := httptest.NewRecorder()
	live.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestAFunctionIsFoundByItsNameAndByNoPath(t *testing.T) {
	live, f, _ := functionTable(t)
	f.Put(function("echo", named("echo")))
	f.Put(function("api", named("a function called api")))
	byHeader := httptest.NewRequest("POST", "/?a=1", nil)
	byHeader.Header.Set("X-Function", "echo")
	alexa := httptest.NewRequest("POST", "/", strings.NewReader(`{"session":{"sessionId":"s","application":{"applicationId":"a"}},"request":{"intent":{"name":"Echo"}}}`))
	alexa.Header.Set("Content-Type", "application/json")
	for _, one := range []struct {
		request *http.Request
		status  int
		want    string
	}{
		{httptest.NewRequest("GET", "/function/echo/a?b=c", nil), 200, "echo /a?b=c /function/echo"},
		{httptest.NewRequest("GET", "/function/echo", nil), 200, "echo / /function/echo"},
		{byHeader, 200, "echo /?a=1"},
		{alexa, 200, "echo /"},
		{httptest.NewRequest("GET", "/echo", nil), 404, "no route takes this path"},
		{httptest.NewRequest("GET", "/function/api/x", nil), 200, "api route /x /function/api"},
		{httptest.NewRequest("GET", "/function/ecko", nil), 404, "did you mean echo?"},
	} {
		status, body := answer(live, one.request)
		if status != one.status || !strings.Contains(body, one.want) {
			t.Errorf("%s %s: got %d %s, want %d with %q", one.request.Method, one.request.RequestURI, status, body, one.status, one.want)
		}
	}
	f.Remove("echo")
	if status, body := answer(live, httptest.NewRequest("GET", "/function/echo", nil)); status != 404 {
		t.Errorf("got %d %s for a function that was removed, want 404", status, body)
	}
}

func TestAFunctionKeepsItsPlacesWhenItIsReplaced(t *testing.T) {
	live, f, m := functionTable(t)
	held, release := make(chan struct{}), make(chan struct{})
	one := function("echo", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(held)
		<-release
	}))
	one.Route.Limits.Inflight = 1
	f.Put(one)
	done := make(chan struct{})
	go func() {
		defer close(done)
		answer(live, httptest.NewRequest("GET", "/function/echo", nil))
	}()
	<-held
	next := function("echo", named("echo"))
	next.Route.Limits.Inflight = 1
	f.Put(next)
	if status, _ := answer(live, httptest.NewRequest("GET", "/function/echo", nil)); status != 429 {
		t.Errorf("got %d while the one place is taken, want 429", status)
	}
	if n := live.Inflight(); n != 1 {
		t.Errorf("got %d calls in flight, want 1", n)
	}
	f.Remove("echo")
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if waits := live.Waits(); !strings.Contains(waits, "route echo") {
		t.Errorf("got %q as the calls that are waited for, want that of the removed function", waits)
	}
	go func() {
		<-ctx.Done()
		close(release)
	}()
	if cut := live.Drain(context.Background()); cut != 0 {
		t.Errorf("got %d calls cut, want the drain to wait for that of the removed function", cut)
	}
	<-done
	var text strings.Builder
	m.WritePrometheus(&text)
	if strings.Contains(text.String(), `route="echo"`) {
		t.Error("got series of a function that was removed, want none")
	}
}
