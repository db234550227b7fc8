package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/guess"
)

// readEcosystem reads the ecosystem file of pm2. Its strings come as values of
// watchdog.yaml, in which process.env.X is ${X:-}.
func readEcosystem(b *builder, sources []source) error {
	s := sources[0]
	var value any
	var err error
	if strings.HasSuffix(s.name, ".json") {
		value, err = decodeJSON(s.text)
	} else if value, err = literal(s); err != nil && b.RunNode {
		value, err = runNode(s)
	} else if err != nil {
		err = fmt.Errorf("%w; with --run-node, node evaluates the file, which runs its code: node -p 'JSON.stringify(require(\"./%s\"))' shows the result", err, s.name)
	}
	if err != nil {
		return err
	}
	top := asObject(value)
	apps := list(top["apps"])
	if top == nil {
		apps = list(value) // an array of apps
	}
	if len(apps) == 0 && top["script"] != nil {
		apps = []any{value}
	}
	if len(apps) == 0 {
		return errors.New("it has no apps")
	}
	if len(apps) > mostPrograms {
		return fmt.Errorf("it has more than %d apps", mostPrograms)
	}
	if top["deploy"] != nil {
		b.loseAll("deploy", "watchdogd does not copy programs to other machines")
	}
	for n, app := range apps {
		o := asObject(app)
		if o == nil || o.text("script") == "" {
			return fmt.Errorf("apps[%d] has no script", n)
		}
		b.app(o)
	}
	return nil
}

func decodeJSON(text []byte) (any, error) {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, fmt.Errorf("it is not valid JSON: %w", err)
	}
	return literals(value), nil
}

// literals is value with every string as watchdog.yaml has it.
func literals(value any) any {
	switch v := value.(type) {
	case string:
		return draft.Literal(v)
	case []any:
		for n := range v {
			v[n] = literals(v[n])
		}
	case map[string]any:
		for key := range v {
			v[key] = literals(v[key])
		}
	}
	return value
}

// nodeBound is how long node may take.
const nodeBound = 10 * time.Second

// runNode has node evaluate the file.
func runNode(s source) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), nodeBound)
	defer cancel()
	path := filepath.Join(s.dir, s.name)
	cmd := exec.CommandContext(ctx, "node", "-e", `import(require("url").pathToFileURL(process.argv[1])).then(m => process.stdout.write(JSON.stringify(m.default ?? m)))`, path)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		detail := ""
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			detail = ": " + cut(strings.TrimSpace(string(failed.Stderr)))
		}
		return nil, fmt.Errorf("run node: %w%s", err, detail)
	}
	return decodeJSON(out)
}

// interpreters are what pm2 starts a script with, by its extension.
var interpreters = map[string]string{
	".js": "node", ".cjs": "node", ".mjs": "node", ".py": "python3", ".rb": "ruby", ".php": "php", ".pl": "perl", ".sh": "sh", ".ts": "bun", ".tsx": "bun",
}

