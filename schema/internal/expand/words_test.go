package expand

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func environment(name string) (string, bool) {
	value, ok := map[string]string{"HOME": "/home/a", "WORDS": "one  two", "EMPTY": "", "EVIL": "a\n- b: {c} \"' # $X ${PORT} | rm", "DOLLAR": "$x ${HOME} $$"}[name]
	return value, ok
}

// started makes of a text what an instance gets.
var started = strings.NewReplacer("$$", "$", "${PORT}", "4000", "${INSTANCE}", "2", "${NAME}", "api")

func words(t testing.TB, command string) []string {
	t.Helper()
	list, mistakes := New(environment).Words(command)
	if len(mistakes) > 0 {
		t.Fatalf("%q: got %v, want none", command, mistakes)
	}
	var out []string
	for _, w := range list {
		out = append(out, started.Replace(w))
	}
	return out
}

func TestCommandsAreSplitAsAShellWould(t *testing.T) {
	for command, want := range map[string][]string{
		`a`:                       {"a"},
		`  a   b	c  `:             {"a", "b", "c"},
		`a 'b c' "d e" f\ g`:      {"a", "b c", "d e", "f g"},
		`a'b'"c"d`:                {"abcd"},
		`a '' ""`:                 {"a", "", ""},
		`a "it's" 'say "x"'`:      {"a", "it's", `say "x"`},
		`a "\"\\\$\x" '\"' \" \\`: {"a", `"\$\x`, `\"`, `"`, `\`},
		"a \\\n b":                {"a", "b"},
		"a\n":                     {"a"},
		"a 'b\nc' \"d\ne\"":       {"a", "b\nc", "d\ne"},
		`a # no comment to lose`:  {"a"},
		`a b#c`:                   {"a", "b#c"},
		`a *.txt [x] {a,b} ?`:     {"a", "*.txt", "[x]", "{a,b}", "?"},
		`a x~ ~x b=~/c --d=e f=g`: {"a", "x~", "~x", "b=~/c", "--d=e", "f=g"},
		`a $$ "$$" '$$' $$HOME`:   {"a", "$", "$", "$", "$HOME"},
		`a \$x \${HOME} "\${x}"`:  {"a", "$x", "${HOME}", "${x}"},
		`a $ "$" x$`:              {"a", "$", "$", "x$"},
		`a '$1 $x $@ $(b) | c'`:   {"a", "$1 $x $@ $(b) | c"},
		`awk '{print $1; exit}'`:  {"awk", "{print $1; exit}"},
		`a 日本 "é"`:                {"a", "日本", "é"},
		// variables
		`a ${HOME} "${HOME}" '${HOME}'`:             {"a", "/home/a", "/home/a", "/home/a"},
		`a x${HOME}y "x${HOME}y"`:                   {"a", "x/home/ay", "x/home/ay"},
		`a ${WORDS}`:                                {"a", "one", "two"},
		`a x${WORDS}y`:                              {"a", "xone", "twoy"},
		`a "${WORDS}" '${WORDS}'`:                   {"a", "one  two", "one  two"},
		`a ${EMPTY} "${EMPTY}" ${EMPTY}x`:           {"a", "", "x"},
		`${WORDS}`:                                  {"one", "two"},
		`a ${UNSET:-b} "${UNSET:-b c}"`:             {"a", "b", "b c"},
		`a ${UNSET:-b c} ${UNSET:-"d e"}`:           {"a", "b", "c", "d e"},
		`a ${UNSET:-${WORDS}} "${UNSET:-${WORDS}}"`: {"a", "one", "two", "one  two"},
		`a ${UNSET:-} "${UNSET:-}"`:                 {"a", ""},
		`a ${EMPTY:-b} ${HOME:-b} ${HOME:?no}`:      {"a", "b", "/home/a", "/home/a"},
		`a ${EVIL}`:                                 {"a", "a", "-", "b:", "{c}", `"'`, "#", "$X", "${PORT}", "|", "rm"},
		`a "${EVIL}"`:                               {"a", "a\n- b: {c} \"' # $X ${PORT} | rm"},
		`a ${DOLLAR}`:                               {"a", "$x", "${HOME}", "$$"},
		// of an instance
		`a ${PORT} x${INSTANCE} "${NAME} ${PORT}" '${PORT}'`: {"a", "4000", "x2", "api 4000", "4000"},
		`a $${PORT} '$${PORT}'`:                              {"a", "${PORT}", "${PORT}"},
	} {
		if got := words(t, command); !slices.Equal(got, want) {
			t.Errorf("%s\nbecomes %q\nand not %q", command, got, want)
		}
	}
}

func TestSplitAgreesWithTheShell(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	for _, command := range []string{
		`a 'b c' "d e" f\ g`, `a'b'"c"d`, `a '' ""`, `a "it's" 'say "x"'`, `a "\"\\\$\x" '\"' \" \\`, "a \\\n b",
		`a b#c # d`, `a ${WORDS} "${WORDS}" x${WORDS}y`, `a ${EMPTY} "${EMPTY}" ${EMPTY}x`,
		`a ${UNSET:-b c} ${UNSET:-"d e"} "${UNSET:-f g}" ${UNSET:-}`, `a ${EMPTY:-x}${WORDS}y`, `a "x"${WORDS}"y"`,
		`a \"b \'c`, `a "b\c" b\c`, `a ${UNSET:-'b c'}`, `a -x --y=z k=v`,
	} {
		cmd := exec.Command(sh, "-fc", `printf '%s\n' `+strings.Replace(command, "a", "", 1))
		cmd.Env = []string{"WORDS=one  two", "EMPTY="}
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v", command, err)
			continue
		}
		var theirs []string
		for line := range strings.Lines(string(out)) {
			theirs = append(theirs, strings.TrimSuffix(line, "\n"))
		}
		ours := words(t, command)
		if rest, ok := strings.CutPrefix(ours[0], "a"); ok && rest != "" {
			ours[0] = rest
		} else {
			ours = ours[1:]
		}
		if !slices.Equal(ours, theirs) {
			t.Errorf("%s: we say %q and the shell %q", command, ours, theirs)
		}
	}
}

// FuzzCommand holds that a command is split without panic, that what stands in
// quotes stays one word, and that no variable is read as syntax.
func FuzzCommand(f *testing.F) {
	for _, seed := range []string{`a 'b c' "d" ${HOME}`, `${V}`, `"${V}"`, `a ${V:-b}`, `a | b`, `$(a)`, "`a`", `a "${UNSET:-"b c"}"`, `'${V}'`} {
		f.Add(seed, "x y | $(z)")
	}
	f.Fuzz(func(t *testing.T, command, value string) {
		if strings.Contains(value, "\x00") {
			return
		}
		list, mistakes := New(func(name string) (string, bool) { return value, name == "V" }).Words(command)
		if len(mistakes) > 0 {
			for _, m := range mistakes {
				if m.Message == "" {
					t.Error("a mistake without a message")
				}
			}
			return
		}
		// Another value changes no other word, where it cannot make more of them.
		other, mistakes := New(func(name string) (string, bool) { return "plain", name == "V" }).Words(command)
		if len(mistakes) > 0 {
			t.Fatalf("%q is a command or not, by the value of a variable: got %v, want none", command, mistakes)
		}
		if value != "" && !strings.ContainsAny(value, " \t\n") && len(other) != len(list) {
			t.Errorf("%q with %q is %q, and with another %q", command, value, list, other)
		}
	})
}
