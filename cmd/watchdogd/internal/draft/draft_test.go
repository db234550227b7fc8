package draft_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/schema"
)

func none(string) (string, bool) { return "", false }

// commandOf writes a service with the command and reads it back.
func commandOf(t *testing.T, line string) (schema.Process, string) {
	t.Helper()
	f := &draft.File{}
	f.Service("a").Command(line)
	text := f.Bytes()
	cfg, err := schema.Parse("/srv/watchdog.yaml", text, none)
	if err != nil {
		t.Fatalf("%q: got %v\n%s\nwant no error", line, err, text)
	}
	return cfg.Services[0].Process, string(text)
}

func TestACommandIsStartedWithoutAShellWhereThatIsTheSame(t *testing.T) {
	for _, c := range []struct{ line, words, shell string }{
		{"run -a b", "run|-a|b", ""},
		{`run "a b" 'c $d' e\ f "" `, "run|a b|c $d|e f|", ""},
		{"exec run", "run", ""},
		{"A=1 B='x y' run", "run", ""},
		{"run --at=https://x/?a=b:c,d", "", "run --at=https://x/?a=b:c,d"},
		{"run | sort", "", "run | sort"},
		{"cd x && run", "", "cd x && run"},
		{"cd x", "", "cd x"},
		{"run $HOME ${X:-$Y} $$", "", "run $HOME ${X:-$Y} $$"},
		{"run *.txt", "", "run *.txt"},
		{"~/run", "", "~/run"},
		{"run > out", "", "run > out"},
		{"run 'unclosed", "", "run 'unclosed"},
	} {
		p, text := commandOf(t, c.line)
		var words []string
		for _, w := range p.FProcess.Words {
			words = append(words, w.Expand(schema.Vars{}))
		}
		if got := strings.Join(words, "|"); got != c.words || p.FProcess.Line.Expand(schema.Vars{}) != c.shell {
			t.Errorf("%q: got words %q and line %q, want %q and %q\n%s", c.line, got, p.FProcess.Line.Expand(schema.Vars{}), c.words, c.shell, text)
		}
	}
	p, _ := commandOf(t, "A=1 B='$x y' run")
	if p.Env["A"].Expand(schema.Vars{}) != "1" || p.Env["B"].Expand(schema.Vars{}) != "$x y" {
		t.Errorf("got %v, want the variables that are set before the program", p.Env)
	}
}

func TestAMistakeBecomesAComment(t *testing.T) {
	f := &draft.File{}
	a := f.Service("a")
	a.Command("run")
	a.Set("umask", "999")
	a.Set("env", draft.Ordered{{Name: "OK", Value: "1"}, {Name: "BAD", Value: "${X"}})
	b := f.Service("b")
	b.Command("run")
	b.Set("depends_on", []string{"nothing"})
	f.Route("c").Set("path", "no-slash")
	f.Route("C!").Set("mode", "static")
	said, err := f.Settle("/srv/watchdog.yaml", none)
	if err != nil {
		t.Fatal(err)
	}
	text := string(f.Bytes())
	cfg, err := schema.Parse("/srv/watchdog.yaml", []byte(text), none)
	if err != nil {
		t.Fatalf("got %v\n%s\nwant no error", err, text)
	}
	if len(cfg.Services) != 2 || len(cfg.Routes) != 0 || len(cfg.Services[0].Env) != 1 {
		t.Errorf("got\n%s\nwant two services, one variable and no route", text)
	}
	for _, want := range []string{"a: not carried over: umask: ", "a: not carried over: env BAD: ", "b: not carried over: depends_on: ", "c is written as a comment: ", "c-2 is written as a comment: "} {
		if !strings.Contains(strings.Join(said, "\n"), want) {
			t.Errorf("got %q, want %q among it", said, want)
		}
	}
}

func TestAFileIsSavedWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "watchdog.yaml")
	if err := draft.Save(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := draft.Save(path, []byte("two")); err == nil || !strings.Contains(err.Error(), "exists already and is not overwritten") {
		t.Errorf("got %v, want that it exists", err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := draft.Save(filepath.Join(dir, "link"), []byte("two")); err == nil {
		t.Error("got nothing, want that a link is not overwritten either")
	}
	if err := draft.Save(filepath.Join(dir, "none", "x"), nil); err == nil || strings.Contains(err.Error(), "none/.x") {
		t.Errorf("got %v, want an error without the name of a temporary file", err)
	}
	text, err := os.ReadFile(path)
	entries, _ := os.ReadDir(dir) // it was written to
	if err != nil || string(text) != "one" || len(entries) != 2 {
		t.Errorf("got %q, %v and %d files, want the first text and nothing besides", text, err, len(entries))
	}
}

// Whatever the line, the file is valid, and words that need no shell come back.
func FuzzCommand(f *testing.F) {
	for _, line := range []string{"run -a 'b c'", "a | b", "A=1 run $PORT ${PORT:-1}", "x \\\n y", "$$ ${A} \"$b\"", "#", "é ü", "- a", "{a: b}", "'", "a\tb", "null", "~", "x: y", "\ta | b\n", "\n\ta; b\n", "a;\nb\u20290", "a\u2028;b", "\u2029a|b\n", "a\n\u2029 b"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		file := &draft.File{}
		file.Route("a").Command(line)
		if _, err := file.Settle("/srv/watchdog.yaml", none); err != nil {
			t.Fatalf("%q: got %v\n%s\nwant no error", line, err, file.Bytes())
		}
		if file.Empty() {
			return
		}
		words, _, plain := draft.Words(line)
		cfg, err := schema.Parse("/srv/watchdog.yaml", file.Bytes(), none)
		if err != nil {
			t.Fatal(err)
		}
		if !plain || len(cfg.Routes) == 0 {
			return
		}
		got := cfg.Routes[0].FProcess.Words
		if len(got) != len(words) {
			t.Fatalf("%q: got %q, want %q\n%s", line, got, words, file.Bytes())
		}
		vars := schema.Vars{Port: 7}
		for n := range words {
			if g, w := got[n].Expand(vars), schema.Text(words[n]).Expand(vars); g != w && !strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q: got %q, want %q", line, g, w)
			}
		}
	})
}
