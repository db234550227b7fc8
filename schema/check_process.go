package schema

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"gopkg.in/yaml.v3"

	"github.com/watchdogd/watchdogd/schema/internal/phrase"
)

func (l *loader) checkService(s *Service, it item) {
	if s.Name == "" && !l.at(it, "name").written {
		l.missing(it, ": every service needs a name", "", "name")
	}
	if !l.inherits(it, "fprocess") {
		l.missing(it, ": a service needs a command", "", "fprocess")
	}
	if s.Replicas.Min != s.Replicas.Max {
		l.wrong(l.at(it, "replicas"), "must be one number: a service gets no requests to be scaled by", fmt.Sprintf("write replicas: %d", max(1, s.Replicas.Min)))
	}
	l.checkProcess(&s.Process, it, serviceUse)
}

// checkProcess checks the keys of a process, of a route's or of a service.
func (l *loader) checkProcess(p *Process, it item, is use) {
	if is&inProcess == 0 {
		return
	}
	if is&inListens == 0 {
		l.checkNoPort(p, it, is)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		if strings.Contains(name, "=") {
			l.wrong(l.at(it, "env", name), phrase.Quote(name)+" is not a valid variable name: it contains =", "")
		}
	}
	files := l.at(it, "env_file")
	for i, file := range p.EnvFile {
		name := shown(files.it.from, file)
		if info, err := os.Stat(file); err != nil {
			l.wrong(l.element(files, i), fmt.Sprintf("cannot read %s: %v", name, cause(err)), "")
		} else if info.IsDir() {
			l.wrong(l.element(files, i), fmt.Sprintf("cannot read %s: it is a directory, not a file", name), "")
		}
	}
	if p.User != "" {
		user, group, both := strings.Cut(p.User, ":")
		if user == "" || both && group == "" || strings.ContainsAny(p.User, " \t\n/") || strings.Contains(group, ":") {
			l.wrong(l.at(it, "user"), fmt.Sprintf("must be user or user:group, by name or number, not %s", phrase.Quote(p.User)), "")
		}
	}
	limits := LimitNames()
	for _, name := range slices.Sorted(maps.Keys(p.RLimits)) {
		if !slices.Contains(limits, name) {
			at := l.at(it, "rlimits", name)
			if k, _ := l.lookup(l.at(it, "rlimits").node, name, 0); k != nil {
				at.node = k // the name is the mistake
			}
			m := mistake{message: "unknown limit " + phrase.Quote(name), hint: "the limits are " + strings.Join(limits, ", ")}
			if near := phrase.Nearest(name, limits); near != "" {
				m.hint = "did you mean " + near + "?"
			}
			l.wrong(at, m.message, m.hint)
		}
	}
	if is&inSupervised != 0 {
		l.checkSupervision(p, it, is)
	}
}

// LimitNames returns the names that rlimits takes: those of setrlimit(2), in lower case and
// without RLIMIT_.
func LimitNames() []string {
	return []string{"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"}
}

func (l *loader) checkSupervision(p *Process, it item, is use) {
	if p.Replicas.Min > p.Replicas.Max {
		l.wrong(l.at(it, "replicas", "min"), fmt.Sprintf("must not be more than max, which is %d", p.Replicas.Max), "")
	}
	if p.Restart.Min > p.Restart.Max {
		l.wrong(l.at(it, "restart", "min"), fmt.Sprintf("must not be longer than max, which is %s", p.Restart.Max), "")
	}
	if p.Restart.Max == 0 {
		l.wrong(l.at(it, "restart", "max"), "must be longer than 0: a process that fails at once would be restarted without a pause", "")
	}
	if p.Restart.GiveUp.Within == 0 {
		l.wrong(l.at(it, "restart", "give_up", "within"), "must be longer than 0", "")
	}
	l.checkProbe(&p.Ready, it, "ready", is)
	l.checkProbe(&p.Live, it, "live", is)
	watch := l.at(it, "watch")
	for i, w := range p.Watch {
		if !validPattern(w) {
			l.wrong(l.element(watch, i), "not a valid file pattern", patternHint)
		}
	}
}

