package modes

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/call"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/schema"
)

// imageRoute is the route of an image.
func imageRoute(mode schema.Mode) *schema.Route {
	r := &schema.Route{Mode: mode, ContentType: "x/y"}
	r.FProcess.Line = "program"
	return r
}

func TestFailuresAreReportedAsByTheOpenFaaSWatchdogs(t *testing.T) {
	const self, limiter = "of-watchdog", "faas-middleware"
	exit := failure.Error{Kind: failure.ExitFailed, Detail: "a sentence", Plain: "exit status 3", Output: []byte("<html>out")}
	start := failure.Error{Kind: failure.StartFailed, Detail: "a sentence", Plain: "fork/exec /x: no such file or directory"}
	exec := failure.Error{Kind: failure.Timeout, Timeout: "exec", Detail: "too late"}
	late := failure.Error{Kind: failure.NotReady, Timeout: "queue", Detail: "not ready"}
	down := failure.Error{Kind: failure.BadUpstream, Detail: "refused", Cause: errors.New("secret")}
	full := failure.Error{Kind: failure.Full, Detail: "Concurrent request limit exceeded. Max concurrent requests: 2", RetryAfter: 1}
	const limited = "Concurrent request limit exceeded. Max concurrent requests: 2\n"
	for _, c := range []struct {
		errors   string
		mode     schema.Mode
		f        failure.Error
		status   int
		body     string
		typ      string
		internal string
		timed    bool
	}{
		{"openfaas", schema.HTTP, down, 500, "", "", self, true},
		{"openfaas", schema.HTTP, exec, 504, "", "", self, true},
		{"openfaas", schema.HTTP, late, 504, "", "", self, true},
		{"openfaas", schema.HTTP, failure.Error{Kind: failure.NotReady}, 500, "", "", self, true},
		{"openfaas", schema.HTTP, failure.Error{Kind: failure.CrashLoop}, 500, "", "", self, true},
		{"openfaas", schema.HTTP, full, 429, limited, "text/plain", limiter, false},
		{"openfaas", schema.HTTP, failure.Error{Kind: failure.BodyTooLarge, Detail: "too large"}, 413, "too large\n", plainText, self, false},
		{"openfaas", schema.HTTP, failure.Error{Kind: failure.SlowBody, Detail: "slow"}, 408, "slow\n", plainText, self, false},
		{"openfaas", schema.HTTP, failure.Error{Kind: failure.Draining, Detail: "leaving"}, 503, "leaving\n", plainText, self, false},
		{"openfaas", schema.HTTP, failure.Error{Kind: failure.Unauthorized, Detail: "Bearer must be present in Authorization header", Challenge: "Bearer realm=IAM function invoke"},
			401, "Bearer must be present in Authorization header\n", plainText, limiter, false},
		{"openfaas", schema.HTTP, failure.Error{Kind: failure.Forbidden, Detail: "insufficient permissions"}, 403, "insufficient permissions\n", plainText, limiter, false},
		{"openfaas", schema.Streaming, exit, 500, "exit status 3", plainText, self, false},
		{"openfaas", schema.Streaming, start, 500, "fork/exec /x: no such file or directory", plainText, self, false},
		{"openfaas", schema.Streaming, exec, 504, "too late\n", plainText, self, false},
		{"openfaas", schema.Serializing, exit, 500, "exit status 3", "x/y", "", true},
		{"openfaas", schema.Serializing, start, 500, "fork/exec /x: no such file or directory", "x/y", "", true},
		{"openfaas", schema.Serializing, exec, 504, "signal: killed", "x/y", "", true},
		{"openfaas", schema.Serializing, full, 429, limited, "text/plain", limiter, false},
		{"openfaas", schema.Afterburn, failure.Error{Kind: failure.BadUpstream, Detail: "x", Plain: "unexpected EOF"}, 500, "unexpected EOF", plainText, self, false},
		{"openfaas", schema.Static, failure.Error{Kind: failure.NotFound, Detail: "x"}, 404, "404 page not found\n", plainText, "", false},
		{"openfaas", "", failure.Error{Kind: failure.NoRoute, Detail: "x"}, 404, "404 page not found\n", plainText, "", false},
		{"openfaas", "", failure.Error{Kind: failure.Malformed, Detail: "x"}, 400, "x\n", plainText, self, false},
		{"openfaas", "", failure.Error{Kind: failure.NotReady, Detail: "starting"}, 503, "starting\n", plainText, self, false},
		{"classic", schema.Serializing, exit, 500, "exit status 3\n<html>out", "text/plain; charset=utf-8", "", false},
		{"classic", schema.Serializing, start, 500, "fork/exec /x: no such file or directory\n", "text/plain; charset=utf-8", "", false},
		{"classic", schema.Serializing, exec, 408, "Killed process.\n", "text/plain; charset=utf-8", "", false},
		{"classic", schema.Serializing, full, 429, limited, "text/plain", limiter, false},
		{"classic", schema.Serializing, failure.Error{Kind: failure.SlowBody, Detail: "i/o timeout"}, 400, "i/o timeout\n", "text/plain; charset=utf-8", "", false},
		{"classic", "", failure.Error{Kind: failure.Method, Allow: "GET"}, 405, "", "", "", false},
		{"classic", schema.HTTP, down, 500, "", "", self, true},
	} {
		var route *schema.Route
		if c.mode != "" {
			route = imageRoute(c.mode)
		}
		w := httptest.NewRecorder()
		w.Header().Set("Etag", "of another body")
		w.Header().Set("Content-Type", "of/another")
		one, r := call.Enter(w, httptest.NewRequest("POST", "/", nil))
		Responder(c.errors, route)(w, r, &c.f)
		untimed := one.Untimed()
		one.Leave()
		h := w.Header()
		if w.Code != c.status || w.Body.String() != c.body || h.Get("Content-Type") != c.typ || h.Get("X-OpenFaaS-Internal") != c.internal || untimed == c.timed {
			t.Errorf("%s, %s, %+v:\ngot %d %q %v, without X-Duration-Seconds: %v\nwant %d %q", c.errors, c.mode, c.f, w.Code, w.Body, h, untimed, c.status, c.body)
		}
		if h.Get("Retry-After") != "" || h.Get("Etag") != "" || h.Get("Www-Authenticate") != c.f.Challenge || h.Get("Allow") != c.f.Allow || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s, %s, %+v: got %v, want no Retry-After nor ETag, and no secret", c.errors, c.mode, c.f, h)
		}
	}
}

