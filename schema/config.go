// Package schema is the configuration: what may be written, the value of what is not
// written, and what is wrong with it.
//
// A file becomes a Config in one pass (load.go): its bytes are checked and parsed into
// nodes that know their places (internal/source); they are read into the types of
// config.go (internal/decode), over the defaults (defaults.go) and the file's own
// defaults: (inherit.go), while ${...} is replaced in values (internal/expand); then
// values are checked against each other (check.go). A type with a form of its own has a
// method read (forms.go, values.go, command.go, upstream.go). A mistake stops nothing:
// all are reported at once, with a place and mostly with a way out (words.go). A Config
// is complete, absolute, checked, and never changed.
//
// To add a key: add the field to config.go with its tags, its default to defaults.go,
// its relations to other keys to check.go or the file of its section, and its line to
// docs/configuration.md. To add a mode: see mode.go.
package schema

import "time"

// Config is a whole configuration: read, completed with defaults, checked, and
// from then on never changed. Load makes one from a file; Marshal writes it back.
//
// The tags of this file define what may be written. yaml is the key, validate what
// a value must be (the words of go-playground/validator), and in the routes and
// services for which a key means something, when that is not all of them: modes,
// "forks" or "runs" (the modes with these traits, see mode.go), "service", "process"
// (whatever has an fprocess), "supervised" (whatever has an fprocess that runs on from
// request to request) or "elsewhere" (whatever forwards to servers that are run elsewhere).
// Anywhere else it is a mistake.
// path marks what is made absolute, relative to the folder of its file: a
// "file", a "pattern" of files, or an "address" that may be a unix socket.
//
// The comment of a field is what users read: it is the description of the key in
// watchdog.schema.json, in their editors and in watchdogd help keys/KEY.
type Config struct {
	// The name of the stack: a-z, 0-9 and -, at most 63 characters. The default is the name of the folder of the file.
	Name string `yaml:"name" validate:"name"`
	// The listeners, and what applies to every request.
	Server Server `yaml:"server"`
	// Routing as by an OpenFaaS gateway: /function/NAME reaches the route NAME. Without this key it is off.
	Gateway *Gateway `yaml:"gateway,omitempty"`
	// Where Prometheus reads the metrics. Without this key they are only on the admin socket.
	Metrics Metrics `yaml:"metrics,omitempty"`
	// Where the commands (ps, logs, reload, ...) reach the running stack.
	Admin Admin `yaml:"admin,omitempty"`
	// The format and amount of the log.
	Log Log `yaml:"log"`
	// What the health checks /_/health and /_/ready depend on.
	Health Health `yaml:"health,omitempty"`
	// Which requests are answered, and by what.
	Routes []Route `yaml:"routes,omitempty"`
	// Processes without a route: a database, a worker, a task that runs once.
	Services []Service `yaml:"services,omitempty"`

	// Compat follows from server.errors.
	Compat Compat `yaml:"-"`

	// AnyPort has a server be served where it listens, which need not be the port that it was
	// given: without a file, no upstream could say it.
	AnyPort bool `yaml:"-"`

	// File is the file that the configuration came from, absolute; empty when it
	// came from the environment. Files is File and every included file.
	File  string   `yaml:"-"`
	Files []string `yaml:"-"`
}

