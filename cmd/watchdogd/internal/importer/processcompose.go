package importer

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/guess"
)

// readProcessCompose reads process-compose.yaml.
func readProcessCompose(b *builder, sources []source) error {
	top, names, err := topLevel(sources[0].text, "processes")
	if err != nil {
		return err
	}
	shared := draft.Ordered{}
	for _, pair := range list(top["environment"]) {
		if name, value, ok := strings.Cut(scalar(pair), "="); ok {
			shared = shared.With(name, b.substituted(value, nil))
		}
	}
	for _, key := range top.keys() {
		switch key {
		case "version", "processes", "environment", "log_level", "log_length", "is_strict", "log_format", "name", "ordered_shutdown", "disable_env_expansion":
		case "extends":
			b.loseAll("extends", "import the other file too, and name it under include:")
		case "shell":
			b.loseAll("shell", "watchdogd uses /bin/sh, and only where a command needs a shell")
		case "log_location":
			b.loseAll("log_location", "watchdogd logs shows what is printed; its own log goes to stderr")
		default:
			b.loseAll(key, "watchdogd has nothing like it")
		}
	}
	for _, name := range names {
		process := top.object("processes").object(name)
		if process == nil {
			return fmt.Errorf("processes.%s is not a mapping", name)
		}
		p := b.process(name, process)
		for _, key := range shared {
			if !slices.ContainsFunc(p.env, func(k draft.Key) bool { return k.Name == key.Name }) {
				p.env = append(p.env, key)
			}
		}
	}
	return nil
}

func (b *builder) process(name string, o object) *program {
	p := b.add(&program{name: name, line: strings.TrimSpace(strings.ReplaceAll(o.text("command"), "$$", "$"))})
	const replica = "{{.PC_REPLICA_NUM}}"
	p.replica = replica
	if rest := strings.ReplaceAll(p.line, replica, ""); strings.Contains(rest, "{{") {
		p.lose("the template in its command", "watchdogd has no templates; ${VAR} is a variable")
	}
	if entry := list(o["entrypoint"]); p.line == "" && len(entry) > 0 {
		for _, w := range entry {
			p.words = append(p.words, b.substituted(scalar(w), nil))
		}
	}
	if p.line == "" && p.words == nil {
		p.dead = "it has no command"
	}
	p.probe("ready", o.object("readiness_probe"))
	for _, key := range o.keys() {
		switch value := o.text(key); key {
		case "command", "entrypoint", "shutdown", "availability", "log_configuration", "readiness_probe":
		case "working_dir":
			p.dir = b.resolved(value, nil)
		case "environment":
			for _, pair := range list(o[key]) {
				if name, text, ok := strings.Cut(scalar(pair), "="); ok {
					p.env = p.env.With(name, b.substituted(text, nil))
				}
			}
		case "depends_on":
			needs := o.object(key)
			for _, other := range needs.keys() {
				p.needs = append(p.needs, draft.Key{Name: other, Value: b.condition(p, other, needs.object(other).text("condition"))})
			}
		case "liveness_probe":
			p.probe("live", o.object(key))
		case "ready_log_line":
			p.set("ready", draft.Ordered{{Name: "log", Value: draft.Literal(regexp.QuoteMeta(value))}})
		case "replicas":
			if n, ok := o.number(key); ok && n > 1 {
				p.set("replicas", n)
			}
		case "disabled":
			if value == "true" {
				p.dead = "it is disabled"
			}
		case "description":
			p.notes = append(p.notes, value)
		case "is_tty":
			if value == "true" {
				p.set("tty", true)
			}
		case "is_daemon":
			if value == "true" {
				p.lose("is_daemon", "the program must stay in the foreground; most have a flag for it")
			}
		case "log_location":
			p.lose(key, "watchdogd logs "+name+" shows what it prints")
		case "env_file":
			for _, file := range list(o[key]) {
				p.envFiles = append(p.envFiles, b.placeFile(scalar(file)))
			}
		case "namespace", "disable_ansi_colors":
			if value != "" && value != "default" && value != "true" && value != "false" {
				p.lose(key, "there are no namespaces; commands take several names")
			}
		default:
			p.lose(key, "watchdogd has nothing like it")
		}
	}
	p.availability(o.object("availability"))
	p.shutdown(o.object("shutdown"))
	return p
}

