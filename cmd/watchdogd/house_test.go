package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The house's one rule about imports: cmd -> modes, routes, supervisor, schema;
// modes -> supervisor, schema; supervisor -> schema; routes -> schema; internal
// packages import none of the five.
func TestHouseImportsGoOneWay(t *testing.T) {
	const module = "github.com/watchdogd/watchdogd/"
	processes := []string{"supervisor", "supervisor/child", "supervisor/lifecycle", "supervisor/lives", "supervisor/ports", "supervisor/probe", "supervisor/watch", "supervisor/why", "schema"}
	may := map[string][]string{
		"schema":                  {},
		"schema/openfaas":         {"schema"},
		"supervisor":              processes,
		"supervisor/child":        {"schema"},
		"supervisor/lifecycle":    {"supervisor/child", "schema"},
		"supervisor/lives":        {},
		"supervisor/ports":        {"supervisor/child", "schema"},
		"supervisor/probe":        {"supervisor/child", "schema"},
		"supervisor/swarm":        {"supervisor/child", "supervisor/lifecycle", "supervisor/swarm/engine", "schema"},
		"supervisor/swarm/engine": {},
		"supervisor/watch":        {},
		"supervisor/why":          {"supervisor/child", "schema"},
		"routes":                  {"routes/alexa", "routes/auth", "routes/origin", "schema"},
		"routes/alexa":            {},
		"routes/origin":           {},
		"routes/auth":             {"schema"},
		"modes":                   append([]string{"modes/forking", "modes/proxy", "modes/proxy/endpoint"}, processes...),
		"modes/proxy":             append([]string{"modes/proxy/endpoint"}, processes...),
		"modes/proxy/endpoint":    {},
		"modes/forking":           processes,
	}
	inside, err := exec.Command("go", "list", module+"internal/...", module+"schema/internal/...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list internal: got %v\n%s\nwant no error", err, inside)
	}
	for room := range strings.Lines(string(inside)) {
		may[strings.TrimPrefix(strings.TrimSpace(room), module)] = nil
	}
	five := append([]string{"cmd/watchdogd", "supervisor/swarm", "supervisor/swarm/engine", "schema/openfaas", "routes", "routes/alexa", "routes/auth", "routes/origin", "modes", "modes/proxy", "modes/proxy/endpoint", "modes/forking"}, processes...)
	for room, allowed := range may {
		out, err := exec.Command("go", "list", "-deps", module+room).CombinedOutput()
		if err != nil {
			t.Fatalf("go list -deps %s: got %v\n%s\nwant no error", room, err, out)
		}
		for imported := range strings.Lines(string(out)) {
			noun, ours := strings.CutPrefix(strings.TrimSpace(imported), module)
			if noun == "internal/testkit" && room != noun {
				t.Errorf("%s imports %s; only tests may", room, noun)
			}
			if !ours || noun == room || !slices.Contains(five, noun) {
				continue
			}
			if !slices.Contains(allowed, noun) {
				t.Errorf("%s imports %s; it may import only %v", room, noun, allowed)
			}
		}
	}
}

// Beneath cmd/watchdogd a package imports only those that stand here with it, directly.
func TestHousePackagesOfTheProgramImportOneWay(t *testing.T) {
	const beneath = "github.com/watchdogd/watchdogd/cmd/watchdogd/internal/"
	may := map[string][]string{
		"admin":     {"functions", "history", "local", "owner", "page", "source", "version"},
		"detect":    {"draft", "guess", "importer"},
		"doctor":    nil,
		"draft":     nil,
		"exit":      nil,
		"export":    nil,
		"front":     nil,
		"functions": nil,
		"fwatchdog": {"exit", "local", "source", "version"},
		"guess":     nil,
		"health":    {"owner", "source"},
		"history":   nil,
		"importer":  {"draft", "guess"},
		"listing":   {"terminal"},
		"local":     nil,
		"logbook":   {"fwatchdog", "terminal", "version"},
		"option":    nil,
		"owner":     nil,
		"page":      nil,
		"plan":      nil,
		"private":   nil,
		"reference": nil,
		"requests":  nil,
		"signals":   nil,
		"source":    nil,
		"started":   {"admin", "exit", "listing", "logbook", "terminal"},
		"systemd":   nil,
		"terminal":  nil,
		"top":       {"admin", "history", "terminal"},
		"trial":     {"draft"},
		"version":   nil,
	}
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./internal/...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: got %v\n%s\nwant no error", err, out)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		room := strings.TrimPrefix(words[0], beneath)
		allowed, known := may[room]
		if !known {
			t.Errorf("got a package %s, want a line for it in this test and in ARCHITECTURE.md", room)
		}
		for _, imported := range words[1:] {
			if other, ours := strings.CutPrefix(imported, beneath); ours && !slices.Contains(allowed, other) {
				t.Errorf("%s imports %s; it may import only %v", room, other, allowed)
			}
		}
	}
}

func TestTheFilesThatTheArchitectureNamesExist(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:cmd|docs|internal|modes|routes|schema|supervisor)/[a-z0-9_./]+)`").FindAllSubmatch(text, -1)
	if len(named) < 20 {
		t.Errorf("got %d names of files, want those of the walks", len(named))
	}
	for _, name := range named {
		if _, err := os.Stat(filepath.Join(root, string(name[1]))); err != nil {
			t.Errorf("got %v, want the file that ARCHITECTURE.md names", err)
		}
	}
}

// The grammar of HTTP/1 knows neither of its two ends, and they do not know each other.
func TestHouseGrammarStandsBeneathBothEnds(t *testing.T) {
	const module = "github.com/watchdogd/watchdogd/internal/http1"
	for _, of := range []string{"", "/server", "/client"} {
		out, err := exec.Command("go", "list", "-deps", module+of).CombinedOutput()
		if err != nil {
			t.Fatalf("go list -deps %s: got %v\n%s\nwant no error", module+of, err, out)
		}
		for imported := range strings.Lines(string(out)) {
			if end, ok := strings.CutPrefix(strings.TrimSpace(imported), module+"/"); ok && "/"+end != of {
				t.Errorf("%s: got an import of %s, want none", module+of, module+"/"+end)
			}
		}
	}
}
