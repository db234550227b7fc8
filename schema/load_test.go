package schema

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/watchdogd/watchdogd/internal/regular"
	"github.com/watchdogd/watchdogd/internal/testkit"
	"github.com/watchdogd/watchdogd/schema/internal/expand"
	"github.com/watchdogd/watchdogd/schema/internal/source"
)

// write puts files into a new folder and gives its path.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestUnreadableFilesAreReported(t *testing.T) {
	dir := t.TempDir()
	for file, want := range map[string]string{
		filepath.Join(dir, "none.yaml"):         "no such file or directory",
		dir:                                     "it is a directory, not a file",
		filepath.Join(dir, "none", "a.yaml"):    "no such file or directory",
		filepath.Join("/dev/null", "none.yaml"): "not a directory",
	} {
		_, err := Load(file, nothing)
		if want := fmt.Sprintf("read configuration %s: %s", file, want); err == nil || err.Error() != want {
			t.Errorf("it is told as %q and not %q", err, want)
		}
		if _, ok := err.(Problems); ok {
			t.Errorf("%s: the content is not at fault", file)
		}
	}
	if _, err := Load(filepath.Join(dir, "none.yaml"), nothing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
}

func TestOnlyRegularFilesOfABoundedSizeAreRead(t *testing.T) {
	dir := t.TempDir()
	pipe, socket, large := filepath.Join(dir, "pipe"), filepath.Join(dir, "s"), filepath.Join(dir, "large")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, regular.MaxFile+1); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(pipe, link); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		pipe:        "it is a pipe, not a regular file; write its content to a file first",
		link:        "it is a pipe, not a regular file; write its content to a file first",
		socket:      "it is a socket, not a regular file",
		"/dev/zero": "it is a device, not a regular file",
		large:       "it is larger than 16 MiB",
		dir:         "it is a directory, not a file",
	} {
		if _, err := regular.ReadFile(file); err == nil || err.Error() != want {
			t.Errorf("ReadFile(%s): got %v, want %s", file, err, want)
		}
		if _, err := Load(file, nothing); err == nil || err.Error() != fmt.Sprintf("read configuration %s: %s", file, want) {
			t.Errorf("Load(%s): got %v, want %s", file, err, want)
		}
		main := filepath.Join(dir, "watchdog.yaml")
		_, err := Parse(main, []byte("include: ["+file+"]\n"), nothing)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("include: [%s]: got %v, want %s", file, err, want)
		}
	}
	if err := os.Truncate(large, regular.MaxFile); err != nil {
		t.Fatal(err)
	}
	if data, err := regular.ReadFile(large); err != nil || len(data) != regular.MaxFile {
		t.Errorf("ReadFile of %d bytes: got %d, %v, want no error, and len(data) == regular.MaxFile", regular.MaxFile, len(data), err)
	}
}