// Route is one prefix and what answers it.
type Route struct {
	// The name of the route, unique among routes and services: a-z, 0-9 and -, at most 63 characters.
	Name string `yaml:"name" validate:"name"`
	// The prefix of the paths that the route answers, at the borders of segments; the longest wins. The default is /NAME.
	Path string `yaml:"path"`
	// Answer only requests for this host: a name, or *.example.org for all names beneath one.
	Host string `yaml:"host,omitempty"`
	// Answer only these methods. Others get 405.
	Methods Strings `yaml:"methods,omitempty"`
	// Answer only requests that have these headers, with exactly these values.
	Headers map[string]string `yaml:"headers,omitempty"`
	// Whether the process sees the path without the prefix; the prefix is then in X-Forwarded-Prefix.
	StripPrefix bool `yaml:"strip_prefix"`
	// How a request is answered: http is a long-lived server, streaming and serializing a process per request, afterburn a long-lived worker on stdin and stdout, static a folder.
	Mode Mode `yaml:"mode" validate:"mode"`
	// Where the server listens: host:port, http://host:port/base, h2c://host:port or unix:/path. By default a free port is chosen and passed to the program as $PORT. Without fprocess the server is run elsewhere, or several: a list, or a name with several addresses.
	Upstream Upstream `yaml:"upstream,omitempty" in:"http"`
	// The folder that is served. Files whose names begin with a dot are not, except .well-known.
	Root string `yaml:"root,omitempty" in:"static" path:"file"`
	// The file in root that answers a page whose path names no file, as a single-page application needs: index.html. Missing scripts, styles, images and data stay 404.
	Fallback string `yaml:"fallback,omitempty" in:"static"`
	// Whether a page of another site may call the route from a browser by an unsafe method or to upgrade: refuse answers 403.
	CrossOrigin string `yaml:"cross_origin" validate:"oneof=refuse allow"`
	// How long the parts of a request may take.
	Timeouts Timeouts `yaml:"timeouts"`
	// How many requests, and how large ones, the route takes.
	Limits Limits `yaml:"limits"`
	// How clients must authenticate. Without this key the route is open to all.
	Auth Auth `yaml:"auth,omitempty"`
	// Compress responses with gzip or zstd if the client accepts it, except streams and ranges.
	Compress bool `yaml:"compress"`

	// The Content-Type of responses; auto is the type of the request, or detected from the output.
	ContentType string `yaml:"content_type" in:"forks"`
	// The variables that describe the request to the program: openfaas and classic are Http_* as by of-watchdog and the classic watchdog, cgi is RFC 3875.
	Environ string `yaml:"environ" in:"forks" validate:"oneof=openfaas classic cgi none"`
	// What stdout is: raw is the body of the response; cgi is a header block, an empty line and the body.
	Response string `yaml:"response" in:"forks" validate:"oneof=raw cgi"`
	// Where stderr goes: to the log, or into the body of the response.
	Stderr string `yaml:"stderr" in:"forks" validate:"oneof=log body"`
	// What stdin is: raw is the body of the request; json is one JSON object of its headers and body.
	Request string `yaml:"request" in:"forks" validate:"oneof=raw json"`
	// How multipart/form-data is passed: json is one JSON object on stdin; files are files in the folder FORM_DIR, with FORM_* variables. By default it is passed as it came.
	Form string `yaml:"form" in:"forks" validate:"omitempty,oneof=json files"`
	// How many processes are started ahead of their request, which comes with its variables on descriptor 3.
	Warm int `yaml:"warm" in:"forks" validate:"min=0,max=10000"`

	// Read the whole body of a request first, and send it with a Content-Length.
	BufferBody bool `yaml:"buffer_body" in:"http"`

	Process `yaml:",inline"`
}

// OneOutput reports whether what a program prints as errors stands in the response where
// it was printed. A header block before it would be torn by that.
func (r *Route) OneOutput() bool { return r.Forks() && r.Stderr == "body" && r.Response == "raw" }

// Service is a process without a route.
type Service struct {
	// The name of the service, unique among routes and services: a-z, 0-9 and -, at most 63 characters.
	Name string `yaml:"name" validate:"name"`
	// How long the service may take to start.
	Timeouts ServiceTimeouts `yaml:"timeouts"`
	Process  `yaml:",inline"`
}

// Timeouts limit one request of a route; 0 is no limit.
type Timeouts struct {
	// From the start of a process until it is ready; then it is restarted, and requests that waited get 504. 0 is no limit.
	Start Duration `yaml:"start" in:"supervised"`
	// Waiting for a place under limits.inflight, or for a process that is ready; then 503. 0 is no limit.
	Queue Duration `yaml:"queue"`
	// Reading the body of the request; then 408. 0 is no limit.
	Read Duration `yaml:"read"`
	// Until the response begins; then 504. 0 is no limit.
	FirstByte Duration `yaml:"first_byte"`
	// The whole request with its waits; then 504. 0 is no limit. The header X-Timeout of a request can lower it. For event streams and upgraded connections it applies until the response begins.
	Exec Duration `yaml:"exec"`
	// Silence inside a response, a stream or an upgraded connection; then 504, or the connection is cut. 0 is no limit.
	Idle Duration `yaml:"idle"`
}

// ServiceTimeouts limit the start of a service; 0 is no limit.
type ServiceTimeouts struct {
	// From the start of the process until it is ready; then it is restarted. 0 is no limit.
	Start Duration `yaml:"start"`
}

// Limits protect a route's process; 0 is no limit, except that a Queue of 0
// refuses at once. A queue written as -1 is ten times Inflight here.
type Limits struct {
	// Concurrent requests. 0 is no limit.
	Inflight int `yaml:"inflight" validate:"min=0"`
	// Requests that may wait for a place: 0 is none, so that they get 429 at once; -1 is ten times inflight.
	Queue int `yaml:"queue" validate:"min=-1"`
	// The size of the body of a request; 413 above it. 0 is no limit.
	Body Size `yaml:"body"`
	// The size of the body of a response; 502 above it. 0 is no limit.
	Response Size `yaml:"response" in:"serializing afterburn"`
	// Requests per second, minute or hour, as in 100/s or 20/m burst 5; 429 above it. Empty is no limit.
	Rate Rate `yaml:"rate,omitempty"`
}

