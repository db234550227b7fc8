package supervisor

import (
	"fmt"
	"net"
	"reflect"
	"slices"
	"time"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/child"
	"github.com/watchdogd/watchdogd/supervisor/ports"
	"github.com/watchdogd/watchdogd/supervisor/probe"
)

// Kind says whether a process answers a route.
type Kind string

// The kinds.
const (
	Route   Kind = "route"
	Service Kind = "service"
)

// Spec is all that one supervised process is made of. It is not changed once given to
// Reconcile.
type Spec struct {
	Name    string // unique
	Kind    Kind
	Mode    schema.Mode // of a route, for Status
	Process schema.Process

	Start      time.Duration   // from start to ready; 0 is no bound
	Listens    bool            // it serves Upstream; a port is chosen and given as PORT unless Upstream fixes one
	Upstream   schema.Upstream // the zero value is http://127.0.0.1:${PORT}
	Socketpair bool            // stdin and stdout are one end of a socketpair; Instance.Conn is the other
	OpenStdin  bool            // stdin is a pipe on which nothing comes and which does not end before the child
	SharedPort bool            // another process may listen on a fixed port already, and serve it
	AnyPort    bool            // it may listen elsewhere on this machine than at Upstream, as a server with a port of its own does
	Capacity   int             // calls at once per instance; 0 is no limit
	Warm       int             // processes of a forking route started ahead of their request
	OneOutput  bool            // stderr of those is one with stdout

	lookups // in those that Prepare returned
}

// Equal reports whether s and o are the same in all that they say.
func (s Spec) Equal(o Spec) bool {
	s.lookups, o.lookups = lookups{}, lookups{}
	return reflect.DeepEqual(s, o)
}

// lookups are what Prepare finds out before an instance starts.
type lookups struct {
	program *child.Program
	ready   *probe.Probe // nil: ready when started
	live    *probe.Probe // nil: never asked
	port    portRule
	several bool // instances of different numbers may run at once
	overlap bool // an instance and its successor, which has the same number, may run at once
}

type portRule uint8

const (
	portNone   portRule = iota
	portChosen          // another for each instance
	portFixed           // by the upstream, for each number one
)

// choosesPort reports whether each instance is given a port of its own that is free.
func (r *Spec) choosesPort() bool { return r.port == portChosen }

// fixesPort reports whether the upstream says the port of each instance.
func (r *Spec) fixesPort() bool { return r.port == portFixed }

func prepare(s Spec) (*Spec, error) {
	s.lookups = lookups{}
	r := &s
	p := &r.Process
	fail := func(err error) (*Spec, error) { return nil, fmt.Errorf("%s %s: %w", s.Kind, s.Name, err) }
	var err error
	if r.program, err = child.NewProgram(s.Name, p); err != nil {
		return fail(err)
	}
	if !p.Ready.Empty() {
		if r.ready, err = probe.New(s.Name, p.Ready, p); err != nil {
			return fail(fmt.Errorf("ready: %w", err))
		}
	}
	if !p.Live.Empty() {
		if r.live, err = probe.New(s.Name, p.Live, p); err != nil {
			return fail(fmt.Errorf("live: %w", err))
		}
	}
	if s.Listens {
		if r.Upstream.Empty() {
			r.Upstream = ownPort
		}
		r.chooseRule()
	} else if r.uses("PORT") {
		r.port = portChosen
	}
	r.together()
	if !r.several && p.Replicas.Max > 1 {
		return fail(fmt.Errorf("upstream %s is the same for all of %d instances: put ${PORT} or ${INSTANCE} into it", r.Upstream, p.Replicas.Max))
	}
	if err := r.holds(p.Replicas.Max); err != nil {
		return fail(err)
	}
	return r, nil
}

// ownPort is the upstream of a server that listens on the port it is given.
var ownPort, _ = schema.ParseUpstream("http://127.0.0.1:${PORT}")

