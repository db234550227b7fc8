package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/supervisor/swarm/engine"
	"github.com/watchdogd/watchdogd/supervisor/swarm/enginetest"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// client is a client of an engine.
func client(t *testing.T, host string) *engine.Client {
	t.Helper()
	c, err := engine.New(host, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestTheHostIsWrittenAsDockerWritesIt(t *testing.T) {
	for written, want := range map[string]string{
		"":                          "unix:///var/run/docker.sock",
		"unix:///run/x.sock":        "unix:///run/x.sock",
		"unix:/run/x.sock":          "unix:///run/x.sock",
		"tcp://10.0.0.1:2376":       "tcp://10.0.0.1:2376",
		"tcp://manager":             "tcp://manager:2375",
		"https://manager":           "tcp://manager:2376",
		"http://[fd00::1]:1234/":    "tcp://[fd00::1]:1234",
		"ssh://manager":             "error: ssh -L",
		"npipe:////./pipe/docker":   "error: not the address of a Docker Engine",
		"tcp://manager:2375/prefix": "error: must not have a path",
		"tcp://:2375":               "error: names no host",
		"manager:2375":              "error: not the address of a Docker Engine",
	} {
		c, err := engine.New(written, func(string) (string, bool) { return "", false })
		fault, wrong := strings.CutPrefix(want, "error: ")
		switch {
		case wrong && (err == nil || !strings.Contains(err.Error(), fault)):
			t.Errorf("%q: got error %v, want one with %q", written, err, fault)
		case !wrong && (err != nil || c.Host() != want):
			t.Errorf("%q: got %v %v, want %s", written, c, err, want)
		}
	}
	c, err := engine.New("", func(name string) (string, bool) {
		return map[string]string{"DOCKER_HOST": "tcp://from-the-environment:1"}[name], true
	})
	if err != nil || c.Host() != "tcp://from-the-environment:1" {
		t.Errorf("got %v %v, want that of DOCKER_HOST", c, err)
	}
	if _, err := engine.New("tcp://x:1", func(name string) (string, bool) {
		return map[string]string{"DOCKER_CERT_PATH": t.TempDir()}[name], true
	}); err == nil || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("got %v for certificates that are missing, want the file", err)
	}
}

func TestAnEngineThatCannotBeUsedIsASentence(t *testing.T) {
	none := func(*engine.Service) {}
	missing := filepath.Join(t.TempDir(), "none.sock")
	err := client(t, "unix://"+missing).Services(context.Background(), nil, none)
	if want := "the Docker Engine's socket " + missing + " does not exist: start Docker, mount the socket into the container, or set gateway.swarm.host"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if os.Geteuid() != 0 {
		socket := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		if err := os.Chmod(socket, 0); err != nil {
			t.Fatal(err)
		}
		if err := client(t, "unix://"+socket).Services(context.Background(), nil, none); err == nil || !strings.Contains(err.Error(), "no permission to use") {
			t.Errorf("got %v, want that there is no permission", err)
		}
	}
	for name, one := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"no engine": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }, "is not a Docker Engine"},
		"old":       {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.24") }, "update Docker to 20.10 or later"},
		"worker": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Api-Version", "1.41")
			if r.URL.Path != "/_ping" {
				w.WriteHeader(503)
				_, _ = w.Write([]byte(`{"message":"This node is not a swarm manager. Use \"docker swarm init\""}`))
			}
		}, "not a manager of a swarm: give gateway.swarm.host"},
		"page of another server": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			_, _ = w.Write([]byte("<!DOCTYPE HTML>\n<title>Error</title>\n"))
		}, "the answer to GET /_ping was 404 Not Found, and not one of a Docker Engine"},
		"proxy that refuses": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Api-Version", "1.41")
			if r.URL.Path != "/_ping" {
				w.WriteHeader(403)
				_, _ = w.Write([]byte("<html><body><h1>403 Forbidden</h1>\nRequest forbidden.\n</body></html>\n"))
			}
		}, "the answer to GET /v1.41/services was 403 Forbidden, and not one of a Docker Engine: check the address, and what a proxy in front of the engine allows"},
		"message of two lines": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Api-Version", "1.41")
			if r.URL.Path != "/_ping" {
				w.WriteHeader(500)
				_, _ = w.Write([]byte(`{"message":"the raft log\n  is full"}`))
			}
		}, "the raft log is full"},
		"nonsense": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Api-Version", "1.41")
			if r.URL.Path != "/_ping" {
				_, _ = w.Write([]byte(`[{"ID":"s1"},{"ID":`))
			}
		}, "read the answer to GET /services"},
	} {
		s := httptest.NewServer(one.handler)
		err := client(t, strings.Replace(s.URL, "http", "tcp", 1)).Services(context.Background(), nil, none)
		if err == nil || !strings.Contains(err.Error(), one.want) {
			t.Errorf("%s: got %v, want %q", name, err, one.want)
		}
		s.Close()
	}
}

