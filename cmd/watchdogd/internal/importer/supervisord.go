package importer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/watchdogd/watchdogd/cmd/watchdogd/internal/draft"
)

// section is one [section] of supervisord.conf, with its keys in their order.
type section struct {
	name string
	keys []draft.Key // the values are strings
}

func (s section) get(name string) string {
	for _, key := range s.keys {
		if key.Name == name {
			return key.Value.(string)
		}
	}
	return ""
}

// parseSections reads text as Python's ConfigParser does for supervisord: an indented
// line goes on with the value above it, and " ;" begins a comment.
func parseSections(text string) ([]section, error) {
	var all []section
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, " \t\r\n")
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
			continue
		case trimmed[0] == '[' && line[0] == '[':
			end := strings.IndexByte(trimmed, ']')
			if end < 0 {
				return nil, fmt.Errorf("line %d: the section has no closing ]: %s", number, cut(trimmed))
			}
			all = append(all, section{name: strings.TrimSpace(trimmed[1:end])})
			continue
		case len(all) == 0:
			return nil, fmt.Errorf("line %d is before the first [section]: %s", number, cut(trimmed))
		}
		keys := &all[len(all)-1].keys
		if (line[0] == ' ' || line[0] == '\t') && len(*keys) > 0 {
			last := &(*keys)[len(*keys)-1]
			last.Value = strings.TrimSpace(last.Value.(string) + "\n" + uncomment(trimmed))
			continue
		}
		at := strings.IndexAny(trimmed, "=:")
		if at <= 0 {
			return nil, fmt.Errorf("line %d is not key=value: %s", number, cut(trimmed))
		}
		name := strings.ToLower(strings.TrimSpace(trimmed[:at]))
		*keys = append(*keys, draft.Key{Name: name, Value: uncomment(strings.TrimSpace(trimmed[at+1:]))})
	}
	return all, nil
}

// uncomment removes what follows a semicolon behind a space.
func uncomment(value string) string {
	if strings.HasPrefix(value, ";") {
		return ""
	}
	for _, sign := range []string{" ;", "\t;"} {
		value, _, _ = strings.Cut(value, sign)
	}
	return strings.TrimSpace(value)
}

// mostIncluded bounds the files that [include] names.
const mostIncluded = 200

// readSupervisord reads supervisord.conf and what it includes.
func readSupervisord(b *builder, sources []source) error {
	s := sources[0]
	sections, err := parseSections(string(s.text))
	if err != nil {
		return err
	}
	for _, section := range sections {
		if section.name != "include" {
			continue
		}
		for pattern := range strings.FieldsSeq(section.get("files")) {
			more, err := included(s, pattern)
			if err != nil {
				return err
			}
			sections = append(sections, more...)
		}
	}
	programs := 0
	for _, section := range sections {
		kind, name, _ := strings.Cut(section.name, ":")
		switch kind {
		case "program":
			if err := supervised(b, s, strings.TrimSpace(name), section); err != nil {
				return err
			}
			programs++
		case "fcgi-program":
			b.loseAll("["+section.name+"]", "watchdogd speaks HTTP to programs, not FastCGI; put a server such as php-cgi or nginx before it")
		case "eventlistener":
			b.loseAll("["+section.name+"]", "watchdogd has no events; its log and metrics show what happens to processes")
		case "group":
			b.loseAll("["+section.name+"]", "there are no groups: watchdogd restart takes several names")
		case "inet_http_server", "unix_http_server":
			if section.get("password") != "" || kind == "inet_http_server" {
				b.loseAll("["+section.name+"]", "the running stack is reached by watchdogd ps, logs and restart; see admin: for a port")
			}
		}
	}
	if programs == 0 {
		return errors.New("it has no [program:NAME] section, so there is nothing to start")
	}
	return nil
}

// included reads the files that a pattern of [include] names.
func included(s source, pattern string) ([]section, error) {
	pattern = strings.ReplaceAll(pattern, "%(here)s", s.dir)
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(s.dir, pattern)
	}
	names, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("[include] %s: %w", pattern, err)
	}
	if len(names) > mostIncluded {
		return nil, fmt.Errorf("[include] %s names more than %d files", pattern, mostIncluded)
	}
	var all []section
	for _, name := range names {
		more, err := open(name)
		if err != nil {
			return nil, err
		}
		sections, err := parseSections(string(more.text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, sections...)
	}
	return all, nil
}

// expansion is %(ENV_X)s, %(program_name)s, %(process_num)02d and their like.
var expansion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`%\(([A-Za-z0-9_]+)\)(0?\d*)([sd])|%%`) })

// expand replaces the expansions of a value. ${INSTANCE} stands for the process's number,
// and a variable of the environment stays one.
func expand(value, program, host, here string) string {
	var out strings.Builder
	rest := value
	for {
		at := expansion().FindStringSubmatchIndex(rest)
		if at == nil {
			break
		}
		out.WriteString(draft.Literal(rest[:at[0]]))
		name := ""
		if at[2] >= 0 {
			name = rest[at[2]:at[3]]
		}
		switch variable, env := strings.CutPrefix(name, "ENV_"); {
		case rest[at[0]:at[1]] == "%%":
			out.WriteByte('%')
		case variable == "PORT":
			out.WriteString("${PORT}")
		case env && variable != "INSTANCE" && variable != "NAME":
			out.WriteString("${" + variable + ":-}")
		case name == "program_name" || name == "group_name":
			out.WriteString(draft.Literal(program))
		case name == "process_num":
			out.WriteString("${INSTANCE}")
		case name == "here":
			out.WriteString(draft.Literal(here))
		case name == "host_node_name":
			out.WriteString(draft.Literal(host))
		default:
			out.WriteString(draft.Literal(rest[at[0]:at[1]]))
		}
		rest = rest[at[1]:]
	}
	out.WriteString(draft.Literal(rest))
	return out.String()
}

