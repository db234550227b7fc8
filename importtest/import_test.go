// Package importtest holds what "watchdogd import" reads of compose files and of
// supervisord.conf against the readers that the field trusts, compose-go and ini.v1. It is a
// module of its own, so that these are no dependency of watchdogd, which compose-go would
// make start three times as slowly; make test runs it.
package importtest

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/ini.v1"

	"github.com/watchdogd/watchdogd/schema"
)

var binary string // watchdogd

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "watchdogd-importtest-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "watchdogd")
		build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/watchdogd")
		build.Dir, build.Stderr = "..", os.Stderr
		if err := build.Run(); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// imported imports a file of that name and text, and reads the result with env.
func imported(t *testing.T, name, text string, env map[string]string) *schema.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, "import", file)
	cmd.Dir, cmd.Stderr = filepath.Dir(file), &stderr
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("import: got %v\n%s\nwant no error", err, stderr.String())
	}
	cfg, err := schema.Parse(filepath.Join(filepath.Dir(file), "watchdog.yaml"), out, func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	if err != nil {
		t.Fatalf("got %v\n%s\nwant no error", err, out)
	}
	return cfg
}

// program is what both readers say of one program.
type program struct {
	words    []string
	env      map[string]string
	needs    map[string]string
	signal   string
	grace    time.Duration
	replicas int
}

func ofConfig(cfg *schema.Config) map[string]program {
	all := map[string]program{}
	add := func(name string, p *schema.Process) {
		out := program{env: map[string]string{}, needs: maps.Clone(p.DependsOn), signal: string(p.Stop.Signal), grace: p.Stop.Grace.D(), replicas: p.Replicas.Max}
		for _, w := range p.FProcess.Words {
			out.words = append(out.words, w.Expand(schema.Vars{}))
		}
		for key, value := range p.Env {
			out.env[key] = value.Expand(schema.Vars{})
		}
		all[name] = out
	}
	for i := range cfg.Routes {
		add(cfg.Routes[i].Name, &cfg.Routes[i].Process)
	}
	for i := range cfg.Services {
		add(cfg.Services[i].Name, &cfg.Services[i].Process)
	}
	return all
}

func ofProject(p *types.Project) map[string]program {
	conditions := map[string]string{types.ServiceConditionStarted: "started", types.ServiceConditionHealthy: "ready", types.ServiceConditionCompletedSuccessfully: "completed"}
	all := map[string]program{}
	for name, s := range p.Services {
		out := program{words: append(slices.Clone([]string(s.Entrypoint)), s.Command...), env: map[string]string{}, needs: map[string]string{}, signal: "TERM", grace: 10 * time.Second, replicas: 1}
		for key, value := range s.Environment {
			if value != nil && key != "PORT" {
				out.env[key] = *value
			}
		}
		for other, need := range s.DependsOn {
			out.needs[other] = conditions[need.Condition]
		}
		if s.StopSignal != "" {
			out.signal = strings.TrimPrefix(s.StopSignal, "SIG")
		}
		if s.StopGracePeriod != nil {
			out.grace = time.Duration(*s.StopGracePeriod)
		}
		if n := s.GetScale(); n > 1 {
			out.replicas = n
		}
		all[name] = out
	}
	return all
}

