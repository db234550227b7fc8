package docs_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchdogd/watchdogd/schema"
)

// bounds says which constant of the code a row of docs/limits.md is about, and how it is written.
var bounds = []struct {
	row, dir, name string
	as             func(int64) string
}{
	{"fields of a head, names in `Trailer`", "internal/http1", "MaxFields", number},
	{"options of `Connection`", "internal/http1", "MaxOptions", number},
	{"`Host`, `:authority`", "internal/http1", "MaxHost", number},
	{"trailer of a request", "internal/http1", "MaxTrailer", size},
	{"line before a chunk", "internal/http1", "MaxSizeLine", size},
	{"bytes around small chunks", "internal/http1", "maxExcess", size},
	{"body that is held as a whole", "internal/spill", "InMemory", size},
	{"parts of a form", "modes/forking", "maxParts", number},
	{"head of one part of a form", "modes/forking", "maxPartHead", size},
	{"names in a form, all together", "modes/forking", "maxHeads", size},
	{"`FORM_*` variables, all together", "modes/forking", "maxFormVars", size},
	{"variable of a forked program, such as a path or a header", "modes/forking", "maxVar", size},
	{"body that may be an Alexa request", "routes/alexa", "largest", size},
	{"body that may be an Alexa request", "routes/alexa", "deepest", number},
	{"body that may be an Alexa request", "routes/alexa", "patience", duration},
	{"bodies that may be Alexa requests, all together", "routes/alexa", "mostHeld", size},
	{"bodies that may be Alexa requests, all together", "routes/alexa", "free", size},
	{"ranges of one request to a static route", "modes", "mostRanges", number},
	{"path of a static file", "modes", "mostPath", size},
	{"id of a request (`X-Request-Id`, `X-Call-Id`)", "routes/origin", "longestID", number},
	{"head of a request to the metrics or the admin API", "cmd/watchdogd/internal/admin", "sideHeader", size},
	{"calls that wait for a place", "schema", "queuePerPlace", func(n int64) string { return map[int64]string{10: "ten times"}[n] }},
	{"client that reads nothing (Linux)", "internal/http1/server", "lossAfter", duration},
	{"frame of HTTP/2", "internal/http1/server", "maxFrame", size},
	{"addresses in `server.listen`", "schema", "maxListeners", number},
	{"head of a response", "internal/http1/client", "MaxHead", size},
	{"1xx responses before the final one", "modes/proxy", "mostInterim", number},
	{"trailer of a response", "internal/http1", "MaxTrailer", size},
	{"connection after a response without a body (HEAD, 204, 304)", "internal/http1/client", "settling", duration},
	{"connection after a response without a body (HEAD, 204, 304)", "internal/http1/client", "mostAside", number},
	{"idle connection to an upstream", "internal/http1/client", "MaxIdle", duration},
	{"connecting to an upstream", "internal/http1/client", "DialTimeout", duration},
	{"read ahead of a slow client, HTTP/2 upstream", "modes/proxy", "mostAhead", size},
	{"servers in a list of `upstream`", "schema", "mostUpstreams", number},
	{"addresses of the names in `upstream`", "modes/proxy/endpoint", "Most", number},
	{"endpoints that one call tries", "modes/proxy", "mostTries", number},
	{"endpoint that failed", "modes/proxy/endpoint", "firstOut", duration},
	{"endpoint that failed", "modes/proxy/endpoint", "mostOut", duration},
	{"cache of a static route", "modes", "cacheAll", size},
	{"cache of a static route", "modes", "cacheFile", size},
	{"response that is not compressed", "modes", "leastCompressed", size},
	{"line of a process", "supervisor/child", "maxLine", size},
	{"line of a process", "supervisor/child", "MostLine", size},
	{"lines of a process that a slow log has not taken", "supervisor/child", "maxQueue", size},
	{"last lines that are kept for `logs`", "supervisor/child", "MostLines", number},
	{"last lines that are kept for `logs`", "supervisor/child", "maxRing", size},
	{"lines of the log that wait for its reader", "internal/logwriter", "writerRoom", size},
	{"last lives that `ps NAME` shows", "supervisor/lives", "Most", number},
	{"requests that `logs --requests` shows", "supervisor/child", "MostLines", number},
	{"clients of `/v1/events`: pages and `top`", "cmd/watchdogd/internal/history", "MostFollowers", number},
	{"client of the events, or page with logs, that reads nothing", "cmd/watchdogd/internal/history", "writeBound", duration},
	{"client of the events, or page with logs, that reads nothing", "cmd/watchdogd/internal/admin", "tailBound", duration},
	{"instances of one process", "schema", "MaxReplicas", number},
	{"restarts by `watch`", "supervisor/watch", "Most", number},
	{"restarts by `watch`", "supervisor/watch", "Span", duration},
	{"folders that one process watches", "supervisor/watch", "mostFolders", number},
	{"others that hold the output of a program that has exited", "modes/forking", "overtime", duration},
	{"processes that were killed", "supervisor/child", "sweepBound", duration},
	{"line of a file with keys or passwords", "routes/auth", "maxLine", size},
	{"cost of a bcrypt hash", "routes/auth", "maxCost", number},
	{"value of `Authorization` for `basic`", "routes/auth", "maxBasic", size},
	{"a password", "routes/auth", "maxPassword", size},
	{"a key", "routes/auth", "maxKey", size},
	{"a token", "routes/auth", "maxToken", size},
	{"passwords that wait to be verified", "routes/auth", "mostWaiting", number},
	{"passwords that wait to be verified", "routes/auth", "hashingWait", duration},
	{"a signed body (`hmac`)", "routes/auth", "MaxSigned", size},
	{"a signed body (`hmac`)", "routes/auth", "mostBodies", size},
	{"reading a signed body", "routes/auth", "SignedRead", duration},
	{"tokens that are remembered as valid", "routes/auth", "cacheSize", func(n int64) string { return number(2 * n) }}, // two generations
	{"calls that wait for the keys of an issuer", "routes/auth", "mostKeyWaits", number},
	{"calls that wait for the keys of an issuer", "routes/auth", "keysWait", duration},
	{"documents of an issuer", "routes/auth", "fetchSize", size},
	{"documents of an issuer", "routes/auth", "fetchTimeout", duration},
	{"keys of an issuer", "routes/auth", "maxKeys", number},
	{"keys of an issuer", "routes/auth", "minBits", number},
	{"keys of an issuer", "routes/auth", "maxBits", number},
	{"a file that is read whole", "internal/regular", "MaxFile", size},
	{"an `env_file`", "supervisor/child", "maxEnvFile", size},
	{"a configuration with all that it includes", "schema", "maxSources", number},
	{"keys and values of one file", "schema/internal/source", "MaxValues", number},
	{"values after aliases", "schema/internal/decode", "maxVisited", number},
	{"what variables bring in", "schema/internal/expand", "maxGrowth", size},
	{"routes and services", "schema", "maxItems", number},
	{"files that the patterns of `include` look at", "schema", "maxLooked", number},
	{"a name", "schema", "maxName", number},
	{"a command", "schema/internal/expand", "MaxCommand", size},
	{"path of a unix socket", "schema/internal/address", "maxSocket", number},
	{"mistakes that are listed", "schema/internal/decode", "maxProblems", number},
	{"a file of requests (`test`)", "cmd/watchdogd/internal/requests", "mostBytes", size},
	{"a file of requests (`test`)", "cmd/watchdogd/internal/requests", "mostRequests", number},
	{"an answer that `test` compares", "cmd/watchdogd/internal/requests", "mostAnswer", size},
	{"a file that `import` reads", "cmd/watchdogd/internal/importer", "mostBytes", size},
	{"programs that `import` writes", "cmd/watchdogd/internal/importer", "mostPrograms", number},
	{"time that node has for an ecosystem file (`import --run-node`)", "cmd/watchdogd/internal/importer", "nodeBound", duration},
	{"clients that follow the events (`top`, the page)", "cmd/watchdogd/internal/history", "MostFollowers", number},
	{"events that wait for a client that does not read", "cmd/watchdogd/internal/history", "mostWaiting", number},
	{"events that wait for a client that does not read", "cmd/watchdogd/internal/history", "writeBound", duration},
	{"a login on the page", "cmd/watchdogd/internal/page", "mostForm", size},
	{"name of a function", "supervisor/swarm", "mostName", number},
	{"tasks that are tried for a connection at once", "supervisor/swarm", "mostDials", number},
	{"asking the engine for tasks", "supervisor/swarm", "lookBound", duration},
	{"pause before the engine is asked again after a failure", "supervisor/swarm", "mostPause", duration},
	{"time for the last spans at the end", "internal/trace", "flushBound", duration},
}

