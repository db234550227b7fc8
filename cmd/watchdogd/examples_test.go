package main

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// example is what a test has to know of a folder of examples/.
type example struct {
	programs []string // beyond Go and POSIX
	modules  []string // commands that succeed if the libraries of a language are installed
	compile  []string // packages that its programs compile when they start, however long that takes
	start    string   // the command of its README, where that is not watchdogd
	fileless bool     // its configuration is the environment
	env      func(t *testing.T) []string
}

var examples = map[string]example{
	"00-start":            {programs: []string{"python3"}},
	"01-bundle":           {programs: []string{"go", "python3"}, compile: []string{"hello/main.go"}},
	"02-afterburn-go":     {programs: []string{"go"}, compile: []string{"main.go"}},
	"03-git-http-backend": {programs: []string{"git"}},
	"04-php-cgi":          {programs: []string{"php-cgi"}},
	"05-warm":             {programs: []string{"python3"}},
	"06-gateway":          {programs: []string{"python3"}},
	"07-redis-postgres": {
		programs: []string{"redis-server", "redis-cli", "psql"},
		modules:  []string{`python3 -c "import redis, psycopg2"`, "ls /usr/lib/postgresql/*/bin/postgres"},
		env: func(t *testing.T) []string {
			if os.Getuid() == 0 {
				return []string{"DB_USER=postgres"}
			}
			return nil
		},
	},
	"08-of-watchdog": {
		programs: []string{"node"},
		start:    "sh -c 'set -a; . ./function.env; exec watchdogd'",
		fileless: true,
		env:      func(t *testing.T) []string { return []string{fmt.Sprintf("http_port=%d", testkit.FreePort(t))} },
	},
	"09-thumbnails":       {programs: []string{"convert", "identify"}},
	"10-websocket-chat":   {programs: []string{"node"}, modules: []string{`node -e 'require("ws")'`}},
	"11-sse-progress":     {},
	"12-afterburn-python": {programs: []string{"python3"}},
	"13-afterburn-node":   {programs: []string{"node"}},
	"14-scale-to-zero":    {programs: []string{"python3"}},
	"15-keys-and-jwt": {
		programs: []string{"python3", "openssl"},
		env:      func(t *testing.T) []string { return []string{fmt.Sprintf("ISSUER_PORT=%d", testkit.FreePort(t))} },
	},
	"16-flask":     {modules: []string{`python3 -c "import flask, gunicorn"`}},
	"17-express":   {programs: []string{"node"}, modules: []string{`node -e 'require("express")'`}},
	"18-container": {programs: []string{"python3"}},
}

// elsewhere are the examples that a test outside of this package runs, and which.
var elsewhere = map[string]string{"20-swarm": "../../swarmtest/functions_linux_test.go"}

// exampleDirs returns the folders of examples/.
func exampleDirs(t *testing.T) (dirs []string) {
	t.Helper()
	entries, err := os.ReadDir("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, e.Name())
		}
	}
	if len(dirs) < len(examples) {
		t.Fatalf("got the folders %v, want all of the %d that the tests know", dirs, len(examples))
	}
	return dirs
}

// Each example answers as its requests.txt and its README say. It runs in a copy of its folder, so
// that a user may copy it too, and nothing is left in the repository.
func TestExamplesAnswerAsTheirFilesSay(t *testing.T) {
	for _, name := range exampleDirs(t) {
		x, known := examples[name]
		if !known {
			continue // it has a test of its own; TestEveryExampleIsComplete asks for one of the two
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x.need(t)
			dir, env := x.copied(t, name)
			t.Run("README.md", func(t *testing.T) { x.follow(t, dir, env) })
			t.Run("requests.txt", func(t *testing.T) {
				if out, log, status := x.test(t, dir, env); status != 0 || !strings.HasSuffix(out, "all as the file says\n") {
					t.Errorf("got exit status %d and\n%s, want 0 and all as the file says; the log is\n%s", status, out, log)
				}
			})
		})
	}
}

// need skips the test where a program or a library is missing.
func (x example) need(t *testing.T) {
	t.Helper()
	for _, program := range x.programs {
		need(t, program)
	}
	for _, check := range x.modules {
		cmd := exec.Command("sh", "-c", check)
		cmd.Env = append(os.Environ(), debian()...)
		if out, err := cmd.CombinedOutput(); err != nil {
			missing(t, "%s (%v: %s)", check, err, out)
		}
	}
}

