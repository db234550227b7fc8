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

// command finds what the container would start: entrypoint and command, or what the
// Dockerfile of build says.
func (c *composeFile) command(p *program, o object) error {
	entry, err := c.words(o["entrypoint"])
	if err != nil {
		return fmt.Errorf("entrypoint: %w", err)
	}
	command, err := c.words(o["command"])
	if err != nil {
		return fmt.Errorf("command: %w", err)
	}
	folder, image, why := c.built(p, o)
	if folder != "" {
		p.dir = folder
	}
	switch {
	case len(entry) > 0:
		p.words = append(entry, command...)
	case len(command) > 0 && image != nil && len(image.entry.words) > 0:
		p.words = append(slices.Clone(image.entry.words), command...)
	case len(command) > 0 && strings.HasPrefix(command[0], "-"):
		p.dead = fmt.Sprintf("its command, %s, is only arguments for what the image %s starts; run it with docker compose up %s", strings.Join(command, " "), c.resolved(o.text("image"), c.env), p.name)
		return nil
	case len(command) > 0:
		p.words = command
	case image != nil && image.Line != "":
		image.Here()
		p.line = image.Line
		return nil
	case image != nil && len(image.Words) > 0:
		image.Here()
		p.words = image.Literals()
		return nil
	default:
		if o["image"] != nil {
			why = fmt.Sprintf("the file has no command for it, so the image %s decides what is started; run it with docker compose up %s", c.resolved(o.text("image"), c.env), p.name)
		}
		p.dead = or(why, "it has neither a command nor an image")
		return nil
	}
	for n, w := range p.words {
		p.words[n] = c.value(p, w)
	}
	return nil
}

// built reads the Dockerfile that a service is built of: the folder, and how the image is
// started, or why that is not known.
func (c *composeFile) built(p *program, o object) (folder string, image *Image, why string) {
	if o["build"] == nil {
		return "", nil, ""
	}
	context, file, target := c.resolved(o.text("build"), c.env), "Dockerfile", ""
	if build := o.object("build"); build != nil {
		context, target = c.resolved(build.text("context"), c.env), build.text("target")
		file = or(c.resolved(build.text("dockerfile"), c.env), file)
		if inline := build.text("dockerfile_inline"); inline != "" {
			image, err := Dockerfile([]byte(inline), target)
			if err != nil {
				return context, nil, "build.dockerfile_inline: " + err.Error()
			}
			return context, image, "its Dockerfile has no CMD, so its base image decides what is started"
		}
	}
	if strings.Contains(context, "://") || strings.HasPrefix(context, "git@") {
		return "", nil, "it is built from " + context + ", which is not here"
	}
	if !filepath.IsAbs(context) {
		context = filepath.Join(c.source.dir, context)
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(context, file)
	}
	text := guess.Read(file)
	if text == nil {
		return context, nil, fmt.Sprintf("it has only build:, and there is no %s that says what is started; set fprocess to the command", c.placeFile(file))
	}
	image, err := Dockerfile(text, target)
	if err != nil {
		return context, nil, c.placeFile(file) + ": " + err.Error()
	}
	for _, key := range image.Env {
		if key.Name != "PATH" {
			p.env = p.env.With(key.Name, key.Value)
		}
	}
	if known, ok := signal(image.Signal); ok && known != "TERM" {
		p.stop("signal", known)
	}
	return context, image, c.placeFile(file) + " has no CMD, so its base image decides what is started"
}

func (c *composeFile) environment(p *program, env object) {
	for _, name := range env.keys() {
		if env[name] == nil {
			continue // the program inherits it
		}
		p.env = p.env.With(name, c.value(p, scalar(env[name])))
	}
}

func (c *composeFile) envFile(p *program, files []any) {
	for _, file := range files {
		path, required := scalar(file), true
		if o := asObject(file); o != nil {
			path, required = o.text("path"), o.text("required") != "false"
		}
		path = c.resolved(path, c.env)
		absolute := path
		if !filepath.IsAbs(path) {
			absolute = filepath.Join(c.source.dir, path)
		}
		if !required && guess.Read(absolute) == nil {
			p.lose("env_file "+path, "the file is not there, and env_file has no optional files")
			continue
		}
		p.envFiles = append(p.envFiles, c.placeFile(absolute))
	}
}

// workingDir finds the folder of this machine that stands for one of the container.
func (c *composeFile) workingDir(p *program, dir string, o object) {
	for _, volume := range list(o["volumes"]) {
		from, to := "", ""
		if m := asObject(volume); m != nil {
			from, to = m.text("source"), m.text("target")
		} else {
			from, to, _ = strings.Cut(c.resolved(scalar(volume), c.env), ":")
			to, _, _ = strings.Cut(to, ":")
		}
		if !strings.HasPrefix(from, ".") && !strings.HasPrefix(from, "/") {
			continue
		}
		if inside, ok := strings.CutPrefix(dir+"/", strings.TrimSuffix(to, "/")+"/"); ok && to != "" {
			p.dir = filepath.Join(from, inside)
			if !filepath.IsAbs(from) {
				p.dir = filepath.Join(c.source.dir, from, inside)
			}
			return
		}
	}
	if o["build"] == nil {
		p.lose("working_dir: "+dir, "it is a folder of the container; set dir: to one of this machine")
	}
}