func TestIncludePatternsSearchABoundedNumberOfFiles(t *testing.T) {
	dir := write(t, map[string]string{"a/b/x.yaml": "routes: [{name: x, fprocess: x}]", "a/c/y.txt": "", "a/d/e/z.txt": ""})
	if err := syscall.Mkfifo(filepath.Join(dir, "a", "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	main := filepath.Join(dir, "watchdog.yaml")
	// A pipe in the place of a folder is not opened, which would wait for a writer.
	if c, err := Parse(main, []byte("include: ['a/*/*.yaml']"), nothing); err != nil || len(c.Routes) != 1 {
		t.Errorf("beside a pipe: got %v, %v, want one route", c, err)
	}
	for _, left := range []int{1, 2, 4} {
		l := newLoader(nothing)
		l.looked = maxLooked - left
		files, err := l.glob(dir + "/**/*.yaml")
		if want := "there are more than 100000 files and folders to search"; err == nil || err.Error() != want {
			t.Errorf("with %d left: got %v, %v, want %s", left, files, err, want)
		}
	}
	l := newLoader(nothing)
	files, err := l.glob(dir + "/**/*.yaml")
	if err != nil || len(files) != 1 || files[0] != filepath.Join(dir, "a/b/x.yaml") {
		t.Errorf("got %v, %v, want a/b/x.yaml", files, err)
	}
	if l.looked < 8 || l.looked > 20 {
		t.Errorf("looked at: got %d, want about the 9 that are there", l.looked)
	}
}

func TestIncludedFilesHaveATotalLimit(t *testing.T) {
	half := "#" + strings.Repeat("x", source.MaxFile/2) + "\nroutes: []\n"
	dir := write(t, map[string]string{"1.yaml": half, "2.yaml": half})
	_, err := Parse(filepath.Join(dir, "watchdog.yaml"), []byte("include: ['?.yaml']\n"), nothing)
	if want := "this file and the files it includes exceed 16 MiB or 10000 files"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %.300v, want %s", err, want)
	}
}

func TestInvalidBytesAreReportedWithTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"a: b\nc: caf\xe9\n":                       "f.yaml:2:7: the file is not UTF-8: invalid byte 0xe9",
		"\xff\xfea\x00:\x00":                       "f.yaml:1:1: the file is UTF-16, not UTF-8",
		"\xfe\xff\x00a\x00:":                       "f.yaml:1:1: the file is UTF-16, not UTF-8",
		"a: \x00\n":                                "f.yaml:1:4: NUL byte: this is not a text file",
		"a:\n  é\x01\n":                            "f.yaml:2:4: YAML does not allow the control character U+0001",
		"\ufeffa: \x7f\n":                          "f.yaml:1:4: YAML does not allow the control character U+007F",
		"a: b\ufeff\n":                             "f.yaml:1:5: there is an invisible byte order mark (U+FEFF)",
		"\xc0\x80":                                 "f.yaml:1:1: the file is not UTF-8: invalid byte 0xc0",
		strings.Repeat("#", source.MaxFile+1):      "f.yaml:1:1: the file is larger than 16 MiB",
		strings.Repeat("\n", 2*source.MaxValues+1): "f.yaml:1:1: the file has more than 1048576 values",
	} {
		_, err := Parse("f.yaml", []byte(text), nothing)
		problems, ok := err.(Problems)
		if !ok || len(problems) != 1 || problems[0].Error() != want {
			t.Errorf("it is told as %.200v and not %q", err, want)
		}
	}
}

func TestPlacesAreRightForAllLineEndings(t *testing.T) {
	lines := []string{"# ä", "routes:", "  - name: a", "    mode: htpp", "    nmae: b"}
	for name, text := range map[string]string{
		"unix":        strings.Join(lines, "\n"),
		"dos":         strings.Join(lines, "\r\n") + "\r\n",
		"mac":         strings.Join(lines, "\r"),
		"byte order":  "\ufeff" + strings.Join(lines, "\n"),
		"no end":      strings.Join(lines, "\n"),
		"blank lines": strings.Join(lines, "\n") + "\n\n\n",
	} {
		_, err := Parse("f.yaml", []byte(text), nothing)
		want := `f.yaml:4:11: routes[0].mode: must be http, streaming, serializing, afterburn or static, not "htpp"
      mode: htpp
            ^ did you mean http?
f.yaml:5:5: routes[0].nmae: unknown key
      nmae: b
      ^ did you mean name?`
		if err == nil || err.Error() != want {
			t.Errorf("%s: told is\n%v", name, err)
		}
	}
}