// app makes a program of one app.
func (b *builder) app(o object) {
	script := o.text("script")
	name := o.text("name")
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(script), filepath.Ext(script))
	}
	p := b.add(&program{name: name, dir: strings.ReplaceAll(o.text("cwd"), "$$", "$")})
	p.appCommand(o, script)
	logs := false
	restart, stop := draft.Ordered{}, draft.Ordered{}
	for _, key := range o.keys() {
		value := o.text(key)
		switch key {
		case "name", "script", "cwd", "args", "interpreter", "exec_interpreter", "interpreter_args", "node_args", "exec_mode", "time", "merge_logs", "combine_logs",
			"instance_var", "min_uptime", "source_map_support", "vizion", "pmx", "automation", "treekill", "force", "namespace", "version", "exp_backoff_restart_delay", "increment_var":
		case "env":
			env := o.object(key)
			for _, name := range env.keys() {
				p.env = p.env.With(name, env.text(name))
			}
		case "instances":
			p.instances(value)
		case "max_memory_restart":
			if size := strings.ToUpper(value); size != "" && strings.Contains("KMG", size[len(size)-1:]) {
				value = size + "iB"
			}
			p.set("recycle", draft.Ordered{{Name: "memory", Value: value}})
		case "autorestart":
			if value == "false" {
				restart = restart.With("policy", "never")
			}
		case "restart_delay":
			if n, ok := o.number(key); ok && n > 0 && o.text("autorestart") != "false" {
				restart = restart.With("policy", "always").With("min", seconds(float64(n)/1000)).With("max", seconds(max(30, float64(n)/1000)))
			}
		case "kill_timeout":
			if n, ok := o.number(key); ok && n > 0 {
				stop = stop.With("grace", seconds(float64(n)/1000))
			}
		case "listen_timeout":
			if n, ok := o.number(key); ok && n > 0 {
				p.set("timeouts", draft.Ordered{{Name: "start", Value: seconds(float64(n) / 1000)}})
			}
		case "watch":
			p.watch(o)
		case "ignore_watch", "watch_delay", "watch_options":
			if o["watch"] != nil && o.text("watch") != "false" {
				p.lose(key, "watch lists patterns of what is watched")
			}
		case "out_file", "error_file", "log_file", "output", "error", "log", "out", "log_date_format", "log_type", "disable_logs":
			logs = true
		case "cron_restart", "cron":
			p.lose(key, "recycle: {age: 24h} replaces an instance by its age")
		case "wait_ready":
			if value == "true" {
				p.lose(key, "readiness is asked for: ready: tcp, an HTTP path or a line of the log")
			}
		case "max_restarts":
			p.lose(key, "watchdogd goes on trying, with a growing pause; restart.give_up says when that is a crash loop")
		case "uid", "user":
			p.set("user", value)
		case "gid":
			p.lose(key, "write it as user: USER:GROUP")
		case "env_file":
			p.envFiles = append(p.envFiles, b.placeFile(strings.ReplaceAll(value, "$$", "$")))
		default:
			if strings.HasPrefix(key, "env_") {
				p.lose(key, "there are no named environments; put its variables into an env_file, or into env")
			} else if value != "false" {
				p.lose(key, "watchdogd has nothing like it")
			}
		}
	}
	if logs {
		p.lose("where it logs", "watchdogd writes all output to its own log; watchdogd logs "+name+" shows it")
	}
	switch {
	case len(restart) == 1:
		p.set("restart", restart[0].Value)
	case len(restart) > 1:
		p.set("restart", restart)
	}
	if len(stop) > 0 {
		p.set("stop", stop)
	}
	if o.text("exec_mode") == "cluster" || o.text("exec_mode") == "cluster_mode" {
		p.web = func() guess.Program {
			p.web = nil
			g := b.judge(p)
			if !g.HTTP || g.Port != 0 {
				return guess.Program{HTTP: true, UsesPort: true, Why: "cluster mode is for servers; each instance gets its own $PORT"}
			}
			return g
		}
	}
}

// appCommand is the interpreter, its arguments, the script and its arguments.
func (p *program) appCommand(o object, script string) {
	if strings.ContainsAny(script, " \t") {
		p.line = strings.TrimSpace(strings.ReplaceAll(script, "$$", "$") + " " + strings.ReplaceAll(strings.Join(strings.Fields(o.text("args")), " "), "$$", "$"))
		return
	}
	interpreter := o.text("interpreter") + o.text("exec_interpreter")
	if interpreter == "" {
		interpreter = interpreters[filepath.Ext(script)]
	}
	if interpreter != "" && interpreter != "none" {
		p.words = append(p.words, interpreter)
		for _, key := range []string{"interpreter_args", "node_args"} {
			p.words = append(p.words, arguments(o[key])...)
		}
	}
	p.words = append(append(p.words, script), arguments(o["args"])...)
}

// arguments are a list, or a string that is split at spaces outside quotes.
func arguments(v any) (all []string) {
	if text, ok := v.(string); ok {
		words, err := shlex(text)
		if err != nil {
			return strings.Fields(text)
		}
		return words
	}
	for _, word := range list(v) {
		all = append(all, scalar(word))
	}
	return all
}

func (p *program) instances(value string) {
	n, err := strconv.Atoi(value)
	switch {
	case value == "max" || err == nil && n <= 0:
		if n = runtime.NumCPU() + min(n, 0); n > 1 {
			p.keys = append(p.keys, draft.Key{Name: "replicas", Value: n, Comment: "pm2: " + value + ", which is this machine's number of CPUs"})
		}
	case err == nil && n > 1:
		p.set("replicas", n)
	}
}

// watch makes patterns of what is watched: folders are all that is in them.
func (p *program) watch(o object) {
	if o.text("watch") == "false" {
		return
	}
	var patterns []string
	for _, item := range list(o["watch"]) {
		switch folder := scalar(item); {
		case folder == "true":
			patterns = append(patterns, "**/*.js")
		case folder == "" || slices.Contains(patterns, folder):
		case strings.ContainsAny(folder, "*?") || filepath.Ext(folder) != "":
			patterns = append(patterns, folder)
		default:
			patterns = append(patterns, strings.TrimSuffix(folder, "/")+"/**")
		}
	}
	if len(patterns) > 0 {
		p.set("watch", patterns)
	}
}
