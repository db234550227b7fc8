package routes

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/http1"
	"github.com/watchdogd/watchdogd/internal/metrics"
	"github.com/watchdogd/watchdogd/schema"
)

func theGateway() *schema.Gateway {
	return &schema.Gateway{Functions: "/function", Header: "X-Function", Alexa: true}
}

// serveGateway is serve with a gateway.
func serveGateway(t *testing.T, entries ...Entry) *front {
	t.Helper()
	f := serve(t, entries...)
	f.options.Gateway = theGateway()
	f.live.Swap(NewTable(entries, f.options))
	return f
}

func at(path string) func(*schema.Route) { return func(r *schema.Route) { r.Path = path } }

func TestAFunctionIsCalledByItsName(t *testing.T) {
	f := serveGateway(t,
		entry("api", told, stripped, at("/v1/api")),
		entry("root", told, stripped, at("/")),
		entry("whole", told, at("/whole")),
		entry("named", told, stripped, func(r *schema.Route) { r.Host = "named.example" }),
	)
	const sees = "%s path=%s raw= query=%s prefix=%s host="
	for target, want := range map[string]string{
		"/function/api/a/b?x=y":      fmt.Sprintf(sees, "/a/b?x=y", "/a/b", "x=y", "/function/api"),
		"/function/api":              fmt.Sprintf(sees, "/", "/", "", "/function/api"),
		"/function/api/":             fmt.Sprintf(sees, "/", "/", "", "/function/api"),
		"/function/api?q":            fmt.Sprintf(sees, "/?q", "/", "q", "/function/api"),
		"http://h/function/api/a":    fmt.Sprintf(sees, "/a", "/a", "", "/function/api"),
		"/function/root/a":           fmt.Sprintf(sees, "/a", "/a", "", "/function/root"),
		"/function/whole/a":          fmt.Sprintf(sees, "/whole/a", "/whole/a", "", ""),
		"/function/named/a":          fmt.Sprintf(sees, "/a", "/a", "", "/function/named"),
		"/function/api/function/api": fmt.Sprintf(sees, "/function/api", "/function/api", "", "/function/api"),
		// These name nothing, and are paths like any other.
		"/function":        fmt.Sprintf(sees, "/function", "/function", "", ""),
		"/function/":       fmt.Sprintf(sees, "/function/", "/function/", "", ""),
		"/function//api/x": fmt.Sprintf(sees, "/function//api/x", "/function//api/x", "", ""),
		"/functions/api":   fmt.Sprintf(sees, "/functions/api", "/functions/api", "", ""),
	} {
		if got := f.sent(target, ""); got != want {
			t.Errorf("%s:\n got %s\nwant %s", target, got, want)
		}
	}
	if got, want := f.sent("/function/api/a%20b", ""), "/a%20b path=/a b raw=/a%20b query= prefix=/function/api host="; got != want {
		t.Errorf("an escaped path: got %s, want %s", got, want)
	}
}

func TestAFunctionIsCalledByTheHeader(t *testing.T) {
	f := serveGateway(t, entry("api", told, stripped, at("/v1/api")), entry("root", hello("root"), at("/")), entry("whole", told, at("/whole")))
	for _, c := range []struct{ target, headers, want string }{
		{"/?x", "X-Function: api\r\n", "/?x path=/ raw= query=x prefix= host="},
		{"/", "x-function:   whole  \r\n", "/whole/ path=/whole/ raw= query= prefix= host="},
		{"/", "X-Function: api\r\nX-Function: api\r\n", "/ path=/ raw= query= prefix= host="},
		{"/", "X-Function:\r\n", "root"},
		{"/other", "X-Function: api\r\n", "root"},
		{"/function/whole", "X-Function: api\r\n", "/whole path=/whole raw= query= prefix= host="}, // the path comes first
		{"/", "X-Function: apo\r\n", `404  no route is named "apo"; did you mean api?`},
		{"/", "X-Function: API\r\n", `404  no route is named "API"; did you mean api?`},
		{"/", "X-Function: api\r\nX-Function: root\r\n", "400  the request has X-Function more than once, with different names"},
		{"/function/apo/x", "", `404  no route is named "apo"; did you mean api?`},
		{"/function/%61pi/x", "", `404  no route is named "%61pi"`},
		{"/function/./api", "", `404  no route is named "."`},
		{"/function/nothing-like-it", "", `404  no route is named "nothing-like-it"`},
	} {
		if got := f.sent(c.target, c.headers); got != c.want {
			t.Errorf("%s with %q:\n got %s\nwant %s", c.target, c.headers, got, c.want)
		}
	}
}

