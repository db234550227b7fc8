package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/internal/testkit"
)

// A document is followed as its reader would: a block of code with the name of a file is
// written there, and the commands of a block "console" are typed into a shell, which prints
// what stands below them. In what the document says,
//
//	...            is any text in a line, and alone on a line any lines
//	1234, 1.2s, 12:34:56, 1.5MiB  are any number of that kind: pids, ports, times, sizes
//	/home/ann      is the home of the reader
//	8080           is the port that the test has
//
// Other ports of the document get a free one each with replace.
type follower struct {
	t       *testing.T
	name    string // of the document
	home    string
	dir     string // where the shell is
	in      io.WriteCloser
	lines   chan string
	replace *strings.Replacer
}

// follow starts the shell of a reader. Each of ports is replaced by a free one.
func follow(t *testing.T, name string, ports ...string) *follower {
	t.Helper()
	need(t, "curl")
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{t: t, name: name, home: home, dir: home, lines: make(chan string)}
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("silent\n"), 0o600); err != nil { // as on a terminal
		t.Fatal(err)
	}
	port := fmt.Sprint(freePort(t))
	pairs := []string{"/home/ann", home, "8080", port}
	for _, p := range ports {
		pairs = append(pairs, p, fmt.Sprint(freePort(t)))
	}
	f.replace = strings.NewReplacer(pairs...)

	sh := exec.Command("sh")
	sh.Dir = home
	sh.Env = append(os.Environ(), "WATCHDOGD_TEST_AS=watchdogd", "PATH="+filepath.Dir(watchdogdLink(t))+":"+os.Getenv("PATH"), "HOME="+home, "PORT="+port, "NO_COLOR=1", "XDG_RUNTIME_DIR="+shortDir(t))
	if f.in, err = sh.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := sh.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	sh.Stderr = sh.Stdout
	if err := sh.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the shell
		defer close(f.lines)
		for r := bufio.NewReader(out); ; {
			line, err := r.ReadString('\n')
			if line != "" {
				f.lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_, _ = io.WriteString(f.in, endServed+"; watchdogd down --now\nexit\n") // where the document left something running
		for range f.lines {
		}
		_ = sh.Wait() // its status is of no account
	})
	return f
}

const prompt = "@@prompt@@"

// run types a command and returns what it prints.
func (f *follower) run(command string) (printed string, status int) {
	f.t.Helper()
	_, err := fmt.Fprintf(f.in, "{ %s\n} </dev/null\nprintf '\\n%s %%d %%s\\n' $? \"$PWD\"\n", command, prompt)
	if err != nil {
		f.t.Fatal(err)
	}
	timer := time.NewTimer(2 * patience)
	defer timer.Stop()
	for {
		select {
		case line, open := <-f.lines:
			if rest, end := strings.CutPrefix(line, prompt+" "); end {
				_, _ = fmt.Sscanf(rest, "%d %s", &status, &f.dir) // printf writes both
				return strings.TrimSuffix(printed, "\n"), status
			}
			if !open {
				f.t.Fatalf("%s: $ %s\ngot the end of the shell after\n%s", f.name, command, printed)
			}
			printed += line
		case <-timer.C:
			f.t.Fatalf("%s: $ %s\ngot no end within %v, but\n%s", f.name, command, 2*patience, printed)
		}
	}
}

// read follows a part of the document. It fails the test where a command prints something else,
// or fails although the document shows nothing of it.
func (f *follower) read(part string) {
	f.t.Helper()
	for _, b := range testkit.Blocks(part) {
		code := f.replace.Replace(b.Code)
		switch {
		case b.Language == "console":
			f.session(code)
		case b.Rest == "" || b.Rest == "fragment" || strings.Contains(b.Rest, " "):
		default:
			file := filepath.Join(f.dir, filepath.FromSlash(b.Rest))
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				f.t.Fatal(err)
			}
			testkit.WriteProgram(f.t, file, code) // which it may be
		}
	}
}

func (f *follower) session(text string) {
	f.t.Helper()
	for _, part := range strings.Split("\n"+text, "\n$ ")[1:] {
		command, want, _ := strings.Cut(part, "\n")
		for strings.HasSuffix(command, "\\") { // goes on in the next line
			more, rest, _ := strings.Cut(want, "\n")
			command, want = command+"\n"+more, rest
		}
		if strings.HasPrefix(command, "watchdogd") {
			f.run(endServed)
		}
		if options, try := strings.CutPrefix(command, "watchdogd try "); try {
			f.serve("watchdogd try -p $PORT "+options, want)
			continue
		}
		got, status := f.run(command)
		if !printedAs(got, want) || status != 0 && want == "" {
			f.t.Errorf("%s: $ %s\ngot (status %d)\n%s\nwant\n%s", f.name, command, status, got, want)
		}
	}
}

// endServed is Ctrl-C in the terminal of what serve started.
const endServed = `[ -z "$served" ] || { kill -INT $served; wait $served; served=; }`

// serve types a command that goes on until Ctrl-C, as in a terminal of its own. That follows
// before the next command of watchdogd.
func (f *follower) serve(command, want string) {
	f.t.Helper()
	f.run(command + " >served 2>/dev/null & served=$!") // the log goes elsewhere where there is no terminal
	log := filepath.Join(f.dir, "served")
	last := ""
	for end := time.Now().Add(patience); !printedAs(last, want); time.Sleep(5 * time.Millisecond) { // another process's file is not announced
		if time.Now().After(end) {
			f.t.Errorf("%s: $ %s\ngot\n%s\nwant\n%s", f.name, command, last, want)
			return
		}
		text, _ := os.ReadFile(log) // it may not be there yet
		last = string(text)
	}
}

