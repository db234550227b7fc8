package why

import (
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/watchdogd/watchdogd/supervisor/child"
)

func TestFactsAreASentence(t *testing.T) {
	ended := func(code int) *child.Exit { return &child.Exit{Code: code} }
	for name, c := range map[string]struct {
		facts   Facts
		want    string
		certain bool
	}{
		"it runs": {Facts{Server: true, Port: 25050}, "", false},
		"it listens elsewhere": {
			Facts{Words: []string{"npx", "vite"}, Server: true, Port: 25050, Upstream: "127.0.0.1:25050", Listens: []string{"127.0.0.1:5173"}},
			"listens on 127.0.0.1:5173, not on $PORT (25050): pass it on (--port ${PORT}) or write upstream: http://127.0.0.1:5173", true},
		"it listens elsewhere, on all addresses": {
			Facts{Words: []string{"npm", "run", "dev"}, Server: true, Port: 25050, Upstream: "127.0.0.1:25050", Listens: []string{"[::]:3000"}},
			"listens on [::]:3000, not on $PORT (25050): pass it on (-- --port ${PORT}) or write upstream: http://127.0.0.1:3000", true},
		"it listens elsewhere, on IPv6": {
			Facts{Words: []string{"sh -c vite"}, Shell: true, Server: true, Port: 25050, Listens: []string{"[::1]:5173"}},
			"listens on [::1]:5173, not on $PORT (25050): pass it on (--port ${PORT}) or write upstream: http://[::1]:5173", true},
		"it listens elsewhere, and has an upstream": {
			Facts{Words: []string{"vite"}, Server: true, Upstream: "127.0.0.1:3000", Listens: []string{"127.0.0.1:5173"}},
			"listens on 127.0.0.1:5173, not on 127.0.0.1:3000: write upstream: http://127.0.0.1:5173", true},
		"it listens on a socket": {
			Facts{Words: []string{"gunicorn", "app"}, Server: true, Port: 25050, Listens: []string{"/run/app.sock"}},
			"listens on /run/app.sock, not on $PORT (25050): pass it on (--bind 127.0.0.1:${PORT}) or write upstream: unix:/run/app.sock", true},
		"nginx listens elsewhere": {
			Facts{Words: []string{"/usr/sbin/nginx"}, Server: true, Port: 25050, Listens: []string{"0.0.0.0:80"}},
			"listens on 0.0.0.0:80, not on $PORT (25050): write upstream: http://127.0.0.1:80", true},
		"a server ends with 0": {
			Facts{Server: true, Exit: ended(0)},
			"exited with 0 before it listened: http mode is for a server that keeps running; a program that reads its input and ends is mode: streaming", true},
		"a worker that answered ends with 0 soon":                       {Facts{Worker: true, Served: true, Again: true, Exit: ended(0)}, "exit status 0", false},
		"a server that is started again was ready and ends with 0 soon": {Facts{Server: true, Served: true, Again: true, Exit: ended(0)}, "exit status 0", false},
		"a server that was ready ends with 0":                           {Facts{Server: true, Served: true, Exit: ended(0)}, "exit status 0", false},
		"a service ends with 0":                                         {Facts{Exit: ended(0)}, "exit status 0", false},
		"a worker ends with 0": {
			Facts{Worker: true, Exit: ended(0)},
			"exit status 0: an afterburn worker answers one request after the other on its standard output; a program that answers one and ends is mode: streaming", false},
		"it fails":                 {Facts{Server: true, Exit: ended(3)}, "exit status 3", false},
		"it fails, and says why":   {Facts{Server: true, Exit: ended(1), Errors: []string{"no such table"}}, "exit status 1: no such table", false},
		"it is killed":             {Facts{Exit: &child.Exit{Code: -1, Signal: syscall.SIGSEGV}}, "killed by SIGSEGV: it used memory that it does not have (segmentation fault): a bug in it or in a native library", false},
		"the shell finds nothing":  {Facts{Shell: true, Exit: ended(127), Errors: []string{"x: not found"}}, "exit status 127 (the shell did not find the program): x: not found", false},
		"a script has CRLF":        {Facts{Exit: ended(127), CRLF: "the first line of /a/run.sh ends with CRLF"}, "exit status 127: the first line of /a/run.sh ends with CRLF", true},
		"a script has CRLF, or so": {Facts{Exit: ended(1), CRLF: "the first line of /a/run.sh ends with CRLF"}, "exit status 1", false},
		"nginx goes to the background": {
			Facts{Words: []string{"nginx", "-c", "x"}, Server: true, Served: true, Exit: ended(0), Behind: []string{"nginx"}},
			"went to the background: add -g 'daemon off;'", true},
		"redis goes to the background": {
			Facts{Words: []string{"redis-server"}, Exit: ended(0), Behind: []string{"redis-server"}},
			"went to the background: add --daemonize no", true},
		"php-fpm8.2 goes to the background": {
			Facts{Words: []string{"/usr/sbin/php-fpm8.2"}, Exit: ended(0), Behind: []string{"php-fpm8.2"}},
			"went to the background: add --nodaemonize", true},
		"a script starts apache": {
			Facts{Words: []string{"./start.sh"}, Exit: ended(0), Behind: []string{"apache2"}},
			"went to the background: add -D FOREGROUND", true},
		"a shell starts it in the background": {
			Facts{Words: []string{"nginx -c x & true"}, Shell: true, Exit: ended(0), Behind: []string{"nginx"}},
			"went to the background: remove the & from the command", true},
		"an unknown program goes to the background": {
			Facts{Words: []string{"frobd"}, Exit: ended(0), Behind: []string{"frobd"}},
			"went to the background: frobd ran on when the program that was started had ended; watchdogd supervises only what stays in the foreground: look for an option such as --foreground or --no-daemon", true},
		"a service leaves something behind after a long life": {
			Facts{Words: []string{"nginx"}, Exit: ended(0), Behind: []string{"nginx"}, Uptime: time.Hour}, "exit status 0", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.facts.Diagnose()
			if got.String() != c.want || got.Certain != c.certain {
				t.Errorf("got %q, certain %v, want %q, certain %v", got.String(), got.Certain, c.want, c.certain)
			}
		})
	}
}

