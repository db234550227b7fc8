package routes

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

func TestProbesAreAnsweredBesideAnyRoute(t *testing.T) {
	f := serve(t, entry("all", hello("all"), func(r *schema.Route) { r.Path = "/" }))
	f.live.Health = Health{
		Live: func() error { return nil },
		Ready: func(name string) error {
			switch name {
			case "":
				return errors.New("api is starting")
			case "api":
				return &failure.Error{Kind: failure.NotReady, Detail: "api is starting", State: "starting"}
			case "web":
				return nil
			}
			return &failure.Error{Kind: failure.NoRoute, Detail: "no route or service is named " + name}
		},
	}
	for path, want := range map[string]string{
		"/_/health":           "200 OK",
		"/_/health?x":         "200 OK",
		"/_/ready":            "503 api is starting",
		"/_/ready/api":        "503 api is starting",
		"/_/ready/web":        "200 OK",
		"/_/ready/none":       "404 no route or service is named none",
		"/_/ready/":           "200 all",
		"/_/healthy":          "200 all",
		"/_/":                 "200 all",
		"/_/%68ealth":         "200 all",
		"http://h/_/health":   "200 OK",
		"http://h/_/ready/x":  "404 no route or service is named x",
		"http://h/x/_/health": "200 all",
	} {
		all := f.exchange("GET " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		status, detail, _ := strings.Cut(want, " ")
		if !strings.HasPrefix(all, "HTTP/1.1 "+status) || !strings.HasSuffix(all, detail) {
			t.Errorf("%s: got %s, want %q at its start and %q at its end", path, all, "HTTP/1.1 "+status, detail)
		}
	}
	if resp, _ := f.do(f.request("HEAD", "/_/health", nil)); resp.StatusCode != 200 {
		t.Errorf("got %v, want 200", resp.StatusCode)
	}
	resp, _ := f.do(f.request("POST", "/_/health", nil))
	if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("got %d %q, want 405 %q", resp.StatusCode, resp.Header.Get("Allow"), "GET, HEAD")
	}
	for _, line := range f.log.lines("request") {
		if line["route"] != "all" {
			t.Errorf(`a probe was logged: got %v, want line["route"] == "all"`, line)
		}
	}
}

