package modes

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema/openfaas"
)

// image serves what the environment of an image asks for. NAME of its fprocess is a shell
// script that holds script.
func image(t *testing.T, script string, environ ...string) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), log: &testkit.Log{}}
	function := filepath.Join(s.dir, "function")
	if err := os.WriteFile(function, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	config, _, err := openfaas.FromEnv(append(environ, "fprocess="+function), "watchdogd")
	if err != nil {
		t.Fatal(err)
	}
	s.serve(t, &config.Routes[0], Deps{Errors: config.Server.Errors, Compat: config.Compat})
	return s
}

func TestShellFunctionOfTheClassicWatchdog(t *testing.T) {
	const script = `
case "$Http_Path" in
/vars) echo "$Http_Method $Http_Query $Http_ContentLength $Http_Content_Length $Http_X_Two $Http_Transfer_Encoding";;
/fail) echo out; echo err >&2; exit 3;;
/ignore) echo answered;;
/order) echo 1; echo 2 >&2; echo 3;;
*) cat;;
esac`
	for _, c := range []struct {
		environ, method, path, body string
		header                      []string
		status                      int
		typ, want                   string
	}{
		{"", "POST", "/", "hello", nil, 200, "text/plain; charset=utf-8", "hello"},
		{"", "POST", "/", "hello", []string{"Content-Type", "a/b"}, 200, "a/b", "hello"},
		{"", "GET", "/", "", nil, 200, "", ""},
		{"content_type=c/d", "POST", "/", "hello", []string{"Content-Type", "a/b"}, 200, "c/d", "hello"},
		{"", "PUT", "/vars?a=b%20c", "hello", []string{"X-Two", "1", "X-Two", "2", "Query", "evil"}, 200, "text/plain; charset=utf-8", "PUT a=b%20c 5 5 1 \n"},
		{"", "GET", "/vars", "", []string{"Query", "evil"}, 200, "text/plain; charset=utf-8", "GET  0 0  \n"},
		{"", "POST", "/vars", "chunked", nil, 200, "text/plain; charset=utf-8", "POST  -1 -1  chunked\n"},
		{"cgi_headers=false", "GET", "/vars", "", nil, 200, "", ""},
		{"", "POST", "/fail", "", nil, 500, "text/plain; charset=utf-8", "exit status 3\nout\nerr\n"},
		{"combine_output=false", "POST", "/fail", "", nil, 500, "text/plain; charset=utf-8", "exit status 3\nout\n"},
		{"", "GET", "/order", "", nil, 200, "text/plain; charset=utf-8", "1\n2\n3\n"},
		{"combine_output=false", "GET", "/order", "", nil, 200, "text/plain; charset=utf-8", "1\n3\n"},
		{"", "POST", "/ignore", strings.Repeat("x", 300<<10), nil, 200, "text/plain; charset=utf-8", "answered\n"},
	} {
		s := image(t, script, append(strings.Fields(c.environ), "mode=classic")...)
		var body io.Reader = strings.NewReader(c.body)
		if c.body == "chunked" {
			body = io.MultiReader(body)
		}
		resp, got := s.do(t, c.method, c.path, body, c.header...)
		if resp.StatusCode != c.status || got != c.want || resp.Header.Get("Content-Type") != c.typ {
			t.Errorf("%s %s %s: got %d %q %q, want %d %q %q", c.environ, c.method, c.path, resp.StatusCode, resp.Header.Get("Content-Type"), got, c.status, c.typ, c.want)
		}
	}

	s := image(t, "cat", "marshal_request=true")
	_, got := s.do(t, "POST", "/", strings.NewReader("hello"), "X-Two", "1", "X-Two", "2")
	var read told
	if err := json.Unmarshal([]byte(got), &read); err != nil || string(*read.Body.Raw) != "hello" || strings.Join(read.Header["X-Two"], ",") != "1,2" || read.Header.Get("Content-Length") != "5" {
		t.Errorf("got %q, %v, want hello with X-Two and its Content-Length", got, err)
	}
}

func TestFunctionsOfOfWatchdogFailTruly(t *testing.T) {
	const script = `
case "$Http_Path" in
/fail) exit 3;;
/late) echo out; exit 3;;
/vars) echo "[$Http_Content_Length] [$Http_ContentLength] [$Http_Query] [$Http_Transfer_Encoding]";;
*) cat;;
esac`
	for _, mode := range []string{"", "streaming", "serializing"} {
		s := image(t, script, "mode="+mode)
		resp, got := s.do(t, "POST", "/", strings.NewReader("hello"), "Content-Type", "a/b")
		if resp.StatusCode != 200 || got != "hello" || resp.Header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf(`%s: got %d %v %q, want 200, Content-Type application/octet-stream and "hello"`, mode, resp.StatusCode, resp.Header, got)
		}
		if _, got := s.do(t, "POST", "/vars", io.MultiReader(strings.NewReader("hello")), "Query", "evil"); got != "[] [] [] [chunked]\n" {
			t.Errorf("%s: got %q, want %q", mode, got, "[] [] [] [chunked]\n")
		}
		if resp, got := s.do(t, "GET", "/fail", nil); resp.StatusCode != 500 || strings.TrimSpace(got) != "exit status 3" {
			t.Errorf("%s: got %d %q, want 500 and strings.TrimSpace(got) exit status 3", mode, resp.StatusCode, got)
		}
		resp = s.begin(t, "GET", "/late", nil)
		_, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if whole := resp.StatusCode == 200 && err == nil; whole || mode == "serializing" && resp.StatusCode != 500 {
			t.Errorf("%s: a failure after output is %d, %v", mode, resp.StatusCode, err)
		}
	}
}
