package modes

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/modes/forking"
)

// imageOf serves a route as for an OpenFaaS image, and gives what its failures are.
func imageOf(t *testing.T, text string) (*site, chan *failure.Error) {
	t.Helper()
	s := &site{dir: t.TempDir(), log: &testkit.Log{}}
	failures := make(chan *failure.Error, 1)
	respond := func(w http.ResponseWriter, r *http.Request, err error) {
		e := *failure.Of(err)
		e.Output = append([]byte(nil), e.Output...) // is good until the answer is written
		failures <- &e
		Respond(w, r, err)
	}
	route := routeOf(t, s.dir, text)
	handler, err := forking.New(route, forking.Options{
		Log: slog.New(slog.NewTextHandler(s.log, nil)), MissingAllowed: true, Respond: respond,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.serveHandler(t, route, handler)
	return s, failures
}

func TestProgramOfAnImageMayBeMissingAtFirst(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		s, failures := imageOf(t, "mode: "+mode+"\nfprocess: ./program")
		program := filepath.Join(s.dir, "program")
		for range 2 {
			if resp, _ := s.do(t, "POST", "/", strings.NewReader("data")); resp.StatusCode != 500 {
				t.Errorf("%s: got %d, want 500", mode, resp.StatusCode)
			}
			if e := <-failures; e.Kind != failure.StartFailed || e.Plain != "fork/exec ./program: no such file or directory" {
				t.Errorf("%s: got %v, %q, want Kind %v and Plain fork/exec ./program: no such file or directory", mode, e, e.Plain, failure.StartFailed)
			}
		}
		if !strings.Contains(s.log.String(), "program cannot be started now") {
			t.Errorf("%s: the log says nothing: got %s, want %q in it", mode, s.log, "program cannot be started now")
		}
		if err := os.WriteFile(program, []byte("#!/bin/sh\nexec cat\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		s.do(t, "GET", "/", nil)
		if e := <-failures; e.Plain != "fork/exec ./program: permission denied" {
			t.Errorf(`%s: got %q, want "fork/exec ./program: permission denied"`, mode, e.Plain)
		}
		if err := os.Chmod(program, 0o755); err != nil {
			t.Fatal(err)
		}
		if resp, body := s.do(t, "POST", "/", strings.NewReader("data")); resp.StatusCode != 200 || body != "data" {
			t.Errorf(`%s: got %d %q, want 200 "data"`, mode, resp.StatusCode, body)
		}
	}
}

func TestTheFailureOfAProgramIsReportedInOpenFaaSWordsToo(t *testing.T) {
	for _, c := range []struct{ program, plain, output string }{
		{"shell: true\nfprocess: 'echo out; exit 3'", "exit status 3", "out\n"},
		{"shell: true\nstderr: body\nfprocess: 'echo out; echo err >&2; echo again; exit 3'", "exit status 3", "out\nerr\nagain\n"},
		{"shell: true\nfprocess: 'echo err >&2; exit 3'", "exit status 3", ""},
		{"shell: true\nfprocess: 'kill -9 $$$$'", "signal: killed", ""},
		{"fprocess: no-such-program-anywhere", `exec: "no-such-program-anywhere": executable file not found in $PATH`, ""},
		{"fprocess: /", "fork/exec /: permission denied", ""},
	} {
		s, failures := imageOf(t, "mode: serializing\n"+c.program)
		if resp, _ := s.do(t, "GET", "/", nil); resp.StatusCode != 500 {
			t.Errorf("%s: got %d, want 500", c.program, resp.StatusCode)
		}
		if e := <-failures; e.Plain != c.plain || string(e.Output) != c.output {
			t.Errorf("%s: got %q, %q, want %q %q", c.program, e.Plain, e.Output, c.plain, c.output)
		}
	}
}

func TestACallWaitsForDependenciesAtMostForTheQueue(t *testing.T) {
	for _, mode := range []string{"streaming", "serializing"} {
		s := &site{dir: t.TempDir(), log: &testkit.Log{}}
		s.serve(t, routeOf(t, s.dir, "mode: "+mode+"\nfprocess: touch started\ntimeouts: {queue: 10ms}"), Deps{
			Await: func(ctx context.Context) error {
				<-ctx.Done()
				return errors.New("base is not ready")
			},
		})
		resp, body := s.do(t, "POST", "/", strings.NewReader("x"))
		wantProblem(t, resp, body, 503, "not-ready", "base is not ready")
		if _, err := os.Stat(filepath.Join(s.dir, "started")); err == nil {
			t.Errorf("%s: the program was started, want none before its dependency is ready", mode)
		}
	}
}
