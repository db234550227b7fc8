package modes

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
)

const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func TestABrowserGetsAnErrorAsAPage(t *testing.T) {
	for accept, page := range map[string]bool{
		browser:                             true,
		"TEXT/HTML;q=0.5":                   true,
		"application/json;q=0.5, text/html": true,
		"application/problem+json, text/html;q=0.9": false,
		"text/html, application/json":               false, // both alike: a program
		"text/html;q=0":                             false,
		"text/html;q=x":                             false,
		"*/*":                                       false,
		"text/*":                                    false,
		"":                                          false,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		w := httptest.NewRecorder()
		Respond(w, r, &failure.Error{Kind: failure.NotFound, Detail: "file not found", Route: "files"})
		want := "application/problem+json"
		if page {
			want = "text/html; charset=utf-8"
		}
		if h := w.Header(); w.Code != 404 || h.Get("Content-Type") != want || h.Get("Vary") != "Accept" || page != strings.HasPrefix(w.Body.String(), "<!doctype html>") {
			t.Errorf("Accept %q: got %d, %v, %.40q, want 404 as %s", accept, w.Code, h, w.Body, want)
		}
	}
}

func TestAPageSaysWhatTheProblemSaysAndNoMore(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", browser)
	w := httptest.NewRecorder()
	hostile := `</title><script>alert("1")</script>&'`
	Respond(w, r, &failure.Error{
		Kind: failure.CrashLoop, Detail: hostile, Route: hostile, State: hostile, Local: "private", Plain: "private", Output: []byte("private"),
		NextStart: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), Cause: http.ErrAbortHandler,
	})
	body := w.Body.String()
	for _, bad := range []string{"<script", "private", "abort", `"1"`} {
		if strings.Contains(body, bad) {
			t.Errorf("got %s, want no %q in it", body, bad)
		}
	}
	if strings.Count(body, "&lt;script&gt;") != 3 || !strings.Contains(body, "2030-01-02 03:04:05") || !strings.Contains(body, "503 Crash loop") {
		t.Errorf("got %s, want detail, route, state, the next start and the status", body)
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("got the policy %q, want one that lets nothing load", policy)
	}
}

func TestThePageOfAStartingProcessLoadsItselfAgain(t *testing.T) {
	for name, c := range map[string]struct {
		method string
		f      failure.Error
		want   string
	}{
		"starting":             {"GET", failure.Error{Kind: failure.NotReady, State: "starting"}, `content="1"`},
		"it starts in 3 s":     {"GET", failure.Error{Kind: failure.NotReady, State: "backoff", RetryAfter: 3 * time.Second}, `content="3"`},
		"what would be posted": {"POST", failure.Error{Kind: failure.NotReady, State: "starting"}, ""},
		"stopped":              {"GET", failure.Error{Kind: failure.NotReady, State: "stopped"}, ""},
		"a crash loop":         {"GET", failure.Error{Kind: failure.CrashLoop, State: "crash-loop"}, ""},
		"not found":            {"GET", failure.Error{Kind: failure.NotFound}, ""},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		r.Header.Set("Accept", browser)
		w := httptest.NewRecorder()
		Respond(w, r, &c.f)
		if reloads := strings.Contains(w.Body.String(), `http-equiv="refresh"`); reloads != (c.want != "") || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: got %s, want refresh %q", name, w.Body, c.want)
		}
	}
}