func TestScaleChangesNothingButTheReplicasOfTheVersionThatWasRead(t *testing.T) {
	e := enginetest.New()
	defer e.Close()
	e.PutService(&enginetest.Service{ID: "s1", Name: "echo", Replicas: 1, Labels: map[string]string{"a": "b"}})
	c := client(t, e.Host())
	tries := 0
	done, err := c.Scale(context.Background(), "s1", func(s *engine.Service) (uint64, bool) {
		if tries++; tries == 1 { // another changes it between the read and the update
			e.PutService(&enginetest.Service{ID: "s1", Name: "echo", Replicas: 5, Labels: map[string]string{"a": "c"}})
		}
		n, _ := s.Replicas()
		return n + 2, true
	})
	if err != nil || !done || tries != 2 || e.Replicas("s1") != 7 {
		t.Errorf("got %v %v after %d tries and %d replicas, want 7 by the second", done, err, tries, e.Replicas("s1"))
	}
	var labels map[string]string
	if err := json.Unmarshal(e.Spec("s1")["Labels"], &labels); err != nil || labels["a"] != "c" {
		t.Errorf("got labels %v %v, want what the other wrote", labels, err)
	}
	if got := string(e.Spec("s1")["FieldOfTomorrow"]); got != "12345678901234567" {
		t.Errorf("got %s of a member that is not known, want it as it was, to the last digit", got)
	}
	if done, err := c.Scale(context.Background(), "s1", func(*engine.Service) (uint64, bool) { return 0, false }); done || err != nil {
		t.Errorf("got %v %v, want nothing changed", done, err)
	}
	if _, err := c.Scale(context.Background(), "none", nil); !engine.IsNotFound(err) {
		t.Errorf("got %v for a service that is gone, want not found", err)
	}
}

func TestAConfigIsChangedOnlyInTheVersionThatWasRead(t *testing.T) {
	e := enginetest.New()
	defer e.Close()
	c := client(t, e.Host())
	ctx := context.Background()
	if err := c.CreateConfig(ctx, "lease", map[string]string{"holder": "a"}); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateConfig(ctx, "lease", nil); !engine.IsConflict(err) {
		t.Errorf("got %v for a name that is taken, want a conflict", err)
	}
	var is *engine.Config
	if err := c.Configs(ctx, engine.Filter{"name": {"lease"}}, func(one *engine.Config) { is = one }); err != nil || is == nil || is.Spec.Labels["holder"] != "a" {
		t.Fatalf("got %v %v, want the config", is, err)
	}
	if err := c.UpdateConfig(ctx, is, map[string]string{"holder": "b"}); err != nil {
		t.Fatal(err)
	}
	if err := c.UpdateConfig(ctx, is, map[string]string{"holder": "c"}); !engine.IsConflict(err) {
		t.Errorf("got %v for an old version, want a conflict", err)
	}
	if err := errors.Join(c.RemoveConfig(ctx, is.ID), c.RemoveConfig(ctx, is.ID)); err != nil {
		t.Errorf("got %v, want one that is gone be no error", err)
	}
}