// How probes are asked and answered, by the keys of health: and by server.errors.
func TestProbesAreAsTheTableSays(t *testing.T) {
	const to = "/is/ready?deep"
	unready := errors.New("api is starting")
	for _, row := range []struct {
		probes Probes
		ready  error
		full   bool // the one place of the route is taken
		ask    string
		want   string
	}{
		{Probes{}, nil, false, "GET /_/ready", "200 OK"},
		{Probes{}, nil, true, "GET /_/ready", "200 OK"},
		{Probes{Ready: "limit"}, nil, false, "GET /_/ready", "200 OK"},
		{Probes{Ready: "limit"}, nil, true, "GET /_/ready", "429 429  Concurrent request limit exceeded. Max concurrent requests: 1"},
		{Probes{Ready: "limit"}, unready, true, "GET /_/ready", "503 503  api is starting"},
		{Probes{Ready: "limit"}, nil, false, "GET /_/ready/fn", "418 GET /_/ready/fn"},
		{Probes{Ready: "limit"}, nil, false, "GET /_/health", "200 OK"},
		{Probes{Ready: "none"}, unready, false, "GET /_/ready", "418 GET /_/ready"},
		{Probes{Ready: "none"}, nil, true, "GET /_/health", "200 OK"},
		{Probes{Ready: "plain", Path: to}, nil, false, "GET /_/ready?mine", "418 GET " + to},
		{Probes{Ready: "plain", Path: to}, nil, true, "GET /_/ready", "418 GET " + to},
		{Probes{Ready: "plain", Path: to}, unready, false, "GET /_/ready", "503 503  api is starting"},
		{Probes{Ready: "plain", Path: to}, nil, false, "GET /_/ready/fn", "200 OK"},
		{Probes{Ready: "limit", Path: to}, nil, true, "GET /_/ready", "429 429  Concurrent request limit exceeded. Max concurrent requests: 1"},
		{Probes{Ready: "limit", Path: "/elsewhere"}, nil, false, "GET /_/ready", "404 404  no route takes this path"},
		{Probes{Bare: true}, nil, false, "GET /_/health", "200 OK"},
		{Probes{Bare: true}, nil, false, "HEAD /_/health", "405 "},
		{Probes{Bare: true}, nil, false, "POST /_/ready", "405 "},
		{Probes{Bare: true}, nil, false, "GET /_/ready", "200 "},
		{Probes{Bare: true}, unready, false, "GET /_/ready", "503 "},
		{Probes{Bare: true, Ready: "limit"}, nil, true, "GET /_/ready", "429 "},
		{Probes{Bare: true, Ready: "limit", Path: to}, nil, false, "GET /_/ready", "418 GET " + to},
	} {
		hold, held := make(chan struct{}), make(chan struct{}, 1)
		f := serve(t)
		f.live.Health.Ready = func(string) error { return row.ready }
		f.options.Probes = row.probes
		f.live.Swap(NewTable([]Entry{entry("fn", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/is/hold" {
				held <- struct{}{}
				<-hold
				return
			}
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, r.Method+" "+r.RequestURI)
		}, func(r *schema.Route) { r.Path, r.Limits.Inflight = "/is", 1 }),
			entry("other", func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusTeapot)
				_, _ = io.WriteString(w, r.Method+" "+r.RequestURI)
			}, func(r *schema.Route) { r.Path = "/_" })}, f.options))
		var calls sync.WaitGroup
		if row.full {
			calls.Go(func() { f.get("/is/hold") })
			<-held
		}
		all := f.exchange(row.ask + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		head, body, _ := strings.Cut(all, "\r\n\r\n")
		if got := head[len("HTTP/1.1 "):][:3] + " " + body; got != row.want {
			t.Errorf("%+v %s (full: %v, %v): %q, not %q", row.probes, row.ask, row.full, row.ready, got, row.want)
		}
		if row.probes.Bare && strings.Contains(head, "Allow:") {
			t.Errorf(`%s: got %s, want !row.probes.Bare || !strings.Contains(head, "Allow:")`, row.ask, head)
		}
		close(hold)
		calls.Wait()
		var metrics strings.Builder
		f.metrics.WritePrometheus(&metrics)
		if strings.HasSuffix(row.want, to) && strings.Contains(metrics.String(), `method="get",route="fn"} 1`) != row.full {
			t.Errorf("a probe is counted: got %s, want the calls of row.full only", metrics.String())
		}
	}
}

func TestBeforeTheFirstTableCallsGetRetryAfter(t *testing.T) {
	live := &Live{Respond: respond}
	w := &recorder{header: map[string][]string{}}
	f := serve(t)
	live.ServeHTTP(w, f.request("GET", "/", nil))
	if w.status != 503 || w.header.Get("Retry-After") == "" {
		t.Errorf("got %d %v, want 503 and Retry-After set", w.status, w.header)
	}
}

func TestReadyPathIsAskedBesideAuth(t *testing.T) {
	f := serve(t)
	f.options.Probes = Probes{Path: "/ready"}
	guarded := entry("all", hello("all"), func(r *schema.Route) { r.Path = "/" })
	withKeys(t, &guarded, "ci", "secret-key")
	f.live.Swap(NewTable([]Entry{guarded}, f.options))
	if resp, body := f.get("/_/ready"); resp.StatusCode != 200 || body != "all" {
		t.Errorf(`the probe: got %d %q, want 200 "all"`, resp.StatusCode, body)
	}
	if resp, _ := f.get("/ready"); resp.StatusCode == 200 {
		t.Error("a call passes without a token")
	}
}