// Rate is requests per second, and how many may come at once. The zero Rate is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Auth is how clients of a route authenticate; at most one of its members is set.
type Auth struct {
	// By user name and password (RFC 7617).
	Basic *BasicAuth `yaml:"basic,omitempty"`
	// By a key, in Authorization: Bearer or X-API-Key.
	Keys *KeysAuth `yaml:"keys,omitempty"`
	// By a signature of the body, as webhooks have it.
	HMAC *HMACAuth `yaml:"hmac,omitempty"`
	// By a JSON Web Token of an issuer.
	JWT *JWTAuth `yaml:"jwt,omitempty"`

	// By a token of an OpenFaaS gateway that permits the function.
	OpenFaaS *OpenFaaSAuth `yaml:"openfaas,omitempty"`
}

// OpenFaaSAuth is the tokens of an OpenFaaS gateway: whose claim function.permissions
// names this function.
type OpenFaaSAuth struct {
	// The URL of the gateway that issues the tokens.
	Gateway string `yaml:"gateway"`
	// The function that a token must permit, as namespace:name.
	Function string `yaml:"function"`
	// Log why a token is refused.
	Debug bool `yaml:"debug"`
}

// BasicAuth names an htpasswd file, and users beside it.
type BasicAuth struct {
	// An htpasswd file.
	File string `yaml:"file" path:"file"`
	// The hash of each user's password, beside the file or instead of it.
	Users map[string]Secret `yaml:"users,omitempty"`
}

// KeysAuth names a file of name:key lines, and keys beside it.
type KeysAuth struct {
	// A file of name:key lines.
	File string `yaml:"file" path:"file"`
	// Keys by name, each plain or sha256:HEX, beside the file or instead of it.
	Keys map[string]Secret `yaml:"keys,omitempty"`
}

// HMACAuth names the header of a body's signature, and the secret or its file.
type HMACAuth struct {
	// The header with the signature: sha256=HEX, or t=..,v1=...
	Header string `yaml:"header"`
	// The file of the secret.
	SecretFile string `yaml:"secret_file" path:"file"`
	// The secret itself, instead of its file: a ${VARIABLE}.
	Secret Secret `yaml:"secret"`
}

// JWTAuth is the issuer of the accepted tokens, and the claims that they must have.
type JWTAuth struct {
	// Who issues the tokens: a URL, their claim iss. Without it, and with jwks, it is not checked.
	Issuer string `yaml:"issuer"`
	// For whom they must be: their claim aud.
	Audience string `yaml:"audience"`
	// The URL of the keys of the issuer. By default the issuer names it.
	JWKS string `yaml:"jwks"`
	// Claims that a token must have, with these values.
	Claims map[string]string `yaml:"claims,omitempty"`
}

// Process is how a program is started and kept: the keys that routes with an
// fprocess and services share.
type Process struct {
	// The program: one string, which is split into words as by a shell, or a list of words.
	FProcess Command `yaml:"fprocess,omitempty" in:"runs service"`
	// Pass commands to /bin/sh -c, so that pipes, redirects and $x work.
	Shell bool `yaml:"shell" in:"process"`
	// The folder in which the program runs. The default is the folder of the file.
	Dir Text `yaml:"dir" in:"process" path:"file"` // absolute
	// Give the program a terminal of its own as stdout and stderr, so that it prints colours, and each line at once. Both are then one stream.
	TTY bool `yaml:"tty" in:"supervised"`
	// Environment variables, added to those of watchdogd.
	Env map[string]Text `yaml:"env,omitempty" in:"process"`
	// Files of NAME=value lines. env overrides them.
	EnvFile Strings `yaml:"env_file,omitempty" in:"process" path:"file"` // absolute
	// Run the program as user or user:group, by name or number. The default is watchdogd's own user.
	User string `yaml:"user,omitempty" in:"process"`
	// The mask of file modes, as an octal number in quotes: "022". By default it is inherited.
	Umask Umask `yaml:"umask,omitempty" in:"process"`
	// Limits of the process by their name in setrlimit(2), as in {nofile: 4096, as: 512MiB}.
	RLimits map[string]Size `yaml:"rlimits,omitempty" in:"process"`
	// How many instances run: a number, or {min, max, target, idle} to scale by requests in flight.
	Replicas Replicas `yaml:"replicas" in:"supervised"`
	// What must be started, ready or completed first: names, which must be ready, or a mapping of name to condition.
	DependsOn Dependencies `yaml:"depends_on,omitempty" in:"process"`
	// When an instance can take requests: tcp, or a mapping with one of tcp, http, exec and log. The default is tcp in mode http.
	Ready Probe `yaml:"ready,omitempty" in:"supervised elsewhere"`
	// When an instance that hangs is restarted, or a server run elsewhere gets no requests: tcp, or a mapping with one of tcp, http and exec.
	Live Probe `yaml:"live,omitempty" in:"supervised elsewhere"`
	// When a process that exited is started again: always, on-failure (not after exit status 0) or never, or a mapping.
	Restart Restart `yaml:"restart" in:"supervised"`
	// How a process is stopped.
	Stop Stop `yaml:"stop" in:"process"`
	// When an instance is replaced by a fresh one.
	Recycle Recycle `yaml:"recycle,omitempty" in:"supervised"`
	// Restart when one of these files changes: patterns such as **/*.py, relative to the file.
	Watch Strings `yaml:"watch,omitempty" in:"supervised" path:"pattern"` // absolute patterns; ** is any depth of folders
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
	// The fewest instances. With 0 the first request starts one.
	Min int `yaml:"min" validate:"min=0,max=10000"`
	// The most instances. The default is min, or 1.
	Max int `yaml:"max" validate:"min=1,max=10000"`
	// Requests in flight per instance that add another.
	Target int `yaml:"target" validate:"min=1"`
	// How long an instance that is not needed stays.
	Idle Duration `yaml:"idle"`
}

