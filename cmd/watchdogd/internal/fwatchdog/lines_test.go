package fwatchdog

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/routes"
	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// stamp begins each line of the classic format.
const stamp = `\d{4}/\d\d/\d\d \d\d:\d\d:\d\d `

func TestAccessLinesAsTheOpenFaaSWatchdogsWriteThem(t *testing.T) {
	timeout := &failure.Error{Kind: failure.Timeout, Timeout: "exec", Detail: "too late"}
	sized := http.Header{"Content-Length": {"211"}}
	for _, c := range []struct {
		dialect string
		log     schema.Log
		line    routes.Line
		want    string
	}{
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Status: 200, Bytes: 211, Response: sized}, "GET /a - 200 OK - ContentLength: 211B (0.0004s)"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Status: 200, Reason: "Fine\x1b", Response: sized}, "GET /a - 200 Fine  - ContentLength: 211B (0.0004s)"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Status: 599, Reason: "Mine", Response: sized}, "GET /a - 599 Mine - ContentLength: 211B (0.0004s)"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.Afterburn, Status: 201, Reason: "Made", Bytes: 5}, "GET /a - 201 Made - ContentLength: 5"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Status: 404, Query: "b=c", Bytes: 5}, "GET /a?b=c - 404 Not Found - ContentLength: -1B (0.0004s)"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Status: 204}, "GET /a - 204 No Content - ContentLength: 0B (0.0004s)"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Status: 200, Bytes: 9, Cut: true}, "GET /a - 200 OK - ContentLength: -1B (0.0004s) cut short"},
		{"openfaas", schema.Log{CallID: true}, routes.Line{Mode: schema.HTTP, Status: 200, Response: sized, Request: http.Header{"X-Call-Id": {"7"}}}, "GET /a - 200 OK - ContentLength: 211B (0.0004s) [7]"},
		{"openfaas", schema.Log{CallID: true}, routes.Line{Mode: schema.HTTP, Status: 200, Response: sized}, "GET /a - 200 OK - ContentLength: 211B (0.0004s) [none]"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Status: 504, Failed: timeout, Exec: time.Second, Response: http.Header{"Content-Length": {"0"}}},
			"Upstream HTTP killed due to exec_timeout: 1s\nGET /a - 504 Gateway Timeout - ContentLength: 0B (0.0004s)"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Status: 500, Failed: &failure.Error{Kind: failure.NotReady, Detail: "fn has ended"}, Response: http.Header{"Content-Length": {"0"}}},
			"Upstream HTTP request error: fn has ended\nGET /a - 500 Internal Server Error - ContentLength: 0B (0.0004s)"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Status: 499}, "GET /a - 499 Client Closed Request - ContentLength: 0B (0.0004s)"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Status: 200, Bytes: 4100, Request: http.Header{"Accept": {"text/Event-Stream"}}}, "GET /a - 200 - Bytes: 4.1kB (0.0004s)"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Status: 101, Request: http.Header{"Upgrade": {"websocket"}}}, "GET /a - 101 - Bytes: 0B (0.0004s)"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Status: 200, Request: http.Header{"User-Agent": {"kube-probe/1.30"}}}, ""},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Status: 429, Failed: &failure.Error{Kind: failure.Full}}, ""},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Status: 401, Failed: &failure.Error{Kind: failure.Unauthorized}}, "GET /a - 401 ACCESS DENIED - (0s)"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.Streaming, Status: 200, Bytes: 1_500_000}, "GET /a - 200 - ContentLength: 1.5MB (0.0004s)"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.Streaming, Status: 504, Bytes: 3, Failed: timeout, Exec: time.Second},
			"signal: killed (exec_timeout: 1s)\nGET /a - 504 - ContentLength: 3B (0.0004s)"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.Serializing, Status: 500, Bytes: 13}, "GET /a - 500 - ContentLength: 13B (0.0004s)"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.Afterburn, Status: 201, Bytes: 5000}, "GET /a - 201 Created - ContentLength: 5000"},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.Static, Status: 200}, ""},
		{"openfaas", schema.Log{}, routes.Line{Mode: schema.HTTP, Path: "/a\x1b[31m\nb", Status: 200, Response: sized}, "GET /a [31m b - 200 OK - ContentLength: 211B (0.0004s)"},
		{"classic", schema.Log{}, routes.Line{Mode: schema.Serializing, Status: 200, Bytes: 12, Took: 1544 * time.Microsecond}, "Wrote 12 Bytes - Duration: 0.001544s"},
		{"classic", schema.Log{Output: true}, routes.Line{Mode: schema.Serializing, Status: 200, Bytes: 12}, "Duration: 0.000400s"},
		{"classic", schema.Log{}, routes.Line{Mode: schema.Serializing, Status: 500, Bytes: 12}, "GET /a - 500 - ContentLength: 12B (0.0004s)"},
		{"classic", schema.Log{}, routes.Line{Mode: schema.Serializing, Route: "fn", Status: 408, Bytes: 16, Failed: timeout},
			"Killing process: cat a b\nGET /a - 408 - ContentLength: 16B (0.0004s)"},
	} {
		var out bytes.Buffer
		lines := Lines{stderr: &out, log: c.log, classic: c.dialect == "classic", commands: map[string]string{"fn": "cat a b"}}
		l := c.line
		l.Method, l.Time = "GET", time.Date(2026, 1, 2, 3, 4, 5, 6, time.Local)
		if l.Path == "" {
			l.Path = "/a"
		}
		if l.Took == 0 {
			l.Took = 400 * time.Microsecond
		}
		lines.Access(l)
		var want strings.Builder
		for line := range strings.Lines(c.want) {
			want.WriteString("2026/01/02 03:04:05 " + strings.TrimSuffix(line, "\n") + "\n")
		}
		if out.String() != want.String() {
			t.Errorf("%s, %+v: got\n%swant\n%s", c.dialect, c.line, &out, &want)
		}
	}
}

