package main

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/exit"
	"github.com/watchdogd/watchdogd/internal/failure"
	"github.com/watchdogd/watchdogd/modes"
	"github.com/watchdogd/watchdogd/schema"
)

// everyCommand returns the commands of the table, and those beneath them.
func everyCommand() []*cobra.Command {
	root := commands()
	root.InitDefaultHelpCmd()
	var all []*cobra.Command
	var add func(c *cobra.Command)
	add = func(c *cobra.Command) {
		all = append(all, c)
		for _, below := range c.Commands() {
			add(below)
		}
	}
	add(root)
	return all
}

// said runs a command line and returns what it prints.
func said(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	t.Setenv("WATCHDOGD_TEST_AS", "watchdogd") // what a command starts by this name is not these tests
	var out, err bytes.Buffer
	status = execute(append([]string{"watchdogd"}, args...), strings.NewReader(""), &out, &err)
	return status, out.String(), err.String()
}

func TestEveryCommandHasTwoExamples(t *testing.T) {
	for _, c := range everyCommand() {
		examples := 0
		for line := range strings.Lines(c.Example) {
			if strings.Contains(line, "watchdogd ") || strings.TrimSpace(line) == "watchdogd" {
				examples++
			}
		}
		if examples < 2 {
			t.Errorf("%s: got %d examples in its help, want 2 or more", c.CommandPath(), examples)
		}
		if c.Short == "" {
			t.Errorf("%s: got no summary, want one", c.CommandPath())
		}
	}
}

// withStack are the commands that ask the running stack; the others need none.
var (
	withStack    = map[string][]string{"ps": nil, "logs": nil, "start": {"a"}, "stop": {"a"}, "restart": {"a"}, "scale": {"a=2"}, "reload": nil, "down": nil, "why": {"a"}, "top": nil, "ui": {"--print"}}
	withoutStack = []string{"run", "call", "try", "doctor", "init", "validate", "test", "healthcheck", "import", "migrate", "schema", "export", "env", "version", "completion", "help"}
)

