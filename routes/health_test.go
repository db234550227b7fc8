package routes

import (
	"errors"
	"strings"
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
			t.Errorf("%s: %s", path, all)
		}
	}
	if resp, _ := f.do(f.request("HEAD", "/_/health", nil)); resp.StatusCode != 200 {
		t.Error(resp.StatusCode)
	}
	resp, _ := f.do(f.request("POST", "/_/health", nil))
	if resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("%d %q", resp.StatusCode, resp.Header.Get("Allow"))
	}
	for _, line := range f.log.requests() {
		if line["route"] != "all" {
			t.Errorf("a probe was logged: %v", line)
		}
	}
}

func TestBeforeTheFirstTableCallsAreToldToComeAgain(t *testing.T) {
	live := &Live{Respond: respond}
	w := &recorder{header: map[string][]string{}}
	f := serve(t)
	live.ServeHTTP(w, f.request("GET", "/", nil))
	if w.status != 503 || w.header.Get("Retry-After") == "" {
		t.Errorf("%d %v", w.status, w.header)
	}
}
