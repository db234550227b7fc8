package schema

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func TestTheFullFileSurvivesMarshalAndParse(t *testing.T) {
	c := full(t)
	c.Gateway.Swarm.Function = DefaultRoute() // the defaults are written into each route, and not as such
	for i := range c.Routes {                 // secrets are not written
		switch a := c.Routes[i].Auth; {
		case a.Basic != nil:
			a.Basic.Users = nil
		case a.Keys != nil:
			a.Keys.Keys = nil
		case a.HMAC != nil && a.HMAC.Secret != "":
			a.HMAC.SecretFile, a.HMAC.Secret = c.Routes[1].Auth.Basic.File, ""
		}
	}
	again(t, c)
	first, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	d, err := Parse(c.File, first, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := d.Marshal(); err != nil || string(second) != string(first) {
		t.Errorf("the second writing differs from the first, %v: got\n%s\n%s\nwant no error, and string(second) == string(first)", err, first, second)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	text := `admin: {listen: ":9000", token: "${S}"}
routes:
  - {name: a, fprocess: x, auth: {hmac: {secret: "${S}"}}}
  - {name: b, fprocess: x, auth: {keys: {keys: {ci: "${S}"}}}}
  - {name: c, fprocess: x, auth: {basic: {users: {ann: "${S}"}}}}
`
	c, err := Parse("watchdog.yaml", []byte(text), func(name string) (string, bool) { return "hush-hush", name == "S" })
	if err != nil {
		t.Fatal(err)
	}
	if got := string(c.Admin.Token); got != "hush-hush" {
		t.Errorf("got the token %q, want hush-hush", got)
	}
	if got := string(c.Routes[0].Auth.HMAC.Secret); got != "hush-hush" {
		t.Errorf("got the secret %q, want hush-hush", got)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", c.Routes[0].Auth.HMAC.Secret, "auth", c.Routes[1].Auth)
	marshalled, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string]string{
		"Marshal": string(marshalled), "JSON": string(asJSON), "the log": log.String(),
		"%v": fmt.Sprintf("%v %+v %#v", *c.Routes[0].Auth.HMAC, *c.Routes[1].Auth.Keys, *c.Routes[2].Auth.Basic), "%s": fmt.Sprintf("the secret %s", c.Routes[0].Auth.HMAC.Secret),
	} {
		if strings.Contains(got, "hush") {
			t.Errorf("%s: got %q, want it without the secret", what, got)
		}
	}
}

func TestAMistakeBesideASecretDoesNotShowIt(t *testing.T) {
	for _, auth := range []string{
		"{hmac: {secret: hush-hush, heder: x}}",
		"{hmac: {heder: x, secret: 'hush-hush'}}",
		"{hmac: {secret: \"hush-hush\", secret_file: x}}",
		"{keys: {keys: {ci: hush-hush}, fil: x}}",
		"{basic: {users: {ann: hush-hush, bob: [hush-hush]}}}",
	} {
		_, err := Parse("watchdog.yaml", []byte("routes:\n  - {name: a, fprocess: x, auth: "+auth+"}\n"), nothing)
		if err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: got %v, want a mistake without the secret", auth, err)
		}
	}
}

func TestDefaultsAreNotWritten(t *testing.T) {
	c, err := Parse("/srv/shop/watchdog.yaml", []byte("routes:\n  - name: a\n    fprocess: node server.js\n    restart: never\n    replicas: 2\n    limits: {rate: 20/m burst 5, body: 10MiB}\n  - name: b\n    mode: streaming\n    fprocess: [sh, -c, 'echo \"$$1\"', '']\n    env: {A: \"5$$\"}\nservices:\n  - name: r\n    fprocess: |\n      a |\n      b\n    shell: true\n    dir: /x\n"), nothing)
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	want := `name: shop
server: {listen: ':8080'}
routes:
  - name: a
    mode: http
    limits: {body: 10MiB, rate: 20/m burst 5}
    fprocess: node server.js
    dir: /srv/shop
    replicas: 2
    restart: never
  - name: b
    mode: streaming
    fprocess: "sh -c 'echo \"$$1\"' ''"
    dir: /srv/shop
    env:
      A: 5$$
services:
  - name: r
    fprocess: |
      a |
      b
    shell: true
    dir: /x
`
	if string(out) != want {
		t.Errorf("written is\n%s\nand not\n%s", out, want)
	}
}

// The test generates configurations of random values for random keys, and holds
// that each is read again from its own writing.
func TestRandomConfigurationsSurviveMarshalAndParse(t *testing.T) {
	for seed := range uint64(400) {
		g := &generator{rand.New(rand.NewPCG(seed, 1))}
		text := g.file()
		c, err := Parse("/srv/shop/watchdog.yaml", []byte(text), func(name string) (string, bool) { return "${" + name + "}$", true })
		if err != nil {
			t.Fatalf("seed %d: got %v\n%s\nwant no error", seed, err, text)
		}
		again(t, c)
	}
}

type generator struct{ *rand.Rand }

func (g *generator) one(words ...string) string { return words[g.IntN(len(words))] }

// key writes a key now and then.
func (g *generator) key(indent, key string, value func() string) string {
	if g.IntN(3) > 0 {
		return ""
	}
	return indent + key + ": " + value() + "\n"
}

func (g *generator) duration() string {
	return g.one("0", "1", "90", "250ms", "1h1m1s", "1.5s", "100h", "3us")
}
func (g *generator) longer() string { return g.one("1", "90", "250ms", "1h1m1s", "100h") }
func (g *generator) size() string {
	return g.one("0", "1", "1KiB", "3MB", "123456789", "1GiB", "1.5MiB")
}
func (g *generator) bool() string   { return g.one("true", "false") }
func (g *generator) number() string { return fmt.Sprint(g.IntN(100)) }

// text is any text, in quotes.
func (g *generator) text() string {
	runes := []rune("ab Z09 $ {} [] : # - ' \" \\ \n \t ~ * & ! % @ ` | > , ? = é 日 \u00a0 \u2028 \ufeff \x01 \U0001f600 ${NAME} $$ null true 0x1")
	var b strings.Builder
	for range g.IntN(12) {
		b.WriteRune(runes[g.IntN(len(runes))])
	}
	// What would be a variable is none.
	s := strings.ReplaceAll(b.String(), "$", "$$")
	switch g.IntN(6) {
	case 0:
		s = g.one("null", "~", "true", "no", "1.5", "0x10", "2001-01-01", "=", "<<", "1e3", "", " ", "- a", "a: b", "a\n", "\na", "a\n\n", " a\nb", "a \nb", "# a", "...", "---")
	case 1:
		s = g.one("${NAME}", "${PORT}x", "$$", "x$", "$x", "$${HOME}")
	}
	out, _ := json.Marshal(s)
	return strings.ReplaceAll(string(out), "\ufeff", `\ufeff`)
}

func (g *generator) list(value func() string) func() string {
	return func() string {
		var items []string
		for range g.IntN(4) {
			items = append(items, value())
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
}

func (g *generator) fixed(words ...string) func() string {
	return func() string { return g.one(words...) }
}

func (g *generator) file() string {
	var b strings.Builder
	b.WriteString(g.key("", "name", g.fixed("a", "shop-1", "123")))
	b.WriteString("server:\n  listen: " + g.one(":1", "[':1', 'unix:x.sock']", "'[::1]:80'") + "\n")
	b.WriteString(g.key("  ", "max_header", g.fixed("1KiB", "5000")))
	b.WriteString(g.key("  ", "timeouts", func() string { return "{header: " + g.duration() + ", idle: " + g.duration() + "}" }))
	b.WriteString(g.key("  ", "trusted_proxies", g.fixed("[]", "10.0.0.0/8", "['::1', 1.2.3.4]")))
	b.WriteString(g.key("  ", "errors", g.fixed("problem")))
	b.WriteString(g.key("  ", "tls", g.fixed("{cert: a b, key: /c}")))
	b.WriteString(g.key("", "log", func() string { return "{level: " + g.one("debug", "error") + ", access: " + g.bool() + "}" }))
	b.WriteString(g.key("", "admin", func() string { return "{listen: '127.0.0.1:9', token: " + g.text() + "}" }))
	b.WriteString("routes:\n")
	for i := range 1 + g.IntN(4) {
		mode := g.one("http", "streaming", "serializing", "afterburn", "static")
		fmt.Fprintf(&b, "  - name: r%d\n    mode: %s\n", i, mode)
		b.WriteString(g.key("    ", "path", g.fixed(fmt.Sprintf("/%d/", i), fmt.Sprintf("/x%%20y/%d", i), fmt.Sprintf("/r%d", i))))
		b.WriteString(g.key("    ", "host", g.fixed("A.b", "'*.b.c'", "'::1'")))
		b.WriteString(g.key("    ", "methods", g.fixed("[]", "GET", "[GET, PURGE]")))
		b.WriteString(g.key("    ", "headers", func() string { return "{x-a: " + g.one(`""`, `"a$$b"`, "' x '") + "}" }))
		b.WriteString(g.key("    ", "strip_prefix", g.bool))
		b.WriteString(g.key("    ", "compress", g.bool))
		b.WriteString(g.key("    ", "limits", func() string {
			return "{inflight: " + g.number() + ", queue: " + g.one("-1", "0", "7") + ", body: " + g.size() + ", rate: " + g.one(`""`, "5/s", "7/m burst 3", "0.3/s", "1/h") + "}"
		}))
		b.WriteString(g.key("    ", "timeouts", func() string { return "{exec: " + g.duration() + ", first_byte: " + g.duration() + "}" }))
		switch mode {
		case "static":
			b.WriteString("    root: /\n")
		case "http":
			if g.IntN(3) == 0 {
				b.WriteString("    upstream: " + g.one("127.0.0.1:3000", "unix:x y.sock", "h2c://a/b/", "'http://[::1]:3/'") + "\n")
				continue
			}
			b.WriteString(g.key("    ", "upstream", g.fixed("127.0.0.1:${PORT}", "unix:${NAME}-${INSTANCE}.sock", "http://a:${PORT}/x")))
			b.WriteString(g.key("    ", "buffer_body", g.bool))
		case "streaming", "serializing":
			b.WriteString(g.key("    ", "content_type", g.text))
			b.WriteString(g.key("    ", "environ", g.fixed("cgi", "none", "openfaas")))
			b.WriteString(g.key("    ", "form", g.fixed("json", "files", `""`)))
			b.WriteString(g.key("    ", "warm", g.number))
		}
		if mode != "static" {
			b.WriteString(g.process(mode))
		}
	}
	b.WriteString("services:\n  - name: s\n    restart: never\n" + strings.ReplaceAll(g.process("service"), "    restart: ", "    # "))
	return b.String()
}

func (g *generator) process(mode string) string {
	var b strings.Builder
	text := func() string {
		s := g.text()
		if mode != "http" {
			s = strings.ReplaceAll(s, "${PORT}", "${INSTANCE}")
		}
		return s
	}
	if g.IntN(3) == 0 {
		b.WriteString("    shell: true\n    fprocess: " + `"x ` + strings.ReplaceAll(text()[1:], "\\u0026", "+") + "\n")
	} else {
		b.WriteString("    fprocess: [x, " + text() + ", " + text() + ", " + text() + "]\n")
	}
	b.WriteString(g.key("    ", "dir", g.fixed(".", "a b/../c", "/x/${NAME}/", "'${NAME}'", "$$x")))
	b.WriteString(g.key("    ", "env", func() string {
		return "{A: " + text() + ", " + g.one("b-c", "''' '", `"\u2028"`, "<<x", "5") + ": " + text() + "}"
	}))
	b.WriteString(g.key("    ", "env_file", g.fixed("/dev/null", "[/dev/null, /dev/../dev/null]")))
	b.WriteString(g.key("    ", "user", g.fixed("a", "1000", "1000:5")))
	b.WriteString(g.key("    ", "umask", g.fixed("022", "'7'", `""`)))
	b.WriteString(g.key("    ", "rlimits", func() string { return "{nofile: " + g.number() + ", as: " + g.size() + "}" }))
	b.WriteString(g.key("    ", "stop", func() string { return "{signal: " + g.one("TERM", "INT") + ", grace: " + g.duration() + "}" }))
	b.WriteString(g.key("    ", "depends_on", func() string {
		if mode == "service" {
			return "[]"
		}
		return g.one("[s]", "{s: completed}", "{s: started}", "s", "{}")
	}))
	if mode == "streaming" || mode == "serializing" {
		return b.String()
	}
	if mode != "service" && !strings.Contains(b.String(), "127.0.0.1:3000") {
		b.WriteString(g.key("    ", "replicas", g.fixed("3", "{min: 0, max: 5}", "{min: 2, max: 2, target: 7}", "{max: 4, idle: 1}", "{min: 3}")))
	}
	b.WriteString(g.key("    ", "ready", func() string {
		return g.one("{tcp: 9}", "{exec: [a, "+text()+"], interval: 3}", "{log: 'a$'}", "{http: 'http://a/b', failures: 1}", "{log: \"${NAME} $$\", timeout: 7}", "{exec: a b}")
	}))
	b.WriteString(g.key("    ", "live", func() string { return g.one("{tcp: 'a:9'}", "{exec: x, interval: "+g.longer()+"}") }))
	b.WriteString(g.key("    ", "restart", func() string {
		return g.one("never", "always", "on-failure", "{max: 1}", "{min: 1m}", "{policy: never, min: 1, max: 2}", "{reset: 0, then: exit}", "{give_up: {exits: 0}}", "{give_up: {within: 3}}", "{min: 250ms, max: 30s}")
	}))
	if mode != "service" {
		b.WriteString(g.key("    ", "recycle", func() string {
			return "{requests: " + g.number() + ", age: " + g.duration() + ", memory: " + g.size() + "}"
		}))
	}
	b.WriteString(g.key("    ", "watch", g.list(g.fixed("'**/*.py'", "../x/*", "'/a/{b,c}'", "'[a-z]'", "./a"))))
	return b.String()
}

func TestProblemsAreJSON(t *testing.T) {
	problems := mistaken(t, "routes:\n  - name: a\n    mode: htpp\n")
	out, err := json.Marshal(problems)
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"file": problems[0].File, "line": 3., "column": 11., "path": "routes[0].mode",
		"message": `must be http, streaming, serializing, afterburn or static, not "htpp"`, "hint": "did you mean http?",
	}
	if len(list) != 1 || !reflect.DeepEqual(list[0], want) {
		t.Errorf("it is %s", out)
	}
}

func TestALongLineIsShownAroundThePlace(t *testing.T) {
	long := strings.Repeat("é", 200)
	ps := Problems{{File: "f", Line: 1, Column: 301, Path: "p", Message: "m", Hint: "h", Source: long + strings.Repeat("x", 100) + "HERE" + long}}
	want := "f:1:301: p: m\n  ..." + strings.Repeat("x", 60) + "HERE" + strings.Repeat("é", 56) + "...\n     " + strings.Repeat(" ", 60) + "^ h"
	if got := ps.Error(); got != want {
		t.Errorf("shown is\n%s\nand not\n%s", got, want)
	}
}

func TestControlCharactersAreNotShown(t *testing.T) {
	_, err := Parse("f.yaml", []byte("routes:\n  - name: a\n    mode: \"\\e[31m\" # \u0085\u202e\n"), nothing)
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\u0085") {
		t.Errorf("shown is %q", err)
	}
}
