package schema

import (
	"net/netip"
	"time"
)

// Config is a whole configuration: read, completed with defaults, checked, and
// from then on never changed. Load makes one from a file; Marshal writes it back.
type Config struct {
	Name     string    `yaml:"name" validate:"required"`
	Server   Server    `yaml:"server"`
	Gateway  *Gateway  `yaml:"gateway,omitempty"`
	Metrics  Metrics   `yaml:"metrics,omitempty"`
	Admin    Admin     `yaml:"admin,omitempty"`
	Log      Log       `yaml:"log"`
	Health   Health    `yaml:"health,omitempty"`
	Routes   []Route   `yaml:"routes,omitempty" validate:"dive"`
	Services []Service `yaml:"services,omitempty" validate:"dive"`

	// File is the file that the configuration came from, absolute; empty when it
	// came from the environment. Files is File and every included file.
	File  string   `yaml:"-"`
	Files []string `yaml:"-"`
}

// Server is the main listener and what holds for every call on it.
type Server struct {
	Listen         Strings        `yaml:"listen"` // host:port, :port or unix:/path
	TLS            TLS            `yaml:"tls,omitempty"`
	Timeouts       ServerTimeouts `yaml:"timeouts"`
	MaxHeader      Size           `yaml:"max_header"`
	Drain          Drain          `yaml:"drain"`
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies,omitempty"`
	Errors         string         `yaml:"errors" validate:"oneof=problem openfaas"`
}

// TLS names PEM files; both are set or neither is.
type TLS struct {
	Cert string `yaml:"cert,omitempty"`
	Key  string `yaml:"key,omitempty"`
}

// ServerTimeouts bound a connection, not a call; 0 is none.
type ServerTimeouts struct {
	Header Duration `yaml:"header"`
	Read   Duration `yaml:"read"`
	Write  Duration `yaml:"write"`
	Idle   Duration `yaml:"idle"`
}

// Drain is how the server leaves: Delay while still serving but unready, then at
// most Timeout for the calls in flight.
type Drain struct {
	Delay   Duration `yaml:"delay"`
	Timeout Duration `yaml:"timeout"`
}

// Gateway is the routing of an OpenFaaS gateway; nil is off.
type Gateway struct {
	Functions string `yaml:"functions"`
	Header    string `yaml:"header"`
	Alexa     bool   `yaml:"alexa"`
}

// Metrics is where Prometheus text is served; an empty Listen is only on the admin socket.
type Metrics struct {
	Listen string `yaml:"listen,omitempty"`
}

// Admin is where the running stack is seen and steered; an empty Listen is the
// stack's own socket.
type Admin struct {
	Listen string `yaml:"listen,omitempty"`
	Token  string `yaml:"token,omitempty"`
}

// Log is the form and amount of the log.
type Log struct {
	Format string `yaml:"format" validate:"oneof=auto text json classic"`
	Level  string `yaml:"level" validate:"oneof=debug info warn error"`
	Access bool   `yaml:"access"`
}

// Health names a file that exists while the server is ready.
type Health struct {
	LockFile string `yaml:"lock_file,omitempty"`
}

// Mode is how a route answers one call.
type Mode string

// The modes.
const (
	HTTP        Mode = "http"
	Streaming   Mode = "streaming"
	Serializing Mode = "serializing"
	Afterburn   Mode = "afterburn"
	Static      Mode = "static"
)

// Route is one prefix and what answers it.
type Route struct {
	Name        string            `yaml:"name"`
	Path        string            `yaml:"path"`
	Host        string            `yaml:"host,omitempty"`
	Methods     Strings           `yaml:"methods,omitempty"`
	Headers     map[string]string `yaml:"headers,omitempty"`
	StripPrefix bool              `yaml:"strip_prefix"`
	Mode        Mode              `yaml:"mode"`
	Upstream    Text              `yaml:"upstream,omitempty"`
	Root        string            `yaml:"root,omitempty"`
	Timeouts    Timeouts          `yaml:"timeouts"`
	Limits      Limits            `yaml:"limits"`
	Auth        Auth              `yaml:"auth,omitempty"`
	Compress    bool              `yaml:"compress"`

	// the forking modes
	ContentType string `yaml:"content_type"`
	Environ     string `yaml:"environ"`  // openfaas, cgi or none
	Response    string `yaml:"response"` // raw or cgi
	Stderr      string `yaml:"stderr"`   // log or body
	Form        string `yaml:"form"`     // "", json or files
	Warm        int    `yaml:"warm"`

	// http mode
	BufferBody bool `yaml:"buffer_body"`

	Process `yaml:",inline"`
}

// Service is a process without a route.
type Service struct {
	Name     string          `yaml:"name"`
	Timeouts ServiceTimeouts `yaml:"timeouts"`
	Process  `yaml:",inline"`
}

// Timeouts bound one call of a route; 0 is none.
type Timeouts struct {
	Start     Duration `yaml:"start"`
	Queue     Duration `yaml:"queue"`
	Read      Duration `yaml:"read"`
	FirstByte Duration `yaml:"first_byte"`
	Exec      Duration `yaml:"exec"`
	Idle      Duration `yaml:"idle"`
}

// ServiceTimeouts bound the start of a service; 0 is none.
type ServiceTimeouts struct {
	Start Duration `yaml:"start"`
}