func number(n int64) string {
	if n >= 1000 {
		return fmt.Sprintf("%s,%03d", number(n/1000), n%1000)
	}
	return fmt.Sprint(n)
}

func size(n int64) string {
	if n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

func duration(n int64) string {
	switch d := time.Duration(n); {
	case d%time.Second != 0:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	default:
		return fmt.Sprintf("%d s", int64(d.Seconds()))
	}
}

// limits returns the rows of docs/limits.md: what, bound, what happens beyond it, keys.
func limits(t *testing.T) map[string][][]string {
	t.Helper()
	text, err := os.ReadFile("limits.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][][]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) < 3 || strings.HasPrefix(cells[0], " ---") || cells[0] == " what" {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(strings.Trim(cells[i], "| "))
		}
		rows[cells[0]] = append(rows[cells[0]], cells)
	}
	return rows
}

func TestTheLimitsAreThoseOfTheCode(t *testing.T) {
	rows := limits(t)
	packages := map[string]*values{}
	for _, b := range bounds {
		v := packages[b.dir]
		if v == nil {
			v = readValues(t, filepath.Join("..", filepath.FromSlash(b.dir)))
			packages[b.dir] = v
		}
		value := v.of(b.name)
		n, exact := constant.Int64Val(value)
		if !exact {
			t.Errorf("%s.%s: got %v, want a constant with a value", b.dir, b.name, value)
			continue
		}
		want := regexp.MustCompile(`(^|[^\d,])` + regexp.QuoteMeta(b.as(n)) + `($|[^\d,]|, )`)
		if !slices.ContainsFunc(rows[b.row], func(cells []string) bool { return want.MatchString(cells[1]) }) {
			t.Errorf("docs/limits.md on %q: got %q, want %q in it, which is %s.%s", b.row, rows[b.row], b.as(n), b.dir, b.name)
		}
	}
}

