package source

import (
	"fmt"
	"strings"
	"testing"
)

func of(text string) *Source { return &Source{Name: "a.yaml", Data: []byte(text)} }

// The scenarios of schema/testdata/mistakes have what each mistake says. These are about where
// it is.
func TestAMistakeOfTheGrammarIsPlacedAtTheCharacter(t *testing.T) {
	const deep = "server: {}\nroutes:\n  - name: a\n"
	for _, c := range []struct{ name, text, want string }{
		{"in the first line", "a: b: c", `1:5: a value without quotes cannot contain ": "`},
		{"behind characters of several bytes", "a: ü: c", `1:5: a value without quotes cannot contain ": "`},
		{"behind a byte order mark", "\ufeffa: b: c", `1:5: a value without quotes cannot contain ": "`},
		{"in a file with CRLF", "x: 1\r\na: b: c\r\n", `2:5: a value without quotes cannot contain ": "`},
		{"in a file with CR", "x: 1\ra: b: c\r", `2:5: a value without quotes cannot contain ": "`},
		{"at the end of a line", "x: 1\na: b c:\nd: e\n", `2:7: a value without quotes cannot contain ": "`},
		{"a line that goes on", "a: b\n  c\nd: e: f\n", `3:5: a value without quotes cannot contain ": "`},
		{"a comment between", deep + "# well\n   path: /a\n", "5:4: this line is indented like a list item but is not one"},
		{"a block under a key at the wrong place", deep + "   env:\n      A: b\n", "4:4: this line is indented like a list item but is not one"},
		{"a block under a key in the column of its dash", deep + "  env:\n      A: b\n", "4:3: this line is indented like a list item but is not one"},
		{"a block under a key between", deep + "    limits:\n      body: 1\n     timeouts:\n       exec: 1\n", "6:6: the indentation of this line matches no line above it"},
		{"text behind a list", deep + "    methods: [GET] POST\n    mode: http\n", "4:20: there is text after the closing bracket of a value"},
		{"a quote of several lines", "x: 1\na: \"b\n  c\" d\n", "2:4: this quote is closed only by another one on line 3"},
		{"a quote with an escape", `a: "b \" c" d`, "1:13: there is text after the closing quote of a value"},
		{"a quote with a quote", "a: 'it''s' d", "1:12: there is text after the closing quote of a value"},
		{"quotes in a comment", "a: b # 'c' d\n  e: f\n", "2:3: the indentation of this line matches no line above it"},
		{"a bracket across lines", "x: 1\na: [b,\n  c\nd: e\n", `2:4: this list is not closed: a "," or "]" is missing`},
		{"a closed bracket before the open one", "a: [[b], c\n", `1:4: this "[" is never closed`},
		{"the second quote is open", deep + "    host: 'a'\n    path: 'b\n", "5:11: this quote is never closed"},
		{"an alias of an anchor that follows", "a: *b\nc: &b 1\n", "1:4: *b refers to an unknown anchor"},
		{"an alias in quotes is none", "x: '*b'\na: *b\n", "2:4: *b refers to an unknown anchor"},
		{"an escape in a later line", "a: \"b\n  \\d\"\n", "2:3: this is not a valid escape in double quotes"},
		{"half an escape", `a: "\u12"`, "1:5: this escape needs hexadecimal digits"},
		{"a path of Windows", `a: "C:\dir"`, "1:7: this is not a valid escape in double quotes"},
		{"what has no words of ours", "? a\n? - b\n  c\n", ""},
	} {
		_, p := of(c.text).Parse()
		got := "no problem"
		if p != nil {
			got = fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Message)
		}
		if c.want != "" && got != c.want {
			t.Errorf("%s, in %q: got %s, want %s", c.name, c.text, got, c.want)
		}
		if p == nil || p.Line < 1 || p.Column < 1 || p.Line > strings.Count(c.text, "\n")+strings.Count(c.text, "\r")+1 {
			t.Errorf("%s, in %q: got %v, want a problem within the file", c.name, c.text, p)
		}
	}
}

