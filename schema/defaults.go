package schema

import (
	"time"
)

// All defaults are here: first the values that the file is read over, then, in complete,
// those that follow from other values.

const second = Duration(time.Second)

// Default returns the configuration of an empty file, to be finished by Complete.
func Default() Config {
	return Config{
		Server: Server{
			Timeouts:  ServerTimeouts{Header: 10 * second, Idle: 120 * second},
			MaxHeader: 1 << 20,
			Drain:     Drain{Timeout: 30 * second, Status: 3},
			Errors:    "problem",
		},
		Metrics: Metrics{RouteLabel: true},
		Log:     Log{Format: "auto", Level: "info", Access: true, Line: 64 << 10, Prefix: true},
		Health:  Health{Live: "plain", Ready: "plain"},
	}
}

func defaultGateway() Gateway {
	return Gateway{Functions: "/function", Header: "X-Function", Alexa: true}
}

// DefaultRoute returns a route of which nothing is written.
func DefaultRoute() Route {
	return Route{
		Mode:        HTTP,
		StripPrefix: true,
		CrossOrigin: "refuse",
		Timeouts:    Timeouts{Start: 30 * second, Queue: 10 * second, Exec: 30 * second},
		ContentType: "application/octet-stream",
		Environ:     "openfaas",
		Response:    "raw",
		Request:     "raw",
		Stderr:      "log",
		Process:     defaultProcess(),
	}
}

func defaultService() Service {
	return Service{
		Timeouts: ServiceTimeouts{Start: 30 * second},
		Process:  defaultProcess(),
	}
}

func defaultProcess() Process {
	return Process{
		Replicas: Replicas{Min: 1, Max: 1, Target: 10, Idle: 300 * second},
		Ready:    Probe{Timeout: 5 * second, Failures: 3},
		Live:     Probe{Interval: 10 * second, Timeout: 5 * second, Failures: 3},
		Restart: Restart{
			Policy: "always",
			Min:    Duration(250 * time.Millisecond), Max: 30 * second, Reset: 60 * second,
			GiveUp: GiveUp{Exits: 5, Within: 60 * second},
			Then:   "degrade",
		},
		Stop: Stop{Signal: "TERM", Grace: 10 * second, Drain: 30 * second},
	}
}

// queuePerPlace is how many requests can wait for each place with limits.queue -1.
const queuePerPlace = 10

// Complete fills in what follows from other values, for a configuration that does not
// come from a file. Programs run in dir where they name no folder.
func (c *Config) Complete(dir string) {
	c.Compat = CompatOf(c.Server.Errors)
	for i := range c.Routes {
		r := &c.Routes[i]
		r.complete(dir, routeUse(r.Mode, !r.FProcess.Empty())&inProcess != 0)
	}
	for i := range c.Services {
		c.Services[i].complete(dir)
	}
}

// complete fills in what follows from other values of a route. folder is where the
// file stands that the route is written in; process is whether it may have one.
func (r *Route) complete(folder string, process bool) {
	if r.Path == "" && r.Name != "" {
		r.Path = "/" + r.Name
	}
	r.CompleteQueue()
	if process {
		r.Process.complete(folder)
	}
	if r.Mode.Traits().Listens && !r.FProcess.Empty() && r.Ready.Empty() {
		r.Ready.TCP = "${PORT}"
	}
}

// CompleteQueue sets what limits.queue -1 stands for.
func (r *Route) CompleteQueue() {
	if r.Limits.Queue < 0 {
		r.Limits.Queue = queuePerPlace * r.Limits.Inflight
	}
}

func (s *Service) complete(folder string) { s.Process.complete(folder) }

func (p *Process) complete(folder string) {
	if p.Dir == "" {
		p.Dir = Literal(folder)
	}
}

// prefill fills what was allocated because the file has the key.
func prefill(v any) {
	switch p := v.(type) {
	case *Gateway:
		*p = defaultGateway()
	case *Swarm:
		p.Label = "watchdogd.function"
	case *HMACAuth:
		p.Header = "X-Hub-Signature-256"
	}
}

// CompatOf returns what a value of server.errors stands for.
func CompatOf(errors string) Compat {
	if errors == "problem" {
		return Compat{}
	}
	return Compat{
		BareProbes:     true,
		OpenStdin:      true,
		SharedPort:     true,
		MissingAllowed: true,
		ListFolders:    true,
		AnyMethod:      true,
		SniffTypes:     true,
		ClassicLines:   errors == "classic",
	}
}
