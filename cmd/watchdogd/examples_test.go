package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// needs lists the programs that an example asks for beyond Go and POSIX.
var needs = map[string][]string{
	"01-bundle":           {"go", "python3"},
	"03-git-http-backend": {"git"},
	"04-php-cgi":          {"php-cgi"},
	"05-warm":             {"python3"},
}

// Every example is served as its README says, and answers as its requests.txt says.
func TestExamplesAnswerAsTheirRequestsSay(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/requests.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples found: %v", err)
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			for _, program := range needs[filepath.Base(dir)] {
				need(t, program)
			}
			exchanges := readRequests(t, file)
			yaml, err := filepath.Abs(filepath.Join(dir, "watchdog.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			address := freeAddress(t)
			_, port, _ := strings.Cut(address, ":")
			d := &daemonUnderTest{t: t, file: yaml, base: "http://127.0.0.1:" + port}
			d.start([]string{"-c", yaml}, []string{"PORT=" + port, "TMPDIR=" + t.TempDir(), "PATH=" + withWatchdogd(t)})
			d.waitListening()
			for _, x := range exchanges {
				response, err := d.try(x.method, x.path, x.header, x.body)
				if err != nil {
					t.Fatalf("%s:%d: %v", file, x.line, err)
				}
				x.check(t, file, response)
			}
			d.signal(15)
			if status := d.wait(); status != 0 {
				t.Errorf("got exit status %d, want 0", status)
			}
		})
	}
}

// withWatchdogd returns a PATH on which this test binary is found as watchdogd.
func withWatchdogd(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(self(t), filepath.Join(dir, "watchdogd")); err != nil {
		t.Fatal(err)
	}
	return dir + string(filepath.ListSeparator) + os.Getenv("PATH")
}

// need skips the test where a program is missing; in CI a missing program fails.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must install %s, want nothing", program)
		}
		t.Skipf("needs %s, which is not installed", program)
	}
}

// exchange is one request of a requests.txt and what its answer must be.
type exchange struct {
	line   int
	method string
	path   string
	header http.Header
	body   string
	status int
	want   []string
}

func (x exchange) check(t *testing.T, file string, got answered) {
	t.Helper()
	var all strings.Builder
	_ = got.header.Write(&all)
	all.WriteString(got.body)
	if got.status != x.status {
		t.Errorf("%s:%d: %s %s: status %d, want %d\n%s", file, x.line, x.method, x.path, got.status, x.status, all.String())
		return
	}
	for _, want := range x.want {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%s:%d: %s %s: the answer lacks %q:\n%s", file, x.line, x.method, x.path, want, all.String())
		}
	}
}

// readRequests reads a requests.txt: a request line and headers, an empty line and a
// body if there is one, the status alone on a line, and lines that the answer holds.
// A # begins a comment.
func readRequests(t *testing.T, file string) []exchange {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	exchanges, err := parseRequests(string(data))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return exchanges
}

func parseRequests(text string) ([]exchange, error) {
	var list []exchange
	const (
		between = iota
		head
		body
		answer
	)
	state, x := between, exchange{}
	flush := func() {
		if state == answer {
			list = append(list, x)
		}
		state, x = between, exchange{}
	}
	isStatus := func(line string) (int, bool) {
		n, err := strconv.Atoi(line)
		return n, err == nil && len(line) == 3 && n >= 100
	}
	for i, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		status, ends := isStatus(line)
		switch {
		case state == between && line == "":
		case state == between || state == answer && line == "":
			flush()
			if line == "" {
				continue
			}
			method, path, ok := strings.Cut(line, " ")
			if !ok {
				return nil, fmt.Errorf("line %d: %q is not a request line", i+1, line)
			}
			x = exchange{line: i + 1, method: method, path: path, header: http.Header{}}
			state = head
		case (state == head || state == body) && ends:
			x.body = strings.TrimSuffix(x.body, "\n")
			x.status, state = status, answer
		case state == head && line == "":
			state = body
		case state == head:
			name, value, ok := strings.Cut(line, ":")
			if !ok {
				return nil, fmt.Errorf("line %d: %q is not a header", i+1, line)
			}
			x.header.Add(name, strings.TrimSpace(value))
		case state == body:
			x.body += line + "\n"
		case state == answer:
			x.want = append(x.want, line)
		}
	}
	flush()
	return list, nil
}
