package schema

import (
	"net/netip"
	"time"
)

// Config is a whole configuration: read, completed with defaults, checked, and
// from then on never changed. Load makes one from a file; Marshal writes it back.
//
// The tags of this file define what may be written. yaml is the key, validate what
// a value must be (the words of go-playground/validator), and in the routes and
// services for which a key means something, when that is not all of them: modes,
// "forks" or "runs" (the modes with these traits, see mode.go), "service", "process"
// (whatever has an fprocess) or "supervised" (whatever has an fprocess that runs on from
// request to request). Anywhere else it is a mistake.
// path marks what is made absolute, relative to the folder of its file: a
// "file", a "pattern" of files, or an "address" that may be a unix socket.
type Config struct {
	Name     string    `yaml:"name" validate:"name"`
	Server   Server    `yaml:"server"`
	Gateway  *Gateway  `yaml:"gateway,omitempty"`
	Metrics  Metrics   `yaml:"metrics,omitempty"`
	Admin    Admin     `yaml:"admin,omitempty"`
	Log      Log       `yaml:"log"`
	Health   Health    `yaml:"health,omitempty"`
	Routes   []Route   `yaml:"routes,omitempty"`
	Services []Service `yaml:"services,omitempty"`

	// Compat follows from server.errors.
	Compat Compat `yaml:"-"`

	// File is the file that the configuration came from, absolute; empty when it
	// came from the environment. Files is File and every included file.
	File  string   `yaml:"-"`
	Files []string `yaml:"-"`
}

// Server is the main listener and what applies to every request on it.
type Server struct {
	Listen         Strings        `yaml:"listen" path:"address"` // host:port, :port or unix:/path
	TLS            TLS            `yaml:"tls,omitempty"`
	Timeouts       ServerTimeouts `yaml:"timeouts"`
	MaxHeader      Size           `yaml:"max_header" validate:"min=1024,max=1073741824"`
	Drain          Drain          `yaml:"drain"`
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies,omitempty"`
	Errors         string         `yaml:"errors" validate:"oneof=problem openfaas classic"`
}

// TLS names PEM files; both are set or neither is.
type TLS struct {
	Cert string `yaml:"cert,omitempty" path:"file"`
	Key  string `yaml:"key,omitempty" path:"file"`
}

// ServerTimeouts limit a connection, not a request; 0 is no limit.
type ServerTimeouts struct {
	Header Duration `yaml:"header"`
	Read   Duration `yaml:"read"`
	Write  Duration `yaml:"write"`
	Idle   Duration `yaml:"idle"`
}

// Drain is how the server stops: Delay while still serving but unready, then at
// most Timeout for the calls in flight; Status is the exit status where that was not
// enough for them.
type Drain struct {
	Delay   Duration `yaml:"delay"`
	Timeout Duration `yaml:"timeout"`
	Status  int      `yaml:"status" validate:"min=0,max=125"`
}

// Gateway is the routing of an OpenFaaS gateway; nil is off.
type Gateway struct {
	Functions string `yaml:"functions"`
	Header    string `yaml:"header"`
	Alexa     bool   `yaml:"alexa"`
}

// Metrics is where Prometheus text is served; an empty Listen is only on the admin
// socket. If an Optional address cannot be listened on, that is logged and serving goes on.
type Metrics struct {
	Listen     string `yaml:"listen,omitempty" path:"address"`
	Optional   bool   `yaml:"optional"`
	RouteLabel bool   `yaml:"route_label"` // add the label route
}

// Admin is where the running stack is seen and steered; an empty Listen is the
// stack's own socket. Optional is as in Metrics.
type Admin struct {
	Listen   string `yaml:"listen,omitempty" path:"address"`
	Token    string `yaml:"token,omitempty"`
	Optional bool   `yaml:"optional"`
}

// Log is the form and amount of the log.
type Log struct {
	Format string `yaml:"format" validate:"oneof=auto text json classic"`
	Level  string `yaml:"level" validate:"oneof=debug info warn error"`
	Access bool   `yaml:"access"`
	Line   Size   `yaml:"line"` // a longer line of a process is split; 0 is never

	// of the classic format
	Prefix  bool `yaml:"prefix"`  // processes' lines begin with the time and stdout: or stderr:
	CallID  bool `yaml:"call_id"` // access lines end with the X-Call-Id
	Output  bool `yaml:"output"`  // the output of forked processes goes to stdout too, and path and query to the log
	Headers bool `yaml:"headers"` // the headers of requests and responses go to stdout
}

// Health is how others learn whether the server can take requests.
type Health struct {
	// LockFile exists while the server is ready; with Live: lock from when it listens
	// until it drains, and without the file the server is neither alive nor ready.
	LockFile  string `yaml:"lock_file,omitempty" path:"file"`
	Live      string `yaml:"live" validate:"oneof=plain lock"`
	Ready     string `yaml:"ready" validate:"oneof=plain limit none"`
	ReadyPath string `yaml:"ready_path,omitempty"`
}