// debian is the environment in which the programs of Debian come before others of their name, and
// any node finds Debian's modules.
func debian() []string {
	return []string{"PATH=/usr/bin:" + os.Getenv("PATH"), "NODE_PATH=/usr/share/nodejs"}
}

// copied returns a copy of the example's folder, and the environment of its programs.
func (x example) copied(t *testing.T, name string) (dir string, env []string) {
	t.Helper()
	top := shortDir(t)
	if err := os.Chmod(top, 0o755); err != nil { // for programs of another user
		t.Fatal(err)
	}
	dir = filepath.Join(top, name)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("../../examples", name))); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil { // of who tried it
		t.Fatal(err)
	}
	env = debian()
	env[0] = "PATH=" + filepath.Dir(watchdogdLink(t)) + ":" + strings.TrimPrefix(env[0], "PATH=")
	_, metricsPort, _ := strings.Cut(freeAddress(t), ":")
	env = append(env, "TMPDIR="+shortDir(t), "METRICS_PORT="+metricsPort)
	if x.env != nil {
		env = append(env, x.env(t)...)
	}
	for _, file := range x.compile {
		compile(t, dir, env, "-o", os.DevNull, file)
	}
	return dir, env
}

// compile has "go run" find in its cache what it would compile: no request waits for that long
// on every machine.
func compile(t *testing.T, dir string, env []string, args ...string) {
	t.Helper()
	build := exec.Command("go", append([]string{"build"}, args...)...)
	build.Dir, build.Env = dir, append(os.Environ(), env...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build %v: got %v\n%s\nwant no error", args, err, out)
	}
}

// test runs "watchdogd test -v" in dir.
func (x example) test(t *testing.T, dir string, env []string) (stdout, stderr string, status int) {
	t.Helper()
	if x.start == "" {
		return command(t, env, "-c", filepath.Join(dir, "watchdog.yaml"), "test", "-v")
	}
	script := filepath.Join(t.TempDir(), "test")
	text := "#!/bin/sh\ncd '" + dir + "'\nexec " + x.start + " test -v requests.txt\n"
	if strings.HasSuffix(x.start, "'") { // as sh -c '...; exec watchdogd'
		text = strings.Replace(text, "' test -v requests.txt", " test -v requests.txt'", 1)
	}
	testkit.WriteProgram(t, script, text)
	return commandOf(t, script, env)
}

// follow starts the example as its README says, and runs the commands of its console blocks: each
// must print what stands below it, where "..." stands for any text.
func (x example) follow(t *testing.T, dir string, env []string) {
	need(t, "curl")
	readme := readFile(t, filepath.Join(dir, "README.md"))
	start := cmp.Or(x.start, "watchdogd")
	if want := "\n    cd examples/" + filepath.Base(dir) + "\n    " + start + "\n"; !strings.Contains(readme, want) {
		t.Errorf("the README does not start the example by %q", want)
	}
	d := x.serve(t, dir, env)
	address := strings.TrimPrefix(d.base, "http://")
	sessions := consoles(readme)
	if len(sessions) == 0 {
		t.Error("the README has no console block that shows what to try")
	}
	for _, s := range sessions {
		sh := exec.Command("sh", "-c", strings.NewReplacer("localhost:8080", address, "curl ", "curl -sS --max-time 60 ").Replace(s.command))
		sh.Dir, sh.Env, sh.WaitDelay = dir, d.cmd.Env, 5*time.Second
		out, err := sh.CombinedOutput()
		got := strings.TrimRight(strings.ReplaceAll(string(out), "\r\n", "\n"), "\n")
		got = strings.ReplaceAll(got, address, "localhost:8080")
		if err != nil || !s.matches(got) {
			t.Errorf("$ %s\n%s\n(error %v); the README says\n%s", s.command, got, err, s.want)
		}
	}
}

// serve starts the example as its README says, and waits until all of it is ready.
func (x example) serve(t *testing.T, dir string, env []string) *daemonUnderTest {
	t.Helper()
	start := cmp.Or(x.start, "watchdogd")
	address := freeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	d := &daemonUnderTest{t: t, base: "http://" + address, dir: dir, file: filepath.Join(dir, "watchdog.yaml"), sh: "exec " + start}
	d.start(nil, append(env, "PORT="+port, "port="+port))
	d.waitListening()
	poll(t, "the example to be ready", func() bool { status, _ := d.get("/_/ready"); return status == http.StatusOK })
	return d
}

// typed is a command of a console block and what it prints.
type typed struct{ command, want string }