func TestEveryKindHasAResponseInEveryDialect(t *testing.T) {
	for kind := failure.Internal; kind <= failure.Timeout; kind++ {
		if _, ok := toldByAll[kind]; !ok && kind != failure.Gone {
			t.Errorf("kind %d has no row", kind)
		}
	}
	w := httptest.NewRecorder()
	Responder("openfaas", nil)(w, httptest.NewRequest("GET", "/", nil), &failure.Error{Kind: 200, Detail: "x"})
	if w.Code != http.StatusInternalServerError {
		t.Errorf("an unknown kind is %d, want %d", w.Code, http.StatusInternalServerError)
	}
	w = httptest.NewRecorder()
	w.Code = 0
	Responder("classic", nil)(w, httptest.NewRequest("GET", "/", nil), &failure.Error{Kind: failure.Gone})
	if w.Code != 0 || w.Body.Len() > 0 {
		t.Errorf("a caller who has gone gets %d %s", w.Code, w.Body)
	}
}

func TestXDurationSecondsIsWhereTheWatchdogsHaveIt(t *testing.T) {
	for errors, want := range map[string]map[schema.Mode]bool{
		"problem":  {schema.HTTP: true, schema.Streaming: true, schema.Serializing: true, schema.Afterburn: true},
		"openfaas": {schema.HTTP: true, schema.Streaming: false, schema.Serializing: true, schema.Afterburn: false},
		"classic":  {schema.HTTP: true, schema.Streaming: true, schema.Serializing: true, schema.Afterburn: false},
	} {
		for mode, timed := range want {
			if Untimed(errors, imageRoute(mode)) == timed {
				t.Errorf("%s, %s: got untimed %v, want Untimed(errors, imageRoute(mode)) != timed", errors, mode, !timed)
			}
		}
	}
}
