package export

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema"
)

// plan is what runs where, for every engine alike.
type plan struct {
	app    *App
	o      Options
	onHost bool   // see engine
	name   string // of the stack
	units  []unit
	notes  []string
}

// unit is one container, with as many replicas as the options say.
type unit struct {
	Name     string // the stack's name, or that and the route's
	Short    string // the route's name; empty for the bundle
	Front    bool   // takes requests from outside
	Gateway  bool   // passes them on to the others
	Files    []Source
	Command  []string
	Port     int
	TLS      bool
	Metrics  int // the port of the metrics; 0 is none that others can reach
	Root     bool
	Min, Max int
	Routes   []schema.Route
	Budget   Budget
	Start    int // seconds until it listens and all is ready
	StartSum string
	Memory   schema.Size
	MemoryIs string
}

// newPlan lays the configuration out for an engine.
func newPlan(e engine, app *App, o Options) (*plan, error) {
	cfg := app.Config
	p := &plan{app: app, o: o, name: cfg.Name, onHost: e.onHost}
	if cfg.File == "" {
		return nil, errors.New("the configuration comes from the environment, which an image carries already: write a file with watchdogd migrate first")
	}
	front, err := p.front(e.onHost)
	if err != nil {
		return nil, err
	}
	if !e.onHost && p.name[0] >= '0' && p.name[0] <= '9' {
		p.name = "app-" + p.name
		p.note("the name of the stack begins with a digit, which the name of a service must not: it is %s here", p.name)
	}
	if o.Layout == Split {
		p.split(front)
	} else {
		p.bundle(front)
	}
	for i := range p.units {
		p.complete(&p.units[i])
	}
	if !e.onHost {
		p.general()
	}
	return p, nil
}

// note records what the engine has no equivalent for, once.
func (p *plan) note(format string, args ...any) {
	if s := fmt.Sprintf(format, args...); !slices.Contains(p.notes, s) {
		p.notes = append(p.notes, s)
	}
}