func TestOurOwnMessagesAreSentencesInTheClassicLog(t *testing.T) {
	exit := &failure.Error{Kind: failure.ExitFailed, Detail: "the program ended with exit status 3", Plain: "exit status 3"}
	for _, c := range []struct {
		log  func(*slog.Logger)
		want string
	}{
		{func(l *slog.Logger) { l.Info("listening", "address", ":8080") }, "Listening on port: 8080"},
		{func(l *slog.Logger) { l.Info("Configured by the environment.") }, "Configured by the environment. (route=fn)"},
		{func(l *slog.Logger) { l.Info("reloaded", "file", "x") }, ""},
		{func(l *slog.Logger) { l.Debug("Anything") }, ""},
		{func(l *slog.Logger) { l.Warn("program failed", "error", exit, "pid", 7) }, "exit status 3"},
		{func(l *slog.Logger) { l.Warn("upstream failed", "id", "7", "error", errors.New("dial: refused")) }, "Upstream HTTP request error: dial: refused"},
		{func(l *slog.Logger) { l.Warn("upstream failed", "cut", true, "error", errors.New("unexpected EOF")) }, "Error copying response body: unexpected EOF"},
		{func(l *slog.Logger) { l.Info("process", "state", "ready", "pid", 7) }, ""},
		{func(l *slog.Logger) { l.Warn("process", "state", "backoff", "why", "exit status 7", "pause", "1s") },
			"Forked function has terminated: exit status 7, started again in 1s"},
		{func(l *slog.Logger) { l.Warn("a thing", "why", "because\nof it", "key", "a b", "n", 1, "none", "") },
			`a thing: because of it (route=fn key="a b" n=1)`},
	} {
		var out bytes.Buffer
		c.log(slog.New(&Handler{Out: &out, Level: slog.LevelInfo}).With("route", "fn"))
		got := out.String()
		if c.want == "" && got != "" || c.want != "" && !regexp.MustCompile(`^`+stamp+regexp.QuoteMeta(c.want)+"\n$").MatchString(got) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	var out bytes.Buffer
	slog.New(&Handler{Out: &out, Level: slog.LevelDebug}).Info("reloaded", "file", "x")
	if !strings.HasSuffix(out.String(), "reloaded (file=x)\n") {
		t.Errorf("at level debug: got %q, want %q at its end", &out, "reloaded (file=x)\n")
	}
}

func TestLinesOfProcessesGoToOurOwnStreams(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.Local)
	for _, prefix := range []bool{true, false} {
		var stdout, stderr bytes.Buffer
		c := Lines{stdout: &stdout, stderr: &stderr, log: schema.Log{Prefix: prefix}}
		c.Printed(&child.Line{Time: at, Stream: "stdout", Text: `{"a": "\x1b"}`})
		c.Printed(&child.Line{Time: at, Stream: "stderr", Text: "oops"})
		wantOut, wantErr := `{"a": "\x1b"}`+"\n", "oops\n"
		if prefix {
			wantOut, wantErr = "2026/01/02 03:04:05 stdout: "+wantOut, "2026/01/02 03:04:05 stderr: "+wantErr
		}
		if stdout.String() != wantOut || stderr.String() != wantErr {
			t.Errorf("prefix %v: got %q and %q, want %q %q", prefix, &stdout, &stderr, wantOut, wantErr)
		}
	}
}

func TestHumanSizesAreDecimal(t *testing.T) {
	for n, want := range map[int64]string{-1: "-1B", 0: "0B", 669: "669B", 999: "999B", 1000: "1kB", 4100: "4.1kB", 123456: "123.5kB", 1 << 30: "1.074GB"} {
		if got := humanSize(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