func TestDefaultsAreInheritedAndMerged(t *testing.T) {
	c := parseGood(t, `
defaults:
  mode: streaming
  fprocess: default
  timeouts: {exec: 1s, idle: 2s, start: 3s}
  limits: {inflight: 5}
  env: {A: a, B: b}
  headers: {X-A: a}
  methods: [GET, POST]
  restart: {policy: never, max: 1m}
  replicas: {min: 2, max: 4}
  ready: {http: /healthz, interval: 2s}
  depends_on: [redis]
  rlimits: {nofile: 10, core: 0}
  upstream: 127.0.0.1:${PORT}
  content_type: text/plain
  compress: true
routes:
  - name: a
  - name: b
    mode: http
    fprocess: own
    timeouts: {exec: 9s}
    env: {B: own, C: c}
    headers: {X-B: b}
    methods: []
    restart: always
    ready: {tcp: 9000}
    depends_on: {redis: started, other: ready}
    compress: false
  - name: c
    mode: static
    root: .
services:
  - name: redis
    ready: {tcp: 9001}
  - name: other
    replicas: 1
    ready: {log: x}
    depends_on: []
    env: {}
`[1:])
	a, b, s := c.Routes[0], c.Routes[1], c.Routes[2]
	if a.Mode != Streaming || a.FProcess.Words[0] != "default" || a.ContentType != "text/plain" || a.Timeouts.Exec.String() != "1s" || a.Limits.Inflight != 5 ||
		!slices.Equal(a.Methods, Strings{"GET", "POST"}) || a.DependsOn["redis"] != "ready" || !a.Compress {
		t.Errorf("a is %+v", a)
	}
	if !a.Upstream.Empty() || a.Restart.Policy != "always" || a.Timeouts.Start != DefaultRoute().Timeouts.Start || !a.Ready.Empty() {
		t.Errorf("what means nothing in streaming came to a: got %+v, want only the built-in defaults", a)
	}
	if b.FProcess.Words[0] != "own" || b.Timeouts.Exec.String() != "9s" || b.Timeouts.Idle.String() != "2s" || b.Timeouts.Start.String() != "3s" ||
		!maps.Equal(b.Env, map[string]Text{"A": "a", "B": "own", "C": "c"}) || !maps.Equal(b.Headers, map[string]string{"X-A": "a", "X-B": "b"}) ||
		b.Methods != nil || b.Restart.Policy != "always" || b.Restart.Max.String() != "1m" || b.Replicas.Min != 2 || b.Replicas.Max != 4 ||
		b.Ready.HTTP != "" || b.Ready.TCP != ":9000" || b.Ready.Interval.String() != "2s" || b.Compress ||
		b.DependsOn["redis"] != "started" || b.DependsOn["other"] != "ready" || b.RLimits["nofile"] != 10 || b.Upstream.String() != "127.0.0.1:${PORT}" {
		t.Errorf("b is %+v", b)
	}
	if !s.FProcess.Empty() || s.Env != nil || s.Root == "" || s.Timeouts.Idle.String() != "2s" {
		t.Errorf("c is %+v", s)
	}
	if other := c.Services[1]; len(other.DependsOn) != 0 || other.Env != nil {
		t.Errorf("an empty value does not clear: got %+v, want Env nil and len(other.DependsOn) 0", other)
	}
	if redis := c.Services[0]; redis.FProcess.Words[0] != "default" || redis.Env["A"] != "a" || redis.Timeouts.Start.String() != "3s" || redis.Replicas.Min != 2 || redis.Replicas.Max != 2 || len(redis.DependsOn) != 0 {
		t.Errorf("redis is %+v", redis)
	}
}

func TestDefaultsThatNeedAPortApplyToServersOnly(t *testing.T) {
	c := parseGood(t, `
defaults: {ready: {http: /healthz}, live: tcp, env: {LISTEN: ":${PORT}", A: b}}
routes:
  - {name: a, fprocess: x}
  - {name: b, mode: afterburn, fprocess: x}
  - {name: c, mode: streaming, fprocess: x}
services:
  - {name: d, fprocess: x}
`)
	if a := c.Routes[0]; a.Ready.HTTP != "/healthz" || a.Live.TCP != "${PORT}" || len(a.Env) != 2 {
		t.Errorf("a is %+v", a)
	}
	for _, p := range []Process{c.Routes[1].Process, c.Routes[2].Process, c.Services[0].Process} {
		if !p.Ready.Empty() || !p.Live.Empty() || !maps.Equal(p.Env, map[string]Text{"A": "b"}) {
			t.Errorf("it is %+v", p)
		}
	}
}