// Route is one prefix and what answers it.
type Route struct {
	Name        string            `yaml:"name" validate:"name"`
	Path        string            `yaml:"path"`
	Host        string            `yaml:"host,omitempty"`
	Methods     Strings           `yaml:"methods,omitempty"`
	Headers     map[string]string `yaml:"headers,omitempty"`
	StripPrefix bool              `yaml:"strip_prefix"`
	Mode        Mode              `yaml:"mode" validate:"mode"`
	Upstream    Upstream          `yaml:"upstream,omitempty" in:"http"`
	Root        string            `yaml:"root,omitempty" in:"static" path:"file"`     // absolute
	CrossOrigin string            `yaml:"cross_origin" validate:"oneof=refuse allow"` // what a browser sends for a page of another site, by an unsafe method or to upgrade
	Timeouts    Timeouts          `yaml:"timeouts"`
	Limits      Limits            `yaml:"limits"`
	Auth        Auth              `yaml:"auth,omitempty"`
	Compress    bool              `yaml:"compress"`

	// the forking modes
	ContentType string `yaml:"content_type" in:"forks"`
	Environ     string `yaml:"environ" in:"forks" validate:"oneof=openfaas classic cgi none"`
	Response    string `yaml:"response" in:"forks" validate:"oneof=raw cgi"`
	Stderr      string `yaml:"stderr" in:"forks" validate:"oneof=log body"`
	Request     string `yaml:"request" in:"forks" validate:"oneof=raw json"`
	Form        string `yaml:"form" in:"forks" validate:"omitempty,oneof=json files"`
	Warm        int    `yaml:"warm" in:"forks" validate:"min=0,max=10000"`

	// http mode
	BufferBody bool `yaml:"buffer_body" in:"http"`

	Process `yaml:",inline"`
}

// OneOutput reports whether what a program prints as errors stands in the response where
// it was printed. A header block before it would be torn by that.
func (r *Route) OneOutput() bool { return r.Forks() && r.Stderr == "body" && r.Response == "raw" }

// Service is a process without a route.
type Service struct {
	Name     string          `yaml:"name" validate:"name"`
	Timeouts ServiceTimeouts `yaml:"timeouts"`
	Process  `yaml:",inline"`
}

// Timeouts limit one request of a route; 0 is no limit.
type Timeouts struct {
	Start     Duration `yaml:"start" in:"supervised"`
	Queue     Duration `yaml:"queue"`
	Read      Duration `yaml:"read"`
	FirstByte Duration `yaml:"first_byte"`
	Exec      Duration `yaml:"exec"`
	Idle      Duration `yaml:"idle"`
}

// ServiceTimeouts limit the start of a service; 0 is no limit.
type ServiceTimeouts struct {
	Start Duration `yaml:"start"`
}

// Limits protect a route's process; 0 is no limit, except that a Queue of 0
// refuses at once. A queue written as -1 is ten times Inflight here.
type Limits struct {
	Inflight int  `yaml:"inflight" validate:"min=0"`
	Queue    int  `yaml:"queue" validate:"min=-1"`
	Body     Size `yaml:"body"`
	Response Size `yaml:"response" in:"serializing afterburn"`
	Rate     Rate `yaml:"rate,omitempty"`
}

// Rate is requests per second, and how many may come at once. The zero Rate is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Auth is how clients of a route authenticate; at most one of its members is set.
type Auth struct {
	Basic *BasicAuth `yaml:"basic,omitempty"`
	Keys  *KeysAuth  `yaml:"keys,omitempty"`
	HMAC  *HMACAuth  `yaml:"hmac,omitempty"`
	JWT   *JWTAuth   `yaml:"jwt,omitempty"`

	OpenFaaS *OpenFaaSAuth `yaml:"openfaas,omitempty"`
}

// OpenFaaSAuth is the tokens of an OpenFaaS gateway: whose claim function.permissions
// names this function.
type OpenFaaSAuth struct {
	Gateway  string `yaml:"gateway"`  // URL of the gateway, whose keys sign
	Function string `yaml:"function"` // namespace:name
	Debug    bool   `yaml:"debug"`    // log why a token is refused
}

// BasicAuth names an htpasswd file.
type BasicAuth struct {
	File string `yaml:"file" path:"file"`
}

// KeysAuth names a file of name:key lines.
type KeysAuth struct {
	File string `yaml:"file" path:"file"`
}

// HMACAuth names the header of a body's signature and the file of its secret.
type HMACAuth struct {
	Header     string `yaml:"header"`
	SecretFile string `yaml:"secret_file" path:"file"`
}

// JWTAuth is the issuer of the accepted tokens, and the claims that they must have.
type JWTAuth struct {
	Issuer   string            `yaml:"issuer"`
	Audience string            `yaml:"audience"`
	JWKS     string            `yaml:"jwks"`
	Claims   map[string]string `yaml:"claims,omitempty"`
}