// Limits protect a route's process; 0 is no limit, except that a Queue of 0
// refuses at once and -1 is ten times Inflight.
type Limits struct {
	Inflight int  `yaml:"inflight"`
	Queue    int  `yaml:"queue"`
	Body     Size `yaml:"body"`
	Response Size `yaml:"response"`
	Rate     Rate `yaml:"rate,omitempty"`
}

// Rate is calls a second, and how many may come at once. The zero Rate is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Auth is who may call a route; at most one of its members is set.
type Auth struct {
	Basic *BasicAuth `yaml:"basic,omitempty"`
	Keys  *KeysAuth  `yaml:"keys,omitempty"`
	HMAC  *HMACAuth  `yaml:"hmac,omitempty"`
	JWT   *JWTAuth   `yaml:"jwt,omitempty"`
}

// BasicAuth names an htpasswd file.
type BasicAuth struct {
	File string `yaml:"file"`
}

// KeysAuth names a file of name:key lines.
type KeysAuth struct {
	File string `yaml:"file"`
}

// HMACAuth names the header of a body's signature and the file of its secret.
type HMACAuth struct {
	Header     string `yaml:"header"`
	SecretFile string `yaml:"secret_file"`
}

// JWTAuth is whose tokens are believed, and the claims that they must hold.
type JWTAuth struct {
	Issuer   string            `yaml:"issuer"`
	Audience string            `yaml:"audience"`
	JWKS     string            `yaml:"jwks"`
	Claims   map[string]string `yaml:"claims,omitempty"`
}

// Process is how a program is started and kept: the keys that routes with an
// fprocess and services share.
type Process struct {
	FProcess  Command           `yaml:"fprocess,omitempty"`
	Shell     bool              `yaml:"shell"`
	Dir       Text              `yaml:"dir"` // absolute
	Env       map[string]Text   `yaml:"env,omitempty"`
	EnvFile   Strings           `yaml:"env_file,omitempty"` // absolute
	User      string            `yaml:"user,omitempty"`
	Umask     Umask             `yaml:"umask,omitempty"`
	RLimits   map[string]Size   `yaml:"rlimits,omitempty"`
	Replicas  Replicas          `yaml:"replicas"`
	DependsOn map[string]string `yaml:"depends_on,omitempty"` // name to started, ready or completed
	Ready     Probe             `yaml:"ready,omitempty"`
	Live      Probe             `yaml:"live,omitempty"`
	Restart   Restart           `yaml:"restart"`
	Stop      Stop              `yaml:"stop"`
	Recycle   Recycle           `yaml:"recycle,omitempty"`
	Watch     Strings           `yaml:"watch,omitempty"`
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
	Min    int      `yaml:"min"`
	Max    int      `yaml:"max"`
	Target int      `yaml:"target"`
	Idle   Duration `yaml:"idle"`
}

// Probe asks whether an instance is ready or alive; at most one of TCP, HTTP, Exec
// and Log is set, and none is no probe.
type Probe struct {
	TCP      Text     `yaml:"tcp,omitempty"`  // host:port; "${PORT}" alone is the instance's own
	HTTP     Text     `yaml:"http,omitempty"` // a path on the instance's upstream, or a whole URL
	Exec     Command  `yaml:"exec,omitempty"` // ready when it ends with 0
	Log      string   `yaml:"log,omitempty"`  // a regular expression (RE2) that a line of output matches
	Interval Duration `yaml:"interval,omitempty"`
	Timeout  Duration `yaml:"timeout,omitempty"`
	Failures int      `yaml:"failures,omitempty"`
}

// Empty reports whether nothing is asked.
func (p Probe) Empty() bool {
	return p.TCP == "" && p.HTTP == "" && p.Exec.Empty() && p.Log == ""
}

// Restart is when and how soon a process that ended is started again.
type Restart struct {
	Policy string   `yaml:"policy" validate:"oneof=always on-failure never"`
	Min    Duration `yaml:"min"`
	Max    Duration `yaml:"max"`
	Reset  Duration `yaml:"reset"`
	GiveUp GiveUp   `yaml:"give_up"`
	Then   string   `yaml:"then" validate:"oneof=degrade exit"`
}

// GiveUp is how many ends within how long are a crash loop.
type GiveUp struct {
	Exits  int      `yaml:"exits"`
	Within Duration `yaml:"within"`
}

// Stop is the signal that asks a process to end, and the time it has before KILL.
type Stop struct {
	Signal Signal   `yaml:"signal"`
	Grace  Duration `yaml:"grace"`
}

// Recycle is when an instance is replaced by a fresh one; 0 is never.
type Recycle struct {
	Requests int      `yaml:"requests,omitempty"`
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

// Signal is a signal's name without SIG: TERM, INT, HUP, QUIT, USR1, USR2 or KILL.
type Signal string

// Strings is a list that may be written as one string.
type Strings []string

// Text is a value in which ${PORT}, ${INSTANCE} and ${NAME} are replaced when an
// instance starts, and $$ stands for $. Every other ${...} is replaced already.
type Text string

// Vars are what the variables of a Text stand for in one instance. A Port of 0
// stands for none: ${PORT} is then replaced by nothing.
type Vars struct {
	Port   int
	Number int
	Name   string
}