// front is the unit that takes requests: its port is the first that others can reach.
func (p *plan) front(onHost bool) (unit, error) {
	cfg := p.app.Config
	u := unit{Name: p.name, Front: true, TLS: cfg.Server.TLS.Cert != ""}
	var reason string
	for _, address := range cfg.Server.Listen {
		host, port, err := net.SplitHostPort(address)
		number, _ := strconv.Atoi(port)
		switch {
		case strings.HasPrefix(address, "unix:") || err != nil || number == 0:
			reason = "is not a fixed port"
		case loopback(host) && !onHost:
			reason = "is reached from inside the container only"
		default:
			u.Port = number
		}
		if u.Port != 0 {
			break
		}
	}
	if u.Port == 0 && !onHost {
		return u, fmt.Errorf("server.listen: %s %s: write a port of all addresses, such as \":8080\"", strings.Join(cfg.Server.Listen, ", "), reason)
	}
	if listen := cfg.Metrics.Listen; listen != "" {
		if host, port, err := net.SplitHostPort(listen); err == nil && (onHost || !loopback(host)) {
			u.Metrics, _ = strconv.Atoi(port)
		} else {
			p.note("metrics.listen %s is reached from inside the container only: write \":8081\" to have it scraped", listen)
		}
	}
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// bundle is one unit with everything.
func (p *plan) bundle(u unit) {
	u.Files = p.app.Files
	u.Command = p.run(p.app.Files[0].Path)
	u.Routes = p.app.Config.Routes
	p.units = []unit{u}
}

// split is a unit for each route and for each service that no route depends on, and a
// gateway in front of them.
func (p *plan) split(front unit) {
	cfg := p.app.Config
	gateway := front
	gateway.Name, gateway.Short, gateway.Gateway = p.name+"-gateway", "gateway", true
	gateway.Metrics = front.Metrics
	own := func(name string) unit {
		u := front
		u.Front = false
		u.Name, u.Short = p.name+"-"+name, name
		u.Files = p.app.Files
		u.Command = append(p.run(p.app.Files[0].Path), "--only", name)
		return u
	}
	beside := map[string][]string{}
	for i := range cfg.Routes {
		u := own(cfg.Routes[i].Name)
		u.Routes = cfg.Routes[i : i+1]
		p.units = append(p.units, u)
		for name := range p.dependencies(u.Short) {
			beside[name] = append(beside[name], u.Short)
		}
	}
	for i := range cfg.Services {
		name := cfg.Services[i].Name
		switch routes := beside[name]; len(routes) {
		case 0:
			p.units = append(p.units, own(name))
		case 1:
		default:
			slices.Sort(routes)
			p.note("service %s runs once beside each of %s, because they depend on it, and shares no data between them: run a database elsewhere", name, phrase.All(routes))
		}
	}
	if cfg.Gateway != nil && cfg.Gateway.Alexa {
		p.note("gateway.alexa: the split layout routes functions by URL and header only; Alexa requests need the bundle layout")
	}
	if len(cfg.Server.TrustedProxies) == 0 {
		from := "the network of the containers"
		if p.onHost {
			from = "127.0.0.1"
		}
		p.note("server.trusted_proxies is empty: behind the gateway a route sees the gateway's address as the client's; list %s there", from)
	}
	p.units = append(p.units, gateway)
}

// dependencies are the names that the named route or service needs, directly or not.
func (p *plan) dependencies(name string) map[string]bool {
	needs := map[string]map[string]string{}
	for i := range p.app.Config.Routes {
		needs[p.app.Config.Routes[i].Name] = p.app.Config.Routes[i].DependsOn
	}
	for i := range p.app.Config.Services {
		needs[p.app.Config.Services[i].Name] = p.app.Config.Services[i].DependsOn
	}
	all := map[string]bool{}
	var add func(string)
	add = func(of string) {
		for d := range needs[of] {
			if !all[d] {
				all[d] = true
				add(d)
			}
		}
	}
	add(name)
	return all
}

// run is the command of a container that serves the named file.
func (p *plan) run(file string) []string {
	return []string{p.o.Program, "run", "-c", path.Join(p.o.Folder, file)}
}

// complete fills in what follows from the unit's routes and services.
func (p *plan) complete(u *unit) {
	u.Min, u.Max = p.o.Min, p.o.Max
	routes, services := u.Routes, p.app.Config.Services
	if u.Short != "" {
		routes, services = p.only(u.Short)
	}
	drain := p.app.Config.Server.Drain
	if u.Gateway { // it waits for the calls of all, and has no process
		bare := slices.Clone(p.app.Config.Routes)
		for i := range bare {
			bare[i].Process = schema.Process{}
		}
		u.Budget = budgetOf(drain, bare, nil)
		u.Start, u.StartSum = 10, "a gateway starts no process"
		u.Memory, u.MemoryIs = 2*ownMemory, "a gateway starts no process: "+(2*ownMemory).String()
		return
	}
	u.Budget = budgetOf(drain, routes, services)
	start, unlimited := longestStart(routes, services)
	u.Start = int(start.Seconds()) + 10
	u.StartSum = fmt.Sprintf("timeouts.start %s + 10s", short(start))
	if unlimited != "" {
		u.StartSum += fmt.Sprintf("; %s may take any time to start and is given 5m", unlimited)
	}
	u.Memory, u.MemoryIs = memoryOf(routes, services)
	for i := range routes {
		u.Root = u.Root || routes[i].User != ""
	}
	for i := range services {
		u.Root = u.Root || services[i].User != ""
	}
	if u.Root {
		p.note("a process has user:, so that watchdogd starts as root to become that user: without user: it does not run as root")
	}
}

// only is what "run --only NAME" runs.
func (p *plan) only(name string) (routes []schema.Route, services []schema.Service) {
	needed := p.dependencies(name)
	needed[name] = true
	for _, r := range p.app.Config.Routes {
		if needed[r.Name] {
			routes = append(routes, r)
		}
	}
	for _, s := range p.app.Config.Services {
		if needed[s.Name] {
			services = append(services, s)
		}
	}
	return routes, services
}

// general notes what no engine of containers takes over.
func (p *plan) general() {
	cfg := p.app.Config
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		if r.Replicas.Max > r.Replicas.Min {
			p.note("route %s: replicas {min: %d, max: %d} are processes inside each container, which watchdogd goes on scaling; --replicas are containers", r.Name, r.Replicas.Min, r.Replicas.Max)
		}
		if len(r.Watch) > 0 {
			p.note("route %s: watch has no use in a container, whose files do not change", r.Name)
		}
	}
	if cfg.Server.Drain.Delay == 0 {
		p.note("server.drain.delay is 0: an engine may send requests for a moment after it asked a container to stop; 3s avoids refused ones")
	}
}