func TestComposeFilesAreReadAsComposeReadsThem(t *testing.T) {
	env := map[string]string{"SET": "a value", "EMPTY": ""}
	for name, text := range map[string]string{
		"commands": `
services:
  plain: {image: x, command: run --flag "two words" 'three $$words here' back\ slash}
  list: {image: x, command: [run, "a b", "$$x", "${SET}", ""]}
  entry: {image: x, entrypoint: [tini, --], command: run it}
  both: {image: x, entrypoint: sh -c, command: ["echo $$HOME && exit"]}
  folded:
    image: x
    command: >
      run
      --a=1
      --b=2
`,
		"variables": `
services:
  a:
    image: x
    command: [run, "${SET}", "${SET:-d}", "${EMPTY:-d}", "${EMPTY-d}", "${UNSET:-d e}", "${UNSET-d}", "${UNSET}", "$UNSET-", "pre${SET}post", "$$SET", "$${SET}", "${SET:+yes}", "${UNSET:+no}"]
    environment: {A: "${SET}", B: "x${UNSET:-y}z", C: "$$literal", D: "100%", E: "a: b # c"}
`,
		"environment": `
services:
  map: {image: x, command: run, environment: {A: 1, B: true, C: 1.5, D: null, E: "", F: "yes", G: no}}
  list: {image: x, command: run, environment: [A=1, B, "C=a=b", "D=", "E=with space", "F=\"quoted\""]}
`,
		"anchors": `
x-env: &env {A: "1", B: "2"}
x-base: &base
  image: x
  command: run base
  environment: *env
  stop_signal: SIGINT
  stop_grace_period: 1m30s
services:
  one: {<<: *base}
  two: {<<: *base, command: run two, environment: {<<: *env, B: "3"}}
  three:
    <<: [{stop_signal: SIGQUIT}, *base]
    deploy: {replicas: 4}
`,
		"extends": `
services:
  base: {image: x, command: run base, environment: {A: "1", B: "1"}, stop_grace_period: 5s}
  mid: {extends: base, environment: [B=2, C=2]}
  top: {extends: {service: mid}, command: [run, top], environment: {C: "3"}, scale: 2}
`,
		"dependencies": `
services:
  db: {image: x, command: run db}
  migrate: {image: x, command: run migrate, depends_on: [db]}
  web:
    image: x
    command: run web
    depends_on: {db: {condition: service_healthy}, migrate: {condition: service_completed_successfully}}
`,
	} {
		t.Run(name, func(t *testing.T) {
			project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
				WorkingDir: t.TempDir(), Environment: env,
				ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(text)}},
			}, func(o *loader.Options) {
				o.SetProjectName("test", true)
				o.SkipConsistencyCheck = true
			})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, ofConfig(imported(t, "compose.yaml", text, env)), ofProject(project))
		})
	}
}

func compare(t *testing.T, got, want map[string]program) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d programs, want %d", len(got), len(want))
	}
	for name, w := range want {
		g := got[name]
		if !slices.Equal(g.words, w.words) {
			t.Errorf("%s: got the command %q, want %q", name, g.words, w.words)
		}
		if !maps.Equal(g.env, w.env) {
			t.Errorf("%s: got the environment %v, want %v", name, g.env, w.env)
		}
		if len(g.needs)+len(w.needs) > 0 && !maps.Equal(g.needs, w.needs) {
			t.Errorf("%s: got the dependencies %v, want %v", name, g.needs, w.needs)
		}
		if g.signal != w.signal || g.grace != w.grace || g.replicas != w.replicas {
			t.Errorf("%s: got SIG%s, %v and %d instances, want SIG%s, %v and %d", name, g.signal, g.grace, g.replicas, w.signal, w.grace, w.replicas)
		}
	}
}

func TestSupervisordIsReadAsPythonReadsIt(t *testing.T) {
	const text = `; a comment
[supervisord]
nodaemon=true

[program:one]
command = run one --a=b;c ; the rest is a comment
numprocs: 3
user=app
  # not a value
[program:two]
command=run two
    --more
    --and more
stopsignal=INT
;user=nobody
[program:three]   ; after the section
COMMAND=run:three
`
	file, err := ini.LoadSources(ini.LoadOptions{AllowPythonMultilineValues: true, SpaceBeforeInlineComment: true, Insensitive: true}, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := ofConfig(imported(t, "supervisord.conf", text, nil))
	for _, name := range []string{"one", "two", "three"} {
		section := file.Section("program:" + name)
		want := strings.Fields(section.Key("command").String())
		if !slices.Equal(got[name].words, want) {
			t.Errorf("%s: got the command %q, want %q", name, got[name].words, want)
		}
		if n := section.Key("numprocs").MustInt(1); got[name].replicas != n {
			t.Errorf("%s: got %d instances, want %d", name, got[name].replicas, n)
		}
		if signal := section.Key("stopsignal").MustString("TERM"); got[name].signal != signal {
			t.Errorf("%s: got SIG%s, want SIG%s", name, got[name].signal, signal)
		}
	}
}
