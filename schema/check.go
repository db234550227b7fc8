package schema

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/go-playground/validator/v10"
	"golang.org/x/net/http/httpguts"
	"gopkg.in/yaml.v3"
)

// maxName is the length of a DNS label, which names of routes become here and there.
const maxName = 63

// newValidate knows the words of the validate tags in config.go.
func newValidate() *validator.Validate {
	v := validator.New()
	for _, tag := range []string{"name", "stack"} {
		// An error is for a tag that is empty or reserved.
		_ = v.RegisterValidation(tag, func(f validator.FieldLevel) bool { return validName(f.Field().String()) })
	}
	return v
}

func validName(s string) bool {
	if s == "" || len(s) > maxName || s[0] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// invalid says what a validate tag found.
func invalid(err error, v reflect.Value) mistake {
	var fields validator.ValidationErrors
	if !errors.As(err, &fields) {
		return mistake{message: err.Error()}
	}
	f := fields[0]
	value := fmt.Sprint(v.Interface())
	switch f.Tag() {
	case "oneof":
		return notOneOf(value, strings.Fields(f.Param()))
	case "min":
		return mistake{message: fmt.Sprintf("must be %s or more, not %s", f.Param(), value)}
	case "max":
		return mistake{message: fmt.Sprintf("must be %s or less, not %s", f.Param(), value)}
	case "name", "stack":
		hint := ""
		if s := stackName(value); s != "watchdogd" && value != "" {
			hint = "for example " + s
		}
		return mistake{fmt.Sprintf("must be 1 to %d of the characters a-z, 0-9 and -, and not begin with -; not %s", maxName, quote(value)), hint}
	}
	return mistake{message: fmt.Sprintf("%s is not allowed", quote(value))}
}

func notOneOf(word string, words []string) mistake {
	m := mistake{message: fmt.Sprintf("must be %s, not %s", either(words), quote(word))}
	if near := nearest(word, words); near != "" {
		m.hint = "did you mean " + near + "?"
	}
	return m
}

// place is where a value stands, or would stand.
type place struct {
	from    *source
	node    *yaml.Node
	path    string
	written bool
}

// at finds the value of an item's key, its own or the one it inherits; without one
// it is the item's own place.
func (l *loader) at(it item, keys ...string) place {
	own := slices.Clone(it.path)
	for _, k := range keys {
		own = append(own, step{key: k})
	}
	for _, base := range []item{it, l.defaults} {
		if base.node == nil {
			continue
		}
		if n := l.descend(base.node, keys); n != nil {
			return place{base.from, n, pathOf(append(slices.Clone(base.path), own[len(it.path):]...)), true}
		}
	}
	return place{it.from, it.node, pathOf(own), false}
}

func (l *loader) descend(n *yaml.Node, keys []string) *yaml.Node {
	for _, k := range keys {
		_, v := l.lookup(n, k, 0)
		if v == nil {
			return nil
		}
		// A short form stands for all that the map would say.
		if n = v; n.Kind != yaml.MappingNode {
			break
		}
	}
	return n
}

// wrong notes a problem of a value, unless the value has one already.
func (l *loader) wrong(p place, message, hint string) {
	if p.written && l.failed[p.node] {
		return
	}
	l.note(p.from, p.node.Line, p.node.Column, p.path, message, hint)
}

// element is the place of one of a list's elements; the list may be a single value.
func (l *loader) element(p place, i int) place {
	n := dealias(p.node)
	if p.written && n.Kind == yaml.SequenceNode && i < len(n.Content) {
		return place{p.from, dealias(n.Content[i]), fmt.Sprintf("%s[%d]", p.path, i), true}
	}
	return p
}

// check holds values against each other, and against the system where that is only
// a look: does the folder exist.
func (l *loader) check(c *Config) {
	top := item{from: l.sources[0], node: l.top}
	l.checkServer(c, top)
	l.checkNotBuilt(c, top)
	if len(c.Routes) == 0 && len(c.Services) == 0 && !l.written(top, "routes") && !l.written(top, "services") && !l.written(top, "include") {
		l.note(top.from, top.node.Line, top.node.Column, "", "there is nothing to do: the file has neither routes: nor services:", "a route is at least - name: and fprocess:")
	} else if len(c.Routes) == 0 && len(c.Services) == 0 && len(l.problems) == 0 {
		l.note(top.from, top.node.Line, top.node.Column, "", "there is nothing to do: there is no route and no service", "a route is at least - name: and fprocess:")
	}
	for i := range c.Routes {
		l.checkRoute(&c.Routes[i], l.routes[i])
	}
	for i := range c.Services {
		l.checkService(&c.Services[i], l.services[i])
	}
	l.checkNames(c)
	l.checkAlike(c)
	l.checkDependencies(c)
}

func (l *loader) written(it item, key string) bool { return l.has(it.node, key) }

// notBuilt are the keys whose behaviour is not there yet.
var notBuilt = []string{"gateway", "routes.auth"}

func (l *loader) checkNotBuilt(c *Config, top item) {
	for _, path := range notBuilt {
		where, key, nested := strings.Cut(path, ".")
		items := []item{top}
		if !nested {
			key = where
		} else if where == "routes" {
			items = l.routes
		} else if where == "services" {
			items = l.services
		}
		if nested && l.defaults.node != nil {
			items = append(slices.Clip(items), l.defaults)
		}
		for _, it := range items {
			k, v := l.lookup(it.node, key, 0)
			if k == nil || isNull(v) || nested && v.Kind == yaml.MappingNode && len(v.Content) == 0 {
				continue
			}
			l.note(it.from, k.Line, k.Column, pathOf(append(slices.Clone(it.path), step{key: key})), "not built yet", "remove it; a later version will know it")
		}
	}
}

func (l *loader) checkServer(c *Config, top item) {
	listen := l.at(top, "server", "listen")
	if listen.written && len(c.Server.Listen) == 0 {
		l.wrong(listen, "there is nothing to listen on", `the default is ":8080"`)
	}
	seen := make(map[string]string)
	for i, address := range c.Server.Listen {
		at := l.element(listen, i)
		if err := checkAddress(address); err != nil {
			l.wrong(at, l.fromPort(listen, err.Error()), "")
		} else {
			l.checkTaken(at, address, "server.listen", seen)
		}
	}
	for _, o := range []struct{ key, address string }{{"metrics", c.Metrics.Listen}, {"admin", c.Admin.Listen}} {
		if o.address == "" {
			continue
		}
		at := l.at(top, o.key, "listen")
		if err := checkAddress(o.address); err != nil {
			l.wrong(at, err.Error(), "")
		} else {
			l.checkTaken(at, o.address, o.key+".listen", seen)
		}
	}
	if c.Admin.Token == "" && c.Admin.Listen != "" && checkAddress(c.Admin.Listen) == nil && !loopback(c.Admin.Listen) {
		admin := l.at(top, "admin")
		admin.path = "admin.token"
		if !l.failed[l.at(top, "admin", "token").node] {
			l.note(admin.from, admin.node.Line, admin.node.Column, admin.path, fmt.Sprintf("is missing: %s can be reached from other hosts", c.Admin.Listen), "set a token, as in token: ${ADMIN_TOKEN}, or listen on 127.0.0.1 or on unix:/path")
		}
	}
	if (c.Server.TLS.Cert == "") != (c.Server.TLS.Key == "") {
		missing, there := "key", "cert"
		if c.Server.TLS.Cert == "" {
			missing, there = "cert", "key"
		}
		tls := l.at(top, "server", "tls")
		if at := l.at(top, "server", "tls", missing); !at.written || !l.failed[at.node] {
			tls.path += "." + missing
			l.wrong(tls, fmt.Sprintf("is missing: %s: is set, and TLS needs both", there), "")
		}
	}
}

// fromPort says so when an address is not in the file.
func (l *loader) fromPort(p place, message string) string {
	if p.written {
		return message
	}
	return "the variable PORT, which is the default of server.listen, is no port: " + message
}

// checkTaken refuses an address that stands twice.
func (l *loader) checkTaken(at place, address, key string, seen map[string]string) {
	_, port, _ := net.SplitHostPort(address)
	if port == "0" {
		return
	}
	if by, taken := seen[address]; taken {
		l.wrong(at, fmt.Sprintf("%s is taken by %s", address, by), "")
		return
	}
	seen[address] = key
}

// loopback reports whether only this host can reach an address.
func loopback(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

func (l *loader) checkRoute(r *Route, it item) {
	if r.Name == "" && !l.at(it, "name").written {
		l.wrong(l.at(it, "name"), "is missing: every route has a name", "")
	}
	l.checkMatching(r, it)
	if is := routeUse(r.Mode, l.inherits(it, "fprocess")); is != anywhere && !l.failed[l.at(it, "mode").node] {
		l.checkMode(r, it)
		l.checkProcess(&r.Process, it, is)
	}
}

// checkMatching checks which calls a route is for.
func (l *loader) checkMatching(r *Route, it item) {
	if at := l.at(it, "path"); at.written && !l.failed[at.node] {
		if err := checkPath(r.Path, true); err != nil {
			l.wrong(at, err.Error(), "")
		}
		if r.Path != "/" {
			r.Path = strings.TrimRight(r.Path, "/")
		}
	}
	if at := l.at(it, "host"); at.written && r.Host != "" {
		r.Host = strings.ToLower(r.Host)
		name := strings.TrimPrefix(r.Host, "*.")
		if err := checkHost(name); err != nil {
			hint := "write a name, as in api.example.org, or *.example.org for all names beneath one"
			if strings.Contains(name, ":") {
				hint = "write it without a port: the port is the listener's"
			}
			l.wrong(at, err.Error(), hint)
		}
	}
	methods := l.at(it, "methods")
	for i, m := range r.Methods {
		at := l.element(methods, i)
		switch {
		case !httpguts.ValidHeaderFieldName(m):
			l.wrong(at, quote(m)+" is no method", "")
		case strings.ToUpper(m) != m:
			l.wrong(at, fmt.Sprintf("methods are written in capitals: %s", strings.ToUpper(m)), "")
		case slices.Contains(r.Methods[:i], m):
			l.wrong(at, fmt.Sprintf("%s stands in the list already", m), "")
		}
	}
	if len(r.Headers) > 0 {
		canonical := make(map[string]string, len(r.Headers))
		for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
			at := l.at(it, "headers", name)
			key := http.CanonicalHeaderKey(name)
			switch _, twice := canonical[key]; {
			case !httpguts.ValidHeaderFieldName(name):
				l.wrong(at, quote(name)+" is no name of a header", "")
			case twice:
				l.wrong(at, fmt.Sprintf("%s is written twice: capitals are no difference in names of headers", key), "")
			case !httpguts.ValidHeaderFieldValue(r.Headers[name]):
				l.wrong(at, "the value cannot stand in a header", "")
			}
			canonical[key] = r.Headers[name]
		}
		r.Headers = canonical
	}
}

// checkPath checks a prefix, or the base path of an upstream.
func checkPath(path string, prefix bool) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("must begin with /, as in %s", quote("/"+path))
	}
	if prefix && (path == "/_" || strings.HasPrefix(path, "/_/")) {
		return errors.New("the paths under /_/ are watchdogd's own")
	}
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '?' || c == '#':
			return fmt.Errorf("a path ends before %c, which %s holds", c, quote(path))
		case c == '*' && prefix:
			return fmt.Errorf("%s: a path is a prefix already, and knows no *", quote(path))
		case c == '%':
			if i+2 >= len(path) || !hexadecimal(path[i+1]) || !hexadecimal(path[i+2]) {
				return fmt.Errorf("%s: two hexadecimal digits must follow a %%", quote(path))
			}
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0:
			return fmt.Errorf("a path is matched as it is sent, so this one is written %s", quote((&url.URL{Path: path}).EscapedPath()))
		}
	}
	segments := strings.Split(strings.TrimRight(path, "/"), "/")
	for _, s := range segments[min(1, len(segments)):] {
		if s == "" || s == "." || s == ".." {
			return fmt.Errorf("%s holds the segment %s, which no path that is sent has", quote(path), quote(s))
		}
	}
	if path != "/" && strings.HasSuffix(path, "//") {
		return fmt.Errorf("%s ends with more than one /", quote(path))
	}
	return nil
}

