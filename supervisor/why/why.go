// Package why says in one sentence why a program does not work, and what to do: a pure
// function from facts to a Diagnosis, and what tells the facts from what a program left.
package why

import (
	"fmt"
	"net"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
)

// Facts is what is known of a life that does not work, or that ended. Gathering them is
// package supervisor's; what they mean is decided here, without looking at the system.
type Facts struct {
	Words    []string // the command: program and arguments, or the words of a shell line
	Shell    bool     // it is run by /bin/sh
	Server   bool     // it is to listen: http mode
	Worker   bool     // it answers on its standard output: afterburn mode
	Port     int      // its $PORT; 0 when it has none
	Upstream string   // where it is to listen: host:port, or the path of a socket
	Served   bool     // it was ready; of a worker: it was given a call

	Exit    *child.Exit // how it ended; nil while it runs
	Uptime  time.Duration
	Listens []string // the addresses on which it listens, without Upstream
	Behind  []string // the programs of the processes that it left running
	CRLF    string   // what child.CRLF says of the program
	Printed string   // the last line of its standard error that says something
}

// Diagnosis is what facts mean.
type Diagnosis struct {
	What    string // one sentence, without its end: what happened, why, what to do; empty when all is well
	Printed string // what the program itself printed, which may be private
	Certain bool   // waiting does not help: the program or the configuration has to change
}

// String is all of it, for the log and ps.
func (d Diagnosis) String() string {
	if d.Printed == "" {
		return d.What
	}
	return d.What + ": " + d.Printed
}

// Soon is how long after its start a program that goes to the background has done so.
const Soon = 10 * time.Second

// Diagnose returns what the facts mean.
func (f *Facts) Diagnose() Diagnosis {
	switch e := f.Exit; {
	case e == nil && len(f.Listens) > 0:
		return Diagnosis{What: f.elsewhere(), Certain: true}
	case e == nil:
		return Diagnosis{}
	case e.OK() && len(f.Behind) > 0 && f.Uptime < Soon:
		return Diagnosis{What: f.background(), Certain: true}
	case e.OK() && f.Server && !f.Served:
		return Diagnosis{What: "exited with 0 before it listened: http mode is for a server that keeps running; a program that reads its input and ends is mode: streaming", Certain: true}
	case e.OK() && f.Worker && !f.Served && f.Uptime < Soon:
		return Diagnosis{What: e.String() + ": an afterburn worker answers one request after the other on its standard output; a program that answers one and ends is mode: streaming"}
	case e.OK():
		return Diagnosis{What: e.String()}
	case (e.Code == 126 || e.Code == 127) && f.CRLF != "":
		return Diagnosis{What: e.String() + ": " + f.CRLF, Certain: true}
	case e.Code == 127 && f.Shell:
		return Diagnosis{What: e.String() + " (the shell did not find the program)", Printed: f.Printed}
	}
	return Diagnosis{What: f.Exit.String(), Printed: f.Printed}
}

// elsewhere is what to do about a server that listens where it is not asked.
func (f *Facts) elsewhere() string {
	want := f.Upstream
	if f.Port != 0 {
		want = fmt.Sprintf("$PORT (%d)", f.Port)
	}
	at := strings.Join(f.Listens[:min(len(f.Listens), 3)], " and ")
	s := fmt.Sprintf("listens on %s, not on %s: ", at, want)
	if f.Port != 0 {
		if how := passPort(f.words()); how != "" {
			s += how + " or "
		}
	}
	return s + "write upstream: " + dialable(f.Listens[0])
}

// dialable is the value of upstream for a server that listens on address.
func dialable(address string) string {
	if strings.HasPrefix(address, "/") {
		return "unix:" + address
	}
	i := strings.LastIndexByte(address, ':')
	switch host, port := address[:i], address[i:]; host {
	case "0.0.0.0", "[::]":
		return "http://127.0.0.1" + port
	default:
		return "http://" + host + port
	}
}