// Probe asks whether an instance is ready or alive; at most one of TCP, HTTP, Exec
// and Log is set, and none is no probe.
type Probe struct {
	// Succeeds if something listens there: host:port, a port of this host, or unix:/path.
	TCP Text `yaml:"tcp,omitempty" path:"address"` // "${PORT}" alone is the instance's own
	// Succeeds if the status is from 200 to 399: a path of the instance in mode http, or a whole URL.
	HTTP Text `yaml:"http,omitempty"`
	// Succeeds if this command exits with 0.
	Exec Command `yaml:"exec,omitempty"`
	// Succeeds when a line of output matches this regular expression (RE2). Only for ready.
	Log Text `yaml:"log,omitempty"`
	// How often to check. For ready, 0 is not again once it was ready.
	Interval Duration `yaml:"interval,omitempty"`
	// How long one check may take.
	Timeout Duration `yaml:"timeout,omitempty"`
	// How many consecutive failures make the instance unready, or restart it.
	Failures int `yaml:"failures,omitempty" validate:"min=1"`
}

// Empty reports whether the probe asks nothing.
func (p Probe) Empty() bool {
	return p.TCP == "" && p.HTTP == "" && p.Exec.Empty() && p.Log == ""
}

// Restart is when and how soon a process that exited is started again.
type Restart struct {
	// When to restart: always, on-failure (not after exit status 0) or never.
	Policy string `yaml:"policy" validate:"oneof=always on-failure never"`
	// The first delay. It doubles each time, with jitter.
	Min Duration `yaml:"min"`
	// The longest delay.
	Max Duration `yaml:"max"`
	// An instance that ran this long resets the delay.
	Reset Duration `yaml:"reset"`
	// How many exits within which time are a crash loop.
	GiveUp GiveUp `yaml:"give_up"`
	// What to do in a crash loop: degrade answers 503 and keeps trying at the longest delay; exit ends watchdogd with the exit status of the process.
	Then string `yaml:"then" validate:"oneof=degrade exit"`
}

// GiveUp is how many exits within how long are a crash loop.
type GiveUp struct {
	// This many exits within the time are a crash loop. 0 is never.
	Exits int `yaml:"exits" validate:"min=0"`
	// The time in which exits are counted.
	Within Duration `yaml:"within"`
}

// Stop is the signal that asks a process to end and the time it has before KILL. Drain is
// how long the calls of an instance that is replaced or stopped may go on before that.
type Stop struct {
	// The signal that asks a process to end.
	Signal Signal `yaml:"signal"`
	// How long the process has after the signal, before it gets KILL.
	Grace Duration `yaml:"grace"`
	// How long an instance that is replaced or stopped may finish its requests before the signal; then they are cut off.
	Drain Duration `yaml:"drain"`
}

// Recycle is when an instance is replaced by a fresh one; 0 is never.
type Recycle struct {
	// Replace an instance after this many requests. 0 is never.
	Requests int `yaml:"requests,omitempty" in:"http afterburn" validate:"min=0"`
	// Replace an instance after this time. 0 is never.
	Age Duration `yaml:"age,omitempty"`
	// Replace an instance that uses more memory. 0 is never.
	Memory Size `yaml:"memory,omitempty"`
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
