// Package guess judges what a command is from its words, its environment and its source:
// whether it is an HTTP server, and on which port it listens. It runs nothing.
package guess

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Program is what a command was judged to be.
type Program struct {
	HTTP     bool   // it is an HTTP server
	UsesPort bool   // it listens on $PORT
	Port     int    // it listens on this port; 0 is unknown, or $PORT
	Why      string // why, as "gunicorn is an HTTP server"
}

// Of judges the command with these words, in which ${PORT} stands for $PORT. Scripts
// that it names are read in dir.
func Of(words []string, env map[string]string, dir string) Program {
	words = inner(words)
	if len(words) == 0 {
		return Program{}
	}
	name := filepath.Base(words[0])
	if slices.Contains(others, name) {
		return Program{Why: name + " does not speak HTTP"}
	}
	if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, "${PORT}") }) {
		return Program{HTTP: true, UsesPort: true, Why: "the command uses $PORT"}
	}
	if _, err := strconv.Atoi(env["PORT"]); err == nil {
		return Program{HTTP: true, UsesPort: true, Why: "its environment sets PORT"}
	}
	if server, ok := servers[name]; ok && (server.verb == "" || len(words) > 1 && slices.Contains(strings.Fields(server.verb), words[1])) {
		p := Program{HTTP: true, Port: port(words[1:]), Why: name + " is an HTTP server"}
		if p.Port == 0 {
			p.Port = server.port
		}
		return p
	}
	if script := scriptOf(name, words); script != "" {
		p := Source(filepath.Join(dir, script))
		if p.HTTP && p.Port == 0 && !p.UsesPort {
			p.Port = port(words[1:])
		}
		return p
	}
	return Program{}
}

// others are programs that serve something that is not HTTP, or nothing.
var others = []string{
	"redis-server", "valkey-server", "postgres", "mysqld", "mariadbd", "mongod", "memcached", "rabbitmq-server", "kafka-server-start.sh",
	"celery", "rq", "sidekiq", "resque", "cron", "crond", "supercronic", "sshd", "vsftpd", "postfix", "exim", "tail", "sleep", "cat", "php-fpm",
}

// servers are programs that serve HTTP, with the port that they have by default.
var servers = map[string]struct {
	port int
	verb string // one of these words must follow; empty is none
}{
	"gunicorn": {8000, ""}, "uvicorn": {8000, ""}, "hypercorn": {8000, ""}, "daphne": {8000, ""}, "granian": {8000, ""},
	"waitress-serve": {8080, ""}, "flask": {5000, "run --app -A --debug"}, "http.server": {8000, ""}, "fastapi": {8000, "run dev"},
	"puma": {9292, ""}, "unicorn": {8080, ""}, "thin": {3000, "start"}, "rackup": {9292, ""}, "rails": {3000, "server s"},
	"nginx": {80, ""}, "caddy": {80, "run file-server reverse-proxy"}, "httpd": {80, ""}, "apache2": {80, ""}, "lighttpd": {80, ""},
	"next": {3000, "start dev"}, "nuxt": {3000, "start dev"}, "vite": {5173, ""}, "http-server": {8080, ""}, "serve": {3000, ""},
	"streamlit": {8501, "run"}, "jupyter": {8888, "lab notebook server"}, "grafana-server": {3000, ""}, "prometheus": {9090, ""}, "minio": {9000, "server"},
}

// inner is the command without what only starts it: env, npx, bundle exec, python -m.
func inner(words []string) []string {
	for len(words) > 1 {
		name := filepath.Base(words[0])
		switch {
		case slices.Contains([]string{"npx", "bunx", "exec", "nohup", "tini", "dumb-init", "catchsegv", "setsid", "time"}, name),
			len(words) > 2 && slices.Contains([]string{"bundle", "poetry", "uv", "pipenv", "pdm", "hatch", "npm", "pnpm", "yarn"}, name) && slices.Contains([]string{"exec", "run"}, words[1]):
			n := 1
			if words[1] == "exec" || words[1] == "run" {
				n = 2
			}
			if words[n] == "--" && len(words) > n+1 {
				n++
			}
			words = words[n:]
		case name == "env" && !strings.HasPrefix(words[1], "-"):
			words = words[1:]
			for len(words) > 1 && strings.Contains(words[0], "=") {
				words = words[1:]
			}
		case strings.HasPrefix(name, "python") && words[1] == "-m" && len(words) > 2:
			return words[2:]
		case strings.HasPrefix(name, "python") && words[1] == "-u":
			words = append([]string{words[0]}, words[2:]...)
		case name == "php" && words[1] == "-S" && len(words) > 2:
			return []string{"http-server", "-p", words[2]}
		case strings.HasPrefix(name, "python") && filepath.Base(words[1]) == "manage.py" && len(words) > 2 && words[2] == "runserver":
			return append([]string{"http.server"}, words[3:]...)
		default:
			return words
		}
	}
	return words
}

// portFlag are the flags of a port or of an address that ends with one.
var portFlag = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:-p|--port|-b|--bind|--listen|-l|--http-port|--server\.port|--addr|--address|-H:|--http|-P)(?:[= ](.*))?$`)
})

var digits = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:.*:)?(\d{2,5})$`) })

// port finds the port among the arguments of a server; 0 is none.
func port(args []string) int {
	bare := 0
	for n, arg := range args {
		value := ""
		if m := portFlag().FindStringSubmatch(arg); m != nil {
			value = m[1]
			if value == "" && n+1 < len(args) {
				value = args[n+1]
			}
			if found := number(value); found != 0 {
				return found
			}
			continue
		}
		if bare == 0 && (n == 0 || strings.Contains(arg, ":") || !strings.HasPrefix(args[n-1], "-")) {
			bare = number(arg)
		}
	}
	return bare
}

func number(s string) int {
	m := digits().FindStringSubmatch(s)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // digits
	if n > 65535 {
		return 0
	}
	return n
}

// scriptOf is the script that an interpreter is started with, or the script itself.
func scriptOf(name string, words []string) string {
	if slices.Contains(sources, filepath.Ext(words[0])) {
		return words[0]
	}
	interpreter := strings.TrimRight(name, "0123456789.")
	if !slices.Contains([]string{"node", "python", "ruby", "php", "bun", "deno", "tsx", "ts-node", "perl", "nodemon"}, interpreter) {
		return ""
	}
	for _, w := range words[1:] {
		if !strings.HasPrefix(w, "-") && w != "run" {
			return w
		}
	}
	return ""
}

var sources = []string{".js", ".mjs", ".cjs", ".ts", ".py", ".rb", ".php", ".pl", ".go"}

// Describe is a sentence's end on why p is a route or a service.
func (p Program) Describe() string { return cmp.Or(p.Why, "it is not known to be an HTTP server") }