// varies are the parts of a line that are different in each run, and what stands for them.
var varies = regexp.MustCompile(`\d\d:\d\d:\d\d(?:\.\d+)?|(?:\d+(?:\.\d+)?(?:µs|ms|s|m|h))+\b|\d+(?:\.\d+)?(?:[KMG]i)?B\b|\d+\.\d+s\b|\d{4,}|\.\.\.`)

// printedAs reports whether got is what a document says, without regard to the width of columns.
func printedAs(got, want string) bool {
	var pattern strings.Builder
	pattern.WriteString(`^`)
	for _, line := range strings.Split(strings.TrimRight(want, "\n"), "\n") {
		line = strings.Join(strings.Fields(line), " ")
		if line == "..." {
			pattern.WriteString(`(?:[^\n]*\n)*`)
			continue
		}
		end := 0
		for _, at := range varies.FindAllStringIndex(line, -1) {
			pattern.WriteString(regexp.QuoteMeta(line[end:at[0]]))
			switch part := line[at[0]:at[1]]; {
			case part == "...":
				pattern.WriteString(`[^\n]*`)
			case strings.Contains(part, ":"):
				pattern.WriteString(`\d\d:\d\d:\d\d(?:\.\d+)?`)
			case strings.HasSuffix(part, "B"):
				pattern.WriteString(`\d+(?:\.\d+)?(?:[KMG]i)?B`)
			case part[len(part)-1] < '0' || part[len(part)-1] > '9':
				pattern.WriteString(`(?:\d+(?:\.\d+)?(?:µs|ms|s|m|h))+`)
			default:
				pattern.WriteString(`\d+`)
			}
			end = at[1]
		}
		pattern.WriteString(regexp.QuoteMeta(line[end:]) + `\n`)
	}
	pattern.WriteString(`$`)
	lines := strings.Split(strings.TrimRight(got, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	ok, err := regexp.MatchString(pattern.String(), strings.Join(lines, "\n")+"\n")
	return ok && err == nil
}

func TestWhatADocumentSaysIsComparedWithoutWhatVaries(t *testing.T) {
	for _, c := range []struct {
		got, want string
		same      bool
	}{
		{"HELLO", "HELLO\n", true},
		{"HELLO", "HELLO!\n", false},
		{"HELLO\nmore", "HELLO\n", false},
		{"", "HELLO\n", false},
		{"a   1  ready\n", "a  1  ready", true},
		{"a   2  ready\n", "a  1  ready", false},
		{"app ready on port 231 (pid 7)", "app ready on port 25050 (pid 48213)", true},
		{"status 500", "status 502", false},
		{"12:00:01.123 up 1m30s 2.5MiB", "09:15:00.000 up 2s 20.3MiB", true},
		{"one\ntwo\nthree", "one\n...\nthree", true},
		{"one\ntwo\nfour", "one\n...\nthree", false},
		{"why: exit status 2: no such file", "why: exit status 2: ...", true},
	} {
		if got := printedAs(c.got, c.want); got != c.same {
			t.Errorf("%q and %q: got %v, want %v", c.got, c.want, got, c.same)
		}
	}
}

// document reads a page of the repository.
func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheTutorialPrintsWhatItSays(t *testing.T) {
	need(t, "python3")
	f := follow(t, "docs/tutorial.md", "8000")
	f.docker()
	f.read(document(t, f.name))
}

// docker puts a program of that name before the reader, which does with the last stage of a
// Dockerfile what an engine does, but on this machine: tests have no registry with the base
// images. It knows build, run, exec and stop.
func (f *follower) docker() {
	f.t.Helper()
	const script = `#!/bin/sh
set -e
image=$HOME/.image
case $1 in
build)
	rm -rf "$image" && mkdir "$image"
	grep -qx 'COPY . .' Dockerfile && cp -R . "$image"
	echo sha256:0123 ;;
run)
	cd "$image"
	eval "set -- $(sed -n 's/^CMD \[\(.*\)\]$/\1/p' Dockerfile | tr -d ,)"
	"$@" >log 2>&1 &
	echo $! >"$HOME/.pid"
	echo 0123 ;;
exec)
	cd "$image"
	shift 2
	exec "$@" ;;
stop)
	cd "$image"
	eval "set -- $(sed -n 's/^HEALTHCHECK .* CMD \[\(.*\)\]$/\1/p' Dockerfile | tr -d ,)"
	"$@" >health
	kill "$(cat "$HOME/.pid")"
	while kill -0 "$(cat "$HOME/.pid")" 2>/dev/null; do sleep 0.01; done
	echo shop ;;
*)
	echo "docker $1: want build, run, exec or stop" >&2
	exit 2 ;;
esac
`
	testkit.WriteProgram(f.t, filepath.Join(f.home, "docker"), script)
	f.run(`PATH=$HOME:$PATH`)
}

// Each section has a before, what import makes of it or a person, and what that answers.
func TestMovingFromOtherSupervisorsWorksAsItSays(t *testing.T) {
	for _, program := range []string{"python3", "node", "gunicorn"} {
		need(t, program)
	}
	const name = "docs/moving-from.md"
	sections := strings.Split(document(t, name), "\n## ")[1:]
	if len(sections) < 7 {
		t.Fatalf("got %d sections in %s, want 7 or more", len(sections), name)
	}
	for _, section := range sections {
		title, _, _ := strings.Cut(section, "\n")
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			f := follow(t, name, "8000", "3000")
			f.run("mkdir stack && cd stack")
			f.read(section)
		})
	}
}