// supervised makes a program of a [program:name].
func supervised(b *builder, s source, name string, section section) error {
	p := &program{name: name, unsaid: "on-failure", rootless: true}
	host, _ := os.Hostname()
	full := func(value string) string { return expand(value, name, host, s.dir) }
	command := strings.NewReplacer("\\\n", " ", "\n", " ").Replace(section.get("command"))
	if command == "" {
		return fmt.Errorf("[%s] has no command", section.name)
	}
	words, err := shlex(command)
	if err != nil {
		return fmt.Errorf("[%s] command: %w", section.name, err)
	}
	for n := range words {
		words[n] = full(words[n])
	}
	p.words = words
	restart := draft.Ordered{}
	stop := draft.Ordered{}
	for _, key := range section.keys {
		value := full(key.Value.(string))
		switch key.Name {
		case "command", "process_name", "redirect_stderr", "stopasgroup", "killasgroup", "numprocs_start", "stdout_events_enabled", "stderr_events_enabled", "stdout_syslog", "stderr_syslog",
			"stdout_capture_maxbytes", "stderr_capture_maxbytes":
		case "directory":
			p.dir = strings.ReplaceAll(value, "$$", "$")
		case "user":
			p.set("user", value)
		case "umask":
			p.set("umask", value)
		case "environment":
			if p.env, err = environment(value); err != nil {
				return fmt.Errorf("[%s] environment: %w", section.name, err)
			}
		case "numprocs":
			if n, err := strconv.Atoi(value); err == nil && n != 1 {
				p.set("replicas", n)
			}
		case "autostart":
			if no(value) {
				p.lose("autostart=false", "watchdogd starts everything; watchdogd stop "+name+" stops it until it is started again")
			}
		case "autorestart":
			switch {
			case no(value):
				restart = restart.With("policy", "never")
			case strings.EqualFold(value, "unexpected"):
				restart = restart.With("policy", "on-failure")
			default:
				p.unsaid = ""
			}
		case "exitcodes":
			if value != "0" && strings.EqualFold(section.get("autorestart"), "unexpected") {
				p.lose("exitcodes="+value, "on-failure restarts after every status but 0")
			}
		case "startretries":
			if n, err := strconv.Atoi(value); err == nil && n != 3 {
				p.lose("startretries="+value, "watchdogd goes on trying, with a growing pause; restart.give_up says when that is a crash loop")
			}
		case "stopsignal":
			if known, ok := signal(value); !ok {
				p.lose("stopsignal="+value, "watchdogd does not send this signal; stop.signal lists those that it does")
			} else if known != "TERM" {
				stop = stop.With("signal", known)
			}
		case "stopwaitsecs":
			if n, err := strconv.ParseFloat(value, 64); err == nil && n != 10 {
				stop = stop.With("grace", seconds(n))
			}
		case "startsecs":
		case "priority":
			if value != "999" {
				p.lose("priority="+value, "watchdogd starts all at once; use depends_on for an order")
			}
		case "stdout_logfile", "stderr_logfile":
			if !slices.Contains([]string{"AUTO", "NONE", "/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2", "/proc/self/fd/1", "/proc/self/fd/2", "/dev/null", "syslog", ""}, value) {
				p.lose(key.Name, "watchdogd writes all output to its own log; watchdogd logs "+name+" shows it")
			}
		default:
			if !strings.HasSuffix(key.Name, "_maxbytes") && !strings.HasSuffix(key.Name, "_backups") {
				p.lose(key.Name, "watchdogd has no such key")
			}
		}
	}
	if len(restart) > 0 {
		p.set("restart", restart[0].Value)
	}
	if len(stop) > 0 {
		p.set("stop", stop)
	}
	b.add(p)
	return nil
}

// environment reads KEY="value",KEY2=value2.
func environment(value string) (env draft.Ordered, err error) {
	rest := strings.TrimSpace(value)
	for rest != "" {
		name, after, ok := strings.Cut(rest, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			return nil, fmt.Errorf("it is not KEY=\"value\",KEY=\"value\": %s", cut(rest))
		}
		after = strings.TrimLeft(after, " \t")
		var text strings.Builder
		n := 0
		var quote byte
		for ; n < len(after); n++ {
			c := after[n]
			switch {
			case quote != 0 && c == '\\' && quote == '"' && n+1 < len(after):
				n++
				text.WriteByte(after[n])
			case quote != 0 && c == quote:
				quote = 0
			case quote != 0:
				text.WriteByte(c)
			case c == '"' || c == '\'':
				quote = c
			case c == ',' || c == '\n':
				goto done
			default:
				text.WriteByte(c)
			}
		}
	done:
		if quote != 0 {
			return nil, fmt.Errorf("the quote of %s is never closed", name)
		}
		env = env.With(name, strings.TrimSpace(text.String()))
		rest = strings.TrimLeft(after[min(n, len(after)):], ", \t\n")
	}
	return env, nil
}