func TestShellAppliesWhereverItIsSet(t *testing.T) {
	c := parseGood(t, `
defaults: {fprocess: "a | b", mode: streaming}
routes:
  - {name: a, shell: true}
  - {name: b, fprocess: "c | d", shell: true}
  - {name: c, shell: true, fprocess: e}
  - {name: d, fprocess: f}
  - {name: e, <<: {shell: "${YES}"}}
  - {name: f, fprocess: g, mode: http, shell: true, ready: {exec: "a; b"}, live: {exec: [a, b]}}
`)
	for i, want := range []string{"a | b", "c | d", "e", "", "a | b", "g"} {
		if line := string(c.Routes[i].FProcess.Line); line != want {
			t.Errorf("the line of %s is %q, want %q", c.Routes[i].Name, line, want)
		}
	}
	if f := c.Routes[5]; f.Ready.Exec.Line != "a; b" || !slices.Equal(f.Live.Exec.Words, []Text{"a", "b"}) {
		t.Errorf(`got %+v, want f.Ready.Exec.Line == "a; b" && slices.Equal(f.Live.Exec.Words, []Text{"a", "b"})`, f)
	}
}

func TestPathsInIncludedFilesAreRelativeToThem(t *testing.T) {
	dir := write(t, map[string]string{
		"watchdog.yaml":    "include: [functions/*.yaml, '**/*.yml', extra.yaml]\ndefaults: {env_file: main.env, timeouts: {exec: 7s}}\nroutes:\n  - {name: a, fprocess: ./a}\n",
		"functions/b.yaml": "routes:\n  - {name: b, fprocess: ./b, dir: sub, env_file: own.env, watch: ['*.py']}\nservices:\n  - {name: s, fprocess: x}\n",
		"functions/c.yaml": "routes:\n  - {name: c, mode: static, root: public}\n",
		"deep/er/d.yml":    "services:\n  - {name: d, fprocess: x, depends_on: [a]}\n",
		"extra.yaml":       "routes:\n  - {name: e, fprocess: x}\n",
		"main.env":         "", "functions/own.env": "", "functions/public/x": "",
	})
	c, err := Load(filepath.Join(dir, "watchdog.yaml"), nothing)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range c.Routes {
		names = append(names, r.Name)
	}
	for _, s := range c.Services {
		names = append(names, s.Name)
	}
	if want := []string{"a", "b", "c", "e", "s", "d"}; !slices.Equal(names, want) {
		t.Errorf("there are %v and not %v", names, want)
	}
	a, b := c.Routes[0], c.Routes[1]
	if a.Dir != Text(dir) || a.EnvFile[0] != dir+"/main.env" || b.EnvFile[0] != dir+"/functions/own.env" || b.Dir != Text(dir+"/functions/sub") ||
		b.Watch[0] != dir+"/functions/*.py" || c.Routes[2].Root != dir+"/functions/public" || c.Services[0].Dir != Text(dir+"/functions") ||
		c.Services[0].EnvFile[0] != dir+"/main.env" || b.Timeouts.Exec.String() != "7s" {
		t.Errorf("got %+v\n%+v\n%+v\nwant the paths of each beneath the folder of its file", a, b, c.Services[0])
	}
	var files []string
	for _, f := range c.Files {
		rel, _ := filepath.Rel(dir, f)
		files = append(files, rel)
	}
	if want := []string{"watchdog.yaml", "functions/b.yaml", "functions/c.yaml", "deep/er/d.yml", "extra.yaml"}; !slices.Equal(files, want) {
		t.Errorf("the files are %v, want %v", files, want)
	}
}

func TestAnIncludePatternMayMatchNothing(t *testing.T) {
	dir := write(t, map[string]string{"watchdog.yaml": "include: ['*.yml', './watch*.yaml']\nroutes: [{name: a, fprocess: x}]\n"})
	if _, err := Load(filepath.Join(dir, "watchdog.yaml"), nothing); err != nil {
		t.Error(err)
	}
}

