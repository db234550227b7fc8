package importer

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/guess"
)

// readUnits reads service units, and the socket units that belong to them.
func readUnits(b *builder, sources []source) error {
	type parsed struct {
		source
		name     string
		sections []*unit.UnitSection
	}
	var services, sockets []parsed
	for _, s := range sources {
		sections, err := unit.DeserializeSections(bytes.NewReader(s.text))
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if name, ok := strings.CutSuffix(s.name, ".socket"); ok {
			sockets = append(sockets, parsed{s, name, sections})
		} else {
			services = append(services, parsed{s, strings.TrimSuffix(s.name, ".service"), sections})
		}
	}
	if len(services) == 0 {
		return fmt.Errorf("a socket unit starts nothing itself; import it with its service: watchdogd import %s.service %s", strings.TrimSuffix(sources[0].path, ".socket"), sources[0].path)
	}
	programs := map[string]*program{}
	for _, s := range services {
		p, err := b.unit(s.name, s.sections)
		if err != nil {
			return fmt.Errorf("%s: %w", s.source.name, err)
		}
		programs[s.name] = p
	}
	for _, s := range sockets {
		of := strings.TrimSuffix(lastOf(s.sections, "Socket", "Service"), ".service")
		if of == "" {
			of = s.name
		}
		p := programs[of]
		if p == nil {
			return fmt.Errorf("%s belongs to %s.service, which is not among the files; name both", s.source.name, of)
		}
		if server := b.unproxied(p, s.source.name, programs); server != nil {
			b.listens(server, s.sections)
			continue
		}
		b.socket(p, s.source.name, s.sections)
	}
	for _, p := range b.programs { // an order among units that are not imported means nothing here
		p.needs = slices.DeleteFunc(p.needs, func(need draft.Key) bool { return programs[need.Name] == nil })
	}
	return nil
}

// lastOf is the last value of a key, which is the one that counts.
func lastOf(sections []*unit.UnitSection, section, key string) string {
	value := ""
	for _, s := range sections {
		for _, e := range s.Entries {
			if s.Section == section && e.Name == key {
				value = e.Value
			}
		}
	}
	return value
}

// silent are keys that mean nothing here, or that watchdogd does anyway.
var silent = []string{
	"Description", "Documentation", "WantedBy", "Alias", "DefaultDependencies", "StandardOutput", "StandardError", "SyslogIdentifier", "KillMode",
	"GuessMainPID", "SendSIGKILL", "RemainAfterExit", "Also", "RequiredBy", "StartLimitIntervalSec", "StartLimitInterval", "StartLimitBurst",
}

// unit makes a program of a service unit.
func (b *builder) unit(name string, sections []*unit.UnitSection) (*program, error) {
	u := &unitReader{program: &program{name: name, unsaid: "never"}, instance: name}
	if at := strings.IndexByte(name, '@'); at >= 0 {
		u.instance, u.name = name[at+1:], strings.TrimSuffix(name, "@")
	}
	for _, s := range sections {
		for _, e := range s.Entries {
			if err := u.entry(s.Section, e.Name, strings.TrimSpace(e.Value)); err != nil {
				return nil, err
			}
		}
	}
	if len(u.commands) == 0 {
		return nil, fmt.Errorf("it has no ExecStart, so there is nothing to start")
	}
	u.words = u.commands[0]
	if u.words == nil {
		u.line, u.shell = u.lines[0], true
	}
	if len(u.commands) > 1 {
		u.lose("the further commands of ExecStart", "an item is one program; write a service for each, with depends_on")
	}
	if u.dir == "" {
		u.dir = "/"
	}
	if len(u.stop) > 0 {
		u.set("stop", u.stop)
	}
	if len(u.limits) > 0 {
		u.set("rlimits", u.limits)
	}
	if u.user != "" || u.group != "" {
		user := u.user
		if u.group != "" {
			user += ":" + u.group
		}
		u.set("user", strings.TrimPrefix(user, ":"))
	}
	return b.add(u.program), nil
}

// unitReader collects what the entries of a service unit say.
type unitReader struct {
	*program
	instance    string
	commands    [][]string
	lines       []string
	user, group string
	stop        draft.Ordered
	limits      draft.Ordered
}