// consoles returns the commands of the console blocks of a document.
func consoles(text string) (all []typed) {
	for _, block := range strings.Split(text, "```console\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for _, part := range strings.Split("\n"+block, "\n$ ")[1:] {
			lines := strings.Split(strings.TrimRight(part, "\n"), "\n")
			n := 1
			for n < len(lines) && strings.HasSuffix(lines[n-1], "\\") {
				n++
			}
			all = append(all, typed{strings.Join(lines[:n], "\n"), strings.TrimRight(strings.Join(lines[n:], "\n"), "\n")})
		}
	}
	return all
}

func (s typed) matches(got string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(s.want), regexp.QuoteMeta("..."), "(?s:.*)")
	return regexp.MustCompile("^" + pattern + "$").MatchString(got)
}

func TestDotsOfAConsoleStandForAnyText(t *testing.T) {
	all := consoles("a\n```console\n$ one \\\n  two\nfirst\n...\nlast ... of it\n$ three\n```\n")
	if want := []string{"one \\\n  two", "three"}; len(all) != 2 || all[0].command != want[0] || all[1].command != want[1] || all[1].want != "" {
		t.Fatalf("got %q, want the commands %q", all, want)
	}
	for text, want := range map[string]bool{
		"first\nx\ny\nlast [1] of it": true,
		"first\nlast [1] of it":       false,
		"first\n\nlast [1] of it":     true,
		"first\nx\nlast of it":        false,
	} {
		if got := all[0].matches(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// A stranger finds each example in the index, and in it a README, a configuration and its requests.
func TestEveryExampleIsComplete(t *testing.T) {
	index := readFile(t, "../../examples/README.md")
	var tests strings.Builder
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		tests.WriteString(readFile(t, file))
	}
	for _, name := range exampleDirs(t) {
		files := []string{"README.md", "requests.txt"}
		by := tests.String()
		if file, ok := elsewhere[name]; ok { // its README has the requests
			files, by = files[:1], readFile(t, file)
		}
		if x := examples[name]; !x.fileless {
			files = append(files, "watchdog.yaml")
		}
		for _, file := range files {
			if info, err := os.Stat(filepath.Join("../../examples", name, file)); err != nil || info.Size() == 0 {
				t.Errorf("%s: %s is missing or empty (%v)", name, file, err)
			}
		}
		if !strings.Contains(index, "["+name+"]("+name+"/README.md)") {
			t.Errorf("examples/README.md does not name [%s](%s/README.md)", name, name)
		}
		if !strings.Contains(by, `"`+name+`"`) {
			t.Errorf("no test runs %s", name)
		}
	}
}

// Whoever reads the README of an example reads one screen.
func TestREADMEsOfExamplesAreAScreen(t *testing.T) {
	const most = 70 // lines
	for _, name := range exampleDirs(t) {
		if n := strings.Count(readFile(t, filepath.Join("../../examples", name, "README.md")), "\n"); n > most {
			t.Errorf("examples/%s/README.md: got %d lines, want at most %d", name, n, most)
		}
	}
}

// Examples are run from the repository by those who try them: what they write there is ignored by Git.
func TestExamplesKeepNothingInTheRepository(t *testing.T) {
	need(t, "git")
	ignored := strings.Fields(readFile(t, "../../.gitignore"))
	for _, want := range []string{"/examples/*/state/", "node_modules/", "__pycache__/"} {
		if !slices.Contains(ignored, want) {
			t.Errorf(".gitignore lacks %s", want)
		}
	}
	out, err := exec.Command("git", "-C", "../..", "ls-files", "examples").Output()
	if err != nil {
		t.Skipf("not a repository of Git: %v", err)
	}
	for _, file := range strings.Fields(string(out)) {
		if strings.Contains(file, "/state/") || strings.Contains(file, "node_modules/") || strings.HasSuffix(file, ".pem") {
			t.Errorf("%s is in the repository, want it made when the example runs", file)
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// watchdogdLink is this test binary as a program that is named watchdogd.
func watchdogdLink(t *testing.T) string {
	t.Helper()
	link := filepath.Join(shortDir(t), "watchdogd")
	if err := os.Symlink(self(t), link); err != nil {
		t.Fatal(err)
	}
	return link
}

// need skips the test where a program is missing; in CI a missing program fails.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		missing(t, "%s", program)
	}
}

// missing skips the test for want of something; in CI it fails.
func missing(t *testing.T, what string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("CI must install what is missing: "+what, args...)
	}
	t.Skipf("needs what is not installed: "+what, args...)
}