// validPattern reports whether s is a pattern of files, and stands for no more than
// a thousand without {a,b}.
func validPattern(s string) bool {
	if len(s) > 4096 || !doublestar.ValidatePattern(s) {
		return false
	}
	patterns := 1
	for _, part := range strings.Split(s, "{")[1:] {
		if patterns *= 1 + strings.Count(part, ","); patterns > 1000 {
			return false
		}
	}
	return true
}

const patternHint = "* matches any name, ** any folders, ? one character, [a-z] one of a range, {a,b} either"

// checkNoPort refuses ${PORT} where no port is chosen.
func (l *loader) checkNoPort(p *Process, it item, is use) {
	why := "a service has no port of its own"
	if is&inService == 0 {
		why = "only routes in mode http have a port"
	}
	refuse := func(t Text, keys ...string) {
		if t.Uses("PORT") {
			l.wrong(l.at(it, keys...), "${PORT} is not available: "+why, "write the number, or use an environment variable with another name")
		}
	}
	command := func(c Command, keys ...string) {
		for _, w := range append(slices.Clip(c.Words), c.Line) {
			refuse(w, keys...)
		}
	}
	command(p.FProcess, "fprocess")
	refuse(p.Dir, "dir")
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		refuse(p.Env[name], "env", name)
	}
	for key, probe := range map[string]*Probe{"ready": &p.Ready, "live": &p.Live} {
		if probe.TCP == "${PORT}" {
			l.wrong(l.at(it, key), "there is no port to connect to: "+why, "write {tcp: host:port}")
			continue
		}
		refuse(probe.TCP, key, "tcp")
		refuse(probe.HTTP, key, "http")
		refuse(probe.Log, key, "log")
		command(probe.Exec, key, "exec")
	}
}

// maxPattern bounds what is compiled as a regular expression.
const maxPattern = 8 << 10

// checkProbe checks what a process is asked, and writes a port alone as an address.
func (l *loader) checkProbe(p *Probe, it item, key string, is use) {
	at := l.at(it, key)
	if !at.written || l.failed[at.node] {
		return
	}
	var asked []string
	for _, a := range []struct {
		key string
		set bool
	}{{"tcp", p.TCP != ""}, {"http", p.HTTP != ""}, {"exec", !p.Exec.Empty()}, {"log", p.Log != ""}} {
		if a.set {
			asked = append(asked, a.key)
		}
	}
	if len(asked) > 1 {
		l.wrong(at, fmt.Sprintf("has %s; only one is allowed", strings.Join(asked, " and ")), "keep one of them")
	}
	if len(asked) == 0 && at.it.node == it.node && l.fine(at) {
		l.wrong(at, "needs tcp, http, exec or log", "")
	}
	vars := Vars{Port: 1, Name: "name"}
	if p.TCP != "" && p.TCP != "${PORT}" {
		if port := string(p.TCP); strings.Trim(port, "0123456789") == "" {
			p.TCP = Text(":" + port)
		}
		if err := checkAddress(p.TCP.Expand(vars)); err != nil {
			l.wrong(l.at(it, key, "tcp"), err.Error(), "")
		}
	}
	if p.HTTP != "" {
		l.checkProbeURL(p.HTTP.Expand(vars), l.at(it, key, "http"), is)
	}
	if p.Log != "" {
		at := l.at(it, key, "log")
		if key == "live" {
			l.wrong(at, "a line of output does not show that a process is still alive", "use tcp, http or exec")
		} else if len(p.Log) > maxPattern {
			l.wrong(at, fmt.Sprintf("the regular expression is longer than %d KiB", maxPattern>>10), "")
		} else if _, err := regexp.Compile(p.Log.Expand(vars)); err != nil {
			l.wrong(at, "is not a valid regular expression: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "), "the syntax is RE2")
		}
	}
	if p.Timeout == 0 {
		l.wrong(l.at(it, key, "timeout"), "must be longer than 0", "")
	}
	if p.Interval == 0 && key == "live" {
		l.wrong(l.at(it, key, "interval"), "must be longer than 0", "")
	}
}

func (l *loader) checkProbeURL(s string, at place, is use) {
	u, err := url.Parse(s)
	switch {
	case strings.HasPrefix(s, "/") && is&inListens == 0:
		l.wrong(at, "must be a full URL: only routes in mode http have an upstream", "for example http://127.0.0.1:9000/healthz")
	case err != nil || strings.ContainsAny(s, " \t\r\n"),
		!strings.HasPrefix(s, "/") && (u.Scheme != "http" && u.Scheme != "https" || u.Host == ""):
		l.wrong(at, fmt.Sprintf("must be a path such as /healthz, or a full URL, not %s", phrase.Quote(s)), "")
	}
}