func (u *unitReader) entry(section, key, value string) error {
	switch {
	case section == "Install" || slices.Contains(silent, key):
	case section == "Unit":
		u.order(key, value)
	case section != "Service":
		u.lose("["+section+"] "+key, "watchdogd has nothing like it")
	case key == "ExecStart":
		if value == "" {
			u.commands, u.lines = nil, nil // an empty value begins anew
			return nil
		}
		return u.command(value)
	case key == "ExecStartPre" || key == "ExecStartPost" || key == "ExecStop" || key == "ExecStopPost" || key == "ExecReload" || key == "ExecCondition":
		u.lose(key+"="+value, map[string]string{
			"ExecReload":   "watchdogd restart replaces the instances without losing requests",
			"ExecStop":     "a program is stopped by stop.signal",
			"ExecStartPre": "write it as a service with restart: never, and depends_on: {NAME: completed} here",
		}[key]+map[bool]string{true: "there is nothing like it", false: ""}[key != "ExecReload" && key != "ExecStop" && key != "ExecStartPre"])
	case key == "User":
		u.user = u.specifiers(value)
	case key == "Group":
		u.group = u.specifiers(value)
	case key == "WorkingDirectory":
		u.workIn(strings.TrimPrefix(value, "-"))
	case key == "Environment":
		return u.variables(value)
	case key == "EnvironmentFile":
		file, optional := strings.CutPrefix(value, "-")
		if optional && guess.Read(file) == nil {
			u.lose("EnvironmentFile="+value, "the file is not there, and env_file has no optional files")
			return nil
		}
		u.envFiles = append(u.envFiles, u.specifiers(file))
	case key == "UMask":
		u.set("umask", value)
	case key == "Restart":
		switch value {
		case "no":
			u.set("restart", "never")
		case "on-failure", "on-abnormal", "on-abort", "on-watchdog":
			u.set("restart", "on-failure")
		case "always":
			u.unsaid = ""
		case "on-success":
			u.lose("Restart=on-success", "there is no such policy; it is restarted always")
		}
	case key == "RestartSec":
		if d, ok := span(value); ok && d > 0 {
			policy := "always"
			for _, key := range u.keys {
				if key.Name == "restart" {
					policy, _ = key.Value.(string)
				}
			}
			if policy != "never" {
				u.set("restart", draft.Ordered{{Name: "policy", Value: policy}, {Name: "min", Value: seconds(d.Seconds())}, {Name: "max", Value: seconds(max(30, d.Seconds()))}})
			}
		}
	case key == "TimeoutStopSec" || key == "TimeoutSec":
		if d, ok := span(value); ok {
			u.stop = u.stop.With("grace", seconds(d.Seconds()))
		}
	case key == "TimeoutStartSec":
		if d, ok := span(value); ok && d > 0 {
			u.set("timeouts", draft.Ordered{{Name: "start", Value: seconds(d.Seconds())}})
		}
	case key == "KillSignal":
		if known, ok := signal(value); ok {
			u.stop = u.stop.With("signal", known)
		} else {
			u.lose("KillSignal="+value, "watchdogd does not send this signal")
		}
	case strings.HasPrefix(key, "Limit"):
		u.limit(key, value)
	case key == "MemoryMax" || key == "MemoryHigh":
		u.lose(key+"="+value, "a limit of a cgroup is set by systemd, Docker or Kubernetes; recycle: {memory: } replaces an instance that grows")
	case key == "Type":
		switch value {
		case "forking":
			u.lose("Type=forking", "the program must stay in the foreground; most have a flag for it")
		case "oneshot":
			u.set("restart", "never")
		case "notify", "notify-reload":
			u.lose("Type="+value, "readiness is asked for; set ready: to tcp, an HTTP path or a line of the log")
		case "dbus":
			u.lose("Type=dbus", "readiness is asked for; set ready:")
		}
	default:
		u.lose(key+"="+cut(value), "watchdogd has nothing like it; systemd still has it if watchdogd itself runs as a unit")
	}
	return nil
}

// order reads the keys of [Unit] that order units.
func (u *unitReader) order(key, value string) {
	switch key {
	case "Requires", "Wants", "After", "BindsTo", "Requisite":
		for name := range strings.FieldsSeq(value) {
			if of, ok := strings.CutSuffix(name, ".service"); ok && !slices.ContainsFunc(u.needs, func(n draft.Key) bool { return n.Name == of }) {
				u.needs = append(u.needs, draft.Key{Name: of, Value: "started"})
			}
		}
	case "Before", "Conflicts", "PartOf", "OnFailure":
		u.lose(key+"="+value, "write depends_on where it is needed")
	default:
		u.lose("[Unit] "+key, "watchdogd has nothing like it")
	}
}

// workIn sets the folder that a program runs in.
func (u *unitReader) workIn(value string) {
	if value == "~" {
		u.lose("WorkingDirectory=~", "name the folder")
		return
	}
	u.dir = strings.ReplaceAll(u.specifiers(value), "$$", "$")
}

// specifiers replaces the specifiers of a unit that are known without systemd.
func (u *unitReader) specifiers(s string) string {
	escaped := draft.Literal(s)
	return strings.NewReplacer("%%", "%", "%n", u.name+".service", "%N", u.name, "%p", u.name, "%i", u.instance, "%I", u.instance, "%h", "${HOME:-}", "%H", "${HOSTNAME:-}", "%t", "/run", "%S", "/var/lib", "%C", "/var/cache", "%L", "/var/log", "%T", "/tmp").Replace(escaped)
}

