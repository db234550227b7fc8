package importer_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/importer"
	"github.com/watchdogd/watchdogd/schema"
)

var update = flag.Bool("update", false, "write the files that the tests compare with")

// noVariables is an environment without variables.
func noVariables(string) (string, bool) { return "", false }

// imported imports the files of a folder, and shows the result and what was lost. Its own
// path is $HERE.
func imported(t *testing.T, dir string) string {
	t.Helper()
	absolute, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasSuffix(e.Name(), ".env") && e.Name() != "want" {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	into := filepath.Join(absolute, "watchdog.yaml")
	result, err := importer.Import(files, importer.Options{Into: into, Env: noVariables})
	if err != nil {
		return strings.ReplaceAll(err.Error(), dir, "$HERE") + "\n"
	}
	text := result.File.Bytes()
	if _, err := schema.Parse(into, text, noVariables); err != nil {
		t.Errorf("got a file with mistakes, want one that is valid:\n%v\n%s", err, text)
	}
	return strings.ReplaceAll(fmt.Sprintf("%s\n--- stderr\n%s\n", text, strings.Join(result.Lost, "\n")), absolute, "$HERE")
}

// Each folder of testdata holds files as they are found in public repositories, and what
// becomes of them.
func TestFilesOfOtherSupervisorsBecomeValidFiles(t *testing.T) {
	dirs, err := filepath.Glob("testdata/*-*")
	if err != nil || len(dirs) < 12 {
		t.Fatalf("got %d folders and %v, want at least 12", len(dirs), err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			got := imported(t, dir)
			file := filepath.Join(dir, "want")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestFilesThatCannotBeImportedGetASentence(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"Procfile", "", "there is nothing in it that watchdogd could start"},
		{"Procfile", "# nothing\n\n", "there is nothing in it"},
		{"Procfile", "web node server.js\n", "line 1 is not NAME: COMMAND: web node server.js"},
		{"Procfile", "web: a\nweb: b\n", "line 2: there are two commands for web"},
		{"Procfile", "web: \x00", "it is not a text file"},
		{"supervisord.conf", "command=x\n", "line 1 is before the first [section]"},
		{"supervisord.conf", "[program:x\n", "line 1: the section has no closing ]"},
		{"supervisord.conf", "[supervisord]\nnodaemon=true\n", "it has no [program:NAME] section"},
		{"supervisord.conf", "[program:x]\nuser=a\n", "[program:x] has no command"},
		{"supervisord.conf", "[program:x]\ncommand=sh -c 'a\n", "a quote (') is never closed"},
		{"supervisord.conf", "[program:x]\ncommand=x\nenvironment=A\n", `[program:x] environment: it is not KEY="value"`},
		{"docker-compose.yaml", "services:\n", "it has no services"},
		{"docker-compose.yaml", "services: [a]\n", "it has no services"},
		{"docker-compose.yaml", "services:\n  a: b\n", "services.a is not a mapping"},
		{"docker-compose.yaml", "services:\n  a: {build: .}\n", "there is no Dockerfile that says what is started; set fprocess to the command"},
		{"docker-compose.yaml", "services:\n  a: {extends: a, command: x}\n", "extends goes in a circle"},
		{"docker-compose.yaml", "services:\n  a: {extends: {service: c}}\n", "there is no service c"},
		{"docker-compose.yaml", "services:\n  a: {extends: {service: c, file: none.yml}}\n", "none.yml: no such file or directory"},
		{"docker-compose.yaml", "services:\n  a: b: c\n", "it is not valid YAML: line 2"},
		{"docker-compose.yaml", "just text", "it is not a mapping with the key services"},
		{"process-compose.yaml", "version: '1'\n", "it has no processes"},
		{"ecosystem.config.js", "module.exports = require('./other')", "it is not a plain object: require(\"./other\") must be run to be known; with --run-node"},
		{"ecosystem.config.js", "module.exports = {apps: [{script: 'a.js', env: {...process.env}}]}", "must be run to be known"},
		{"ecosystem.config.js", "module.exports = {apps: [", "it is not valid JavaScript"},
		{"ecosystem.config.js", "console.log('hello')", "it exports nothing that can be read without running it"},
		{"ecosystem.config.js", "module.exports = {apps: [{name: 'x'}]}", "apps[0] has no script"},
		{"ecosystem.json", "{", "it is not valid JSON"},
		{"ecosystem.json", "{}", "it has no apps"},
		{"a.service", "[Unit]\nDescription=x\n", "it has no ExecStart"},
		{"a.service", "[Service]\nExecStart=\"/bin/a\n", "is never closed"},
		{"a.socket", "[Socket]\nListenStream=1\n", "a socket unit starts nothing itself; import it with its service"},
		{"unknown.txt", "what is this", "it is not known what kind of file this is; name the format: --from procfile|systemd"},
	} {
		file := filepath.Join(t.TempDir(), c.name)
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := importer.Import([]string{file}, importer.Options{Env: noVariables})
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "'", `"`), strings.ReplaceAll(c.want, "'", `"`)) {
			t.Errorf("%s %q:\ngot  %v\nwant %s", c.name, c.text, err, c.want)
		}
	}
}