func TestAFunctionStillDemandsItsMethodsAndHeaders(t *testing.T) {
	f := serveGateway(t, entry("api", hello("api"), func(r *schema.Route) {
		r.Methods, r.Headers = schema.Strings{"GET", "PUT"}, map[string]string{"X-Version": "v2"}
	}))
	ask := func(method, version string) (*http.Response, string) {
		r := f.request(method, "/function/api/x", nil)
		r.Header.Set("X-Version", version)
		return f.do(r)
	}
	if _, body := ask("GET", "v2"); body != "api" {
		t.Errorf("what it demands: got %q, want api", body)
	}
	if answer, _ := ask("POST", "v2"); answer.StatusCode != 405 || answer.Header.Get("Allow") != "GET, PUT" {
		t.Errorf("another method: got %d, Allow %q, want 405 and GET, PUT", answer.StatusCode, answer.Header.Get("Allow"))
	}
	if answer, body := ask("GET", "v1"); answer.StatusCode != 404 || !strings.Contains(body, "X-Version") || strings.Contains(body, "v2") {
		t.Errorf("without its header: got %d %q, want 404 that names the header and not its value", answer.StatusCode, body)
	}
}

func TestAFunctionMeetsTheLimitsOfItsRoute(t *testing.T) {
	f := serveGateway(t, entry("api", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			respond(w, r, err)
		}
	}, func(r *schema.Route) {
		r.Limits.Body = 10
		r.Limits.Rate = schema.Rate{PerSecond: 0.001, Burst: 2}
	}))
	if answer, _ := f.do(f.request("POST", "/function/api", strings.NewReader("more than ten"))); answer.StatusCode != 413 {
		t.Errorf("over limits.body: got %d, want 413", answer.StatusCode)
	}
	statuses := []int{}
	for _, path := range []string{"/api", "/function/api", "/function/api"} {
		answer, _ := f.get(path)
		statuses = append(statuses, answer.StatusCode)
	}
	if !slices.Equal(statuses, []int{200, 200, 429}) {
		t.Errorf("one bucket for both ways: got %v, want 200 200 429", statuses)
	}
}

func TestCallsThroughTheGatewayAreCountedUnderTheNamesOfOpenFaaS(t *testing.T) {
	f := serveGateway(t, entry("api", hello("api"), func(r *schema.Route) { r.Methods = schema.Strings{"GET"} }))
	f.get("/api")
	f.get("/function/api/x")
	f.get("/function/api/y")
	f.get("/function/unknown")
	f.do(f.request("POST", "/function/api", nil))
	lines := f.log.requests(t, 5)
	var out bytes.Buffer
	f.metrics.WritePrometheus(&out)
	for _, want := range []string{
		`gateway_function_invocation_total{function_name="api",code="200"} 2`,
		`gateway_function_invocation_total{function_name="api",code="405"} 1`,
		`gateway_functions_seconds_count{function_name="api"} 3`,
		`http_requests_total{code="200",method="get",route="api"} 3`,
		`http_requests_total{code="404",method="get"} 1`,
		`http_requests_in_flight{route="api"} 0`,
	} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("%s is missing in\n%s", want, &out)
		}
	}
	if line := lines[1]; line["path"] != "/function/api/x" || line["route"] != "api" {
		t.Errorf("the access line: got path %v, route %v, want the path as sent and api", line["path"], line["route"])
	}
}

// gatewayTable is guards with a gateway.
func gatewayTable(wide, narrow func(*schema.Route)) *Table {
	w, n := schema.Route{Name: "wide", Path: "/", StripPrefix: true}, schema.Route{Name: "admin", Path: "/admin"}
	wide(&w)
	narrow(&n)
	return gatewayOf(w, n, schema.Route{Name: "other", Path: "/other", StripPrefix: true})
}

func gatewayOf(routes ...schema.Route) *Table {
	var entries []Entry
	for i := range routes {
		entries = append(entries, Entry{Route: &routes[i], Handler: http.NotFoundHandler()})
	}
	return NewTable(entries, Options{Metrics: metrics.New(metrics.Options{RouteLabel: true}), Gateway: theGateway()})
}

// chosen is the route of a GET.
func (t *Table) chosen(host, path string) (string, *failure.Error) {
	r := &http.Request{Method: "GET", Host: host, Header: http.Header{}}
	to, err := t.choose(nil, r, new(http1.Fields), path)
	return to.route.name, err
}