// together decides which instances may run at the same time.
func (r *Spec) together() {
	p := &r.Process
	switch {
	case r.Socketpair:
		r.several, r.overlap = true, true
	case r.Listens:
		one := r.Upstream.At(schema.Vars{Port: 1, Number: 0, Name: r.Name}).Address
		r.overlap = one != r.Upstream.At(schema.Vars{Port: 2, Number: 0, Name: r.Name}).Address
		r.several = one != r.Upstream.At(schema.Vars{Port: 2, Number: 1, Name: r.Name}).Address
	default:
		// Two of a service at once may both want what one has: a port, a file, a shard.
		// They run at once only where a port tells them apart, or where there are several
		// that nothing tells apart.
		r.overlap = r.uses("PORT") || p.Replicas.Max > 1 && !r.uses("INSTANCE")
		r.several = true
	}
}

// holds reports why n instances cannot have addresses of their own, nil when they can.
func (r *Spec) holds(n int) error {
	if r.port != portFixed || n < 2 {
		return nil
	}
	taken := make(map[string]int, n)
	for k := range n {
		address := r.Upstream.At(schema.Vars{Number: k, Name: r.Name}).Address
		if _, _, err := ports.Split(address); err != nil {
			return fmt.Errorf("upstream %s of instance %d: %w", r.Upstream, k, err)
		}
		if other, ok := taken[address]; ok {
			return fmt.Errorf("upstream %s is the same for instances %d and %d", r.Upstream, other, k)
		}
		taken[address] = k
	}
	return nil
}

// chooseRule sets how a server comes by its port.
func (r *Spec) chooseRule() {
	switch r.Upstream.PortFrom {
	case schema.PortChosen:
		r.port = portChosen
		return
	case schema.PortFixed, schema.PortInstance:
		host, _, _ := ports.Split(r.Upstream.At(schema.Vars{Name: r.Name}).Address)
		if ip := net.ParseIP(host); host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
			r.port = portFixed
			return
		}
	}
	if r.uses("PORT") {
		r.port = portChosen // for something else than its upstream
	}
}

// uses reports whether a variable of instances is in a text of the process.
func (r *Spec) uses(name string) bool {
	p := &r.Process
	in := func(t schema.Text) bool { return t.Uses(name) }
	if slices.ContainsFunc(p.FProcess.Words, in) || in(p.FProcess.Line) || in(p.Dir) || !r.Listens && (in(p.Ready.TCP) || in(p.Live.TCP)) {
		return true
	}
	if in(p.Ready.HTTP) || in(p.Live.HTTP) || in(p.Ready.Exec.Line) || in(p.Live.Exec.Line) || slices.ContainsFunc(p.Ready.Exec.Words, in) || slices.ContainsFunc(p.Live.Exec.Words, in) {
		return true
	}
	for _, t := range p.Env {
		if in(t) {
			return true
		}
	}
	return false
}

// difference says in what the children of r and o differ, so that one cannot stand for
// the other; empty is in nothing.
func (r *Spec) difference(o *Spec) string {
	a, b := &r.Process, &o.Process
	for _, d := range []struct {
		key  string
		same bool
	}{
		{"fprocess", reflect.DeepEqual(a.FProcess, b.FProcess) && a.Shell == b.Shell},
		{"dir", a.Dir == b.Dir},
		{"env", reflect.DeepEqual(a.Env, b.Env)},
		{"env_file", slices.Equal(a.EnvFile, b.EnvFile)},
		{"the contents of env_file", r.program.SameFiles(o.program)},
		{"tty", a.TTY == b.TTY},
		{"user", a.User == b.User},
		{"umask", a.Umask == b.Umask},
		{"rlimits", reflect.DeepEqual(a.RLimits, b.RLimits)},
		{"upstream", r.Upstream == o.Upstream},
		{"ready", reflect.DeepEqual(a.Ready, b.Ready)},
		{"live", reflect.DeepEqual(a.Live, b.Live)},
		{"recycle", a.Recycle == b.Recycle},
	} {
		if !d.same {
			return d.key
		}
	}
	return ""
}