func TestFoldersMayHaveAnyName(t *testing.T) {
	dir := write(t, map[string]string{
		"a[b]{c}*$$ x${HOME}/watchdog.yaml": "include: '*.yml'\nroutes:\n  - {name: a, fprocess: x, dir: sub, watch: '*.py', env: {A: \"$$\"}}\n",
		"a[b]{c}*$$ x${HOME}/b.yml":         "services:\n  - {name: b, fprocess: x}\n",
	}) + "/a[b]{c}*$$ x${HOME}"
	c, err := Load(filepath.Join(dir, "watchdog.yaml"), environment)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Routes[0].Dir.Expand(Vars{}); got != dir+"/sub" {
		t.Errorf("dir is %s, want %s", got, dir+"/sub")
	}
	if len(c.Services) != 1 || c.Services[0].Dir.Expand(Vars{}) != dir {
		t.Errorf("got %+v, want len(c.Services) == 1 && c.Services[0].Dir.Expand(Vars{}) == dir", c.Services)
	}
	if want := strings.NewReplacer("[", `\[`, "]", `\]`, "{", `\{`, "}", `\}`, "*", `\*`).Replace(dir) + "/*.py"; c.Routes[0].Watch[0] != want {
		t.Errorf("watch is %s and not %s", c.Routes[0].Watch[0], want)
	}
	again(t, c)
}

func TestTheStackIsNamedAfterItsFolder(t *testing.T) {
	for folder, want := range map[string]string{"shop": "shop", "My Shop": "my-shop", "_x_": "x", "ä": "watchdogd", strings.Repeat("a", 80): strings.Repeat("a", 63)} {
		c, err := Parse(filepath.Join("/tmp", folder, "watchdog.yaml"), []byte("routes: [{name: a, fprocess: x}]"), nothing)
		if err != nil || c.Name != want {
			t.Errorf("in %s it is %q, %v, want %q and no error", folder, c.Name, err, want)
		}
	}
}

// many is a file of n routes.
func many(n int) []byte {
	var b strings.Builder
	b.WriteString("defaults: {timeouts: {exec: 5s}, env: {A: b}}\nservices:\n  - {name: redis, fprocess: redis-server}\nroutes:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - name: route-%d\n    path: /api/%d\n    methods: [GET, POST]\n    fprocess: node server.js --port ${PORT}\n    timeouts: {exec: 30s}\n    env: {KEY: value, HOME: \"${HOME}\"}\n    depends_on: [redis]\n", i, i)
	}
	return []byte(b.String())
}

func TestTenThousandRoutesCostTenTimesAThousand(t *testing.T) {
	testkit.InProportion(t, "routes", 1000, nil, func(n int) testkit.Cost {
		data := many(n)
		return testkit.Allocated(func() {
			if c, err := Parse("watchdog.yaml", data, environment); err != nil || len(c.Routes) != n {
				t.Fatalf("got %v, want %d routes and no error", err, n)
			}
		})
	})
}