func TestNoSpellingLeadsAroundAGuardThroughTheGateway(t *testing.T) {
	table := gatewayTable(plainRoute, withAuth)
	var paths []string
	for _, p := range slices.Concat(spellings, forPrograms, []string{"/admin", "/admin/f", "/admin/"}) {
		paths = append(paths, "/function/wide"+p)
	}
	paths = append(paths, "/x/../function/admin/f", "//function/admin", "/%66unction/admin", "/function//admin/f",
		"/function/wide/../admin/f", "/function/other/../admin", "/function/other/..%2fadmin", "/function/wide/..;/admin", "/function/wide/ADMIN/f", "/function/wide/%41dmin", "/function/other/%2e%2e/%2e%2e/admin/f")
	for _, p := range paths {
		if name, err := table.chosen("x", p); err == nil || err.Kind != failure.Malformed || !strings.Contains(err.Detail, "route admin, which has auth of its own") {
			t.Errorf("%s: got route %s, %v, want 400 and why", p, name, err)
		}
	}
	for p, want := range map[string]string{"/function/admin/f": "admin", "/function/wide/x": "wide", "/function/wide": "wide", "/function/other/admin": "other"} {
		if name, err := table.chosen("x", p); err != nil || name != want {
			t.Errorf("%s: got route %s, %v, want %s", p, name, err, want)
		}
	}
}

func TestAStaticRouteLeavesOthersPathsToThemAtTheGatewayToo(t *testing.T) {
	table := gatewayTable(ofFiles, plainRoute)
	for _, p := range []string{"/function/wide/admin/f", "/function/wide//admin/f", "/function/wide/x/..%2fadmin"} {
		if name, err := table.chosen("x", p); err == nil || err.Kind != failure.NotFound {
			t.Errorf("%s: got route %s, %v, want 404", p, name, err)
		}
	}
}

func TestTheHostIsNotAskedForByNameAndLeadsAroundNothing(t *testing.T) {
	table := gatewayOf(
		schema.Route{Name: "a", Path: "/", Host: "a.example", StripPrefix: true},
		schema.Route{Name: "a-admin", Path: "/admin", Host: "a.example", Auth: schema.Auth{Basic: &schema.BasicAuth{File: "x"}}},
		schema.Route{Name: "wild", Path: "/", Host: "*.b.example", StripPrefix: true},
		schema.Route{Name: "b-admin", Path: "/", Host: "admin.b.example", Auth: schema.Auth{Basic: &schema.BasicAuth{File: "x"}}},
		schema.Route{Name: "rest", Path: "/", Auth: schema.Auth{Basic: &schema.BasicAuth{File: "y"}}},
	)
	for _, c := range []struct{ host, path, around string }{
		{"localhost", "/function/a/x", ""},
		{"localhost", "/function/wild/x", ""},
		{"x.b.example", "/function/wild/x", ""},
		{"localhost", "/function/a/admin/x", "a-admin"},
		{"a.example", "/function/a/admin/x", "a-admin"},
		{"admin.b.example", "/function/wild/x", "b-admin"}, // its program may choose by the host
		{"admin.b.example", "/function/a/x", "b-admin"},
	} {
		name, err := table.chosen(c.host, c.path)
		switch {
		case c.around == "" && err != nil:
			t.Errorf("%s at %s: got route %s, %v, want a call", c.path, c.host, name, err)
		case c.around != "" && (err == nil || !strings.Contains(err.Detail, "route "+c.around+",")):
			t.Errorf("%s at %s: got route %s, %v, want 400 for route %s", c.path, c.host, name, err, c.around)
		}
	}
}

func TestWithoutAGatewayItsPathsAreLikeOthers(t *testing.T) {
	f := serve(t, entry("api", hello("api")), entry("root", told, at("/")))
	for _, headers := range []string{"", "X-Function: api\r\n"} {
		if got := f.sent("/function/api", headers); !strings.HasPrefix(got, "/function/api ") {
			t.Errorf("got %q, want the route at /", got)
		}
	}
}

func TestTheGatewaySpeaksHTTP2(t *testing.T) {
	f := serveGateway(t, entry("api", echo("api")), entry("root", echo("root"), at("/")))
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	for _, c := range []struct{ method, path, function, body, want string }{
		{"POST", "/function/api/x", "", "hello", "api 5 hello"},
		{"POST", "/", "api", "hello", "api 5 hello"},
		{"POST", "/", "", small, fmt.Sprintf("api %d %s", len(small), small)},
		{"POST", "/", "", `{"a":1}`, `root 7 {"a":1}`},
	} {
		r := f.request(c.method, c.path, strings.NewReader(c.body))
		if c.function != "" {
			r.Header.Set("X-Function", c.function)
		}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if string(got) != c.want || err != nil || answer.ProtoMajor != 2 {
			t.Errorf("%s %s of %q by HTTP/%d: got %q, %v, want %q by HTTP/2", c.method, c.path, c.body, answer.ProtoMajor, got, err, c.want)
		}
	}
}

func TestAnUpgradeGoesThroughTheGateway(t *testing.T) {
	f := serveGateway(t, mixedRoutes()...)
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /function/upgrades HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != 101 {
		t.Fatalf("got %v, %v, want 101", answer, err)
	}
	for _, line := range []string{"one\n", "two\n"} {
		_, _ = io.WriteString(conn, line)
		if got, err := in.ReadString('\n'); got != line || err != nil {
			t.Errorf("got %q, %v, want %q back", got, err, line)
		}
	}
}
