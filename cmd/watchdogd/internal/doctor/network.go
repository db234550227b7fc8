package doctor

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/internal/phrase"
	"github.com/watchdogd/watchdogd/schema"
)

// ports judges what is listened on, by watchdogd and by programs with a port of their own.
func (d *doctor) ports() {
	own := map[string]string{} // ports of watchdogd
	free := true
	for _, a := range d.addresses() {
		if _, port, err := net.SplitHostPort(a.address); err == nil && port != "0" {
			own[port] = a.key
		}
		if d.m.Stack != "" || d.m.Busy == nil {
			continue
		}
		if err := d.m.Busy(a.address); err != nil {
			free = false
			level := Fail
			if a.optional {
				level = Warn
			}
			d.say(level, "ports", "", "%s: %v", a.key, err)
		}
	}
	programs := map[string]string{}
	for i := range d.cfg.Routes {
		r := &d.cfg.Routes[i]
		if r.FProcess.Empty() || r.Upstream.PortFrom != schema.PortFixed {
			continue
		}
		host, port, err := net.SplitHostPort(r.Upstream.At(schema.Vars{Name: r.Name}).Address)
		if err != nil {
			continue
		}
		switch {
		case own[port] != "":
			free = false
			d.say(Fail, "ports", "let the program listen on $PORT, or choose another port for "+own[port], "route %s: its program listens on port %s, which is that of %s", r.Name, port, own[port])
		case programs[port] != "":
			free = false
			d.say(Fail, "ports", "let the programs listen on $PORT, and leave out upstream", "routes %s and %s: both programs listen on port %s", programs[port], r.Name, port)
		case d.m.Stack == "" && d.m.Taken != nil:
			n, _ := strconv.Atoi(port) // the schema has checked it
			if err := d.m.Taken(host, n); err != nil {
				free = false
				d.say(Fail, "ports", "stop that program, or choose another port", "route %s: upstream: %v", r.Name, err)
			}
		}
		programs[port] = r.Name
	}
	switch {
	case d.m.Stack != "":
		d.say(OK, "ports", "", "%s serves this configuration already", d.m.Stack)
	case free:
		d.say(OK, "ports", "", "%s can be listened on", strings.Join(d.cfg.Server.Listen, ", "))
	}
}

// address is one that watchdogd listens on.
type address struct {
	key, address string
	optional     bool
}

func (d *doctor) addresses() []address {
	var all []address
	for _, a := range d.cfg.Server.Listen {
		all = append(all, address{"server.listen " + a, a, false})
	}
	if a := d.cfg.Metrics.Listen; a != "" {
		all = append(all, address{"metrics.listen " + a, a, d.cfg.Metrics.Optional})
	}
	if a := d.cfg.Admin.Listen; a != "" {
		all = append(all, address{"admin.listen " + a, a, d.cfg.Admin.Optional})
	}
	return all
}

// beyond reports whether others than the users of this machine reach an address.
func beyond(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || strings.HasPrefix(address, "unix:") {
		return false
	}
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// exposure judges who can call what.
func (d *doctor) exposure() {
	var open, any, allowed []string
	for _, a := range d.cfg.Server.Listen {
		if beyond(a) {
			open = append(open, a)
		}
	}
	secrets := false
	for i := range d.cfg.Routes {
		r := &d.cfg.Routes[i]
		if r.Auth == (schema.Auth{}) {
			any = append(any, r.Name)
			if r.CrossOrigin == "allow" {
				allowed = append(allowed, r.Name)
			}
		}
		secrets = secrets || r.Auth.Basic != nil || r.Auth.Keys != nil
		if r.Mode == schema.Static && d.cfg.File != "" && d.m.Inside != nil && d.m.Inside(r.Root, d.cfg.File) && !strings.HasPrefix(filepath.Base(d.cfg.File), ".") {
			d.say(Warn, "exposure", "move the pages to a folder of their own and set root: to that", "route %s serves %s itself, with all that stands in it", r.Name, filepath.Base(d.cfg.File))
		}
	}
	where := strings.Join(open, ", ")
	switch {
	case len(open) == 0:
		d.say(OK, "exposure", "", "only programs on this machine reach %s", strings.Join(d.cfg.Server.Listen, ", "))
	case len(any) == 0:
		d.say(OK, "exposure", "", "everyone on the network reaches %s, and every route asks for auth", where)
	default:
		d.say(Note, "exposure", "for this machine only: server: {listen: \"127.0.0.1:8080\"}; for known clients only: auth:", "everyone on the network reaches %s and may call %s without auth: %s", where, phrase.Count(len(any), "route"), some(any))
	}
	if len(allowed) > 0 && d.cfg.File != "" {
		d.say(Warn, "exposure", "leave out cross_origin, or set auth:", "cross_origin: allow without auth: any page that a browser on this network shows may call %s", some(allowed))
	}
	if len(open) > 0 && secrets && d.cfg.Server.TLS.Cert == "" && len(d.cfg.Server.TrustedProxies) == 0 {
		d.say(Warn, "exposure", "set server.tls, or a proxy with TLS in front and trusted_proxies", "passwords and keys of auth come unencrypted to %s", where)
	}
	if a := d.cfg.Metrics.Listen; a != "" && beyond(a) {
		d.say(Note, "exposure", "metrics: {listen: \"127.0.0.1:8081\"} keeps them on this machine", "everyone on the network reads the metrics at %s", a)
	}
	if a := d.cfg.Admin.Listen; a != "" && beyond(a) {
		d.say(Warn, "exposure", "leave out admin.listen, and use the socket", "whoever has the token steers this stack from the network at %s", a)
	}
}