func BenchmarkTenThousandRoutes(b *testing.B) {
	data := many(10_000)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse("watchdog.yaml", data, environment); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOneRoute(b *testing.B) {
	data := many(1)
	for b.Loop() {
		if _, err := Parse("watchdog.yaml", data, environment); err != nil {
			b.Fatal(err)
		}
	}
}

// bombs are files that are small and would become large.
func bombs() map[string]string {
	letters := func(first, each string, last string) string {
		var b strings.Builder
		b.WriteString(first)
		for c := 'b'; c < 'm'; c++ {
			fmt.Fprintf(&b, each, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 10))
		}
		return b.String() + last
	}
	return map[string]string{
		"lists of lists":      letters("x:\n  - &a [x]\n", "  - &%c [%s]\n", "routes: *l\n"),
		"merges of merges":    letters("routes:\n  - &a {name: x}\n", "  - &%c {<<: [%s]}\n", ""),
		"variables of merges": letters("routes:\n  - name: a\n    fprocess: x\n    env: &a {A: b}\n", "  - name: a\n    env: &%c {<<: [%s]}\n", ""),
		"routes of one":       "routes:\n  - &a {name: x, fprocess: x}\n" + strings.Repeat("  - *a\n", 200_000),
		"a merge of itself":   "routes:\n  - &a\n    <<: *a\n    name: x\n",
		"a list of itself":    "routes: &a [*a, *a]\n",
		"merges in a circle":  "routes:\n  - &a {<<: [&b {<<: *a}], name: x}\n",
		"many empty routes":   "routes: [" + strings.Repeat("{},", 300_000) + "]\n",
		"many mistakes":       strings.Repeat("a: b\n", 50_000),
		"many other mistakes": "routes:\n" + strings.Repeat("  - mode: x\n", 90_000),
		"deep lists":          "routes: " + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + "\n",
		"deeper lists":        "routes: " + strings.Repeat("[", 1_000_000),
		"deep mappings":       "routes: " + strings.Repeat("{a: ", 9_000) + strings.Repeat("}", 9_000) + "\n",
		"deep items":          strings.Repeat("- ", 1_000_000),
		"deep keys":           strings.Repeat("? ", 1_000_000),
		"a long line":         "name: " + strings.Repeat("x", source.MaxFile-100) + "\n",
		"a long key":          strings.Repeat("x", 1000) + ": " + strings.Repeat("y", 1_000_000) + "\n",
		"deep commands":       "routes:\n  - name: a\n    fprocess: '" + strings.Repeat("(", expand.MaxCommand-10) + "'\n",
		"deep substitutions":  "routes:\n  - name: a\n    fprocess: '" + strings.Repeat("$(", expand.MaxCommand/2-10) + "'\n",
		"deep defaults":       "routes:\n  - name: a\n    host: '" + strings.Repeat("${a:-", 100_000) + strings.Repeat("}", 100_000) + "'\n",
		"deep word defaults":  "routes:\n  - name: a\n    fprocess: 'x " + strings.Repeat("${a:-", 9_000) + strings.Repeat("}", 9_000) + "'\n",
		"many methods":        "routes:\n  - name: a\n    fprocess: x\n    methods: [" + strings.Repeat("GET, ", 50_000) + "]\n",
		"many listeners":      "server: {listen: [" + strings.Repeat("':80', ", 50_000) + "]}\n",
		"many unknown dependencies": "services:\n" + func() string {
			var b strings.Builder
			for i := range 20_000 {
				fmt.Fprintf(&b, "  - {name: s%d, fprocess: x, depends_on: [t%d]}\n", i, i)
			}
			return b.String()
		}(),
		"a long circle": "services:\n" + func() string {
			var b strings.Builder
			for i := range 20_000 {
				fmt.Fprintf(&b, "  - {name: s%d, fprocess: x, depends_on: [s%d]}\n", i, (i+1)%20_000)
			}
			return b.String()
		}(),
		"a large expression": "services:\n  - {name: a, fprocess: x, ready: {log: '" + strings.Repeat("(a{1000}){1000}", 1000) + "'}}\n",
		"many patterns":      "include: ['" + strings.Repeat("{a,b}", 30) + "']\n",
		"large values": "routes:\n  - name: a\n    fprocess: x\n    env:\n" + func() string {
			var b strings.Builder
			for i := range 20_000 {
				fmt.Fprintf(&b, "      V%d: ${BIG}\n", i)
			}
			return b.String()
		}(),
	}
}

func TestFilesThatExpandTooFarAreRefused(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	env := func(name string) (string, bool) { return big, name == "BIG" }
	for name, text := range bombs() {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Parse("watchdog.yaml", []byte(text), env)
			runtime.ReadMemStats(&after)
			problems, ok := err.(Problems)
			if !ok {
				t.Fatalf("it is taken, or told as %v", err)
			}
			if len(problems) > 1001 {
				t.Errorf("there are %d problems, want at most 1001", len(problems))
			}
			if told := len(err.Error()); told > 1<<20 {
				t.Errorf("%d bytes tell of it", told)
			}
			// All that was ever allocated, of which most is garbage soon.
			if all := (after.TotalAlloc - before.TotalAlloc) >> 20; all > 2048 {
				t.Errorf("%d MiB were allocated", all)
			}
		})
	}
}