func TestCommandsWithoutARunningStackSayWhereTheyLooked(t *testing.T) {
	for _, c := range commands().Commands() {
		if _, needs := withStack[c.Name()]; needs == slices.Contains(withoutStack, c.Name()) && c.Name() != "help" {
			t.Errorf("%s: got %t, want it in one of withStack and withoutStack", c.Name(), needs)
		}
	}
	runtime := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	t.Setenv("WATCHDOG_CONFIG", "")
	dir := t.TempDir()
	t.Chdir(dir)
	socket := filepath.Join(runtime, "no.sock")
	for what, looked := range map[string]string{
		"name: where-it-looks\nroutes: [{name: a, fprocess: x}]\n":                     filepath.Join(runtime, "watchdogd"),
		"admin: {listen: \"unix:" + socket + "\"}\nroutes: [{name: a, fprocess: x}]\n": socket,
		"": "./watchdog.yaml",
	} {
		if err := os.RemoveAll("watchdog.yaml"); err != nil {
			t.Fatal(err)
		}
		if what != "" {
			if err := os.WriteFile("watchdog.yaml", []byte(what), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for name, args := range withStack {
			status, out, err := said(t, append([]string{name}, args...)...)
			if status != exit.Failed || !strings.Contains(err, looked) || strings.Count(err, "\n") != 1 || out != "" {
				t.Errorf("%s with %q: got status %d, %q and %q, want status 1 and one line that names %s", name, what, status, out, err, looked)
			}
		}
	}
}

func TestWrongUseIsOneLineThatSaysWhatIsRight(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range everyCommand() {
		if c.DisableFlagParsing || !c.HasParent() {
			continue
		}
		args := append(strings.Fields(c.CommandPath())[1:], "--no-such-flag")
		status, out, err := said(t, args...)
		if status != exit.Usage || strings.Count(err, "\n") != 1 || !strings.Contains(err, c.UseLine()) || out != "" {
			t.Errorf("%v: got status %d, %q and %q, want status 2 and one line with %q", args, status, out, err, c.UseLine())
		}
	}
	for line, want := range map[string]string{
		"restrt":                    `unknown command "restrt"; did you mean restart?`,
		"lgos":                      `unknown command "lgos"; did you mean logs?`,
		"help restrt":               `unknown command "restrt"; did you mean restart?`,
		"zzzzzz":                    `unknown command "zzzzzz" ("watchdogd help" lists the commands)`,
		"ps --jsn":                  "unknown flag: --jsn; did you mean --json? (usage: watchdogd ps [NAME] [flags])",
		"version extra":             `version takes no argument "extra" (usage: watchdogd version [flags])`,
		"start":                     "start needs an argument (usage: watchdogd start NAME... [flags])",
		"call a b c":                "call takes fewer arguments (usage: watchdogd call NAME [PATH] [flags])",
		"help errors/not-redy":      `unknown error "not-redy"; did you mean not-ready? (known: internal, `,
		"help keys/timeouts.queu":   `unknown key "routes.timeouts.queu"; did you mean routes.timeouts.queue? (known: start, queue, `,
		"help keys/zzz":             `unknown key "zzz" (known: include, defaults, `,
		"help keys/stop.signal.foo": `unknown key "routes.stop.signal.foo": routes.stop.signal has no keys`,
	} {
		status, out, err := said(t, strings.Fields(line)...)
		if status != exit.Usage || !strings.HasPrefix(err, "watchdogd: "+want) || strings.Count(err, "\n") != 1 || out != "" {
			t.Errorf("%s: got status %d, %q and %q, want status 2 and %q", line, status, out, err, want)
		}
	}
}

func TestHelpFindsTheTypeOfEveryProblem(t *testing.T) {
	status, list, stderr := said(t, "help", "errors")
	if status != exit.OK || stderr != "" {
		t.Fatalf("help errors: got status %d and %q, want 0 and nothing", status, stderr)
	}
	for kind := failure.Internal; kind <= failure.Timeout; kind++ {
		if kind == failure.Gone {
			continue
		}
		w := httptest.NewRecorder()
		modes.Respond(w, httptest.NewRequest("GET", "/", nil), &failure.Error{Kind: kind, Route: "a", Detail: "x"})
		var problem struct {
			Type   string
			Status int
		}
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
			t.Fatalf("kind %d: got %q: %v", kind, w.Body, err)
		}
		_, name, _ := strings.Cut(problem.Type, "#")
		for _, args := range [][]string{{"help", "errors/" + name}, {"help", "errors", name}, {"help", problem.Type}} {
			status, out, err := said(t, args...)
			if status != exit.OK || !strings.HasPrefix(out, name+" (status ") || err != "" {
				t.Errorf("%v: got status %d, %q and %q, want the section %s", args, status, out, err, name)
			}
		}
		if !strings.Contains(list, " "+name+" ") {
			t.Errorf("help errors: got no %s in %q, want all names", name, list)
		}
	}
}

func TestHelpExplainsEveryKey(t *testing.T) {
	_, list, _ := said(t, "help", "keys")
	for _, path := range schema.Keys() {
		if strings.HasSuffix(path, ".live.log") { // which is refused
			continue
		}
		status, out, err := said(t, "help", "keys/"+path, "--json")
		var key struct {
			Path, Description, Type string
			Examples                []string
		}
		if status != exit.OK || err != "" || json.Unmarshal([]byte(out), &key) != nil {
			t.Errorf("%s: got status %d, %q and %q, want the key as JSON", path, status, out, err)
			continue
		}
		if key.Path != path || key.Description == "" || key.Type == "" || len(key.Examples) == 0 {
			t.Errorf("%s: got %+v, want a description, a type and an example", path, key)
		}
		if !strings.HasPrefix(path, "services.") && !strings.Contains(list, path+" ") {
			t.Errorf("help keys: got no %s, want all keys", path)
		}
	}
	_, out, _ := said(t, "help", "keys/stop.drain")
	want := `routes.stop.drain

How long an instance that is replaced or stopped may finish its requests before the
signal; then they are cut off.

Type:     duration: 250ms, 10s, 1m30s, or a whole number of seconds
Default:  30s
Modes:    http, streaming, serializing, afterburn

Example:

  routes:
    - stop:
        drain: 5m
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

// What lists prints JSON too.
func TestEveryListingHasJSON(t *testing.T) {
	root := commands()
	for _, name := range []string{"ps", "logs", "validate", "reload", "test", "help"} {
		c, _, err := root.Find([]string{name})
		if err != nil || c.Flags().Lookup("json") == nil && name != "help" {
			t.Errorf("%s: got %v and no --json, want it", name, err)
		}
	}
	for _, topic := range []string{"errors", "keys"} {
		_, out, _ := said(t, "help", topic, "--json")
		var list []map[string]any
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) < 20 {
			t.Errorf("help %s --json: got %d items and %v, want all", topic, len(list), err)
		}
	}
}