// healthcheck makes readiness of a health check, which compose only uses for depends_on.
func (c *composeFile) healthcheck(p *program, o object) {
	if o.text("disable") == "true" {
		return
	}
	test := texts(list(o["test"]))
	switch {
	case len(test) == 0 || test[0] == "NONE":
		return
	case test[0] == "CMD":
		test = test[1:]
		for n, w := range test {
			test[n] = c.value(p, w)
		}
	case test[0] == "CMD-SHELL":
		test = c.shellWords(p, strings.Join(test[1:], " "))
	default:
		test = c.shellWords(p, test[0])
	}
	if len(test) == 0 {
		return
	}
	probe := draft.Ordered{{Name: "exec", Value: test}}
	for _, part := range []string{"interval", "timeout"} {
		if value, ok := goDuration(c.resolved(o.text(part), c.env)); ok && value != "0s" && o.text(part) != "" {
			probe = probe.With(part, value)
		}
	}
	if n, ok := o.number("retries"); ok && n > 0 {
		probe = probe.With("failures", n)
	}
	p.set("ready", probe)
	if start, ok := goDuration(c.resolved(o.text("start_period"), c.env)); ok && start != "0s" && o.text("start_period") != "" {
		p.set("timeouts", draft.Ordered{{Name: "start", Value: start}})
	}
}

// shellWords are the words of a line that may need a shell.
func (c *composeFile) shellWords(p *program, line string) []string {
	if words, env, plain := draft.Words(c.resolved(line, c.env)); plain && len(env) == 0 {
		return words
	}
	return []string{"sh", "-c", c.value(p, line)}
}

// others are ports of what does not speak HTTP.
var others = []int{20, 21, 22, 23, 25, 53, 110, 143, 389, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2181, 2379, 3306, 4222, 5432, 5672, 6379, 6432, 7687, 9042, 9092, 9300, 11211, 27017, 27018, 33060, 50051}

// publish reads the published ports: a service with one that may be HTTP is a route.
func (c *composeFile) publish(p *program, o object) {
	for _, item := range list(o["ports"]) {
		host, published, target := port(c.resolved(scalar(item), c.env), asObject(item))
		if target == 0 || slices.Contains(others, target) {
			continue
		}
		if p.dead != "" {
			if published == 0 || o["image"] == nil || len(list(o["profiles"])) > 0 {
				return
			}
			p.elsewhere = fmt.Sprintf("http://127.0.0.1:%d", published)
			p.notes = append(p.notes, "It stays in a container: "+p.dead+". watchdogd forwards to its published port.")
			c.lost = append(c.lost, fmt.Sprintf("%s stays in a container: %s", p.name, p.dead))
			p.dead = ""
			return
		}
		p.web = func() guess.Program {
			p.web = nil
			g := c.judge(p)
			if g.HTTP && (g.Port != 0 || g.UsesPort) || strings.HasSuffix(g.Why, "does not speak HTTP") {
				return g
			}
			return guess.Program{HTTP: true, Port: target, Why: fmt.Sprintf("ports publishes its port %d", target)}
		}
		if published != 0 {
			c.ports = append(c.ports, fmt.Sprintf("%s:%d", host, published))
		}
		return
	}
}

// port reads a published port in one of its forms: 80, 8080:80, 127.0.0.1:8080:80/tcp, or
// a mapping. A range is its first port.
func port(short string, long object) (host string, published, target int) {
	if long != nil {
		published, _ = long.number("published")
		target, _ = long.number("target")
		if long.text("protocol") == "udp" {
			target = 0
		}
		return long.text("host_ip"), published, target
	}
	short, protocol, _ := strings.Cut(short, "/")
	if protocol == "udp" {
		return "", 0, 0
	}
	first := func(s string) int {
		s, _, _ = strings.Cut(s, "-")
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 65535 {
			return 0
		}
		return n
	}
	at := strings.LastIndexByte(short, ':')
	if at < 0 {
		return "", 0, first(short)
	}
	target, short = first(short[at+1:]), short[:at]
	if at = strings.LastIndexByte(short, ':'); at >= 0 {
		host, short = short[:at], short[at+1:]
	}
	return host, first(short), target
}

// hosts notes variables that name another service as a host.
func (c *composeFile) hosts(p *program) {
	for _, key := range p.env {
		value, _ := key.Value.(string)
		for name := range c.services {
			for _, before := range []string{"//", "@", ""} {
				at := strings.Index(value, before+name)
				if at < 0 || before == "" && at > 0 || before == "" && value != name && !strings.HasPrefix(value, name+":") {
					continue
				}
				after := value[at+len(before)+len(name):]
				if after == "" || after[0] == ':' || after[0] == '/' {
					p.notes = append(p.notes, fmt.Sprintf("%s names the host %s, which is known only among containers: here it is 127.0.0.1.", key.Name, name))
					break
				}
			}
		}
	}
	slices.Sort(p.notes)
	p.notes = slices.Compact(p.notes)
}