// passPort is how the port is given to the program that words name; empty where a
// command line cannot.
func passPort(words []string) string {
	for n, w := range words {
		switch name := path.Base(w); name {
		case "nginx", "apache2", "httpd", "apache2ctl", "apachectl", "lighttpd", "haproxy", "caddy":
			return ""
		case "http.server":
			return "pass it on (http.server ${PORT})"
		case "gunicorn", "hypercorn":
			return "pass it on (--bind 127.0.0.1:${PORT})"
		case "php":
			return "pass it on (-S 127.0.0.1:${PORT})"
		case "npm", "pnpm":
			if n+1 < len(words) && !strings.Contains(strings.Join(words[n:], " "), " -- ") {
				return "pass it on (-- --port ${PORT})"
			}
		}
	}
	return "pass it on (--port ${PORT})"
}

// background is what to do about a program that leaves its work to another process.
func (f *Facts) background() string {
	s := "went to the background: "
	words := f.words()
	if f.Shell && ampersand.MatchString(strings.Join(f.Words, " ")) {
		return s + "remove the & from the command"
	}
	for _, name := range append(words, f.Behind...) {
		if how, ok := foreground[child.ProgramName(name)]; ok {
			return s + how
		}
	}
	return s + fmt.Sprintf("%s ran on when the program that was started had ended; watchdogd supervises only what stays in the foreground: look for an option such as --foreground or --no-daemon", f.Behind[0])
}

// ampersand is the & of a shell that starts a command in the background, and no part of
// && or of a redirect.
var ampersand = regexp.MustCompile(`(^|[^&>\\])&([^&>]|$)`)

// foreground is how programs that go to the background are kept from it.
var foreground = map[string]string{
	"nginx":         "add -g 'daemon off;'",
	"redis-server":  "add --daemonize no",
	"valkey-server": "add --daemonize no",
	"apache":        "add -D FOREGROUND",
	"httpd":         "add -D FOREGROUND",
	"apachectl":     "add -D FOREGROUND (and leave out start)",
	"apache2ctl":    "add -D FOREGROUND (and leave out start)",
	"php-fpm":       "add --nodaemonize",
	"lighttpd":      "add -D",
	"haproxy":       "add -db, and remove daemon from its configuration",
	"gunicorn":      "remove -D (--daemon)",
	"uwsgi":         "remove --daemonize",
	"celery":        "remove --detach",
	"unicorn":       "remove -D",
	"puma":          "remove -d (--daemon)",
	"memcached":     "remove -d",
	"mongod":        "remove --fork",
	"mysqld":        "remove --daemonize",
	"pg_ctl":        "run postgres -D DIR in the place of pg_ctl",
	"pg_ctlcluster": "add --foreground",
	"caddy":         "write caddy run in the place of caddy start",
	"pm2":           "run pm2-runtime in the place of pm2",
	"supervisord":   "add -n",
	"sshd":          "add -D",
	"varnishd":      "add -F",
	"squid":         "add -N",
	"dnsmasq":       "add -k",
	"cron":          "add -f",
	"crond":         "add -f",
	"rsyslogd":      "add -n",
	"vsftpd":        "add -obackground=NO",
	"minidlnad":     "add -S",
	"stunnel":       "add foreground = yes to its configuration",
	"exim":          "write -bdf in the place of -bd",
	"dovecot":       "add -F",
	"named":         "add -g",
	"docker":        "remove -d (--detach)",
}

// words are those of the command, also where they stand in one shell line.
func (f *Facts) words() []string {
	if f.Shell {
		return strings.Fields(strings.Join(f.Words, " "))
	}
	return f.Words
}

// mostPrinted is how many characters of a line that a program printed are repeated.
const mostPrinted = 200

// clean makes a line that a program printed one that does no harm to a terminal, a log
// or a header: no escape sequences, no control characters, and not too long.
func clean(line string) string {
	line = escapes.ReplaceAllString(line, "")
	line = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == utf8.RuneError, !unicode.IsPrint(r) && !unicode.IsSpace(r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, line)
	line = strings.TrimSpace(line)
	if utf8.RuneCountInString(line) > mostPrinted {
		line = strings.TrimSpace(string([]rune(line)[:mostPrinted])) + "..."
	}
	return line
}

