package importer

import (
	"bufio"
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/guess"
)

// composeFile is a compose file while it is read.
type composeFile struct {
	*builder
	source
	services object
	env      map[string]string // of the .env file beside it
	ports    []string          // published for routes, as server.listen has them
}

// readCompose reads docker-compose.yaml. A service becomes the program that its container
// would start, run on this machine.
func readCompose(b *builder, sources []source) error {
	s := sources[0]
	top, names, err := topLevel(s.text, "services")
	if err != nil {
		return err
	}
	c := &composeFile{b, s, top.object("services"), dotenv(guess.Read(filepath.Join(s.dir, ".env"))), nil}
	c.topKeys(top)
	for _, name := range names {
		service, err := c.extended(name, 0)
		if err != nil {
			return err
		}
		if err := c.service(name, service); err != nil {
			return err
		}
	}
	slices.Sort(c.ports)
	if c.ports = slices.Compact(c.ports); len(c.ports) == 1 {
		b.listen = c.ports
	} else if len(c.ports) > 1 {
		b.loseAll("the ports "+strings.Join(c.ports, ", "), "watchdogd serves all routes on one port, :8080 if server.listen names no other")
	}
	return nil
}

// topKeys notes what is at the top of the file besides the services.
func (c *composeFile) topKeys(top object) {
	for _, key := range top.keys() {
		switch {
		case key == "services" || key == "version" || key == "name" || strings.HasPrefix(key, "x-"):
		case key == "include":
			c.loseAll("include", "import those files on their own, and name the results under include:")
		case key == "networks":
			c.loseAll("networks", "there are no containers: the programs reach each other at 127.0.0.1")
		case key == "volumes":
			c.loseAll("volumes", "there are no containers: the programs see the files of this machine")
		default:
			c.loseAll(key, "there are no containers")
		}
	}
	for _, other := range []string{"docker-compose.override.yml", "docker-compose.override.yaml", "compose.override.yml", "compose.override.yaml"} {
		if other != c.name && guess.Read(filepath.Join(c.source.dir, other)) != nil {
			c.loseAll(other, "only "+c.name+" is read; docker compose config prints both as one file")
		}
	}
}

// dotenv reads NAME=value lines.
func dotenv(text []byte) map[string]string {
	env := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := strings.TrimPrefix(strings.TrimSpace(lines.Text()), "export ")
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		value = strings.TrimSpace(value)
		if len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
			value = value[1 : len(value)-1]
		} else {
			value, _, _ = strings.Cut(value, " #")
		}
		env[strings.TrimSpace(name)] = value
	}
	return env
}

// secret reports whether a variable's value is not for a file that is shown around.
func secret(name string) bool {
	name = strings.ToUpper(name)
	for _, part := range []string{"PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "DSN"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// value is s as a value of watchdog.yaml. A variable of .env keeps that value as its
// default, unless it is a secret.
func (c *composeFile) value(p *program, s string) string {
	defaults := map[string]string{}
	for _, at := range variable().FindAllStringSubmatchIndex(s, -1) {
		name := group(s, at, 1) + group(s, at, 4)
		value, ok := c.env[name]
		if ok && secret(name) {
			sentence := [2]string{"the value of " + name + " in .env", "it may be a secret; set " + name + " in the environment of watchdogd"}
			if !slices.Contains(p.lost, sentence) {
				p.lost = append(p.lost, sentence)
			}
			continue
		}
		defaults[name] = value
	}
	return c.substituted(s, defaults)
}

// mostExtends bounds a chain of extends.
const mostExtends = 16

// extended is the service with what it extends.
func (c *composeFile) extended(name string, depth int) (object, error) {
	if depth > mostExtends {
		return nil, fmt.Errorf("services.%s: extends goes in a circle", name)
	}
	own := asObject(c.services[name])
	if own == nil {
		return nil, fmt.Errorf("services.%s is not a mapping", name)
	}
	if own["extends"] == nil {
		return own, nil
	}
	of, file := own.text("extends"), ""
	if o := own.object("extends"); o != nil {
		of, file = o.text("service"), c.resolved(o.text("file"), c.env)
	}
	from := c
	if file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(c.source.dir, file)
		}
		other, err := open(file)
		if err != nil {
			return nil, fmt.Errorf("services.%s.extends: %w", name, err)
		}
		top, _, err := topLevel(other.text, "services")
		if err != nil {
			return nil, fmt.Errorf("services.%s.extends: %s: %w", name, file, err)
		}
		from = &composeFile{c.builder, other, top.object("services"), c.env, nil}
	}
	if from.services[of] == nil {
		return nil, fmt.Errorf("services.%s.extends: there is no service %s", name, of)
	}
	base, err := from.extended(of, depth+1)
	if err != nil {
		return nil, err
	}
	if from != c {
		base = from.rebased(base)
	}
	return merged(base, own), nil
}

