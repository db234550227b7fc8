package trial_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/trial"
	"github.com/watchdogd/watchdogd/schema"
)

func TestAnArgumentNamesPathModeAndCommand(t *testing.T) {
	folder := t.TempDir()
	for _, c := range []struct{ arg, mode, want string }{
		{"/upper=tr a-z A-Z", "streaming", "fprocess: tr a-z A-Z"},
		{"/a=serializing:sort -r", "serializing", "fprocess: sort -r"},
		{"/app=http:python3 -m http.server $PORT", "http", "fprocess: python3 -m http.server ${PORT}"},
		{"/app=flask run -p $PORT", "http", "fprocess: flask run -p ${PORT}"},
		{"/=static:" + folder, "static", "root: " + folder},
		{"/=" + folder, "static", "root: " + folder},
		{"/api=http://127.0.0.1:3000", "http", "upstream: http://127.0.0.1:3000"},
		{"/s=unix:/run/x.sock", "http", "upstream: unix:/run/x.sock"},
		{"/pipe=cat | sort", "streaming", "shell: true"},
		{"/home=echo $HOME", "streaming", "fprocess: echo $HOME"},
		{"/q=printf '%s' 'a b'", "streaming", "fprocess: [printf, '%s', a b]"},
	} {
		routes, err := trial.Parse([]string{c.arg})
		if err != nil {
			t.Errorf("%s: %v", c.arg, err)
			continue
		}
		f := &draft.File{}
		routes[0].Write(f)
		text := string(f.Bytes())
		if !strings.Contains(text, c.want) || string(routes[0].Mode) != c.mode {
			t.Errorf("%s: got mode %s and\n%s\nwant %s and %s", c.arg, routes[0].Mode, text, c.mode, c.want)
		}
		if _, err := schema.Parse(filepath.Join(folder, "watchdog.yaml"), f.Bytes(), os.LookupEnv); err != nil {
			t.Errorf("%s: %v", c.arg, err)
		}
	}
}

func TestAPathIsToldFromAProgram(t *testing.T) {
	for arg, want := range map[string]bool{
		"/a=cat": true, "/=./x": true, "/a/b=http:x": true, "/a=": true,
		"cat": false, "/bin/cat": false, "A=b": false, "/bin/echo a=b": false, "a=/b": false, "": false,
	} {
		if got := trial.Spec(arg); got != want {
			t.Errorf("%q: got %v, want %v", arg, got, want)
		}
	}
}

func TestTheWordsOfACommandStayAsTheyAre(t *testing.T) {
	f := &draft.File{}
	trial.Command([]string{"printf", "%s $HOME *", "$PORT", "${PORT}"}).Write(f)
	cfg, err := schema.Parse("/x/watchdog.yaml", f.Bytes(), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range cfg.Routes[0].FProcess.Words {
		got = append(got, w.Expand(schema.Vars{Port: 99}))
	}
	if strings.Join(got, "|") != "printf|%s $HOME *|99|99" {
		t.Errorf("got %q, want the words with the port in them", got)
	}
}
