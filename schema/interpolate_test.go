package schema

import (
	"maps"
	"strings"
	"testing"
)

func TestVariablesAreReplacedAsData(t *testing.T) {
	c := parseGood(t, `
routes:
  - name: a
    fprocess: x
    host: ${UNSET:-a}.${UNSET:-b}
    env:
      PLAIN: ${HOME}/x
      QUOTED: "${HOME}"
      SINGLE: '${HOME}'
      TWICE: ${HOME}${HOME}
      DEFAULT: "${UNSET:-a b: [c]}"
      EMPTY: ${EMPTY:-was empty}
      SET_EMPTY: x${EMPTY}y
      NESTED: ${UNSET:-${ALSO:-${HOME}}}
      WORD: ${HOME:?not told}
      DOLLARS: $$ $${HOME} $$$$
      ALONE: $ $x $1 x$
      EVIL: ${EVIL}
      EVIL_DEFAULT: ${UNSET:-${EVIL}}
      DOLLAR: ${DOLLAR}
      OWN: ${PORT}-${INSTANCE}-${NAME}
      NONE: ${UNSET:-}
      LINES: |
        a ${HOME}
        b
`)
	evil := "a\n- b: {c} \"' # $X ${PORT} | rm"
	want := map[string]string{
		"PLAIN": "/home/a/x", "QUOTED": "/home/a", "SINGLE": "/home/a", "TWICE": "/home/a/home/a",
		"DEFAULT": "a b: [c]", "EMPTY": "was empty", "SET_EMPTY": "xy", "NESTED": "/home/a", "WORD": "/home/a",
		"DOLLARS": "$ ${HOME} $$", "ALONE": "$ $x $1 x$", "EVIL": evil, "EVIL_DEFAULT": evil,
		"DOLLAR": "$x ${HOME} $$", "OWN": "4000-2-a", "NONE": "", "LINES": "a /home/a\nb\n",
	}
	is := make(map[string]string)
	for name, text := range c.Routes[0].Env {
		is[name] = text.Expand(Vars{Port: 4000, Number: 2, Name: "a"})
	}
	if !maps.Equal(is, want) {
		for name := range want {
			if is[name] != want[name] {
				t.Errorf("%s is %q and not %q", name, is[name], want[name])
			}
		}
	}
	if c.Routes[0].Host != "a.b" {
		t.Errorf(`the host is %q, want "a.b"`, c.Routes[0].Host)
	}
}

func TestAVariableNeverChangesTheStructure(t *testing.T) {
	for _, evil := range []string{"x\n    fprocess: other", "[a, b]", "{a: b}", "*x", "!!int 3", "# no", "'\"", "a: b", "null", "~", "true"} {
		env := func(name string) (string, bool) { return evil, name == "V" }
		c, err := Parse("watchdog.yaml", []byte("routes:\n  - name: a\n    fprocess: [x, '${V}', \"a${V}b\"]\n    env:\n      A: ${V}\n      B: \"${V}\"\n"), env)
		if err != nil {
			t.Errorf("%q: %v", evil, err)
			continue
		}
		r := c.Routes[0]
		if r.FProcess.Words[1].Expand(Vars{}) != evil || r.FProcess.Words[2].Expand(Vars{}) != "a"+evil+"b" || r.Env["A"].Expand(Vars{}) != evil || r.Env["B"].Expand(Vars{}) != evil {
			t.Errorf("%q: got %+v, want it as one value", evil, r)
		}
	}
}

func TestVariablesMakeNumbersAndBooleansToo(t *testing.T) {
	c := parseGood(t, `
log: {access: "${YES}"}
routes:
  - name: a
    fprocess: x
    compress: ${YES}
    limits: {inflight: '${NUMBER}', body: "${NUMBER}MB"}
    timeouts: {exec: "${NUMBER}"}
    replicas: ${UNSET:-3}
`)
	if r := c.Routes[0]; !c.Log.Access || !r.Compress || r.Limits.Inflight != 5 || r.Limits.Body != 5e6 || r.Timeouts.Exec.String() != "5s" || r.Replicas.Max != 3 {
		t.Errorf("got %+v, want Compress true, c.Log.Access true, r.Limits.Inflight 5, r.Limits.Body 5e6, r.Timeouts.Exec.String() 5s and r.Replicas.Max 3", r)
	}
}

