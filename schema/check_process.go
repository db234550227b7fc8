package schema

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema/internal/address"
	"github.com/watchdogd/watchdogd/schema/internal/decode"
)

func (l *loader) checkService(s *Service, it decode.Item) {
	if s.Name == "" && !l.At(it, "name").Written {
		l.Missing(it, ": every service needs a name", "", "name")
	}
	if !l.Inherits(it, "fprocess") {
		l.Missing(it, ": a service needs a command", "", "fprocess")
	}
	if s.Replicas.Min != s.Replicas.Max {
		l.Wrong(l.At(it, "replicas"), "must be one number: a service gets no requests to be scaled by", fmt.Sprintf("write replicas: %d", max(1, s.Replicas.Min)))
	}
	l.checkProcess(&s.Process, it, serviceUse)
}

// checkProcess checks the keys of a process, of a route's or of a service.
func (l *loader) checkProcess(p *Process, it decode.Item, is decode.Use) {
	if is&inProcess == 0 {
		return
	}
	if is&inListens == 0 {
		l.checkNoPort(p, it, is)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		if strings.Contains(name, "=") {
			l.Wrong(l.At(it, "env", name), phrase.Quote(name)+" is not a valid variable name: it contains =", "")
		}
	}
	files := l.At(it, "env_file")
	for i, file := range p.EnvFile {
		name := shown(files.Item.From, file)
		if info, err := os.Stat(file); err != nil {
			l.Wrong(files.Element(i), fmt.Sprintf("cannot read %s: %v", name, cause(err)), "")
		} else if info.IsDir() {
			l.Wrong(files.Element(i), fmt.Sprintf("cannot read %s: it is a directory, not a file", name), "")
		}
	}
	if p.User != "" {
		user, group, both := strings.Cut(p.User, ":")
		if user == "" || both && group == "" || strings.ContainsAny(p.User, " \t\n/") || strings.Contains(group, ":") {
			l.Wrong(l.At(it, "user"), fmt.Sprintf("must be user or user:group, by name or number, not %s", phrase.Quote(p.User)), "")
		}
	}
	limits := LimitNames()
	for _, name := range slices.Sorted(maps.Keys(p.RLimits)) {
		if !slices.Contains(limits, name) {
			at := l.At(it, "rlimits", name)
			if k, _ := l.Lookup(l.At(it, "rlimits").Node, name); k != nil {
				at.Node = k // the name is the mistake
			}
			m := phrase.Mistake{Message: "unknown limit " + phrase.Quote(name), Hint: "the limits are " + strings.Join(limits, ", ")}
			if near := phrase.Nearest(name, limits); near != "" {
				m.Hint = "did you mean " + near + "?"
			}
			l.Wrong(at, m.Message, m.Hint)
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

func (l *loader) checkSupervision(p *Process, it decode.Item, is decode.Use) {
	if p.Replicas.Min > p.Replicas.Max {
		l.Wrong(l.At(it, "replicas", "min"), fmt.Sprintf("must not be more than max, which is %d", p.Replicas.Max), "")
	}
	if p.Restart.Min > p.Restart.Max {
		l.Wrong(l.At(it, "restart", "min"), fmt.Sprintf("must not be longer than max, which is %s", p.Restart.Max), "")
	}
	if p.Restart.Max == 0 {
		l.Wrong(l.At(it, "restart", "max"), "must be longer than 0: a process that fails at once would be restarted without a pause", "")
	}
	if p.Restart.GiveUp.Within == 0 {
		l.Wrong(l.At(it, "restart", "give_up", "within"), "must be longer than 0", "")
	}
	l.checkProbe(&p.Ready, it, "ready", is)
	l.checkProbe(&p.Live, it, "live", is)
	watch := l.At(it, "watch")
	for i, w := range p.Watch {
		if !validPattern(w) {
			l.Wrong(watch.Element(i), "not a valid file pattern", patternHint)
		}
	}
}

// checkNoPort refuses ${PORT} where no port is chosen.
func (l *loader) checkNoPort(p *Process, it decode.Item, is decode.Use) {
	why := "a service has no port of its own"
	if is&inService == 0 {
		why = "only routes in mode http have a port"
	}
	refuse := func(t Text, keys ...string) {
		if t.Uses("PORT") {
			l.Wrong(l.At(it, keys...), "${PORT} is not available: "+why, "write the number, or use an environment variable with another name")
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
			l.Wrong(l.At(it, key), "there is no port to connect to: "+why, "write {tcp: host:port}")
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
func (l *loader) checkProbe(p *Probe, it decode.Item, key string, is decode.Use) {
	at := l.At(it, key)
	if !at.Written || l.Failed(at) {
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
		l.Wrong(at, fmt.Sprintf("has %s; only one is allowed", strings.Join(asked, " and ")), "keep one of them")
	}
	if len(asked) == 0 && at.Item.Node == it.Node && l.Fine(at) {
		l.Wrong(at, "needs tcp, http, exec or log", "")
	}
	vars := Vars{Port: 1, Name: "name"}
	if p.TCP != "" && p.TCP != "${PORT}" {
		if port := string(p.TCP); strings.Trim(port, "0123456789") == "" {
			p.TCP = Text(":" + port)
		}
		if err := address.Check(p.TCP.Expand(vars)); err != nil {
			l.Wrong(l.At(it, key, "tcp"), err.Error(), "")
		}
	}
	if p.HTTP != "" {
		l.checkProbeURL(p.HTTP.Expand(vars), l.At(it, key, "http"), is)
	}
	if p.Log != "" {
		at := l.At(it, key, "log")
		if key == "live" {
			l.Wrong(at, "a line of output does not show that a process is still alive", "use tcp, http or exec")
		} else if len(p.Log) > maxPattern {
			l.Wrong(at, fmt.Sprintf("the regular expression is longer than %d KiB", maxPattern>>10), "")
		} else if _, err := regexp.Compile(p.Log.Expand(vars)); err != nil {
			l.Wrong(at, "is not a valid regular expression: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "), "the syntax is RE2")
		}
	}
	if p.Timeout == 0 {
		l.Wrong(l.At(it, key, "timeout"), "must be longer than 0", "")
	}
	if p.Interval == 0 && key == "live" {
		l.Wrong(l.At(it, key, "interval"), "must be longer than 0", "")
	}
}

func (l *loader) checkProbeURL(s string, at decode.Place, is decode.Use) {
	u, err := url.Parse(s)
	switch {
	case strings.HasPrefix(s, "/") && is&inListens == 0:
		l.Wrong(at, "must be a full URL: only routes in mode http have an upstream", "for example http://127.0.0.1:9000/healthz")
	case err != nil || strings.ContainsAny(s, " \t\r\n"),
		!strings.HasPrefix(s, "/") && (u.Scheme != "http" && u.Scheme != "https" || u.Host == ""):
		l.Wrong(at, fmt.Sprintf("must be a path such as /healthz, or a full URL, not %s", phrase.Quote(s)), "")
	}
}
