package schema

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-playground/validator/v10"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
	"gopkg.in/yaml.v3"
)

// full reads testdata/full.yaml, which has every key that is built.
func full(t testing.TB) *Config {
	t.Helper()
	c, err := Load("testdata/full.yaml", environment)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func environment(name string) (string, bool) {
	value, ok := map[string]string{
		"HOME":   "/home/a",
		"WORDS":  "one  two",
		"EMPTY":  "",
		"EVIL":   "a\n- b: {c} \"' # $X ${PORT} | rm",
		"PORT":   "8081",
		"DOLLAR": "$x ${HOME} $$",
		"NUMBER": "5",
		"YES":    "true",
	}[name]
	return value, ok
}

func nothing(string) (string, bool) { return "", false }

// parse reads a file that must be right.
func parseGood(t testing.TB, text string) *Config {
	t.Helper()
	c, err := Parse(filepath.Join(t.TempDir(), "watchdog.yaml"), []byte(text), environment)
	if err != nil {
		t.Fatalf("got %v\nin\n%s\nwant no error", err, text)
	}
	return c
}

// mistaken reads a file that must be wrong.
func mistaken(t testing.TB, text string) Problems {
	t.Helper()
	_, err := Parse(filepath.Join(t.TempDir(), "watchdog.yaml"), []byte(text), environment)
	problems, ok := err.(Problems)
	if !ok {
		t.Fatalf("the error is no Problems but %v\nfor\n%s", err, text)
	}
	return problems
}

func TestEveryKeyChangesTheConfig(t *testing.T) {
	data, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	written := make(map[string]bool)
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		for i, c := range n.Content {
			switch {
			case n.Kind != yaml.MappingNode:
				walk(c, path)
			case i%2 == 1:
				key := strings.TrimPrefix(path+"."+n.Content[i-1].Value, ".")
				written[key] = true
				walk(c, key)
			}
		}
	}
	walk(&document, "")

	// What differs from the defaults somewhere in the file.
	c, base := full(t), Default()
	moved := make(map[string]bool)
	var compare func(v, base reflect.Value, path string)
	compare = func(v, base reflect.Value, path string) {
		for f := range decode.Fields(v.Type()) {
			key := strings.TrimPrefix(path+"."+f.Key, ".")
			a, b := v.FieldByIndex(f.Index), base.FieldByIndex(f.Index)
			switch {
			case key == "routes":
				for i := range c.Routes {
					otherwise := DefaultRoute()
					compare(reflect.ValueOf(c.Routes[i]), reflect.ValueOf(otherwise), key)
				}
			case key == "services":
				for i := range c.Services {
					otherwise := defaultService()
					compare(reflect.ValueOf(c.Services[i]), reflect.ValueOf(otherwise), key)
				}
			case a.Kind() == reflect.Struct && a.NumField() > 0 && a.Type().Field(0).Tag.Get("yaml") != "":
				compare(a, b, key)
			case a.Kind() == reflect.Pointer && a.Type().Elem().Kind() == reflect.Struct && !a.IsNil():
				compare(a.Elem(), reflect.Zero(a.Type().Elem()), key)
			}
			if !reflect.DeepEqual(a.Interface(), b.Interface()) {
				moved[key] = true
			}
		}
	}
	compare(reflect.ValueOf(*c), reflect.ValueOf(base), "")

	for _, key := range Keys() {
		if key == "include" || key == "defaults" || strings.HasSuffix(key, ".live.log") {
			continue // a probe like ready, but for log
		}
		// What a route and a service have in common is read by the same code.
		route := "routes." + strings.TrimPrefix(key, "services.")
		service := "services." + strings.TrimPrefix(key, "routes.")
		if !written[key] && !written[route] && !written[service] {
			t.Errorf("%s does not stand in testdata/full.yaml", key)
		}
		if !moved[key] && !moved[route] && !moved[service] {
			t.Errorf("%s changes nothing in what is read", key)
		}
	}
}

func TestKeysAreTheDottedPathsOfAllKeys(t *testing.T) {
	keys := Keys()
	for _, key := range []string{"name", "include", "defaults", "server.timeouts.header", "routes.timeouts.first_byte", "routes.restart.give_up.exits", "services.ready.exec", "routes.auth.jwt.claims", "gateway.alexa", "health.lock_file"} {
		if !slices.Contains(keys, key) {
			t.Errorf("%s is missing", key)
		}
	}
	seen := make(map[string]bool)
	for _, key := range keys {
		if seen[key] {
			t.Errorf("%s is there twice", key)
		}
		seen[key] = true
		if strings.HasPrefix(key, "defaults.") {
			t.Errorf("%s is no key to be listed", key)
		}
	}
}