func TestAmpersandOfTheShell(t *testing.T) {
	for line, want := range map[string]bool{
		"a &": true, "a & b": true, "a& wait": true, "a && b": false, "a 2>&1": false, "a &> log": false, "a": false, `a \&`: false,
	} {
		if got := ampersand().MatchString(line); got != want {
			t.Errorf("%q: got %v, want %v", line, got, want)
		}
	}
}

func TestTheLineThatSaysWhatWentWrong(t *testing.T) {
	for name, c := range map[string]struct{ printed, want string }{
		"nothing":    {"", ""},
		"one line":   {"boom", "boom"},
		"the last":   {"Error: one\ntwo", "two"},
		"blank ends": {"boom\n\n  \n", "boom"},
		"only noise": {"}\n", "}"},
		"Node.js":    {"node:internal/modules/cjs/loader:1148\n  throw err;\n  ^\n\nError: Cannot find module 'express'\nRequire stack:\n- /x/server.js\n    at Module._load (node:internal:1)\n  code: 'MODULE_NOT_FOUND',\n}\n\nNode.js v20.20.2", "Error: Cannot find module 'express'"},
		"Python":     {"Traceback (most recent call last):\n  File \"x.py\", line 1, in <module>\n    import flask\nModuleNotFoundError: No module named 'flask'", "ModuleNotFoundError: No module named 'flask'"},
		"Go":         {"panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/x/main.go:3 +0x25\nexit status 2", "panic: boom"},
		"Rust":       {"thread 'main' panicked at src/main.rs:2:5:\nboom\nnote: run with `RUST_BACKTRACE=1` environment variable", "boom"},
		"Java":       {"Exception in thread \"main\" java.lang.IllegalStateException: boom\n\tat Main.main(Main.java:3)\n\t... 3 more", "Exception in thread \"main\" java.lang.IllegalStateException: boom"},
		"npm":        {"npm error Missing script: \"dev\"\nnpm error\nnpm error A complete log of this run can be found in: /x", `npm error Missing script: "dev"`},
	} {
		if got := telling(strings.Split(c.printed, "\n")); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestWhatAProgramPrintedIsClean(t *testing.T) {
	for line, want := range map[string]string{
		"\x1b[31mred\x1b[0m":                       "red",
		"\x1b]0;title\x07text":                     "text",
		"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\": "link",
		"a\tb\r":                 "a b",
		"a\x00b\x7fc\u202ed":     "abcd",
		"\xff\xfebad":            "bad",
		strings.Repeat("é", 300): strings.Repeat("é", 200) + "...",
	} {
		if got := clean(line); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m \x1b]0;")
	f.Fuzz(func(t *testing.T, line string) {
		got := clean(line)
		if n := utf8.RuneCountInString(got); n > mostPrinted+3 {
			t.Errorf("got %d characters, want at most %d", n, mostPrinted+3)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Errorf("got %q in %q, want only what can be printed", r, got)
			}
		}
	})
}