// Process is how a program is started and kept: the keys that routes with an
// fprocess and services share.
type Process struct {
	FProcess  Command         `yaml:"fprocess,omitempty" in:"runs service"`
	Shell     bool            `yaml:"shell" in:"process"`
	Dir       Text            `yaml:"dir" in:"process" path:"file"` // absolute
	Env       map[string]Text `yaml:"env,omitempty" in:"process"`
	EnvFile   Strings         `yaml:"env_file,omitempty" in:"process" path:"file"` // absolute
	User      string          `yaml:"user,omitempty" in:"process"`
	Umask     Umask           `yaml:"umask,omitempty" in:"process"`
	RLimits   map[string]Size `yaml:"rlimits,omitempty" in:"process"`
	Replicas  Replicas        `yaml:"replicas" in:"supervised"`
	DependsOn Dependencies    `yaml:"depends_on,omitempty" in:"process"`
	Ready     Probe           `yaml:"ready,omitempty" in:"supervised"`
	Live      Probe           `yaml:"live,omitempty" in:"supervised"`
	Restart   Restart         `yaml:"restart" in:"supervised"`
	Stop      Stop            `yaml:"stop" in:"process"`
	Recycle   Recycle         `yaml:"recycle,omitempty" in:"supervised"`
	Watch     Strings         `yaml:"watch,omitempty" in:"supervised" path:"pattern"` // absolute patterns; ** is any depth of folders
}

// Command is a program and its arguments, or with shell: true a Line for
// /bin/sh -c. Text in it is expanded for each instance.
type Command struct {
	Words []Text
	Line  Text
}

// Empty reports whether no command was given.
func (c Command) Empty() bool { return len(c.Words) == 0 && c.Line == "" }

// Replicas is how many instances run. Fixed: Min equals Max. Otherwise another is
// added while each has Target calls in flight, and one that is not needed leaves
// after Idle.
type Replicas struct {
	Min    int      `yaml:"min" validate:"min=0,max=10000"`
	Max    int      `yaml:"max" validate:"min=1,max=10000"`
	Target int      `yaml:"target" validate:"min=1"`
	Idle   Duration `yaml:"idle"`
}

// Probe asks whether an instance is ready or alive; at most one of TCP, HTTP, Exec
// and Log is set, and none is no probe.
type Probe struct {
	TCP      Text     `yaml:"tcp,omitempty" path:"address"` // host:port; "${PORT}" alone is the instance's own
	HTTP     Text     `yaml:"http,omitempty"`               // a path on the instance's upstream, or a whole URL
	Exec     Command  `yaml:"exec,omitempty"`               // ready when it ends with 0
	Log      Text     `yaml:"log,omitempty"`                // a regular expression (RE2) that a line of output matches
	Interval Duration `yaml:"interval,omitempty"`
	Timeout  Duration `yaml:"timeout,omitempty"`
	Failures int      `yaml:"failures,omitempty" validate:"min=1"`
}

// Empty reports whether the probe asks nothing.
func (p Probe) Empty() bool {
	return p.TCP == "" && p.HTTP == "" && p.Exec.Empty() && p.Log == ""
}

// Restart is when and how soon a process that exited is started again.
type Restart struct {
	Policy string   `yaml:"policy" validate:"oneof=always on-failure never"`
	Min    Duration `yaml:"min"`
	Max    Duration `yaml:"max"`
	Reset  Duration `yaml:"reset"`
	GiveUp GiveUp   `yaml:"give_up"`
	Then   string   `yaml:"then" validate:"oneof=degrade exit"`
}

// GiveUp is how many exits within how long are a crash loop.
type GiveUp struct {
	Exits  int      `yaml:"exits" validate:"min=0"` // 0 is never
	Within Duration `yaml:"within"`
}

// Stop is the signal that asks a process to end and the time it has before KILL. Drain is
// how long the calls of an instance that is replaced or stopped may go on before that.
type Stop struct {
	Signal Signal   `yaml:"signal"`
	Grace  Duration `yaml:"grace"`
	Drain  Duration `yaml:"drain"`
}

// Recycle is when an instance is replaced by a fresh one; 0 is never.
type Recycle struct {
	Requests int      `yaml:"requests,omitempty" in:"http afterburn" validate:"min=0"`
	Age      Duration `yaml:"age,omitempty"`
	Memory   Size     `yaml:"memory,omitempty"`
}

// Duration is a time.Duration written as 250ms, 1m30s, or a bare integer of seconds.
type Duration time.Duration

// D is d as the standard library's type.
func (d Duration) D() time.Duration { return time.Duration(d) }

// Size is a number of bytes written as 64KiB, 10MB, or a bare integer.
type Size int64

// Umask is a file mode mask. The zero Umask is not set: the process inherits.
type Umask struct {
	Set  bool
	Mask uint32
}

// Signal is a signal's name without SIG: TERM, INT, HUP, QUIT, USR1, USR2, WINCH or KILL.
type Signal string

// Strings is a list that may be written as one string.
type Strings []string

// Dependencies are what a process waits for before it starts: the name of a route
// or service, and how far that must have come: started, ready or completed.
type Dependencies map[string]string