// escapes are the sequences of ECMA-48 that a terminal obeys: of one letter, with
// parameters (colours), and strings (titles, links).
var escapes = regexp.MustCompile(`\x1b(\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(\x07|\x1b\\)?|[ -/]*[0-~])`)

// telling is the last of lines, which are in order, that says what went wrong. What
// runtimes print below that is passed over: stacks, and hints at how to see more.
func telling(lines []string) string {
	last := ""
	for n := len(lines) - 1; n >= 0; n-- {
		line := clean(lines[n])
		if line == "" {
			continue
		}
		if last == "" {
			last = line
		}
		if lines[n] == strings.TrimLeft(lines[n], " \t") && !noise.MatchString(line) {
			return line
		}
	}
	return last
}

// noise is what comes below the line that says what went wrong: in Node.js, npm, Go,
// Rust, Ruby and Java, and what no line of words is.
var noise = regexp.MustCompile(`^(Node\.js v\d|Require stack:$|- /|npm (error|ERR!) (A complete log|$|\s{2,}/)|npm (error|ERR!)$|goroutine \d|created by |exit status \d|[\w./*]+\([^ ]*\)$|note: run with|\.\.\. \d+ more|[^\pL\pN]*$)`)

// endingSignals are the signals on which known programs end soon, where TERM is not the
// one: TERM waits for clients, or drops them.
var endingSignals = map[string]schema.Signal{
	"postgres": "INT", "pg_ctl": "INT", // fast shutdown; TERM waits for the clients
	"nginx": "QUIT", "openresty": "QUIT", "php-fpm": "QUIT",
	"apache2": "WINCH", "httpd": "WINCH", "apachectl": "WINCH", "apache2ctl": "WINCH",
}

// KilledHint is what to write for a program that was killed.
func KilledHint(c schema.Command, stop schema.Stop) string {
	longer := fmt.Sprintf("stop: {grace: %v}", 3*stop.Grace.D())
	name := ""
	for _, w := range c.Words {
		if signal, ok := endingSignals[filepath.Base(string(w))]; ok && signal != stop.Signal {
			name = filepath.Base(string(w))
			return fmt.Sprintf("for %s write stop: {signal: %s}, or give it more time: %s", name, signal, longer)
		}
	}
	if stop.Signal == "TERM" {
		return "if it ends on another signal write stop: {signal: INT}, or give it more time: " + longer
	}
	return "give it more time: " + longer
}

// FromOutside reports whether a signal comes from another process, so that the program can
// have said nothing about it.
func FromOutside(s syscall.Signal) bool {
	return slices.Contains([]syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT}, s)
}

// TellingOf is the line that says best why process pid failed: on its standard error, and
// where that is silent, with stdout, on its standard output.
func TellingOf(lines []child.Line, pid int, stdout bool) string {
	var err, out []string
	for _, l := range lines {
		switch {
		case l.PID != pid:
		case l.Stream == "stderr":
			err = append(err, l.Text)
		default:
			out = append(out, l.Text)
		}
	}
	if s := telling(err); s != "" || !stdout {
		return s
	}
	return telling(out)
}

// SameListener reports whether a listener on address can be reached at asked: at that
// port on any loopback address, as localhost may mean one or the other.
func SameListener(address, asked string) bool {
	if address == asked {
		return true
	}
	host, port, err := net.SplitHostPort(address)
	_, want, wantErr := net.SplitHostPort(asked)
	if err != nil || wantErr != nil || port != want {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && (ip.IsUnspecified() || ip.IsLoopback())
}

// DebugPort reports whether an address is where debuggers and the like wait by default:
// those of Node.js, Java, Python and Vite's reloading.
func DebugPort(address string) bool {
	return slices.Contains([]string{"9229", "5005", "5678", "24678"}, address[strings.LastIndexByte(address, ':')+1:])
}

// Script is the file that the command starts, which is at path when no shell finds it.
func (f *Facts) Script(file, dir string) string {
	words := f.words()
	if !f.Shell || len(words) == 0 {
		return file
	}
	if !strings.Contains(words[0], "/") {
		return "" // of the PATH
	}
	if filepath.IsAbs(words[0]) {
		return words[0]
	}
	return filepath.Join(dir, words[0])
}