func TestAFolderIsNotImported(t *testing.T) {
	_, err := importer.Import([]string{t.TempDir()}, importer.Options{Env: noVariables})
	if err == nil || !strings.Contains(err.Error(), "it is a folder; name a file in it, or run watchdogd init there") {
		t.Errorf("got %v, want the advice to run init", err)
	}
}

func TestOnlyUnitsAreImportedTogether(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"Procfile", "Procfile.dev", "a.service"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("web: x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ second, want string }{
		{"Procfile.dev", "only systemd units can be imported together"},
		{"a.service", "a.service is of another format (systemd, not procfile)"},
	} {
		_, err := importer.Import([]string{filepath.Join(dir, "Procfile"), filepath.Join(dir, c.second)}, importer.Options{Env: noVariables})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

// A compose file of many services is read in one go, with an anchor that all of them use.
func TestFiveHundredServicesAreImported(t *testing.T) {
	var text strings.Builder
	text.WriteString("x-all: &all {restart: always, environment: {A: b}, healthcheck: {test: [CMD, true]}}\nservices:\n")
	text.WriteString("  s0: {<<: *all, command: sleep 1, stop_signal: SIGRTMIN}\n")
	for n := 1; n < 500; n++ {
		fmt.Fprintf(&text, "  s%d: {<<: *all, command: sleep %d, depends_on: [s%d], stop_signal: SIGRTMIN}\n", n, n, n-1)
	}
	file := filepath.Join(t.TempDir(), "compose.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := importer.Import([]string{file}, importer.Options{Env: noVariables})
	if err != nil {
		t.Fatal(err)
	}
	config, err := schema.Parse("watchdog.yaml", result.File.Bytes(), noVariables)
	if err != nil {
		t.Fatal(err)
	}
	if len(config.Services) != 500 || len(result.Lost) != 500 {
		t.Errorf("got %d services and %d sentences, want 500 of each", len(config.Services), len(result.Lost))
	}
}

// A variable keeps its meaning: what is set when watchdogd reads the file counts.
func TestVariablesOfAComposeFileStayVariables(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "compose.yaml")
	text := "services:\n  a:\n    command: [run, \"$A\", \"${B:-x}\", \"${C-y}\", \"${D:+z}\", \"$$E\", \"${NAME:-n}\"]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := importer.Import([]string{file}, importer.Options{Env: noVariables})
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string) (string, bool) {
		value, ok := map[string]string{"A": "<A>", "B": "<B>"}[name]
		return value, ok
	}
	for _, c := range []struct {
		env  func(string) (string, bool)
		want []string
	}{
		{noVariables, []string{"run", "", "x", "y", "", "$E", "n"}},
		{set, []string{"run", "<A>", "<B>", "y", "", "$E", "n"}},
	} {
		config, err := schema.Parse("watchdog.yaml", result.File.Bytes(), c.env)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range config.Services[0].FProcess.Words {
			got = append(got, w.Expand(schema.Vars{}))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