func TestEveryTagIsValid(t *testing.T) {
	v := validator.New()
	for word := range tagWords {
		_ = v.RegisterValidation(word, func(validator.FieldLevel) bool { return true })
	}
	var check func(typ reflect.Type, path string)
	check = func(typ reflect.Type, path string) {
		for f, in := range decode.Fields(typ) {
			parseUse(in) // panics at an unknown word
			inner := typ.FieldByIndex(f.Index).Type
			if f.Validate != "" {
				if err := v.Var(reflect.Zero(inner).Interface(), f.Validate); err != nil && fmt.Sprintf("%T", err) != "validator.ValidationErrors" {
					t.Errorf("%s.%s: %v", path, f.Key, err)
				}
			}
			if f.Path != "" && !slices.Contains([]string{"file", "pattern", "address"}, f.Path) {
				t.Errorf("%s.%s: path:%q is unknown", path, f.Key, f.Path)
			}
			for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				check(inner, path+"."+f.Key)
			}
		}
	}
	check(reflect.TypeFor[document](), "")
}

func TestMissingKeysHaveDefaults(t *testing.T) {
	dir := t.TempDir()
	c, err := Parse(filepath.Join(dir, "watchdog.yaml"), []byte("routes:\n  - name: a\n    fprocess: x\nservices:\n  - name: b\n    fprocess: y\n"), nothing)
	if err != nil {
		t.Fatal(err)
	}
	route := DefaultRoute()
	route.Name, route.Path, route.FProcess.Words, route.Dir = "a", "/a", []Text{"x"}, Literal(dir)
	route.Ready.TCP = "${PORT}"
	service := defaultService()
	service.Name, service.FProcess.Words, service.Dir = "b", []Text{"y"}, Literal(dir)
	want := Default()
	want.Name = NameOf(filepath.Base(dir))
	want.Server.Listen = Strings{":8080"}
	want.Routes, want.Services = []Route{route}, []Service{service}
	want.File = filepath.Join(dir, "watchdog.yaml")
	want.Files = []string{want.File}
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("is\n%+v\nand not\n%+v", *c, want)
	}
}

func TestTheListenerDefaultsToPORT(t *testing.T) {
	if c := parseGood(t, "routes: [{name: a, fprocess: x}]"); !slices.Equal(c.Server.Listen, Strings{":8081"}) {
		t.Errorf("it is %v, want %v", c.Server.Listen, Strings{":8081"})
	}
	_, err := Parse("watchdog.yaml", []byte("routes: [{name: a, fprocess: x}]"), func(name string) (string, bool) { return "http", name == "PORT" })
	if err == nil || !strings.Contains(err.Error(), `server.listen: its default comes from the environment variable PORT, which is not a valid port: "http"`) {
		t.Errorf("a PORT that is none is told as %v", err)
	}
}

func TestShortFormsEqualLongForms(t *testing.T) {
	for short, long := range map[string]string{
		"replicas: 3":                      "replicas: {min: 3, max: 3}",
		"restart: never":                   "restart: {policy: never}",
		"depends_on: b":                    "depends_on: {b: ready}",
		"depends_on: [b, c]":               "depends_on: {b: ready, c: ready}",
		"ready: tcp":                       "ready: {tcp: '${PORT}'}",
		"ready: {tcp: 9000}":               "ready: {tcp: ':9000'}",
		"env_file: /dev/null":              "env_file: [/dev/null]",
		"timeouts: {exec: 90}":             "timeouts: {exec: 1m30s}",
		"limits: {body: 64KiB}":            "limits: {body: 65536}",
		"limits: {body: 10MB}":             "limits: {body: 10000000}",
		"limits: {inflight: 4, queue: -1}": "limits: {inflight: 4, queue: 40}",
		"limits: {queue: -1}":              "limits: {queue: 0}",
		"limits: {rate: 60/m}":             "limits: {rate: 1/s burst 1}",
		"stop: {signal: sigint}":           "stop: {signal: INT}",
		"umask: 022":                       "umask: \"0o22\"",
		"replicas: {min: 4}":               "replicas: {min: 4, max: 4}",
		"replicas: {max: 4}":               "replicas: {min: 1, max: 4}",
		"restart: {max: 100ms}":            "restart: {min: 100ms, max: 100ms}",
		"restart: {min: 1m}":               "restart: {min: 1m, max: 1m}",
		"path: /a/":                        "path: /a",
		"host: A.Example.ORG":              "host: a.example.org",
		"headers: {x-a: b}":                "headers: {X-A: b}",
		"methods: GET":                     "methods: [GET]",
		"fprocess: a 'b c' d":              "fprocess: [a, b c, d]",
		"mode:":                            "mode: http",
		"upstream: ":                       "",
	} {
		head := "services: [{name: b, fprocess: x}, {name: c, fprocess: x}]\nroutes:\n  - name: a\n    fprocess: x\n    "
		if strings.HasPrefix(short, "fprocess") {
			head = strings.Replace(head, "    fprocess: x\n", "", 1)
		}
		a, b := parseGood(t, head+short), parseGood(t, head+long)
		if !reflect.DeepEqual(a.Routes[0].withoutDir(), b.Routes[0].withoutDir()) {
			t.Errorf("%s and %s differ: got\n%+v\n%+v\nwant reflect.DeepEqual(a.Routes[0].withoutDir(), b.Routes[0].withoutDir())", short, long, a.Routes[0], b.Routes[0])
		}
	}
}

