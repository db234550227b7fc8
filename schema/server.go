package schema

import "net/netip"

// Server is the main listener and what applies to every request on it.
type Server struct {
	// One address or a list: host:port, :port or unix:/path. The default is :$PORT, otherwise :8080.
	Listen Strings `yaml:"listen" path:"address"`
	// The certificate for HTTPS.
	TLS TLS `yaml:"tls,omitempty"`
	// Limits of a connection. The timeouts of routes limit requests.
	Timeouts ServerTimeouts `yaml:"timeouts"`
	// The largest head of a request; 431 above it, and above 1,000 fields.
	MaxHeader Size `yaml:"max_header" validate:"min=1024,max=1073741824"`
	// How the server stops.
	Drain Drain `yaml:"drain"`
	// Networks of proxies whose X-Forwarded-* and Forwarded headers are trusted. Those of other clients are replaced.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies,omitempty"`
	// The format of errors that watchdogd itself sends: problem is application/problem+json, openfaas and classic are as by the OpenFaaS watchdogs, with their other habits.
	Errors string `yaml:"errors" validate:"oneof=problem openfaas classic"`
}

// TLS names PEM files; both are set or neither is.
type TLS struct {
	// A PEM file with the certificate and its chain. It is read again on reload.
	Cert string `yaml:"cert,omitempty" path:"file"`
	// A PEM file with the private key of the certificate.
	Key string `yaml:"key,omitempty" path:"file"`
}

// ServerTimeouts limit a connection, not a request; 0 is no limit.
type ServerTimeouts struct {
	// Reading the head of a request. 0 is no limit.
	Header Duration `yaml:"header"`
	// Reading a whole request. 0 is no limit; prefer the timeouts of routes.
	Read Duration `yaml:"read"`
	// Writing a whole response. 0 is no limit; prefer the timeouts of routes.
	Write Duration `yaml:"write"`
	// How long an idle connection is kept, and how long a client may leave the end of a response unread. 0 is no limit.
	Idle Duration `yaml:"idle"`
}

// Drain is how the server stops: Delay while still serving but unready, then at
// most Timeout for the calls in flight; Status is the exit status where that was not
// enough for them.
type Drain struct {
	// How long requests are still accepted when stopping, while health checks return 503.
	Delay Duration `yaml:"delay"`
	// How long requests in flight have to finish after that; then they are cut off.
	Timeout Duration `yaml:"timeout"`
	// The exit status if requests were cut off.
	Status int `yaml:"status" validate:"min=0,max=125"`
}

// Gateway is the routing of an OpenFaaS gateway; nil is off.
type Gateway struct {
	// The prefix under which routes are reached by their name: /function/NAME/rest is /rest of the route NAME.
	Functions string `yaml:"functions"`
	// The request header that names the route of a request to /.
	Header string `yaml:"header"`
	// Whether a POST to / that is an Alexa request goes to the route with the name of its intent.
	Alexa bool `yaml:"alexa"`
	// Functions beside the routes: the services of a Docker Swarm that have a label. Without this key there are none.
	Swarm *Swarm `yaml:"swarm,omitempty"`
}

// Swarm is the Docker Swarm whose services are functions; nil is none.
type Swarm struct {
	// The engine of a manager: unix:///PATH or tcp://HOST:PORT. The default is $DOCKER_HOST, otherwise /var/run/docker.sock; DOCKER_TLS_VERIFY and DOCKER_CERT_PATH are obeyed.
	Host string `yaml:"host,omitempty"`
	// The label of services that are functions. Its value is the name of the function; empty or true is the name of the service.
	Label string `yaml:"label"`

	// Function is the route that each function has, but for its name and what the labels of
	// its service say: what defaults: make of a route whose upstream is run elsewhere.
	Function Route `yaml:"-"`
}

// Metrics is where Prometheus text is served; an empty Listen is only on the admin
// socket. If an Optional address cannot be listened on, that is logged and serving goes on.
type Metrics struct {
	// The address at which Prometheus reads /metrics: host:port, :port or unix:/path.
	Listen string `yaml:"listen,omitempty" path:"address"`
	// If the address is in use, log that and serve without metrics.
	Optional bool `yaml:"optional"`
	// Whether the metrics of requests have the label route.
	RouteLabel bool `yaml:"route_label"`
}

// Admin is where the running stack is seen and steered; an empty Listen is the
// stack's own socket. Optional is as in Metrics.
type Admin struct {
	// The address at which the commands reach the running stack: host:port or unix:/path. The default is a socket of the stack's own, with mode 0600.
	Listen string `yaml:"listen,omitempty" path:"address"`
	// The token that clients must send. It is needed if other hosts can reach the address.
	Token Secret `yaml:"token,omitempty"`
	// If the address is in use, log that and serve without it.
	Optional bool `yaml:"optional"`
}

// Log is the form and amount of the log.
type Log struct {
	// How lines are written: auto is text on a terminal and JSON otherwise; classic are the lines of of-watchdog.
	Format string `yaml:"format" validate:"oneof=auto text json classic"`
	// The lowest level that is logged.
	Level string `yaml:"level" validate:"oneof=debug info warn error"`
	// Whether each request is logged, in one line.
	Access bool `yaml:"access"`
	// Longer lines of processes are split. 0 is the maximum, 1MiB.
	Line Size `yaml:"line"`

	// In the classic format: start the lines of processes with the time and stdout: or stderr:.
	Prefix bool `yaml:"prefix"`
	// In the classic format: end the lines of requests with their X-Call-Id.
	CallID bool `yaml:"call_id"`
	// In the classic format: copy the output of forked processes to stdout, and log path and query.
	Output bool `yaml:"output"`
	// In the classic format: print the headers of requests and responses to stdout, without secrets.
	Headers bool `yaml:"headers"`
}

// Health is how others learn whether the server can take requests.
type Health struct {
	// A file that exists while the server is ready. With live: lock it exists while requests are accepted, and without it the server is neither alive nor ready.
	LockFile string `yaml:"lock_file,omitempty" path:"file"`
	// What /_/health depends on: plain is 200 as long as watchdogd answers; lock is 200 while the lock file exists.
	Live string `yaml:"live" validate:"oneof=plain lock"`
	// What /_/ready depends on: plain is 200 when every route and service is ready; limit is also 429 while a route has reached its limits.inflight; none leaves /_/ready to the routes.
	Ready string `yaml:"ready" validate:"oneof=plain limit none"`
	// A path of a route that /_/ready asks by GET once everything is ready, and whose answer it returns.
	ReadyPath string `yaml:"ready_path,omitempty"`
}

// Compat is what a server does as the OpenFaaS watchdogs did where watchdogd would do
// otherwise. server.errors decides all of it today; below schema, each is asked by its name.
type Compat struct {
	BareProbes     bool // /_/health and /_/ready take GET only, and a refusal has no body
	OpenStdin      bool // servers of http mode get a stdin that stays open: some exit when it ends
	SharedPort     bool // another program may listen on a server's fixed port already, as in another container of the pod
	MissingAllowed bool // a program or a root that is missing fails requests, not the start
	ListFolders    bool // static mode lists folders that have no index.html
	AnyMethod      bool // static mode answers every method but HEAD as GET
	SniffTypes     bool // http mode adds a Content-Type to a response without one, from its first bytes
	ClassicLines   bool // format: classic logs as the classic watchdog, not as of-watchdog
}