// command reads ExecStart: words with quotes, ${VAR} and $VAR from the environment, and
// a prefix that changes how it runs.
func (u *unitReader) command(value string) error {
	prefix := value[:len(value)-len(strings.TrimLeft(value, "@-:+!|"))]
	if strings.ContainsAny(prefix, "+!") {
		u.lose("the "+prefix+" before ExecStart", "a program runs with the rights of watchdogd or of user:")
	}
	if strings.Contains(prefix, "-") {
		u.lose("the - before ExecStart", "a failure is shown as one")
	}
	value = strings.ReplaceAll(value[len(prefix):], "\\\n", " ")
	if strings.Contains(value, "%i") && u.instance == "" {
		u.lose("%i in ExecStart", "the unit is a template; name the instance in the file's name, as in "+u.name+"@ONE.service")
	}
	words, err := shlex(strings.ReplaceAll(value, "\n", " "))
	if err != nil {
		return fmt.Errorf("its ExecStart: %w", err)
	}
	if strings.Contains(prefix, "@") && len(words) > 1 {
		words = slices.Delete(words, 1, 2) // what the program is called
	}
	for n, w := range words {
		switch {
		case w == "$PORT" || w == "${PORT}":
			words[n] = "${PORT}"
		case strings.Contains(w, "$"): // systemd reads it from Environment=, a shell does the same
			u.commands, u.lines = append(u.commands, nil), append(u.lines, strings.NewReplacer("%%", "%", "%i", u.instance, "%n", u.name, "%N", u.name, "%h", "$HOME").Replace(value))
			return nil
		default:
			words[n] = u.specifiers(w)
		}
	}
	u.commands, u.lines = append(u.commands, words), append(u.lines, value)
	return nil
}

// variables reads Environment="A=1" B=2.
func (u *unitReader) variables(value string) error {
	if value == "" {
		u.env = nil
		return nil
	}
	words, err := shlex(value)
	if err != nil {
		return fmt.Errorf("its Environment: %w", err)
	}
	for _, w := range words {
		name, text, ok := strings.Cut(w, "=")
		if !ok || name == "" {
			return fmt.Errorf("its Environment: %s is not KEY=value", cut(w))
		}
		u.env = u.env.With(name, u.specifiers(text))
	}
	return nil
}

// limit reads LimitNOFILE=65536 and the others of its kind.
func (u *unitReader) limit(key, value string) {
	name := strings.ToLower(strings.TrimPrefix(key, "Limit"))
	soft, _, _ := strings.Cut(value, ":")
	if soft == "infinity" {
		u.lose(key+"="+value, "leave it out: the program inherits the limit of watchdogd")
		return
	}
	if soft != "" && strings.Contains("KMGT", soft[len(soft)-1:]) {
		soft += "iB"
	}
	if n, err := strconv.ParseInt(soft, 10, 64); err == nil {
		u.limits = u.limits.With(name, n)
		return
	}
	u.limits = u.limits.With(name, soft)
}

// span reads a time of systemd: 5, 5s, 1min 30s, infinity.
func span(value string) (time.Duration, bool) {
	if n, err := strconv.ParseFloat(value, 64); err == nil && n >= 0 && n < 1e9 {
		return time.Duration(n * float64(time.Second)), true
	}
	joined := strings.NewReplacer(" ", "", "minutes", "m", "minute", "m", "min", "m", "seconds", "s", "second", "s", "sec", "s", "hours", "h", "hour", "h", "hr", "h").Replace(value)
	d, err := time.ParseDuration(joined)
	return d, err == nil && d >= 0
}

// socket makes the program of p answer what its socket unit listens on.
func (b *builder) socket(p *program, file string, sections []*unit.UnitSection) {
	p.web = func() guess.Program {
		return guess.Program{HTTP: true, UsesPort: true, Why: file + " listens for it"}
	}
	p.lose("the socket of "+file, "watchdogd listens itself and does not pass the socket on as descriptor 3: the program must listen on $PORT, or on an address that you set as upstream")
	p.set("replicas", draft.Ordered{{Name: "min", Value: 0}, {Name: "max", Value: 1}})
	p.notes = append(p.notes, "replicas: the first request starts it, as the socket did.")
	b.listens(p, sections)
}

// listens notes where the socket of p listens.
func (b *builder) listens(p *program, sections []*unit.UnitSection) {
	for _, s := range sections {
		for _, e := range s.Entries {
			switch {
			case s.Section != "Socket" || e.Name == "Service" || e.Value == "":
			case e.Name == "ListenStream" && strings.HasPrefix(e.Value, "/"):
				b.listen = append(b.listen, "unix:"+e.Value)
			case e.Name == "ListenStream":
				address := e.Value
				if _, err := strconv.Atoi(address); err == nil {
					address = ":" + address
				}
				b.listen = append(b.listen, address)
			case e.Name == "Accept" && !no(e.Value):
				p.lose("Accept=yes", "watchdogd speaks HTTP to a program; for a program per request use mode: streaming")
			case e.Name == "Accept":
			default:
				p.lose("["+s.Section+"] "+e.Name+"="+e.Value, "watchdogd has nothing like it")
			}
		}
	}
}