func TestOutsideProcessesInstanceVariablesComeFromTheEnvironment(t *testing.T) {
	c := parseGood(t, "server: {listen: ':${PORT}'}\nroutes:\n  - {name: a, fprocess: x, path: '/${PORT}', env: {A: '${PORT}'}}\n")
	if c.Server.Listen[0] != ":8081" || c.Routes[0].Path != "/8081" || c.Routes[0].Env["A"] != "${PORT}" {
		t.Errorf(`got %v %+v, want c.Server.Listen[0] == ":8081" && c.Routes[0].Path == "/8081" && c.Routes[0].Env["A"] == "${PORT}"`, c.Server.Listen, c.Routes[0])
	}
}

func TestAVariableThatIsNotTextIsAMistake(t *testing.T) {
	for _, value := range []string{"\xff", "a\x00b"} {
		_, err := Parse("watchdog.yaml", []byte("routes: [{name: a, fprocess: [x, '${V}']}]"), func(name string) (string, bool) { return value, name == "V" })
		if err == nil || !strings.Contains(err.Error(), "the value of ${V} is not valid UTF-8 text") {
			t.Errorf("%q is told as %v", value, err)
		}
	}
}

func TestExpandReplacesOnlyInstanceVariables(t *testing.T) {
	v := Vars{Port: 8000, Number: 3, Name: "api"}
	for text, want := range map[Text]string{
		"":                              "",
		"plain":                         "plain",
		"${PORT}":                       "8000",
		"a${PORT}b${INSTANCE}c${NAME}d": "a8000b3capid",
		"$${PORT}":                      "${PORT}",
		"$$${PORT}":                     "$8000",
		"$$$${PORT}":                    "$${PORT}",
		"$x $ $1 ${HOME} ${PORT":        "$x $ $1 ${HOME} ${PORT",
		"$":                             "$",
		"$$":                            "$",
		"x$$":                           "x$",
	} {
		if got := text.Expand(v); got != want {
			t.Errorf("%q becomes %q and not %q", text, got, want)
		}
	}
	if got := Text("${PORT}|${INSTANCE}|${NAME}").Expand(Vars{}); got != "|0|" {
		t.Errorf("of nothing it makes %q, want %q", got, "|0|")
	}
}

func TestLiteralExpandsToItself(t *testing.T) {
	for _, s := range []string{"", "$", "$$", "${PORT}", "$${NAME}", "a$b${INSTANCE}$"} {
		if got := Literal(s).Expand(Vars{Port: 1, Number: 2, Name: "n"}); got != s {
			t.Errorf("%q becomes %q", s, got)
		}
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("a ${PORT} $$ ${NAME} $x", "v")
	f.Fuzz(func(t *testing.T, text, value string) {
		if got := Literal(text).Expand(Vars{Port: 1, Name: value}); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
		_ = Text(text).Expand(Vars{Name: value})
		for _, name := range []string{"PORT", "INSTANCE", "NAME"} {
			with, without := Vars{Port: 1, Number: 1, Name: "n"}, Vars{Port: 2, Number: 2, Name: "m"}
			switch name {
			case "PORT":
				without.Number, without.Name = 1, "n"
			case "INSTANCE":
				without.Port, without.Name = 1, "n"
			case "NAME":
				without.Port, without.Number = 1, 1
			}
			if uses := Text(text).Uses(name); uses != (Text(text).Expand(with) != Text(text).Expand(without)) {
				t.Errorf("%q uses %s: got %v, want uses == (Text(text).Expand(with) != Text(text).Expand(without))", text, name, uses)
			}
		}
	})
}