func hexadecimal(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// checkMode checks that a route has what its mode needs.
func (l *loader) checkMode(r *Route, it item) {
	process, upstream := l.inherits(it, "fprocess"), l.inherits(it, "upstream")
	missing := func(key, message, hint string) {
		own := append(slices.Clone(it.path), step{key: key})
		l.note(it.from, it.node.Line, it.node.Column, pathOf(own), message, hint)
	}
	switch r.Mode {
	case HTTP:
		if !process && !upstream {
			missing("fprocess", "is missing: mode http needs the command of a server, or the upstream of one that is run elsewhere", "for a program that ends after each call, write mode: streaming or serializing")
		}
	case Static:
		if root := l.at(it, "root"); !root.written || isNull(root.node) {
			missing("root", "is missing: mode static needs a folder", "")
		} else if info, err := os.Stat(r.Root); l.failed[root.node] {
		} else if err != nil {
			l.wrong(root, fmt.Sprintf("cannot serve %s: %v", r.Root, cause(err)), "")
		} else if !info.IsDir() {
			l.wrong(root, fmt.Sprintf("%s is no folder", r.Root), "")
		}
	default:
		if !process {
			missing("fprocess", fmt.Sprintf("is missing: mode %s needs a command", r.Mode), "")
		}
	}
	if r.Mode != HTTP || r.Upstream == "" {
		return
	}
	at := l.at(it, "upstream")
	if !process {
		for _, name := range []string{"PORT", "INSTANCE"} {
			if r.Upstream.uses(name) {
				l.wrong(at, fmt.Sprintf("there is no ${%s}: without fprocess the server is run elsewhere", name), "write its port, or give the command to run under fprocess")
				return
			}
		}
	}
	if _, err := ParseUpstream(r.Upstream.Expand(Vars{Port: 1, Name: "name"})); err != nil {
		l.wrong(at, fmt.Sprintf("%s is no upstream: %v", quote(string(r.Upstream)), err), "write host:port, http://host:port/base, h2c://host:port or unix:/path")
		return
	}
	if fixed := !r.Upstream.uses("PORT") && !r.Upstream.uses("INSTANCE"); fixed && process && r.Replicas.Max > 1 {
		l.wrong(at, fmt.Sprintf("is the same for all of up to %d replicas, and only one of them can listen there", r.Replicas.Max), "write ${PORT} for the port, or leave upstream out: each replica is then given a port of its own")
	}
}

func cause(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

func (l *loader) checkService(s *Service, it item) {
	if s.Name == "" && !l.at(it, "name").written {
		l.wrong(l.at(it, "name"), "is missing: every service has a name", "")
	}
	if !l.inherits(it, "fprocess") {
		l.note(it.from, it.node.Line, it.node.Column, pathOf(append(slices.Clone(it.path), step{key: "fprocess"})), "is missing: a service is a command", "")
	}
	if s.Replicas.Min != s.Replicas.Max {
		l.wrong(l.at(it, "replicas"), "must be one number for a service: it has no calls by which to add and remove instances", fmt.Sprintf("write replicas: %d", max(1, s.Replicas.Min)))
	}
	l.checkProcess(&s.Process, it, serviceUse)
}

// checkProcess checks the keys of a process among each other.
func (l *loader) checkProcess(p *Process, it item, is use) {
	if is&inProcess == 0 {
		return
	}
	if is&inHTTP == 0 {
		l.checkNoPort(p, it, is)
	}
	for name := range p.Env {
		if strings.ContainsAny(name, "=\x00") {
			l.wrong(l.at(it, "env", name), fmt.Sprintf("%s is no name of a variable: it holds a =", quote(name)), "")
		}
	}
	files := l.at(it, "env_file")
	for i, file := range p.EnvFile {
		if info, err := os.Stat(file); err != nil {
			l.wrong(l.element(files, i), fmt.Sprintf("cannot read %s: %v", file, cause(err)), "")
		} else if info.IsDir() {
			l.wrong(l.element(files, i), fmt.Sprintf("%s is a folder, not a file", file), "")
		}
	}
	if p.User != "" {
		user, group, both := strings.Cut(p.User, ":")
		if user == "" || both && group == "" || strings.ContainsAny(p.User, " \t/") || strings.Contains(group, ":") {
			l.wrong(l.at(it, "user"), fmt.Sprintf("must be user or user:group, by name or number, not %s", quote(p.User)), "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.RLimits)) {
		if !slices.Contains(rlimits, name) {
			at := l.at(it, "rlimits", name)
			if k, _ := l.lookup(l.at(it, "rlimits").node, name, 0); k != nil {
				at.node = k
			}
			m := notOneOf(name, rlimits)
			l.wrong(at, m.message, m.hint)
		}
	}
	if is&inSupervised == 0 {
		return
	}
	if p.Replicas.Min > p.Replicas.Max {
		l.wrong(l.at(it, "replicas", "min"), fmt.Sprintf("must not be more than max, which is %d", p.Replicas.Max), "")
	}
	if p.Restart.Min > p.Restart.Max {
		l.wrong(l.at(it, "restart", "min"), fmt.Sprintf("must not be longer than max, which is %s", p.Restart.Max), "")
	}
	if p.Restart.Max == 0 {
		l.wrong(l.at(it, "restart", "max"), "must be longer than 0: a process that fails at once would be started without a pause", "")
	}
	l.checkProbe(&p.Ready, it, "ready", is)
	l.checkProbe(&p.Live, it, "live", is)
	watch := l.at(it, "watch")
	for i, w := range p.Watch {
		if !doublestar.ValidatePathPattern(w) {
			l.wrong(l.element(watch, i), "is no pattern of files", "* is any name, ** any folders, ? a character, [a-z] one of a set, {a,b} either")
		}
	}
}

// rlimits are the names of setrlimit(2), small and without RLIMIT_.
var rlimits = []string{"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"}

// checkNoPort refuses ${PORT} where no port is chosen.
func (l *loader) checkNoPort(p *Process, it item, is use) {
	why := "a service has no port of its own"
	if is&inService == 0 {
		why = "only a server, in mode http, has a port"
	}
	refuse := func(t Text, keys ...string) {
		if t.uses("PORT") {
			l.wrong(l.at(it, keys...), "there is no ${PORT}: "+why, "write the number, or $${PORT} for the plain text")
		}
	}
	for _, w := range append(slices.Clip(p.FProcess.Words), p.FProcess.Line) {
		refuse(w, "fprocess")
	}
	refuse(p.Dir, "dir")
	for name, value := range p.Env {
		refuse(value, "env", name)
	}
	for _, probe := range []struct {
		key string
		*Probe
	}{{"ready", &p.Ready}, {"live", &p.Live}} {
		if probe.TCP == "${PORT}" {
			l.wrong(l.at(it, probe.key), "there is no port to try: "+why, "write {tcp: host:port}")
			continue
		}
		refuse(probe.TCP, probe.key, "tcp")
		refuse(probe.HTTP, probe.key, "http")
		refuse(probe.Log, probe.key, "log")
		for _, w := range append(slices.Clip(probe.Exec.Words), probe.Exec.Line) {
			refuse(w, probe.key, "exec")
		}
	}
}

func (l *loader) checkProbe(p *Probe, it item, key string, is use) {
	at := l.at(it, key)
	var asked []string
	for _, a := range []struct {
		key string
		set bool
	}{{"tcp", p.TCP != ""}, {"http", p.HTTP != ""}, {"exec", !p.Exec.Empty()}, {"log", p.Log != ""}} {
		if a.set {
			asked = append(asked, a.key)
		}
	}
	if !at.written || l.failed[at.node] || isNull(at.node) {
		return
	}
	if len(asked) > 1 {
		l.wrong(at, fmt.Sprintf("asks %s at once", strings.Join(asked, " and ")), "keep one of them")
		return
	}
	if len(asked) == 0 {
		if !l.anyFailed(at.node) {
			l.wrong(at, "asks nothing: one of tcp, http, exec and log is missing", "")
		}
		return
	}
	vars := Vars{Port: 1, Name: "name"}
	switch asked[0] {
	case "tcp":
		if p.TCP == "${PORT}" {
			return
		}
		if port := string(p.TCP); strings.Trim(port, "0123456789") == "" {
			p.TCP = Text("127.0.0.1:" + port)
		}
		if err := checkAddress(p.TCP.Expand(vars)); err != nil {
			l.wrong(l.at(it, key, "tcp"), err.Error(), "")
		}
	case "http":
		where := l.at(it, key, "http")
		s := p.HTTP.Expand(vars)
		u, err := url.Parse(s)
		switch {
		case strings.HasPrefix(s, "/"):
			if is&inHTTP == 0 {
				l.wrong(where, "must be a whole URL, as in http://127.0.0.1:9000/healthz: only mode http has an upstream of its own", "")
			} else if err != nil || strings.ContainsAny(s, " \t\r\n") {
				l.wrong(where, fmt.Sprintf("%s is no path", quote(s)), "")
			}
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			l.wrong(where, fmt.Sprintf("must be a path such as /healthz, or a whole URL, not %s", quote(s)), "")
		}
	case "log":
		where := l.at(it, key, "log")
		if key == "live" {
			l.wrong(where, "a line of output cannot tell whether a process is still alive", "use tcp, http or exec")
		} else if _, err := regexp.Compile(p.Log.Expand(vars)); err != nil {
			l.wrong(where, "is no regular expression: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "), "the syntax is RE2's")
		}
	}
	for _, d := range []struct {
		key   string
		value Duration
	}{{"interval", p.Interval}, {"timeout", p.Timeout}} {
		if d.value == 0 && (d.key == "timeout" || key == "live") {
			l.wrong(l.at(it, key, d.key), "must be longer than 0", "")
		}
	}
}

// anyFailed reports whether a value or one inside it has a problem.
func (l *loader) anyFailed(n *yaml.Node) bool {
	if l.failed[n] {
		return true
	}
	for _, c := range n.Content {
		if l.failed[dealias(c)] {
			return true
		}
	}
	return false
}

// checkNames refuses two routes or services of one name.
func (l *loader) checkNames(c *Config) {
	first := make(map[string]place)
	look := func(name, kind string, it item) {
		if name == "" {
			return
		}
		at := l.at(it, "name")
		if other, taken := first[name]; taken {
			where := fmt.Sprintf("line %d", other.node.Line)
			if other.from != at.from {
				where = fmt.Sprintf("%s:%d", other.from.name, other.node.Line)
			}
			l.wrong(at, fmt.Sprintf("%s is the name of another %s, on %s", quote(name), kindOf(other.path), where), "names are unique among routes and services")
			return
		}
		first[name] = at
	}
	for i := range c.Routes {
		look(c.Routes[i].Name, "route", l.routes[i])
	}
	for i := range c.Services {
		look(c.Services[i].Name, "service", l.services[i])
	}
}

func kindOf(path string) string {
	if strings.HasPrefix(path, "services") {
		return "service"
	}
	return "route"
}

// checkAlike refuses two routes that could both match the same call alike.
func (l *loader) checkAlike(c *Config) {
	type matching struct{ host, path string }
	groups := make(map[matching][]int, len(c.Routes))
	for i := range c.Routes {
		r := &c.Routes[i]
		if r.Path == "" {
			continue
		}
		k := matching{r.Host, r.Path}
		for _, j := range groups[k] {
			other := &c.Routes[j]
			if !maps.Equal(r.Headers, other.Headers) {
				continue
			}
			both := overlap(r.Methods, other.Methods)
			if both == "" {
				continue
			}
			at := l.at(l.routes[i], "path")
			where := fmt.Sprintf("line %d", l.routes[j].node.Line)
			if from := l.routes[j].from; from != l.routes[i].from {
				where = fmt.Sprintf("%s:%d", from.name, l.routes[j].node.Line)
			}
			l.wrong(at, fmt.Sprintf("the route %s, on %s, matches %s %s too, and neither goes before the other", quote(other.Name), where, both, r.Path), "give one another path, host, methods or headers")
			break
		}
		// Many routes of one path must not be compared each with each.
		if len(groups[k]) < 64 {
			groups[k] = append(groups[k], i)
		}
	}
}

// overlap gives a method that both lists allow, an empty one being all; "" is none.
func overlap(a, b Strings) string {
	switch {
	case len(a) == 0 && len(b) == 0:
		return "any method at"
	case len(a) == 0:
		return b[0]
	case len(b) == 0:
		return a[0]
	}
	for _, m := range a {
		if slices.Contains(b, m) {
			return m
		}
	}
	return ""
}

// checkDependencies refuses what depends on what is not there, or on itself.
func (l *loader) checkDependencies(c *Config) {
	type node struct {
		it         item
		needs      Dependencies
		supervised bool
		restart    string
	}
	nodes := make(map[string]*node, len(c.Routes)+len(c.Services))
	var names []string
	add := func(name string, n *node) {
		if name != "" && nodes[name] == nil {
			nodes[name] = n
			names = append(names, name)
		}
	}
	for i := range c.Routes {
		r := &c.Routes[i]
		add(r.Name, &node{l.routes[i], r.DependsOn, r.Supervised(), r.Restart.Policy})
	}
	for i := range c.Services {
		s := &c.Services[i]
		add(s.Name, &node{l.services[i], s.DependsOn, true, s.Restart.Policy})
	}
	for _, name := range names {
		n := nodes[name]
		for _, need := range slices.Sorted(maps.Keys(n.needs)) {
			at := l.dependency(n.it, need)
			other := nodes[need]
			switch {
			case other == nil:
				hint := "there is no other route or service"
				if near := nearest(need, names); near != "" && near != name {
					hint = "did you mean " + near + "?"
				} else if others := slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == name }); len(others) > 0 && len(others) <= 10 {
					hint = "there are " + strings.Join(others, ", ")
				} else if len(others) > 10 {
					hint = ""
				}
				l.wrong(at, fmt.Sprintf("there is no route or service %s", quote(need)), hint)
			case !other.supervised && need != name:
				l.wrong(at, fmt.Sprintf("%s has no process of its own that could be waited for", quote(need)), "depend on services, and on routes of mode http or afterburn")
			case n.needs[need] == "completed" && other.restart == "always" && need != name:
				l.wrong(at, fmt.Sprintf("%s never completes: it is restarted whenever it ends", quote(need)), fmt.Sprintf("give %s restart: never or on-failure", need))
			}
		}
	}

	// Depth first; a name met again on the way down closes a cycle. An own stack,
	// because a chain may be as long as the file.
	const (
		unseen = iota
		onTheWay
		done
	)
	state := make(map[string]int, len(names))
	type frame struct {
		name  string
		needs []string
	}
	for _, start := range names {
		if state[start] != unseen {
			continue
		}
		way := []frame{{start, slices.Sorted(maps.Keys(nodes[start].needs))}}
		state[start] = onTheWay
		for len(way) > 0 {
			f := &way[len(way)-1]
			if len(f.needs) == 0 {
				state[f.name] = done
				way = way[:len(way)-1]
				continue
			}
			need := f.needs[0]
			f.needs = f.needs[1:]
			if nodes[need] == nil || state[need] == done {
				continue
			}
			if state[need] == onTheWay {
				i := slices.IndexFunc(way, func(w frame) bool { return w.name == need })
				var cycle []string
				for _, w := range way[i:] {
					cycle = append(cycle, w.name)
				}
				l.cycle(nodes[f.name].it, append(cycle, need))
				continue
			}
			state[need] = onTheWay
			way = append(way, frame{need, slices.Sorted(maps.Keys(nodes[need].needs))})
		}
	}
}

func (l *loader) cycle(it item, names []string) {
	at := l.dependency(it, names[len(names)-1])
	if len(names) == 2 {
		l.wrong(at, fmt.Sprintf("%s depends on itself", names[0]), "")
		return
	}
	if len(names) > 12 {
		names = append(append(slices.Clone(names[:6]), "..."), names[len(names)-5:]...)
	}
	l.wrong(at, "depends on itself: "+strings.Join(names, " -> "), "remove one of these")
}

// dependency is the place where an item says that it depends on name.
func (l *loader) dependency(it item, name string) place {
	at := l.at(it, "depends_on", name)
	// The list form has no key to descend to.
	if n := dealias(at.node); at.written && n.Kind == yaml.SequenceNode {
		at.path = strings.TrimSuffix(at.path, "."+name)
		for i, c := range n.Content {
			if c = dealias(c); c.Value == name {
				return l.element(at, i)
			}
		}
	} else if at.written && n.Kind == yaml.ScalarNode {
		if list := l.at(it, "depends_on"); list.node == at.node {
			return list
		}
	}
	return at
}