func (r Route) withoutDir() Route {
	r.Dir = ""
	return r
}

func TestAKeyWithoutAValueIsMissing(t *testing.T) {
	with := parseGood(t, "server: {tls: {cert: , key: }}\nhealth: {lock_file: }\nadmin:\ninclude:\ngateway:\ndefaults:\nservices:\nroutes:\n  - name: a\n    fprocess: x\n    timeouts:\n    methods:\n    restart: ~\n    replicas: null\n    auth:\n")
	without := parseGood(t, "routes:\n  - name: a\n    fprocess: x\n")
	if !reflect.DeepEqual(with.Routes[0].withoutDir(), without.Routes[0].withoutDir()) || with.Server.TLS != (TLS{}) {
		t.Errorf("got %+v\n%+v\nwant reflect.DeepEqual(with.Routes[0].withoutDir(), without.Routes[0].withoutDir()) && with.Server.TLS == (TLS{})", with, without)
	}
}

func TestNumbersAndWordsAreTextWhereTextIsNeeded(t *testing.T) {
	c := parseGood(t, "routes:\n  - name: 123\n    fprocess: [1, 2.50, true, 0x10, ~, 1e3]\n    env: {A: 3000, B: true, C: , D: 1.10, E: 2001-01-01, 5: x}\n    user: 1000:1000\n")
	r := c.Routes[0]
	if r.Name != "123" || r.Path != "/123" || r.User != "1000:1000" {
		t.Errorf("got %+v, want Name 123, Path %q and User 1000:1000", r, "/123")
	}
	if want := []Text{"1", "2.50", "true", "0x10", "", "1e3"}; !slices.Equal(r.FProcess.Words, want) {
		t.Errorf("the words are %q, want %q", r.FProcess.Words, want)
	}
	if want := map[string]Text{"A": "3000", "B": "true", "C": "", "D": "1.10", "E": "2001-01-01", "5": "x"}; !maps.Equal(r.Env, want) {
		t.Errorf("the variables are %q, want %q", r.Env, want)
	}
}

func TestAnchorsAliasesAndMergesWork(t *testing.T) {
	c := parseGood(t, `
defaults: &all
  timeouts: &times {exec: 7s, idle: 8s}
routes:
  - &a
    name: a
    fprocess: &cmd x y
    env: &env {A: "1", B: "2"}
  - <<: *a
    name: b
    path: /other
    env: {<<: *env, B: "3"}
    timeouts: {<<: [{exec: 9s}, *times]}
  - name: c
    fprocess: *cmd
    env: *env
`)
	b := c.Routes[1]
	if b.Name != "b" || b.Path != "/other" || !slices.Equal(b.FProcess.Words, []Text{"x", "y"}) || b.Env["A"] != "1" || b.Env["B"] != "3" ||
		b.Timeouts.Exec.String() != "9s" || b.Timeouts.Idle.String() != "8s" {
		t.Errorf("got %+v, want b with what it has of its own and by the defaults", b)
	}
	if r := c.Routes[2]; r.Env["B"] != "2" || r.Timeouts.Exec.String() != "7s" || !slices.Equal(r.FProcess.Words, []Text{"x", "y"}) {
		t.Errorf(`got %+v, want r.Env["B"] == "2" && r.Timeouts.Exec.String() == "7s" && slices.Equal(r.FProcess.Words, []Text{"x", "y"})`, r)
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range Keys() {
		key = strings.TrimPrefix(strings.TrimPrefix(key, "routes."), "services.")
		if !strings.Contains(string(text), "`"+key+"`") && !strings.Contains(string(text), "`"+key+".") && !strings.Contains(string(text), "### "+key) {
			t.Errorf("docs/configuration.md says nothing of `%s`", key)
		}
	}
}

func TestAnEmptyAuthIsAMistake(t *testing.T) {
	_, err := Parse("watchdog.yaml", []byte("routes:\n  - {name: a, mode: static, root: ., auth: {openfaas: }}\n"), nil)
	if err == nil || !strings.Contains(err.Error(), "open to everyone") {
		t.Errorf("got %v, want an error and %q in it", err, "open to everyone")
	}
}

func TestAuthNoneOpensARouteAgain(t *testing.T) {
	c, err := Parse("watchdog.yaml", []byte("defaults: {auth: {keys: {keys: {a: b}}}}\nroutes:\n  - {name: a, fprocess: x}\n  - {name: b, fprocess: x, auth: none}\n  - {name: c, fprocess: x, auth: {jwt: {issuer: 'http://x', audience: c}}}\n"), nothing)
	if err != nil {
		t.Fatal(err)
	}
	if a, b, c := c.Routes[0].Auth, c.Routes[1].Auth, c.Routes[2].Auth; a.Keys == nil || b != (Auth{}) || c.Keys != nil || c.JWT == nil {
		t.Errorf("got %+v, %+v and %+v, want the default, none and another one", a, b, c)
	}
}