func TestWhatIsNoTextIsRefusedBeforeItIsParsed(t *testing.T) {
	for text, want := range map[string]string{
		"\xff\xfea\x00":                "1:1: the file is UTF-16, not UTF-8",
		"a: 1\nb: \xff":                "2:4: the file is not UTF-8: invalid byte 0xff",
		"a: ü\x00":                     "1:5: NUL byte: this is not a text file",
		"a: \x1b[31m":                  "1:4: YAML does not allow the control character U+001B",
		"a: b\ufeff":                   "1:5: there is an invisible byte order mark (U+FEFF)",
		strings.Repeat("x", MaxFile+1): "1:1: the file is larger than 16 MiB",
	} {
		_, p := of(text).Parse()
		if p == nil {
			t.Errorf("%.20q: got no problem, want %s", text, want)
		} else if got := fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Message); got != want {
			t.Errorf("%.20q: got %s, want %s", text, got, want)
		}
	}
}

func TestAProblemShowsThePartOfALongLineAroundItsPlace(t *testing.T) {
	line := strings.Repeat("a", 100) + "X" + strings.Repeat("b", 100)
	p := Problem{File: "a.yaml", Line: 1, Column: 101, Message: "wrong", Hint: "mend it", Source: line}
	want := "a.yaml:1:101: wrong\n  ..." + strings.Repeat("a", 60) + "X" + strings.Repeat("b", 59) + "...\n" + strings.Repeat(" ", 65) + "^ mend it"
	if got := (Problems{p}).Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p.Source, p.Column = "\t\x1b]0;x\a: X", 9
	want = "a.yaml:1:9: wrong\n  \t.]0;x.: X\n  \t       ^ mend it"
	if got := (Problems{p}).Error(); got != want {
		t.Errorf("what a terminal would obey: got %q, want %q", got, want)
	}
}

func TestProblemsAreInTheOrderOfTheirPlacesAndOnce(t *testing.T) {
	all := Problems{{File: "b", Line: 1, Column: 1}, {File: "a", Line: 2, Column: 2}, {File: "a", Line: 2, Column: 1}, {File: "a", Line: 2, Column: 2}, {File: "a", Line: 2, Column: 2, Message: "other"}}
	got := ""
	for _, p := range Sort(all, []string{"a", "b"}) {
		got += fmt.Sprintf("%s:%d:%d%s ", p.File, p.Line, p.Column, p.Message)
	}
	if want := "a:2:1 a:2:2 a:2:2other b:1:1 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestALineIsShownWithoutItsSecrets(t *testing.T) {
	for _, c := range []struct{ path, line, want string }{
		{"routes[0].auth.hmac", `hmac: {secret: "s3cret", header: X}`, `hmac: {secret: ********, header: X}`},
		{"admin", "  token: s3cret", "  token: ******"},
		{"admin", "  token: ${TOKEN}", "  token: ${TOKEN}"},
		{"routes[0].path", "path: /a", "path: /a"},
		{"routes[0].auth.keys", "keys: {keys: {ci: abc, b: d}}", "keys: {keys: {*************}}"},
		{"routes[0].auth.keys.keys.ci", "      ci: abc", "      ci: ***"},
		{"routes[0].auth.keys.keys.ci", `      "ci":   "a b"`, `      "ci":   *****`},
		{"routes[0].auth.basic.users.al", "users: {al: pä, bo: x}", "users: ***************"},
		{"routes[0].auth.basic.users.al", "  the second line of it", "  *********************"},
		{"routes[0].auth.basic.users.al", "al: ${PASSWORD}", "al: ${PASSWORD}"},
		{"routes[0].auth.basic.users.al", "al: file:/etc/pw", "al: file:/etc/pw"},
	} {
		got := WithoutSecrets(c.line, c.path)
		if strings.TrimRight(got, " ") != c.want {
			t.Errorf("%s of %s: got %q, want %q", c.line, c.path, got, c.want)
		}
	}
}