// rebased is a service of another file, with its paths absolute.
func (c *composeFile) rebased(o object) object {
	moved := object{}
	for key, value := range o {
		moved[key] = value
	}
	absolute := func(path string) string {
		if path == "" || filepath.IsAbs(path) || strings.Contains(path, "://") {
			return path
		}
		return filepath.Join(c.source.dir, path)
	}
	switch build := o["build"].(type) {
	case string:
		moved["build"] = absolute(build)
	case nil:
	default:
		copied := merged(object{}, asObject(build))
		copied["context"] = absolute(copied.text("context"))
		moved["build"] = copied
	}
	var files []any
	for _, file := range list(o["env_file"]) {
		if m := asObject(file); m != nil {
			m = merged(object{}, m)
			m["path"] = absolute(m.text("path"))
			files = append(files, m)
		} else {
			files = append(files, absolute(scalar(file)))
		}
	}
	if files != nil {
		moved["env_file"] = files
	}
	return moved
}

// merged is base with own over it, as compose merges services.
func merged(base, own object) object {
	all := object{}
	for key, value := range base {
		all[key] = value
	}
	for key, value := range own {
		switch {
		case key == "extends":
		case key == "environment" || key == "labels":
			all[key] = merged(pairs(base[key]), pairs(value))
		case key == "depends_on":
			all[key] = merged(dependencies(base[key]), dependencies(value))
		case asObject(value) != nil && asObject(base[key]) != nil:
			all[key] = merged(asObject(base[key]), asObject(value))
		case slices.Contains([]string{"ports", "expose", "volumes", "env_file"}, key) && base[key] != nil:
			all[key] = append(slices.Clone(list(base[key])), list(value)...)
		default:
			all[key] = value
		}
	}
	return all
}

// pairs are variables in one of their two forms: a mapping, or a list of NAME=value.
func pairs(v any) object {
	if o := asObject(v); o != nil {
		return o
	}
	all := object{}
	for _, item := range list(v) {
		name, value, ok := strings.Cut(scalar(item), "=")
		if all[name] = value; !ok {
			all[name] = nil
		}
	}
	return all
}

// dependencies are names in one of their two forms: a mapping with conditions, or a list.
func dependencies(v any) object {
	if o := asObject(v); o != nil {
		return o
	}
	all := object{}
	for _, name := range list(v) {
		all[scalar(name)] = object{"condition": "service_started"}
	}
	return all
}

// container are keys that mean something only for a container.
var container = []string{
	"container_name", "hostname", "labels", "logging", "networks", "links", "external_links", "network_mode", "cap_add", "cap_drop", "security_opt", "privileged",
	"init", "platform", "pull_policy", "shm_size", "tmpfs", "dns", "dns_search", "extra_hosts", "devices", "stdin_open", "read_only", "ipc", "pid", "sysctls", "domainname",
	"mac_address", "group_add", "cgroup_parent", "isolation", "runtime", "userns_mode", "annotations", "attach", "volumes_from", "image", "build", "expose", "configs", "secrets", "volumes",
}

