package swarmtest

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// ofSwarm is a gateway whose functions are services of the Swarm.
const ofSwarm = `server: {listen: ":8080", drain: {delay: 2s}}
metrics: {listen: ":8081"}
gateway:
  swarm: {}
defaults:
  timeouts: {queue: 60s, start: 60s, exec: 60s}
`

// functions creates a gateway of functions on every manager that the constraint leaves.
func (s *cluster) functions(t *testing.T, n int, constraint string, args ...string) {
	t.Helper()
	s.gateway(t, "gateway", ofSwarm, append(args, "--mode", "global", "--constraint", constraint)...)
	s.running(t, "gateway", n, "")
}

func TestAnAlexaRequestReachesItsFunction(t *testing.T) {
	s := swarm(t)
	s.functions(t, 1, "node.hostname==node1")
	s.service(t, "hello", "--label", "watchdogd.function=true", functionImage)
	s.serves(t, s.engines[0], "/function/hello", 1)
	const request = `{"version": "1.0", "session": {"sessionId": "s-1", "application": {"applicationId": "skill-1"}}, "request": {"type": "IntentRequest", "intent": {"name": "hello"}}}`
	if r := call(newClient(), http.MethodPost, s.engines[0].url("/"), request); r.problem != "" {
		t.Errorf("got %s, want the request back", r.problem)
	}
}

// The example's README is followed on a real Swarm: its commands print what it says.
func TestTheQuickStartOfTheExample(t *testing.T) {
	s := swarm(t)
	e := s.engines[0]
	dir := filepath.Join("..", "examples", "20-swarm")
	text, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.remove(t, "echo")
		s.remove(t, "faas_gateway")
		e.must(t, "stack", "rm", "faas")
		eventually(t, "the end of the network of the stack", func() bool {
			names, err := e.docker("network", "ls", "-q", "--filter", "name=^functions$")
			return err == nil && names == ""
		})
	})
	t.Cleanup(func() {
		if t.Failed() {
			s.explain(t)
		}
	})
	e.must(t, "stack", "config", "-c", filepath.Join(dir, "stack.yaml"))
	commands := consoles(string(text))
	if len(commands) < 5 {
		t.Fatalf("got the commands %q, want those of the quick start", commands)
	}
	for _, c := range commands {
		if strings.Contains(c.command, "/function/echo") { // the engines' network may need half a minute to know a new task
			s.serves(t, e, "/function/echo", 1)
		}
		sh := e.command("sh", "-c", strings.ReplaceAll(c.command, "curl ", "curl -sS --max-time 60 "))
		sh.Dir = dir
		var stderr strings.Builder // attempts that curl repeats
		sh.Stderr = &stderr
		out, err := sh.Output()
		if got := strings.TrimRight(string(out), "\n"); err != nil || !c.matches(got) {
			t.Fatalf("$ %s\n%s\n(error %v: %s); the README says\n%s", c.command, got, err, &stderr, c.want)
		}
	}
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
			all = append(all, typed{strings.Join(lines[:n], "\n"), strings.Join(lines[n:], "\n")})
		}
	}
	return all
}

// matches reports whether a command printed what the document says; "..." is any text.
func (c typed) matches(got string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(c.want), regexp.QuoteMeta("..."), "(?s:.*)")
	return regexp.MustCompile("^" + pattern + "$").MatchString(got)
}
