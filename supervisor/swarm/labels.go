package swarm

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/watchdogd/watchdogd/schema"
	"github.com/watchdogd/watchdogd/supervisor/swarm/engine"
)

// Settings are what the labels of a service say.
type Settings struct {
	Name string // of the function
	Port int

	// What the keys of a route say; each only with its flag.
	Timeout                          schema.Duration
	Inflight, Queue                  int
	hasTimeout, hasInflight, hasRoom bool

	Scaled   bool
	Replicas schema.Replicas

	Problem  string // why it is not served
	Unscaled string // why it is served and not scaled
}

// defaultPort is where a function listens: of-watchdog's port, and ours.
const defaultPort = 8080

// mostName is how long the name of a function may be.
const mostName = 63

// settingsOf reads the labels of a service, of which label makes it a function. It returns
// false for one that is none.
func settingsOf(label string, spec *engine.ServiceSpec) (Settings, bool) {
	s := Settings{Port: defaultPort, Name: spec.Name}
	value, has := spec.Labels[label]
	switch value = strings.TrimSpace(value); {
	case !has || value == "false" || value == "0":
		return s, false
	case value != "" && value != "true" && value != "1":
		s.Name = value
	}
	r := reader{labels: spec.Labels}
	if !validName(s.Name) {
		r.problem = fmt.Sprintf("label %s=%q is not a valid name: use at most %d letters, digits, '-', '_' and '.'", label, s.Name, mostName)
		s.Name = spec.Name
	}
	if n, ok := r.count("watchdogd.port", 1, 65535); ok {
		s.Port = n
	}
	if text, ok := spec.Labels["watchdogd.timeout"]; ok {
		d, err := schema.ParseDuration(text)
		r.note("watchdogd.timeout", err)
		s.Timeout, s.hasTimeout = d, err == nil
	}
	const most = 1 << 30
	s.Inflight, s.hasInflight = r.count("watchdogd.inflight", 0, most)
	s.Queue, s.hasRoom = r.count("watchdogd.queue", -1, most)
	s.Problem = r.problem

	s.scaling(spec)
	return s, true
}

// scaling reads what a service is scaled by.
func (s *Settings) scaling(spec *engine.ServiceSpec) {
	r := reader{labels: spec.Labels}
	s.Replicas = schema.DefaultRoute().Replicas
	least, hasLeast := r.count("watchdogd.min", 0, schema.MaxReplicas)
	most, hasMost := r.count("watchdogd.max", 1, schema.MaxReplicas)
	if hasLeast {
		s.Replicas.Min = least
	}
	s.Replicas.Max = most
	if n, ok := r.count("watchdogd.target", 1, 1<<30); ok {
		s.Replicas.Target = n
	}
	if text, ok := spec.Labels["watchdogd.idle"]; ok {
		d, err := schema.ParseDuration(text)
		r.note("watchdogd.idle", err)
		s.Replicas.Idle = d
	}
	switch {
	case r.problem != "":
		s.Unscaled = r.problem
	case hasLeast && !hasMost:
		s.Unscaled = "label watchdogd.min has no effect without watchdogd.max"
	case !hasMost:
	case spec.Mode.Replicated == nil:
		s.Unscaled = "label watchdogd.max has no effect: the service is not replicated but global or a job"
	case s.Replicas.Min > s.Replicas.Max:
		s.Unscaled = fmt.Sprintf("label watchdogd.min=%d is above watchdogd.max=%d", s.Replicas.Min, s.Replicas.Max)
	default:
		s.Scaled = true
	}
	if !s.Scaled {
		s.Replicas = schema.Replicas{}
	}
}

// reader reads labels and keeps what is wrong with the first one that is.
type reader struct {
	labels  map[string]string
	problem string
}

func (r *reader) count(label string, least, most int) (int, bool) {
	text, has := r.labels[label]
	if !has {
		return 0, false
	}
	n, err := schema.ParseCount(strings.TrimSpace(text), least, most)
	r.note(label, err)
	return n, err == nil
}

func (r *reader) note(label string, err error) {
	if err != nil && r.problem == "" {
		r.problem = fmt.Sprintf("label %s: %v", label, err)
	}
}

// validName reports whether a function can be called so: it is a segment of a path and the
// value of a header.
func validName(name string) bool {
	if name == "" || len(name) > mostName || strings.Trim(name, ".") == "" {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// Route returns the route of a function: template, which is what the file's defaults make of
// an upstream that is run elsewhere, with what the labels say.
func (f *Function) Route(template *schema.Route) (*schema.Route, error) {
	s := f.Settings()
	r := *template
	r.Name, r.Path = s.Name, ""
	up, err := schema.ParseUpstream(schema.Text("http://" + net.JoinHostPort("tasks", strconv.Itoa(s.Port))))
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", s.Name, err)
	}
	r.Upstream = up
	if s.hasTimeout {
		r.Timeouts.Exec = s.Timeout
	}
	if s.hasInflight {
		r.Limits.Inflight = s.Inflight
	}
	if s.hasRoom {
		r.Limits.Queue = s.Queue
	}
	r.CompleteQueue()
	return &r, nil
}