// service makes a program of one service.
func (c *composeFile) service(name string, o object) error {
	p := c.add(&program{name: name, unsaid: "never"})
	if err := c.command(p, o); err != nil {
		return fmt.Errorf("services.%s: %w", name, err)
	}
	var only []string
	for _, key := range o.keys() {
		switch {
		case slices.Contains([]string{"command", "entrypoint", "image", "build", "expose", "ports", "extends", "init", "attach", "container_name"}, key):
		case slices.Contains(container, key):
			only = append(only, key)
		case strings.HasPrefix(key, "x-"):
		default:
			c.key(p, key, o)
		}
	}
	if len(only) > 0 && p.dead == "" && p.elsewhere == "" {
		p.lose(strings.Join(only, ", "), "there is no container: the program has the network, the files and the rights of this machine")
	}
	c.publish(p, o)
	c.hosts(p)
	if p.elsewhere != "" { // only what a route to a server elsewhere may have
		p.keys, p.envFiles, p.needs, p.lost = nil, nil, nil, nil
	}
	return nil
}

// key reads one key of a service that programs without containers have too.
func (c *composeFile) key(p *program, key string, o object) {
	switch value := c.resolved(o.text(key), c.env); key {
	case "environment":
		c.environment(p, pairs(o[key]))
	case "env_file":
		c.envFile(p, list(o[key]))
	case "depends_on":
		needs := dependencies(o[key])
		for _, other := range needs.keys() {
			state := c.condition(p, other, needs.object(other).text("condition"))
			p.needs = append(p.needs, draft.Key{Name: other, Value: state})
		}
	case "healthcheck":
		c.healthcheck(p, o.object(key))
	case "restart":
		policy, _, _ := strings.Cut(value, ":")
		switch policy {
		case "no", "false":
			p.set("restart", "never")
		case "always", "unless-stopped":
			p.unsaid = ""
		case "on-failure":
			p.set("restart", "on-failure")
		}
	case "working_dir":
		c.workingDir(p, value, o)
	case "stop_signal":
		if known, ok := signal(value); ok && known != "TERM" {
			p.stop("signal", known)
		} else if !ok {
			p.lose(key+": "+value, "watchdogd does not send this signal")
		}
	case "stop_grace_period":
		if grace, ok := goDuration(value); ok {
			p.stop("grace", grace)
		}
	case "ulimits":
		limits := draft.Ordered{}
		for _, name := range o.object(key).keys() {
			n, err := strconv.Atoi(or(o.object(key).object(name).text("soft"), o.object(key).text(name)))
			if err == nil && n >= 0 {
				limits = limits.With(name, n)
			}
		}
		if len(limits) > 0 {
			p.set("rlimits", limits)
		}
	case "scale":
		c.replicas(p, value)
	case "deploy":
		deploy := o.object(key)
		c.replicas(p, c.resolved(deploy.text("replicas"), c.env))
		if deploy["resources"] != nil {
			p.lose("deploy.resources", "rlimits and recycle: {memory: } bound a program; a cgroup is set by the engine")
		}
	case "mem_limit", "cpus", "mem_reservation", "memswap_limit", "pids_limit", "cpu_shares":
		p.lose(key, "rlimits and recycle: {memory: } bound a program; a cgroup is set by the engine")
	case "tty":
		if value == "true" {
			p.set("tty", true)
		}
	case "user":
		p.lose("user: "+value, "it is a user of the image; set user: to one of this machine")
	case "profiles":
		if len(list(o[key])) == 0 {
			return
		}
		p.dead = "it is only started with a profile (" + strings.Join(texts(list(o[key])), ", ") + ")"
	default:
		p.lose(key, "watchdogd has nothing like it")
	}
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func texts(values []any) (all []string) {
	for _, v := range values {
		all = append(all, scalar(v))
	}
	return all
}

// stop sets one key of stop:.
func (p *program) stop(key, value string) {
	for n := range p.keys {
		if p.keys[n].Name == "stop" {
			p.keys[n].Value = p.keys[n].Value.(draft.Ordered).With(key, value)
			return
		}
	}
	p.set("stop", draft.Ordered{{Name: key, Value: value}})
}

func (c *composeFile) replicas(p *program, value string) {
	if n, err := strconv.Atoi(value); err == nil && n > 1 {
		p.set("replicas", n)
	}
}

// words are a command in one of its two forms, with its variables as they are written.
func (c *composeFile) words(v any) ([]string, error) {
	if text, ok := v.(string); ok {
		if strings.TrimSpace(text) == "" {
			return nil, nil
		}
		return shlex(text)
	}
	return texts(list(v)), nil
}