// Where a key changes a bound, the bound is the key's default.
func TestTheLimitsAreTheDefaultsOfTheirKeys(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal([]byte(schema.JSONSchema()), &root); err != nil {
		t.Fatal(err)
	}
	defaults := map[string]any{}
	collect(root, root, "", defaults, 0)
	known := schema.Keys()
	found := 0
	for what, same := range limits(t) {
		for _, cells := range same {
			if len(cells) < 4 {
				continue
			}
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[3], -1) {
				key := m[1]
				if strings.HasPrefix(key, "--") || strings.HasPrefix(key, "OTEL_") {
					continue
				}
				if !slices.Contains(known, key) && !slices.Contains(known, "routes."+key) {
					t.Errorf("docs/limits.md on %q: got the key %q, want one that exists", what, key)
				}
				value, ok := defaults[key].(string)
				if d, err := time.ParseDuration(value); ok && err == nil && d > 0 {
					found++
					if text := strings.NewReplacer(" ms", "ms", " s", "s", " m", "m").Replace(cells[1] + cells[2]); !strings.Contains(text, value) {
						t.Errorf("docs/limits.md on %q: got %q, want %s, the default of %s", what, cells[1], value, key)
					}
				}
			}
		}
	}
	if found < 8 {
		t.Errorf("got %d keys with a default, want 8 or more", found)
	}
}

// collect notes the defaults of a schema by their path.
func collect(root, at map[string]any, path string, into map[string]any, depth int) {
	if depth > 12 {
		return
	}
	if ref, ok := at["$ref"].(string); ok {
		definitions, _ := root["$defs"].(map[string]any)
		if to, ok := definitions[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any); ok {
			collect(root, to, path, into, depth+1)
		}
	}
	if value, ok := at["default"]; ok && into[path] == nil {
		into[path] = value
	}
	for _, form := range []string{"anyOf", "oneOf", "allOf"} {
		all, _ := at[form].([]any)
		for _, one := range all {
			if inner, ok := one.(map[string]any); ok {
				collect(root, inner, path, into, depth+1)
			}
		}
	}
	if items, ok := at["items"].(map[string]any); ok && path == "routes" {
		collect(root, items, "", into, depth+1)
	}
	properties, _ := at["properties"].(map[string]any)
	for name, inner := range properties {
		if inner, ok := inner.(map[string]any); ok {
			collect(root, inner, strings.TrimPrefix(path+"."+name, "."), into, depth+1)
		}
	}
}

// values are the constants of a package, by their expressions.
type values struct {
	all map[string]ast.Expr
}

func readValues(t *testing.T, dir string) *values {
	t.Helper()
	v := &values{all: map[string]ast.Expr{}}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: got no files and %v, want a package", dir, err)
	}
	set := token.NewFileSet()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(file, "_other.go") { // what is not Linux
			continue
		}
		parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, s := range group.Specs {
				spec := s.(*ast.ValueSpec) // all that a group of constants has
				for i, name := range spec.Names {
					if i < len(spec.Values) {
						v.all[name.Name] = spec.Values[i]
					}
				}
			}
		}
	}
	return v
}

var units = map[string]time.Duration{"Microsecond": time.Microsecond, "Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour}

func (v *values) of(name string) constant.Value {
	if e := v.all[name]; e != nil {
		return v.eval(e)
	}
	return constant.MakeUnknown()
}

// eval evaluates the arithmetic that constants of bounds are made of.
func (v *values) eval(e ast.Expr) constant.Value {
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0)
	case *ast.ParenExpr:
		return v.eval(e.X)
	case *ast.Ident:
		return v.of(e.Name)
	case *ast.SelectorExpr:
		return constant.MakeInt64(int64(units[e.Sel.Name]))
	case *ast.BinaryExpr:
		x, y := v.eval(e.X), v.eval(e.Y)
		if x.Kind() != constant.Int || y.Kind() != constant.Int {
			return constant.MakeUnknown()
		}
		if e.Op == token.SHL || e.Op == token.SHR {
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, e.Op, uint(n))
		}
		return constant.BinaryOp(x, e.Op, y)
	}
	return constant.MakeUnknown()
}