// checkDependencies refuses what depends on what is not there, or on itself.
func (l *loader) checkDependencies(c *Config) {
	graph := &dependencies{loader: l, byName: make(map[string]*dependent, len(c.Routes)+len(c.Services))}
	for i := range c.Routes {
		r := &c.Routes[i]
		graph.add(&dependent{l.routes[i], r.Name, r.DependsOn, r.Supervised(), r.Restart.Policy})
	}
	for i := range c.Services {
		s := &c.Services[i]
		graph.add(&dependent{l.services[i], s.Name, s.DependsOn, true, s.Restart.Policy})
	}
	for _, d := range graph.all {
		for _, need := range slices.Sorted(maps.Keys(d.needs)) {
			if need != d.name && !l.stopped {
				graph.known(d, need)
			}
		}
	}
	if !l.stopped {
		graph.cycles()
	}
}

type dependent struct {
	it         item
	name       string
	needs      Dependencies
	supervised bool
	restart    string
}

type dependencies struct {
	*loader
	all    []*dependent
	byName map[string]*dependent
}

func (g *dependencies) add(d *dependent) {
	if d.name != "" && g.byName[d.name] == nil {
		g.byName[d.name] = d
		g.all = append(g.all, d)
	}
}

// known checks that what d needs is there, and can come as far as d needs it.
func (g *dependencies) known(d *dependent, need string) {
	switch other := g.byName[need]; {
	case other == nil:
		var names []string
		for _, o := range g.all[:min(len(g.all), 1000)] { // in a longer list a similar name means little
			if o.supervised && o != d {
				names = append(names, o.name)
			}
		}
		hint := ""
		if near := phrase.Nearest(need, names); near != "" {
			hint = "did you mean " + near + "?"
		} else if len(names) > 0 && len(names) <= 10 {
			hint = "the names are " + strings.Join(names, ", ")
		}
		g.wrong(g.dependency(d.it, need), fmt.Sprintf("no route or service is named %s", phrase.Quote(need)), hint)
	case !other.supervised && g.fine(g.at(other.it, "mode")) && g.fine(g.at(other.it, "fprocess")):
		g.wrong(g.dependency(d.it, need), phrase.Quote(need)+" keeps no process running, so it cannot be waited for", "only services and routes in mode http or afterburn can be waited for")
	case d.needs[need] == "completed" && other.restart == "always":
		g.wrong(g.dependency(d.it, need), phrase.Quote(need)+" never completes: it is restarted whenever it exits", fmt.Sprintf("set restart: never or restart: on-failure for %s", need))
	}
}

// cycles reports names that depend on each other in a circle.
func (g *dependencies) cycles() {
	names := make([]string, len(g.all))
	for i, d := range g.all {
		names[i] = d.name
	}
	for _, c := range Cycles(names, func(name string) []string { return slices.Sorted(maps.Keys(g.byName[name].needs)) }) {
		g.cycle(g.byName[c[len(c)-2]].it, c)
	}
}

func (g *dependencies) cycle(it item, names []string) {
	at := g.dependency(it, names[len(names)-1])
	if len(names) == 2 {
		g.wrong(at, phrase.Quote(names[0])+" depends on itself", "")
		return
	}
	if len(names) > 12 {
		names = append(append(slices.Clone(names[:6]), "..."), names[len(names)-5:]...)
	}
	g.wrong(at, "circular dependency: "+strings.Join(names, " -> "), "none of them could start first; remove one of these dependencies")
}

// dependency returns the place at which an item depends on name.
func (l *loader) dependency(it item, name string) place {
	list := l.at(it, "depends_on")
	if !list.written || list.node.Kind == yaml.MappingNode {
		return l.at(it, "depends_on", name)
	}
	for i, c := range list.node.Content {
		if dealias(c).Value == name {
			return l.element(list, i)
		}
	}
	if list.node.Kind == yaml.SequenceNode && list.it.node != l.defaults.node && l.defaults.node != nil {
		return l.dependency(l.defaults, name) // the list is added to the default
	}
	return list
}