// condition is how far a dependency must have come.
func (b *builder) condition(p *program, other, condition string) string {
	switch condition {
	case "process_completed_successfully", "service_completed_successfully":
		return "completed"
	case "process_completed":
		p.lose("the condition process_completed of "+other, "it must complete with status 0 here")
		return "completed"
	case "process_healthy", "process_log_ready", "service_healthy":
		return "ready"
	}
	return "started"
}

// probe reads a probe: an HTTP request or a command.
func (p *program) probe(key string, o object) {
	probe := draft.Ordered{}
	if get := o.object("http_get"); get != nil {
		host, port := get.text("host"), get.text("port")
		path := get.text("path")
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		n, err := strconv.Atoi(port)
		if err != nil || (get.text("scheme") != "" && !strings.EqualFold(get.text("scheme"), "http")) {
			p.lose(key+" by http_get", "only http:// to a port that is a number can be asked")
			return
		}
		local := host == "" || host == "localhost" || host == "127.0.0.1" || host == "0.0.0.0"
		if local && key == "ready" && p.web == nil && p.dead == "" {
			p.port = n
			p.web = func() guess.Program {
				return guess.Program{HTTP: true, Port: n, Why: "its readiness probe is an HTTP request"}
			}
		}
		if local && p.port == n {
			probe = probe.With("http", draft.Literal(path))
		} else {
			if host == "" {
				host = "127.0.0.1"
			}
			probe = probe.With("http", draft.Literal(fmt.Sprintf("http://%s:%d%s", host, n, path)))
		}
	} else if command := o.object("exec").text("command"); command != "" {
		words, _, plain := draft.Words(command)
		if !plain {
			words = []string{"sh", "-c", draft.Literal(command)}
		}
		probe = probe.With("exec", words)
	} else {
		return
	}
	for _, part := range []struct{ theirs, ours string }{{"period_seconds", "interval"}, {"timeout_seconds", "timeout"}, {"failure_threshold", "failures"}} {
		n, ok := o.number(part.theirs)
		switch {
		case !ok || n < 1:
		case part.ours == "failures":
			probe = probe.With(part.ours, n)
		default:
			probe = probe.With(part.ours, seconds(float64(n)))
		}
	}
	if n, ok := o.number("success_threshold"); ok && n > 1 {
		p.lose(key+": success_threshold", "one success is enough")
	}
	p.set(key, probe)
}

// availability reads when a process is restarted.
func (p *program) availability(o object) {
	restart := draft.Ordered{}
	switch policy := o.text("restart"); policy {
	case "": // no is the default
		p.unsaid = "never"
	case "no", "false": // false is no to YAML
		restart = restart.With("policy", "never")
	case "on_failure":
		restart = restart.With("policy", "on-failure")
	case "exit_on_failure":
		restart = restart.With("policy", "never").With("then", "exit")
		p.notes = append(p.notes, "then: exit ends watchdogd when it ends.")
	}
	if o.text("exit_on_end") == "true" {
		p.notes = append(p.notes, "then: exit ends watchdogd when it ends.")
		restart = restart.With("then", "exit")
	}
	if n, ok := o.number("backoff_seconds"); ok && n > 0 && len(restart) > 0 && restart[0].Value != "never" {
		restart = restart.With("min", seconds(float64(n)))
		if n > 30 {
			restart = restart.With("max", seconds(float64(n)))
		}
	}
	if n, ok := o.number("max_restarts"); ok && n > 0 {
		p.lose(fmt.Sprintf("max_restarts=%d", n), "watchdogd goes on trying, with a growing pause; restart.give_up says when that is a crash loop")
	}
	switch {
	case len(restart) == 1 && restart[0].Name == "policy":
		p.set("restart", restart[0].Value)
	case len(restart) > 0:
		p.set("restart", restart)
	}
}

// shutdown reads how a process is stopped.
func (p *program) shutdown(o object) {
	stop := draft.Ordered{}
	if n, ok := o.number("signal"); ok && n > 0 {
		if known, ok := signal(strconv.Itoa(n)); ok && known != "TERM" {
			stop = stop.With("signal", known)
		} else if !ok {
			p.lose(fmt.Sprintf("shutdown: signal=%d", n), "watchdogd does not send this signal")
		}
	}
	if n, ok := o.number("timeout_seconds"); ok && n > 0 {
		stop = stop.With("grace", seconds(float64(n)))
	}
	if o.text("command") != "" {
		p.lose("shutdown: command", "a program is stopped by stop.signal")
	}
	if len(stop) > 0 {
		p.set("stop", stop)
	}
}
