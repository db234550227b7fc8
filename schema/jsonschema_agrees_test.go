package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	validation "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
	"gopkg.in/yaml.v3"
)

func compiled(t *testing.T) *validation.Schema {
	t.Helper()
	document, err := validation.UnmarshalJSON(strings.NewReader(JSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := validation.NewCompiler()
	if err := c.AddResource(schemaFile, document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(schemaFile)
	if err != nil {
		t.Fatalf("got %v, want a valid schema", err)
	}
	return s
}

// flagged returns the paths at which the schema flags a file, as the loader writes them.
func flagged(t *testing.T, s *validation.Schema, data []byte) (paths []string, parsed bool) {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil || len(document.Content) == 0 {
		return nil, false
	}
	err := s.Validate(plainValue(document.Content[0]))
	if err == nil {
		return nil, true
	}
	var invalid *validation.ValidationError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, want a ValidationError", err)
	}
	var walk func(e *validation.ValidationError)
	walk = func(e *validation.ValidationError) {
		at := pathTo(e.InstanceLocation)
		switch k := e.ErrorKind.(type) {
		case *kind.AdditionalProperties:
			for _, name := range k.Properties {
				paths = append(paths, strings.TrimPrefix(at+"."+name, "."))
			}
		case *kind.Required:
			for _, name := range k.Missing {
				paths = append(paths, strings.TrimPrefix(at+"."+name, "."))
			}
		case *kind.DependentRequired:
			for _, name := range k.Missing {
				paths = append(paths, strings.TrimPrefix(at+"."+name, "."))
			}
		case *kind.PropertyNames:
			// Its place is not reliable: the slice of the location is used again.
			paths = append(paths, "*."+k.Property, "*."+strconv.Quote(k.Property))
		case *kind.UniqueItems:
			paths = append(paths, at+"["+strconv.Itoa(max(k.Duplicates[0], k.Duplicates[1]))+"]")
		case *kind.Schema, *kind.Reference, *kind.Group, *kind.AllOf:
		default:
			paths = append(paths, at)
		}
		for _, cause := range e.Causes {
			walk(cause)
		}
	}
	walk(invalid)
	return paths, true
}

func pathTo(location []string) string {
	var b strings.Builder
	for _, step := range location {
		if _, err := strconv.Atoi(step); err == nil {
			b.WriteString("[" + step + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(step)
	}
	return b.String()
}

func TestTheJSONSchemaAcceptsWhatTheLoaderAccepts(t *testing.T) {
	s := compiled(t)
	files, err := filepath.Glob("../examples/*/watchdog.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("got %v, %v, want the examples", files, err)
	}
	for _, file := range append(files, "../watchdog.yaml.example", "testdata/full.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if paths, parsed := flagged(t, s, data); len(paths) > 0 || !parsed {
			t.Errorf("%s: got mistakes at %v, want none", file, paths)
		}
	}
	for what, data := range map[string]string{
		"short forms":   "routes: [{name: a, fprocess: [a, b], replicas: 2, restart: never, ready: tcp, depends_on: b, timeouts: {exec: 5, queue: 1m30s}, limits: {body: 10 MB}}]",
		"variables":     "routes: [{name: a, fprocess: x, mode: \"${MODE}\", replicas: \"${N:-2}\", compress: \"${Z}\", timeouts: {exec: \"${T}\"}, stop: {signal: \"${S}\"}}]",
		"empty values":  "server:\nroutes: [{name: a, fprocess: x, env: , timeouts: , mode: , replicas: , restart: , ready: }]",
		"merges":        "x-unused: &d {fprocess: x}\nroutes: [{<<: *d, name: a}]",
		"defaults":      "defaults: {mode: static, root: .}\nroutes: [{name: a}]",
		"default mode":  "defaults: {fprocess: x, mode: streaming, replicas: 2}\nroutes: [{name: a, warm: 2}]",
		"numbers":       "name: 1\nroutes: [{name: 2, fprocess: x, env: {A: 1, B: true, C: 1.5, D: }, user: 1000, umask: 022, ready: {tcp: 9000}}]",
		"an upstream":   "routes: [{name: a, upstream: \"[::1]:3000/base\"}, {name: b, upstream: \"unix:/x\"}, {name: c, upstream: \"HTTP://x/y\"}, {name: d, upstream: \":80\"}]",
		"signals":       "services: [{name: a, fprocess: x, stop: {signal: sigterm}}, {name: b, fprocess: x, stop: {signal: Usr1}}]",
		"lists of one":  "server: {listen: \":1\", trusted_proxies: \"::1\"}\nroutes: [{name: a, fprocess: x, methods: GET, watch: x, env_file: /dev/null}]",
		"an empty list": "defaults: {depends_on: [b]}\nservices: [{name: b, fprocess: x, depends_on: []}]",
		"empty strings": "routes: [{name: a, fprocess: x, mode: streaming, form: \"\", limits: {rate: \"\"}}]",
	} {
		// The unknown key of merges is not a part of it.
		paths, parsed := flagged(t, s, []byte(data))
		paths = slices.DeleteFunc(paths, func(p string) bool { return p == "x-unused" })
		if len(paths) > 0 || !parsed {
			t.Errorf("%s: got mistakes at %v, want none", what, paths)
		}
		file := strings.ReplaceAll(data, "x-unused: &d {fprocess: x}\nroutes: [{<<: *d,", "routes: [{fprocess: x,")
		env := func(name string) (string, bool) {
			v, ok := map[string]string{"MODE": "http", "Z": "true", "T": "5s", "S": "INT"}[name]
			return v, ok
		}
		if _, err := Parse(filepath.Join(t.TempDir(), "watchdog.yaml"), []byte(file), env); err != nil && what != "lists of one" {
			var problems Problems
			if errors.As(err, &problems) {
				for _, p := range problems {
					if !strings.Contains(p.Message, "no route or service is named") {
						t.Errorf("%s: got %v from the loader, want none", what, p)
					}
				}
			}
		}
	}
}

// Every mistake of testdata/mistakes is flagged at its path, but for those that cannot be
// found in the text of the one value or item alone: needContext.
func TestTheJSONSchemaFlagsTheMistakesOfTheLoader(t *testing.T) {
	s := compiled(t)
	archives, err := filepath.Glob("testdata/mistakes/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for mistake := range needContext {
		left[mistake] = true
	}
	checked := 0
	for _, file := range archives {
		archive, err := txtar.ParseFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := txtar.Write(archive, dir); err != nil {
			t.Fatal(err)
		}
		t.Chdir(dir)
		for _, f := range archive.Files {
			name, ok := strings.CutSuffix(f.Name, ".yaml")
			if !ok || !slices.ContainsFunc(archive.Files, func(f txtar.File) bool { return f.Name == name+".told" }) {
				continue
			}
			paths, parsed := flagged(t, s, f.Data)
			_, err := Load(f.Name, environment)
			var problems Problems
			if !parsed || !errors.As(err, &problems) {
				continue // YAML itself is broken, which every editor shows
			}
			for _, p := range problems {
				if p.File != f.Name {
					continue // found in an included file
				}
				mistake := strings.TrimSuffix(filepath.Base(file), ".txtar") + "/" + name + " " + p.Path
				checked++
				_, context := needContext[mistake]
				delete(left, mistake)
				if found := slices.ContainsFunc(paths, func(at string) bool { return covers(at, p.Path) }); !found && !context {
					t.Errorf("%s: %s\n\tgot mistakes at %q, want one at the path", mistake, p.Message, paths)
				} else if found && context {
					t.Errorf("%s: got a mistake there, want it out of needContext", mistake)
				}
			}
		}
	}
	if checked < 200 {
		t.Errorf("got %d mistakes, want those of testdata/mistakes", checked)
	}
	for mistake := range left {
		t.Errorf("%s: got no such mistake, want needContext to hold what there is", mistake)
	}
}

// covers reports whether a mistake of the schema is that of the loader: at its place, or
// of a mapping that it is in.
func covers(at, path string) bool {
	if name, anyPlace := strings.CutPrefix(at, "*"); anyPlace {
		return strings.HasSuffix(path, name)
	}
	return path == at || at != "" && strings.HasPrefix(path, at+".")
}

// needContext are mistakes that the schema cannot flag, and what it would have to know.
var needContext = map[string]string{
	`values/fallback routes[0].fallback`:             "the folder",
	`values/fallback routes[1].fallback`:             "the folder",
	`values/fallback routes[2].fallback`:             "the folder",
	`values/fallback routes[3].fallback`:             "the folder",
	`values/fallback routes[4].fallback`:             "the folder",
	`commands/strings routes[27].fprocess`:           "words in quotes in words",
	`commands/lists routes[4].fprocess[1]`:           "the environment",
	`include/missing include[0]`:                     "the file",
	`include/missing include[1]`:                     "the folder",
	`include/missing include[2]`:                     "the grammar of patterns",
	`include/missing include[3]`:                     "the file",
	`include/self include[0]`:                        "the name of the file",
	`include/self include[3]`:                        "the other entries",
	`keys/twice routes[0].timeouts.exec`:             "the parser: YAML has no two",
	`keys/twice routes[0].env.A`:                     "the parser: YAML has no two",
	`keys/twice routes[0].fprocess`:                  "the parser: YAML has no two",
	`keys/twice name`:                                "the parser: YAML has no two",
	`keys/merge routes[0]`:                           "the parser, which merges",
	`keys/merge routes[1]`:                           "the parser, which merges",
	`keys/auth-in-defaults defaults.auth.basic.file`: "the file",
	`kinds/gateway-shadows routes[0].path`:           "another key",
	`kinds/gateway-shadows routes[1].path`:           "another key",
	`missing/root-wrong routes[0].root`:              "the folder",
	`missing/root-wrong routes[1].root`:              "the folder",
	`missing/env_file routes[0].env_file[1]`:         "the file",
	`missing/env_file routes[0].env_file[2]`:         "the file",
	`relations/names routes[1].name`:                 "the other items",
	`relations/names services[0].name`:               "the other items",
	`relations/alike routes[1].path`:                 "the other routes",
	`relations/alike routes[4].path`:                 "the other routes",
	`relations/alike routes[6].path`:                 "the other routes",
	`relations/alike routes[8].path`:                 "the other routes",
	`relations/depends services[0].depends_on`:       "the other items",
	`relations/depends services[1].depends_on[1]`:    "the other items",
	`relations/depends services[2].depends_on.redis`: "the other items",
	`relations/depends routes[1].depends_on[0]`:      "the other items",
	`relations/circle services[2].depends_on.a`:      "the other items",
	`relations/circle services[3].depends_on[0]`:     "its own name",
	`relations/fixed-upstream routes[0].upstream`:    "another key",
	`relations/upstreams routes[1].upstream`:         "another key",
	`relations/bounds routes[0].replicas.min`:        "another key",
	`relations/bounds routes[0].restart.min`:         "another key",
	`relations/probes routes[2].ready.log`:           "RE2",
	`relations/listeners server.listen[1]`:           "the other addresses",
	`relations/listeners server.listen[3]`:           "the other addresses",
	`relations/listeners metrics.listen`:             "the other addresses",
	`relations/listeners admin.listen`:               "the other addresses",
	`relations/scaled-service services[0].replicas`:  "another key",
	`relations/instance-port routes[0].upstream`:     "arithmetic",
	`values/sizes routes[0].rlimits.stack`:           "arithmetic",
	`values/numbers-2 routes[0].limits.queue`:        "how the number is written",
	`values/lists routes[0].depends_on`:              "the other items",
	`values/matching routes[0].headers.x-a`:          "the other names",
	`values/server server.trusted_proxies[0]`:        "arithmetic",
	`values/tags routes[0].name`:                     "the parser: the tag",
	`values/tags routes[0].fprocess`:                 "the parser: the tag",
	`values/nul routes[0].fprocess`:                  "the escape, which JSON has too",
	`values/nul routes[0].env.A`:                     "the escape, which JSON has too",
	`values/nul routes[0].env."B\x00"`:               "the escape, which JSON has too",
	`variables/forms routes[0].host`:                 "the environment",
	`variables/forms routes[0].env.C`:                "the environment",
	`variables/forms routes[0].env.G`:                "the environment",
	`variables/forms routes[0].env.H`:                "the environment",
	`variables/forms routes[0].timeouts.exec`:        "the environment",
	`variables/forms routes[0].timeouts.idle`:        "the environment",
	`variables/commands routes[3].fprocess`:          "the environment",
	`variables/commands routes[4].fprocess`:          "the environment",
	`variables/commands routes[5].fprocess`:          "the environment",
	`variables/commands routes[7].fprocess`:          "the environment",
	`variables/commands routes[8].fprocess`:          "the environment",
	`variables/instance routes[0].host`:              "the environment",
	`variables/many server.listen`:                   "the environment",
}

// plainValue is a node as JSON has it.
func plainValue(n *yaml.Node) any {
	switch n = decode.Dealias(n); n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Tag == "!!merge" {
				merged := []*yaml.Node{n.Content[i+1]}
				if list := decode.Dealias(n.Content[i+1]); list.Kind == yaml.SequenceNode {
					merged = list.Content
				}
				for _, other := range merged {
					if from, ok := plainValue(other).(map[string]any); ok {
						for k, v := range from {
							if _, own := m[k]; !own {
								m[k] = v
							}
						}
					}
				}
				continue
			}
			m[decode.Dealias(n.Content[i]).Value] = plainValue(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i := range n.Content {
			list[i] = plainValue(n.Content[i])
		}
		return list
	}
	var v any
	if err := n.Decode(&v); err == nil && n.Tag != "!!timestamp" {
		switch v := v.(type) {
		case int:
			return json.Number(strconv.Itoa(v))
		case float64:
			return json.Number(fmt.Sprint(v))
		case bool, nil:
			return v
		}
	}
	return n.Value
}

// JSON Schema's patterns are those of ECMAScript; ours are of what RE2 and it have in common.
func TestPatternsOfTheJSONSchemaAreValid(t *testing.T) {
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if p, ok := v["pattern"].(string); ok {
				if _, err := regexp.Compile(p); err != nil {
					t.Errorf("%s: got %v, want a valid pattern", p, err)
				}
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	var s any
	if err := json.Unmarshal([]byte(JSONSchema()), &s); err != nil {
		t.Fatal(err)
	}
	walk(s)
}