// gatewayFile is the file of the gateway, which passes requests on to host(unit).
func (p *plan) gatewayFile(host func(unit) string) Source {
	cfg := p.app.Config
	w := &writer{}
	w.line(0, "# The gateway in front of %s: each route runs in a container of its own, which", p.name)
	w.line(0, "# sees the path as it was sent, and checks its own limits, methods and auth.")
	w.line(0, "name: %s", p.name+"-gateway")
	w.line(0, "server:")
	w.line(1, "listen: %s", quote(":"+strconv.Itoa(p.gateway().Port)))
	w.line(1, "max_header: %s", cfg.Server.MaxHeader)
	w.line(1, "drain: {delay: %s, timeout: %s}", cfg.Server.Drain.Delay, p.longestCall())
	if len(cfg.Server.TrustedProxies) > 0 {
		var cidrs []string
		for _, c := range cfg.Server.TrustedProxies {
			cidrs = append(cidrs, quote(c.String()))
		}
		w.line(1, "trusted_proxies: [%s]", strings.Join(cidrs, ", "))
	}
	if m := p.gateway().Metrics; m != 0 {
		w.line(0, "metrics: {listen: %s}", quote(":"+strconv.Itoa(m)))
	}
	w.line(0, "routes:")
	taken := map[string]bool{}
	for i := range cfg.Routes {
		taken[cfg.Routes[i].Name] = true
	}
	for _, u := range p.units {
		if u.Gateway || len(u.Routes) == 0 {
			continue
		}
		r := &u.Routes[0]
		upstream := host(u)
		w.gatewayRoute(r.Name, r.Path, r.Host, r.Headers, r.CrossOrigin, upstream)
		if g := cfg.Gateway; g != nil {
			w.gatewayRoute(free(taken, r.Name+"-function"), g.Functions+"/"+r.Name, "", nil, r.CrossOrigin, upstream)
			w.gatewayRoute(free(taken, r.Name+"-header"), "/", "", map[string]string{g.Header: r.Name}, r.CrossOrigin, upstream)
		}
	}
	return Source{Path: "gateway.yaml", Content: w.String()}
}

func (p *plan) gateway() *unit {
	return &p.units[slices.IndexFunc(p.units, func(u unit) bool { return u.Gateway })]
}

// longestCall is how long the gateway waits for calls at its end.
func (p *plan) longestCall() schema.Duration {
	longest := p.app.Config.Server.Drain.Timeout
	for i := range p.app.Config.Routes {
		longest = max(longest, p.app.Config.Routes[i].Timeouts.Exec)
	}
	return longest
}

func (w *writer) gatewayRoute(name, path, host string, headers map[string]string, crossOrigin, upstream string) {
	w.line(1, "- name: %s", name)
	w.line(2, "path: %s", quote(path))
	if host != "" {
		w.line(2, "host: %s", quote(host))
	}
	if len(headers) > 0 {
		w.line(2, "headers:")
		for _, key := range slices.Sorted(maps.Keys(headers)) {
			w.line(3, "%s: %s", quote(key), quote(headers[key]))
		}
	}
	w.line(2, "strip_prefix: false")
	w.line(2, "cross_origin: %s", crossOrigin)
	w.line(2, "upstream: %s", quote(upstream))
	w.line(2, "timeouts: {exec: 0}")
}

// free is a name that is not taken, and takes it.
func free(taken map[string]bool, name string) string {
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", strings.TrimRight(name, "-0123456789"), n)
	}
	taken[name] = true
	return name
}

func errTLS(engine string) error {
	return fmt.Errorf("server.tls: %s ends TLS itself and speaks HTTP to a container: leave server.tls out", engine)
}
